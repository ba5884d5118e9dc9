//! Prints what a key said at a moment, and since when the lake knows it.

use chrono::{DateTime, Utc};
use rcm_platform::load::printable;

use super::figures::{NONE, moment};
use super::history::{History, Version};
use super::table::{sections, table};
use crate::history::{When, held_at, known_at};

/// A moment that is asked for.
#[derive(Debug, Clone, Copy)]
pub struct AsOf {
    pub when: When,
    pub moment: DateTime<Utc>,
}

/// Returns the version of a key that held at a moment, and what the lake said of it then, if that was something else.
/// `all` are the versions of today; `history` has those that are asked for, by default the same.
#[must_use]
pub fn as_of(history: &History, all: &[Version], asked: AsOf) -> String {
    let title = format!("{} {} as of {}", history.entity, history.key, asked.when.words());
    let title = printable(&title);
    let Some((place, version)) = held_at(&history.versions, asked.moment) else {
        return format!("{title}: no version held then\n");
    };
    let count = history.versions.len();
    let until = version.to.map_or_else(String::new, |to| format!(" until {}", moment(to)));
    let deleted = if version.is_deleted { ", then deleted" } else { "" };
    let title = format!("{title}: version {} of {count}, from {}{until}{deleted}\n", place + 1, moment(version.from));
    let lines = history.columns.iter().zip(&version.values);
    let lines = lines.map(|(name, value)| vec![name.clone(), value.clone().unwrap_or_else(|| NONE.to_owned())]);
    let values = table("Attributes", &["column", "value"], 2, lines.collect());
    title + &known(history, all, version, asked.moment) + "\n" + &sections(&[values])
}

/// Since when the lake knows a version, and what it said at the moment.
fn known(history: &History, all: &[Version], version: &Version, at: DateTime<Utc>) -> String {
    let Some(first) = version.observations.iter().min_by_key(|observed| observed.known_at) else {
        return String::new();
    };
    let load = if first.load.is_empty() { String::new() } else { format!(" ({})", printable(&first.load)) };
    let since = format!("  known in the lake since {}{load}", moment(first.known_at));
    if first.known_at <= at {
        return since + "\n";
    }
    let then = known_at(all, at);
    let Some((_, said)) = held_at(&then, at) else { return since + "; at that time the lake had nothing of the key\n" };
    let columns = history.columns.iter().zip(said.values.iter().zip(&version.values));
    let other = columns.filter(|(_, (said, now))| said != now);
    let other: Vec<String> = other
        .map(|(name, (said, _))| format!("{name} {}", said.as_deref().map_or_else(|| NONE.to_owned(), printable)))
        .collect();
    if other.is_empty() { since + "\n" } else { format!("{since}; at that time the lake said {}\n", other.join(", ")) }
}

#[cfg(test)]
mod tests {
    use chrono::{NaiveDate, NaiveTime};

    use super::*;
    use crate::print::Observation;

    fn on(day: u32) -> DateTime<Utc> {
        NaiveDate::from_ymd_opt(2024, 9, day).unwrap().and_time(NaiveTime::MIN).and_utc()
    }

    fn version(from: u32, to: Option<u32>, status: &str, known: u32) -> Version {
        let load = format!("claims/hos-a load {known}");
        Version {
            from: on(from),
            to: to.map(on),
            is_current: to.is_none(),
            is_deleted: false,
            load_id: String::new(),
            values: vec![Some("PAY1".to_owned()), Some(status.to_owned())],
            observations: vec![Observation { modified_at: on(from), known_at: on(known), ordinal: Some(1), load }],
        }
    }

    fn asked(day: u32) -> AsOf {
        AsOf { when: When::Date(on(day).date_naive()), moment: on(day + 1) - chrono::TimeDelta::microseconds(1) }
    }

    fn claim() -> History {
        History {
            entity: "claims".to_owned(),
            key: "CLAIM1-hos-a".to_owned(),
            datasource: "hos-a".to_owned(),
            columns: ["payor_id", "claim_status"].map(str::to_owned).to_vec(),
            versions: vec![
                version(3, Some(10), "Pending", 4),
                version(10, Some(20), "Denied", 25),
                version(20, None, "Paid", 28),
            ],
            quarantined: Vec::new(),
        }
    }

    #[test]
    fn a_version_that_was_loaded_later_is_told_with_what_the_lake_said_then() {
        let claim = claim();
        insta::assert_snapshot!(as_of(&claim, &claim.versions, asked(15)), @r"
        claims CLAIM1-hos-a as of the end of 2024-09-15: version 2 of 3, from 2024-09-10 until 2024-09-20
          known in the lake since 2024-09-25 (claims/hos-a load 25); at that time the lake said claim_status Pending

        Attributes
          column         value
        ────────────────────────
          payor_id       PAY1
          claim_status   Denied
        ");
    }

    #[test]
    fn a_moment_before_the_first_version_has_none() {
        let claim = claim();
        let text = as_of(&claim, &claim.versions, asked(1));
        assert_eq!(text, "claims CLAIM1-hos-a as of the end of 2024-09-01: no version held then\n");
    }
}
