//! Examples, and any history against a reading row by row.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rcm_model::cdm::TRANSACTIONS;

use super::*;

/// One version; times are days of 2024 counted from 0, and without zones day `d` ends before `d + 1`.
#[derive(Debug, Clone)]
struct Version {
    key: String,
    from: i64,
    to: Option<i64>,
    stamp: Option<i64>,
    updated: i64,
    current: bool,
    deleted: bool,
    says: i64,
}

const DAY: i64 = 86_400_000_000;

fn first() -> NaiveDate {
    NaiveDate::from_ymd_opt(2024, 1, 1).unwrap()
}

fn micros(day: i64) -> i64 {
    i64::from(first().to_epoch_days()) * DAY + day * DAY
}

fn rows(versions: &[Version]) -> LazyFrame {
    let frame = df!(
        "transaction_key" => versions.iter().map(|v| v.key.as_str()).collect::<Vec<_>>(),
        "datasource" => vec!["hos-a"; versions.len()],
        "says" => versions.iter().map(|v| v.says).collect::<Vec<_>>(),
        "effective_from" => versions.iter().map(|v| micros(v.from)).collect::<Vec<_>>(),
        "effective_to" => versions.iter().map(|v| v.to.map(micros)).collect::<Vec<_>>(),
        "src_modified_at" => versions.iter().map(|v| v.stamp.map(micros)).collect::<Vec<_>>(),
        "updated_at" => versions.iter().map(|v| micros(v.updated)).collect::<Vec<_>>(),
        "is_current" => versions.iter().map(|v| v.current).collect::<Vec<_>>(),
        "is_deleted" => versions.iter().map(|v| v.deleted).collect::<Vec<_>>(),
    );
    let moments = ["effective_from", "effective_to", "src_modified_at", "updated_at"];
    frame.unwrap().lazy().with_columns(moments.map(|name| col(name).cast(timestamp())))
}

/// What the keys say on a day, by key.
fn said(versions: &[Version], day: i64, zones: &[(String, TimeZone)]) -> BTreeMap<String, i64> {
    let end = EndOfDay::new(first() + Days::new(day as u64), zones).unwrap();
    let held = held_at(&rows(versions), &TRANSACTIONS, &["transaction_key", "says"], &end).unwrap();
    let (keys, says) = (held.column("transaction_key").unwrap(), held.column("says").unwrap());
    let pairs = keys.str().unwrap().iter().zip(says.i64().unwrap().iter());
    let said: BTreeMap<_, _> = pairs.map(|(key, says)| (key.unwrap().to_owned(), says.unwrap())).collect();
    assert_eq!(said.len(), held.height(), "no key twice");
    said
}

/// The same, one key and one version after the other.
fn reference(versions: &[Version], day: i64) -> BTreeMap<String, i64> {
    let mut keys: Vec<&str> = versions.iter().map(|v| v.key.as_str()).collect();
    keys.dedup();
    let mut said = BTreeMap::new();
    for key in keys {
        let lasting: Vec<_> = versions.iter().filter(|v| v.key == key && Some(v.from) != v.to).collect();
        let end = day + 1;
        let found = if lasting.iter().any(|v| v.from < end) {
            lasting.iter().find(|v| v.from < end && v.to.is_none_or(|to| to >= end))
        } else {
            let believable = lasting.iter().filter(|v| v.stamp.is_some_and(|stamp| stamp <= v.updated));
            believable.min_by_key(|v| v.from).or_else(|| lasting.iter().find(|v| v.current))
        };
        if let Some(version) = found {
            said.insert(key.to_owned(), version.says);
        }
    }
    said
}

/// Versions of `A` one after the other, each up to the next: from when, its stamp, what it says. All
/// were written on day 800.
fn history(given: &[(i64, i64, i64)], deleted_on: Option<i64>) -> Vec<Version> {
    let ends = given.iter().skip(1).map(|next| Some(next.0)).chain([deleted_on]);
    given
        .iter()
        .zip(ends)
        .map(|(&(from, stamp, says), to)| Version {
            key: "A".to_owned(),
            from,
            to,
            stamp: Some(stamp),
            updated: 800,
            current: to.is_none(),
            deleted: to.is_some() && to == deleted_on,
            says,
        })
        .collect()
}

const NEVER: i64 = 6_800;

#[rstest::rstest]
#[case::what_was_said_then_stays_for_ever(&[(244, 244, 50), (305, 305, 80)], None, 258, Some(50))]
#[case::a_later_correction_counts_from_its_day(&[(244, 244, 50), (305, 305, 80)], None, 305, Some(80))]
#[case::a_stamp_of_the_future_that_was_mended(&[(790, NEVER, 0), (791, 293, 100)], None, 311, Some(100))]
#[case::a_stamp_of_the_future_that_was_never_mended(&[(790, NEVER, 7)], None, 311, Some(7))]
#[case::a_stamp_of_the_future_that_is_gone(&[(790, NEVER, 7)], Some(795), 311, None)]
#[case::a_row_that_the_lake_saw_later(&[(400, 400, 1), (500, 500, 2)], None, 311, Some(1))]
#[case::a_row_that_was_seen_later_and_is_gone(&[(400, 400, 1)], Some(500), 311, Some(1))]
#[case::deleted_after_the_day(&[(100, 100, 1)], Some(312), 311, Some(1))]
#[case::deleted_on_the_day(&[(100, 100, 1)], Some(311), 311, None)]
fn a_key_says_what_it_said_on_the_day(
    #[case] given: &[(i64, i64, i64)],
    #[case] deleted_on: Option<i64>,
    #[case] day: i64,
    #[case] expected: Option<i64>,
) {
    let versions = history(given, deleted_on);
    assert_eq!(said(&versions, day, &[]).get("A").copied(), expected);
    assert_eq!(reference(&versions, day).get("A").copied(), expected);
}

#[test]
fn a_day_ends_where_it_was_written() {
    let mut versions = history(&[(100, 100, 1), (311, 311, 2)], None);
    assert_eq!(said(&versions, 310, &[])["A"], 1);
    let zone = |name| [("hos-a".to_owned(), TimeZone::opt_try_new(Some(name)).unwrap().unwrap())];
    assert_eq!(said(&versions, 310, &zone("America/New_York"))["A"], 2, "it ends five hours later");
    assert_eq!(said(&versions, 311, &zone("Asia/Kolkata"))["A"], 2);
    versions[1].from = 312;
    versions[0].to = Some(312);
    assert_eq!(said(&versions, 311, &zone("Asia/Kolkata"))["A"], 1);
}

fn any_history(key: String) -> impl Strategy<Value = Vec<Version>> {
    let step = (0..4i64, 0..4i64, proptest::option::of(0..40i64), any::<bool>());
    (0..12i64, proptest::collection::vec(step, 1..5), any::<bool>()).prop_map(move |(begin, steps, is_deleted)| {
        let (mut from, count, mut versions) = (begin, steps.len(), Vec::new());
        for (index, (gap, length, stamp, is_old)) in steps.into_iter().enumerate() {
            let is_last = index + 1 == count;
            from += if is_old { gap } else { 0 };
            let to = (!is_last || is_deleted).then_some(from + length);
            versions.push(Version {
                key: key.clone(),
                from,
                to,
                stamp,
                updated: 20,
                current: to.is_none(),
                deleted: is_last && is_deleted,
                says: index as i64,
            });
            from += length;
        }
        versions
    })
}

proptest! {
    #[test]
    fn any_history_says_on_any_day_what_a_reading_row_by_row_finds(
        histories in (any_history("A".to_owned()), any_history("B".to_owned()), any_history("C".to_owned())),
        day in 0..25i64,
    ) {
        let versions = [histories.0, histories.1, histories.2].concat();
        prop_assert_eq!(said(&versions, day, &[]), reference(&versions, day));
    }
}
