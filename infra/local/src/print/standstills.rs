//! Prints what waits for a person.

use rcm_model::standstill::Standstill;

use super::figures::moment;
use super::table::{list, sections};

/// Returns all standstills as text: what waits, since when, why, and what to do. Empty if nothing waits.
#[must_use]
pub fn standstills(standstills: &[Standstill]) -> String {
    if standstills.is_empty() { String::new() } else { sections(&[section(standstills)]) + "\n" }
}

/// Returns the standstills as one section of a longer text.
pub(super) fn section(standstills: &[Standstill]) -> String {
    let lines = standstills.iter().map(|Standstill { kind, subject, since, because, hint }| {
        let since = since.map(|since| format!(" since {} UTC", moment(since))).unwrap_or_default();
        format!("{subject}\n      {}{since}: {because}\n      hint: {hint}", kind.title())
    });
    list("Waits for a person", &lines.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use rcm_model::standstill::StandstillKind;

    use super::*;

    #[test]
    fn what_waits_is_told_with_its_time_its_reason_and_what_to_do() {
        let refused = Standstill {
            kind: StandstillKind::FileRefused,
            subject: "landing/claims/a.csv".to_owned(),
            since: DateTime::from_timestamp(1_730_944_800, 0),
            because: "no mapping claims it".to_owned(),
            hint: "rename it".to_owned(),
        };
        let outside = Standstill {
            kind: StandstillKind::FileOutsideFeeds,
            subject: "landing".to_owned(),
            since: None,
            ..refused.clone()
        };
        insta::assert_snapshot!(standstills(&[refused, outside]), @r"
        Waits for a person
          landing/claims/a.csv
              file refused since 2024-11-07 02:00:00 UTC: no mapping claims it
              hint: rename it
          landing
              file in a folder of no feed: no mapping claims it
              hint: rename it

        ");
        assert_eq!(standstills(&[]), "");
    }
}
