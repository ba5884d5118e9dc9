//! The versions of a key as the lake knew them at a moment of the past.
//!
//! Nothing of a table as it was then is needed: every version has the times at which a source said what it says, and the
//! load that said so. What was loaded later is left out, and the ends of the other versions follow from what is left.

use chrono::{DateTime, Utc};

use crate::print::Version;

/// Returns the versions of a key, oldest first, that the lake knew at a moment, each with the end that was known then.
///
/// `versions` are all of them, oldest first, with their observations.
#[must_use]
pub fn known_at(versions: &[Version], moment: DateTime<Utc>) -> Vec<Version> {
    let mut known: Vec<Version> = versions.iter().filter_map(|version| begun(version, moment)).collect();
    known.sort_by_key(|version| version.from);
    for index in 0..known.len() {
        if known[index].is_empty() {
            continue;
        }
        let next = known[index + 1..].iter().find(|later| !later.is_empty()).map(|later| later.from);
        let deleted = deleted_at(&known[index], versions, moment);
        known[index].to = match (deleted, next) {
            (Some(deleted), Some(next)) => Some(deleted.min(next)),
            (deleted, next) => deleted.or(next),
        };
        known[index].is_deleted = deleted.is_some();
        known[index].is_current = known[index].to.is_none();
    }
    without_repeats(known)
}

/// Returns the version that held at a moment, with its place.
#[must_use]
pub fn held_at(versions: &[Version], moment: DateTime<Utc>) -> Option<(usize, &Version)> {
    let holds =
        |version: &Version| !version.is_empty() && version.from <= moment && version.to.is_none_or(|to| moment < to);
    versions.iter().enumerate().find(|(_, version)| holds(version))
}

/// A version with what was known of it, from its first time that was known; none if nothing was.
fn begun(version: &Version, moment: DateTime<Utc>) -> Option<Version> {
    let known: Vec<_> = version.observations.iter().filter(|observed| observed.known_at <= moment).cloned().collect();
    let first = known.iter().map(|observed| observed.modified_at).min()?;
    let is_whole = known.len() == version.observations.len();
    let starts = known.iter().any(|observed| observed.modified_at == version.from);
    let from = if is_whole || starts { version.from } else { first };
    let to = if version.is_empty() { Some(from) } else { version.to };
    Some(Version { from, to, observations: known, ..version.clone() })
}

/// When a version ended because its key was deleted, if that was known.
fn deleted_at(version: &Version, all: &[Version], moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let to = version.to.filter(|_| version.is_deleted)?;
    let event = all.iter().find(|event| event.is_empty() && event.is_deleted && event.from == to);
    let is_known = match event {
        Some(event) => event.observations.iter().any(|observed| observed.known_at <= moment),
        // An extract without the key ends its version at the time of the extract.
        None => to <= moment,
    };
    is_known.then_some(to)
}

/// The versions without those that say what the one before says: a row that came later has split one.
fn without_repeats(versions: Vec<Version>) -> Vec<Version> {
    let mut kept: Vec<Version> = Vec::with_capacity(versions.len());
    for version in versions {
        let before = kept.iter_mut().rev().find(|before| !before.is_empty());
        match before {
            Some(before)
                if !version.is_empty() && before.values == version.values && before.to == Some(version.from) =>
            {
                before.to = version.to;
                before.is_current = version.is_current;
                before.is_deleted = version.is_deleted;
            }
            _ => kept.push(version),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use chrono::{NaiveDate, NaiveTime};

    use super::*;
    use crate::print::Observation;

    fn on(day: u32) -> DateTime<Utc> {
        NaiveDate::from_ymd_opt(2024, 9, day).unwrap().and_time(NaiveTime::MIN).and_utc()
    }

    /// A version that was observed at days of its source, each known since a day.
    fn version(from: u32, to: Option<u32>, status: &str, observed: &[(u32, u32)]) -> Version {
        let observation = |&(modified, known): &(u32, u32)| Observation {
            modified_at: on(modified),
            known_at: on(known),
            ordinal: Some(i64::from(known)),
            load: format!("claims/hos-a load {known}"),
        };
        Version {
            from: on(from),
            to: to.map(on),
            is_current: to.is_none(),
            is_deleted: false,
            load_id: String::new(),
            values: vec![Some(status.to_owned())],
            observations: observed.iter().map(observation).collect(),
        }
    }

    /// The claim of the documentation: Denied, of the 10th, came after Pending of the 20th.
    fn claim() -> Vec<Version> {
        vec![
            version(3, Some(10), "Pending", &[(3, 4)]),
            version(10, Some(20), "Denied", &[(10, 25)]),
            version(20, Some(20), "Pending", &[(20, 21)]),
            version(20, None, "Paid", &[(20, 28)]),
        ]
    }

    fn told(versions: &[Version]) -> Vec<(u32, Option<u32>, &str)> {
        let day = |moment: DateTime<Utc>| moment.format("%d").to_string().parse().unwrap();
        let of = |version: &Version| (day(version.from), version.to.map(day));
        versions.iter().map(|version| (of(version).0, of(version).1, version.values[0].as_deref().unwrap())).collect()
    }

    #[test]
    fn what_was_loaded_later_was_not_known() {
        let claim = claim();
        assert_eq!(told(&known_at(&claim, on(2))), []);
        assert_eq!(told(&known_at(&claim, on(4))), [(3, None, "Pending")]);
        assert_eq!(
            told(&known_at(&claim, on(26))),
            [(3, Some(10), "Pending"), (10, None, "Denied"), (20, Some(20), "Pending")]
        );
        let now = known_at(&claim, on(28));
        assert_eq!(told(&now), told(&claim));
        assert!(now[3].is_current && !now[1].is_current);
    }

    #[test]
    fn a_version_that_a_late_row_split_was_one_before() {
        let split = [
            version(3, Some(10), "Pending", &[(3, 4)]),
            version(10, Some(20), "Denied", &[(10, 25)]),
            version(20, None, "Pending", &[(20, 21)]),
        ];
        assert_eq!(told(&known_at(&split, on(22))), [(3, None, "Pending")]);
        assert_eq!(told(&known_at(&split, on(25))), told(&split));
    }

    #[test]
    fn a_start_that_was_learned_late_was_later_before() {
        let moved = [version(3, None, "Pending", &[(3, 25), (8, 9)])];
        assert_eq!(told(&known_at(&moved, on(10))), [(8, None, "Pending")]);
        assert_eq!(told(&known_at(&moved, on(25))), [(3, None, "Pending")]);
    }

    #[test]
    fn a_deletion_was_known_since_the_extract_that_lacked_the_key() {
        let deleted = [Version { is_deleted: true, ..version(3, Some(15), "Pending", &[(3, 4)]) }];
        let before = known_at(&deleted, on(14));
        assert_eq!((told(&before), before[0].is_deleted), (vec![(3, None, "Pending")], false));
        let after = known_at(&deleted, on(15));
        assert_eq!((told(&after), after[0].is_deleted), (vec![(3, Some(15), "Pending")], true));
    }

    #[test]
    fn the_version_of_a_moment_is_the_one_that_held() {
        let claim = claim();
        let held =
            |day| held_at(&claim, on(day)).map(|(place, version)| (place, version.values[0].as_deref().unwrap()));
        assert_eq!([2, 3, 12, 20].map(held), [None, Some((0, "Pending")), Some((1, "Denied")), Some((3, "Paid"))]);
    }
}
