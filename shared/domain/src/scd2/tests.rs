//! The rules of a history of landed events, each by name, and random histories against a naive reference.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use polars::prelude::*;
use proptest::prelude::*;
use proptest::sample::select;
use rcm_model::cdm::DEPARTMENTS;

use super::{IS_DELETE, Outcome, events, plan_events, triage};
use crate::cdm::{silver_schema, timestamp};

const DAY: i64 = 86_400_000_000;

/// A row as a payer sends it: key, day of its modified time, attribute.
type Row = (&'static str, i64, Option<&'static str>);

/// The attribute of a row that deletes its key.
const GONE: Option<&str> = Some("gone");

/// A landed file: its rows, and its ordinal, which need not be in the order in which files come.
#[derive(Debug, Clone)]
struct Load {
    rows: Vec<Row>,
    /// The next one where it is none.
    ordinal: Option<i64>,
}

fn upsert(rows: &[Row]) -> Load {
    Load { rows: rows.to_vec(), ordinal: None }
}

fn upsert_at(ordinal: i64, rows: &[Row]) -> Load {
    Load { rows: rows.to_vec(), ordinal: Some(ordinal) }
}

/// A version in days: key, attribute, from, to, current, deleted.
type Version = (String, Option<String>, i64, Option<i64>, bool, bool);

/// A silver table in memory, fed as the silver stage feeds it.
struct Table {
    rows: DataFrame,
    sequence: i64,
    untracked: Vec<&'static str>,
    /// What became of the rows of the last run, sorted: their own order is not promised.
    outcomes: Vec<String>,
}

impl Table {
    fn new() -> Self {
        let rows = DataFrame::empty_with_schema(&silver_schema(&DEPARTMENTS));
        Self { rows, sequence: 0, untracked: Vec::new(), outcomes: Vec::new() }
    }

    /// One run of silver over some loads.
    fn run(&mut self, loads: &[Load]) -> &mut Self {
        let mut frames = Vec::new();
        for load in loads {
            self.sequence += 1;
            frames.push(frame(load, load.ordinal.unwrap_or(self.sequence), &self.untracked).lazy());
        }
        let batch = concat(frames, UnionArgs::default()).unwrap().collect().unwrap();
        let current = self.rows.clone().lazy().filter(col("is_current")).collect().unwrap();
        let found = triage(&DEPARTMENTS, &current, &batch).unwrap();
        let key = [col("dept_key")];
        let touched = found.need_history.clone().lazy();
        let history =
            self.rows.clone().lazy().join(touched, key, [col("key")], JoinArgs::new(JoinType::Semi)).collect().unwrap();
        let planned =
            plan_events(&DEPARTMENTS, &self.untracked, &current, &history, &batch, &found, moment(1000)).unwrap();
        self.rows = planned.applied_to(&self.rows, "dept_sk").unwrap();
        let outcomes = planned.outcomes.into_iter().flat_map(|((_, outcome), rows)| {
            let name = match outcome {
                Outcome::New => "new",
                Outcome::Changed => "changed",
                Outcome::Unchanged => "unchanged",
                Outcome::Superseded => "superseded",
            };
            vec![name.to_owned(); rows as usize]
        });
        self.outcomes = outcomes.collect();
        self.outcomes.sort_unstable();
        assert_eq!(self.outcomes.len(), batch.height(), "every row has one outcome");
        self
    }

    fn versions(&self) -> Vec<Version> {
        let text = |column: &str| self.rows.column(column).unwrap().str().unwrap().clone();
        let day = |column: &str| self.rows.column(column).unwrap().datetime().unwrap().physical().clone();
        let flag = |column: &str| self.rows.column(column).unwrap().bool().unwrap().clone();
        let (keys, names) = (text("dept_key"), text("name"));
        let (from, to) = (day("effective_from"), day("effective_to"));
        let (current, deleted) = (flag("is_current"), flag("is_deleted"));
        let mut versions: Vec<Version> = (0..self.rows.height())
            .map(|row| {
                let key = keys.get(row).unwrap().trim_end_matches("-hos-a").to_owned();
                let name = names.get(row).map(str::to_owned);
                let (from, to) = (from.get(row).unwrap() / DAY, to.get(row).map(|to| to / DAY));
                (key, name, from, to, current.get(row).unwrap(), deleted.get(row).unwrap())
            })
            .collect();
        versions.sort();
        versions
    }

    /// Every sighting of a version: its key, what it says, and the ordinal of the load.
    fn sightings(&self) -> Vec<(String, Option<String>, i64)> {
        let ordinal = col("observations").struct_().field_by_name("sequence").alias("ordinal");
        let seen = self.rows.clone().lazy().select([col("dept_key"), col("name"), col("observations")]);
        let options = ExplodeOptions { empty_as_null: false, keep_nulls: false };
        let seen = seen.explode(by_name(["observations"], true, false), options);
        let seen = seen.select([col("dept_key"), col("name"), ordinal]).collect().unwrap();
        let text = |column: &str| seen.column(column).unwrap().str().unwrap().clone();
        let (keys, names) = (text("dept_key"), text("name"));
        let ordinals = seen.column("ordinal").unwrap().i64().unwrap().clone();
        let mut sightings: Vec<_> = (0..seen.height())
            .map(|row| {
                (keys.get(row).unwrap().to_owned(), names.get(row).map(str::to_owned), ordinals.get(row).unwrap())
            })
            .collect();
        sightings.sort();
        sightings
    }

    fn surrogates(&self) -> usize {
        self.rows.column("dept_sk").unwrap().n_unique().unwrap()
    }
}

fn moment(day: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(day * DAY).unwrap()
}

fn frame(load: &Load, sequence: i64, untracked: &[&str]) -> DataFrame {
    let keys: Vec<&str> = load.rows.iter().map(|row| row.0).collect();
    let modified: Vec<i64> = load.rows.iter().map(|row| row.1 * DAY).collect();
    let names: Vec<Option<&str>> = load.rows.iter().map(|row| row.2).collect();
    let rows = df!("dept_key" => keys.clone(), "src_dept_id" => keys, "src_modified_at" => modified, "name" => names)
        .unwrap()
        .lazy()
        .with_columns([
            col("src_modified_at").cast(timestamp()),
            lit(NULL).cast(timestamp()).alias("src_inserted_at"),
            lit("hos-a").alias("datasource"),
            col("name").eq(lit("gone")).fill_null(lit(false)).alias(IS_DELETE),
        ])
        .collect()
        .unwrap();
    let positions = Int64Chunked::from_iter_values("".into(), 1..=load.rows.len() as i64);
    events(&rows, positions, &DEPARTMENTS, untracked, (sequence, &format!("load-{sequence}")), 1).unwrap()
}

/// A version that a deletion ended, or the event that deleted.
fn deleted(key: &str, name: &str, from: i64, to: i64) -> Version {
    (key.to_owned(), Some(name.to_owned()), from, Some(to), false, true)
}

fn version(key: &str, name: &str, from: i64, to: Option<i64>) -> Version {
    (key.to_owned(), Some(name.to_owned()), from, to, to.is_none(), false)
}

#[test]
fn an_event_starts_at_its_modified_time() {
    let mut table = Table::new();
    table.run(&[upsert(&[("k", 3, Some("A"))])]);
    assert_eq!(table.versions(), [version("k", "A", 3, None)]);
    assert_eq!(table.outcomes, ["new"]);
}

#[test]
fn a_change_closes_the_version_before_it_without_gap_or_overlap() {
    let mut table = Table::new();
    table.run(&[upsert(&[("k", 1, Some("A"))])]).run(&[upsert(&[("k", 4, Some("B"))])]);
    assert_eq!(table.versions(), [version("k", "A", 1, Some(4)), version("k", "B", 4, None)]);
    assert_eq!(table.outcomes, ["changed"]);
}

#[test]
fn a_newer_modified_time_alone_is_no_change() {
    let mut table = Table::new();
    table.run(&[upsert(&[("k", 1, Some("A"))])]).run(&[upsert(&[("k", 4, Some("A"))])]);
    assert_eq!(table.versions(), [version("k", "A", 1, None)]);
    assert_eq!(table.outcomes, ["unchanged"]);
}

#[test]
fn null_to_value_and_value_to_null_are_changes() {
    let mut table = Table::new();
    table.run(&[upsert(&[("k", 1, None), ("k", 2, Some("A")), ("k", 3, None)])]);
    let names: Vec<_> = table.versions().into_iter().map(|version| version.1).collect();
    assert_eq!(names.len(), 3);
    assert_eq!(table.versions()[0], ("k".to_owned(), None, 1, Some(2), false, false));
    assert_eq!(table.versions()[1], ("k".to_owned(), None, 3, None, true, false));
}

#[test]
fn the_same_event_again_changes_nothing() {
    let mut table = Table::new();
    let row = ("k", 1, Some("A"));
    table.run(&[upsert(&[row, row])]);
    assert_eq!(table.outcomes, ["new", "unchanged"]);
    let before = table.rows.clone();
    table.run(&[upsert(&[row])]);
    assert!(table.rows.equals_missing(&before));
    assert_eq!(table.outcomes, ["unchanged"]);
}

#[test]
fn of_two_payloads_with_one_modified_time_the_later_wins_and_the_other_stays_empty() {
    let mut table = Table::new();
    table.run(&[upsert(&[("k", 5, Some("A"))])]).run(&[upsert(&[("k", 5, Some("B"))])]);
    let expected = [version("k", "A", 5, Some(5)), version("k", "B", 5, None)];
    assert_eq!(table.versions(), expected);
    table.run(&[upsert(&[("k", 5, Some("A"))])]);
    assert_eq!(table.versions(), expected, "seeing the loser again changes nothing");
}

#[test]
fn several_versions_of_a_key_in_one_batch_are_its_full_history() {
    let mut table = Table::new();
    table.run(&[upsert(&[("k", 9, Some("C")), ("k", 1, Some("A")), ("k", 4, Some("B"))])]);
    let expected = [version("k", "A", 1, Some(4)), version("k", "B", 4, Some(9)), version("k", "C", 9, None)];
    assert_eq!(table.versions(), expected);
    assert_eq!(table.outcomes, ["new", "superseded", "superseded"]);
}

#[test]
fn a_late_event_splits_the_version_it_falls_into() {
    let mut table = Table::new();
    table.run(&[upsert(&[("k", 1, Some("A"))])]).run(&[upsert(&[("k", 9, Some("A"))])]);
    table.run(&[upsert(&[("k", 5, Some("B"))])]);
    let expected = [version("k", "A", 1, Some(5)), version("k", "A", 9, None), version("k", "B", 5, Some(9))];
    assert_eq!(table.versions(), expected);
    assert_eq!(table.outcomes, ["superseded"]);
}

/// Why a version keeps all sightings of its attributes and not only the first and the last: after a late event the
/// attributes go on where they were seen next, whichever that is.
#[rstest::rstest]
#[case(4, 5)]
#[case(6, 7)]
fn every_sighting_decides_where_a_version_goes_on_after_a_late_event(#[case] late: i64, #[case] next: i64) {
    let mut table = Table::new();
    for day in [1, 3, 5, 7, 9] {
        table.run(&[upsert(&[("k", day, Some("A"))])]);
    }
    table.run(&[upsert(&[("k", late, Some("B"))])]);
    let expected =
        [version("k", "A", 1, Some(late)), version("k", "A", next, None), version("k", "B", late, Some(next))];
    assert_eq!(table.versions(), expected);
}

#[test]
fn a_late_event_before_all_others_becomes_the_first_version() {
    let mut table = Table::new();
    table.run(&[upsert(&[("k", 5, Some("B"))])]).run(&[upsert(&[("k", 1, Some("A"))])]);
    assert_eq!(table.versions(), [version("k", "A", 1, Some(5)), version("k", "B", 5, None)]);
}

#[test]
fn a_late_event_with_the_attributes_of_the_next_version_moves_its_start() {
    let mut table = Table::new();
    table.run(&[upsert(&[("k", 1, Some("A")), ("k", 5, Some("B"))])]).run(&[upsert(&[("k", 3, Some("B"))])]);
    assert_eq!(table.versions(), [version("k", "A", 1, Some(3)), version("k", "B", 3, None)]);
}

#[test]
fn an_event_that_deletes_its_key_ends_it_as_of_its_modified_time() {
    let mut table = Table::new();
    table.run(&[upsert(&[("k", 1, Some("A"))])]).run(&[upsert(&[("k", 4, GONE)])]);
    assert_eq!(table.versions(), [deleted("k", "A", 1, 4), deleted("k", "gone", 4, 4)]);
    assert_eq!(table.outcomes, ["changed"]);
    table.run(&[upsert(&[("k", 7, Some("A"))])]);
    assert_eq!(table.versions()[1..], [version("k", "A", 7, None), deleted("k", "gone", 4, 4)]);
}

#[rstest::rstest]
#[case::before_what_it_deletes(&[("k", 4, GONE)], &[("k", 1, Some("A"))])]
#[case::after_what_it_deletes(&[("k", 1, Some("A"))], &[("k", 4, GONE)])]
fn a_deletion_counts_in_whichever_order_it_comes(#[case] first: &[Row], #[case] second: &[Row]) {
    let mut table = Table::new();
    table.run(&[upsert(first)]).run(&[upsert(second)]).run(&[upsert(first), upsert(second)]);
    assert_eq!(table.versions(), [deleted("k", "A", 1, 4), deleted("k", "gone", 4, 4)]);
}

#[test]
fn of_a_deletion_and_a_value_of_one_time_the_later_counts() {
    let mut table = Table::new();
    table.run(&[upsert(&[("k", 4, GONE)])]).run(&[upsert(&[("k", 4, Some("A"))])]);
    assert_eq!(table.versions(), [version("k", "A", 4, None), deleted("k", "gone", 4, 4)]);
    let mut table = Table::new();
    table.run(&[upsert(&[("k", 4, Some("A"))])]).run(&[upsert(&[("k", 4, GONE)])]);
    assert_eq!(table.versions(), [version("k", "A", 4, Some(4)), deleted("k", "gone", 4, 4)]);
}

#[test]
fn a_late_value_between_two_deletions_lives_until_the_second() {
    let mut table = Table::new();
    table.run(&[upsert(&[("k", 1, Some("A")), ("k", 4, GONE), ("k", 8, GONE)])]).run(&[upsert(&[("k", 6, Some("B"))])]);
    let expected =
        [deleted("k", "A", 1, 4), deleted("k", "B", 6, 8), deleted("k", "gone", 4, 4), deleted("k", "gone", 8, 8)];
    assert_eq!(table.versions(), expected);
}

#[test]
fn an_equal_row_of_an_earlier_file_that_comes_late_moves_the_sighting() {
    let mut table = Table::new();
    table.run(&[upsert_at(5, &[("k", 4, Some("A"))])]).run(&[upsert_at(3, &[("k", 4, Some("A"))])]);
    assert_eq!(table.versions(), [version("k", "A", 4, None)]);
    assert_eq!(table.outcomes, ["unchanged"]);
    table.run(&[upsert_at(4, &[("k", 4, Some("B"))])]);
    assert_eq!(table.versions(), [version("k", "A", 4, Some(4)), version("k", "B", 4, None)]);
    // Of what is known, the file that said it first is the one that counts, whenever it comes.
    let mut table = Table::new();
    table.run(&[upsert_at(5, &[("k", 4, Some("A"))]), upsert_at(4, &[("k", 4, Some("B"))])]);
    assert_eq!(table.versions(), [version("k", "A", 4, None), version("k", "B", 4, Some(4))]);
    table.run(&[upsert_at(3, &[("k", 4, Some("A"))])]);
    assert_eq!(table.versions(), [version("k", "A", 4, Some(4)), version("k", "B", 4, None)]);
}

#[test]
fn an_untracked_column_has_the_value_of_the_file_that_says_it_first_whichever_comes_last() {
    let files = [upsert_at(5, &[("k", 4, Some("B"))]), upsert_at(3, &[("k", 4, Some("A"))])];
    for together in [true, false] {
        let mut table = Table::new();
        table.untracked = vec!["name"];
        if together {
            table.run(&files);
        } else {
            table.run(&files[..1]).run(&files[1..]);
        }
        assert_eq!(table.versions(), [version("k", "A", 4, None)], "{together}");
    }
}

#[test]
fn a_key_that_an_upsert_lacks_stays() {
    let mut table = Table::new();
    table.run(&[upsert(&[("k", 1, Some("A"))])]).run(&[upsert(&[("l", 2, Some("A"))])]);
    assert_eq!(table.versions(), [version("k", "A", 1, None), version("l", "A", 2, None)]);
}

/// Sorts everything that is known of a key and walks along it.
fn reference(loads: &[Load]) -> Vec<Version> {
    let keys: BTreeSet<&str> = loads.iter().flat_map(|load| load.rows.iter().map(|row| row.0)).collect();
    let mut versions: Vec<Version> = keys.into_iter().flat_map(|key| reference_of(key, loads)).collect();
    versions.sort();
    versions
}

fn reference_of(key: &str, loads: &[Load]) -> Vec<Version> {
    let mut steps: BTreeMap<(i64, i64, usize), Option<&str>> = BTreeMap::new();
    let mut known = BTreeSet::new();
    let mut ordered: Vec<(i64, &Load)> =
        (1..).zip(loads).map(|(turn, load)| (load.ordinal.unwrap_or(turn), load)).collect();
    ordered.sort_by_key(|(ordinal, _)| *ordinal);
    for (ordinal, load) in ordered {
        for (position, row) in load.rows.iter().enumerate().filter(|(_, row)| row.0 == key) {
            if known.insert((row.1, row.2)) {
                steps.insert((row.1, ordinal, position), row.2);
            }
        }
    }
    let mut versions: Vec<Version> = Vec::new();
    let mut alive: Option<Option<&str>> = None;
    let ordered: Vec<_> = steps.iter().collect();
    for (index, ((day, _, _), name)) in ordered.iter().enumerate() {
        let (day, name) = (*day, **name);
        let wins = ordered.get(index + 1).is_none_or(|((next, _, _), _)| *next != day);
        if name == GONE || !wins {
            versions.push((key.to_owned(), name.map(str::to_owned), day, Some(day), false, name == GONE));
        }
        if !wins || alive == Some(name) {
            continue;
        }
        if alive.is_some() {
            let open = versions.iter_mut().rfind(|version| version.4).unwrap();
            (open.3, open.4, open.5) = (Some(day), false, name == GONE);
        }
        alive = (name != GONE).then_some(name);
        if alive.is_some() {
            versions.push((key.to_owned(), name.map(str::to_owned), day, None, true, false));
        }
    }
    versions
}

fn any_row() -> impl Strategy<Value = Row> {
    (select(vec!["k", "l", "m"]), 0_i64..8, select(vec![None, Some("A"), Some("B"), GONE]))
}

/// Files with any ordinals in any order, some of them repeated, and how many of them each run of silver takes.
fn any_feed() -> impl Strategy<Value = (Vec<Load>, Vec<usize>)> {
    let load = proptest::collection::vec(any_row(), 0..6).prop_map(|rows| upsert(&rows));
    let loads = proptest::collection::vec(load, 1..7);
    let repeats = proptest::collection::vec(any::<proptest::sample::Index>(), 0..3);
    let feed = (loads, repeats).prop_flat_map(|(loads, repeats)| {
        let mut feed = loads.clone();
        feed.extend(repeats.iter().map(|index| index.get(&loads).clone()));
        let ordinals: Vec<i64> = (1..=feed.len() as i64).collect();
        (Just(feed).prop_shuffle(), Just(ordinals).prop_shuffle())
    });
    let feed = feed.prop_map(|(mut feed, ordinals)| {
        for (load, ordinal) in feed.iter_mut().zip(ordinals) {
            load.ordinal = Some(ordinal);
        }
        feed
    });
    (feed, proptest::collection::vec(1_usize..4, 9))
}

fn fed(feed: &[Load], runs: &[usize]) -> Table {
    let mut table = Table::new();
    let mut rest = feed;
    for run in runs.iter().cycle() {
        let (batch, later) = rest.split_at((*run).min(rest.len()));
        if batch.is_empty() {
            break;
        }
        table.run(batch);
        rest = later;
    }
    table
}

proptest! {
    #[test]
    fn any_order_split_and_repetition_gives_the_history_of_the_reference((feed, runs) in any_feed()) {
        let table = fed(&feed, &runs);
        prop_assert_eq!(table.versions(), reference(&feed));
        prop_assert_eq!(table.surrogates(), table.rows.height());
        prop_assert_eq!(table.sightings(), fed(&feed, &[feed.len()]).sightings());
    }
}
