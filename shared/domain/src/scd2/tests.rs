//! The ten rules of a history, each by name, and random histories against a naive reference.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use polars::prelude::*;
use proptest::prelude::*;
use proptest::sample::select;
use rcm_model::cdm::DEPARTMENTS;

use super::{Extracts, FullExtract, KeysSeen, events, plan, triage};
use crate::cdm::{silver_schema, timestamp};

const DAY: i64 = 86_400_000_000;

/// A row as a hospital sends it: key, day of its modified time, attribute.
type Row = (&'static str, i64, Option<&'static str>);

/// A load: its source, its rows, and the day of the extract where it is a full one.
#[derive(Debug, Clone)]
struct Load {
    source: &'static str,
    full_on: Option<i64>,
    rows: Vec<Row>,
}

fn upsert(rows: &[Row]) -> Load {
    Load { source: "hos-a", full_on: None, rows: rows.to_vec() }
}

fn full(day: i64, rows: &[Row]) -> Load {
    Load { source: "hos-a", full_on: Some(day), rows: rows.to_vec() }
}

/// The source of a key: no two sources have a key in common.
fn source_of(key: &str) -> &'static str {
    if key.starts_with("of b: ") { "hos-b" } else { "hos-a" }
}

/// A version in days: key, attribute, from, to, current, deleted.
type Version = (String, Option<String>, i64, Option<i64>, bool, bool);

/// A silver table in memory, fed as the silver stage feeds it.
struct Table {
    rows: DataFrame,
    extracts: Vec<FullExtract>,
    /// The last load of every source.
    sequences: BTreeMap<&'static str, i64>,
    /// What became of the rows of the last run, sorted: their own order is not promised.
    outcomes: Vec<String>,
}

impl Table {
    fn new() -> Self {
        let rows = DataFrame::empty_with_schema(&silver_schema(&DEPARTMENTS));
        Self { rows, extracts: Vec::new(), sequences: BTreeMap::new(), outcomes: Vec::new() }
    }

    /// One run of silver over some loads.
    fn run(&mut self, loads: &[Load]) -> &mut Self {
        let mut frames = Vec::new();
        let mut seen = KeysSeen::none();
        for load in loads {
            let sequence = self.sequences.entry(load.source).or_default();
            *sequence += 1;
            frames.push(frame(load, *sequence).lazy());
            let Some(day) = load.full_on else { continue };
            seen.extracts.push(FullExtract {
                datasource: load.source.to_owned(),
                sequence: *sequence,
                extracted_at: moment(day),
            });
            let keys: BTreeSet<&str> = load.rows.iter().map(|row| row.0).collect();
            let keys: Vec<&str> = keys.into_iter().collect();
            let sequences = vec![*sequence; keys.len()];
            let sources = vec![load.source; keys.len()];
            let held = df!("key" => keys, "datasource" => sources, "sequence" => sequences).unwrap();
            seen.keys.vstack_mut(&held).unwrap();
        }
        self.extracts.extend(seen.extracts.clone());
        let batch = concat(frames, UnionArgs::default()).unwrap().collect().unwrap();
        let current = self.rows.clone().lazy().filter(col("is_current")).collect().unwrap();
        let found = triage(&DEPARTMENTS, &current, &batch, &seen).unwrap();
        let key = [col("dept_key")];
        let touched = found.need_history.clone().lazy();
        let history =
            self.rows.clone().lazy().join(touched, key, [col("key")], JoinArgs::new(JoinType::Semi)).collect().unwrap();
        let extracts = Extracts { all: &self.extracts, seen: &seen };
        let planned = plan(&DEPARTMENTS, &current, &history, &batch, &found, extracts, moment(1000)).unwrap();
        let sk = || [col("dept_sk")];
        let kept = self.rows.clone().lazy().join(planned.replace.lazy(), sk(), sk(), JoinArgs::new(JoinType::Anti));
        self.rows = concat([kept, planned.write.lazy()], UnionArgs::default()).unwrap().collect().unwrap();
        let outcomes = planned.outcomes.column("outcome").unwrap().str().unwrap().clone();
        self.outcomes = outcomes.iter().map(|outcome| outcome.unwrap().to_owned()).collect();
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

    fn surrogates(&self) -> usize {
        self.rows.column("dept_sk").unwrap().n_unique().unwrap()
    }
}

fn moment(day: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(day * DAY).unwrap()
}

fn frame(load: &Load, sequence: i64) -> DataFrame {
    let keys: Vec<&str> = load.rows.iter().map(|row| row.0).collect();
    let modified: Vec<i64> = load.rows.iter().map(|row| row.1 * DAY).collect();
    let names: Vec<Option<&str>> = load.rows.iter().map(|row| row.2).collect();
    let rows = df!("dept_key" => keys.clone(), "src_dept_id" => keys, "src_modified_at" => modified, "name" => names)
        .unwrap()
        .lazy()
        .with_columns([
            col("src_modified_at").cast(timestamp()),
            lit(NULL).cast(timestamp()).alias("src_inserted_at"),
            lit(load.source).alias("datasource"),
        ])
        .collect()
        .unwrap();
    let positions = Int64Chunked::from_iter_values("".into(), 1..=load.rows.len() as i64);
    events(&rows, positions, &DEPARTMENTS, (sequence, &format!("{}-{sequence}", load.source)), 1).unwrap()
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
fn a_key_that_a_full_extract_lacks_is_deleted_as_of_the_extract() {
    let mut table = Table::new();
    table.run(&[full(1, &[("k", 1, Some("A")), ("l", 1, Some("A"))])]).run(&[full(4, &[("l", 4, Some("A"))])]);
    let deleted = ("k".to_owned(), Some("A".to_owned()), 1, Some(4), false, true);
    assert_eq!(table.versions(), [deleted, version("l", "A", 1, None)]);
}

#[test]
fn a_key_that_comes_back_gets_a_new_version_after_the_gap() {
    let mut table = Table::new();
    table.run(&[full(1, &[("k", 1, Some("A"))])]).run(&[full(4, &[])]).run(&[full(7, &[("k", 1, Some("A"))])]);
    let deleted = ("k".to_owned(), Some("A".to_owned()), 1, Some(4), false, true);
    assert_eq!(table.versions(), [deleted, version("k", "A", 7, None)]);
    table.run(&[upsert(&[("k", 9, Some("B"))])]);
    assert_eq!(table.versions()[1..], [version("k", "A", 7, Some(9)), version("k", "B", 9, None)]);
}

#[test]
fn a_late_event_between_two_extracts_that_lack_its_key_lives_until_the_second() {
    let mut table = Table::new();
    table.run(&[full(1, &[("k", 1, Some("A"))])]).run(&[full(4, &[])]).run(&[full(8, &[])]);
    table.run(&[upsert(&[("k", 6, Some("B"))])]);
    let flag = |name: &str, from, to| ("k".to_owned(), Some(name.to_owned()), from, Some(to), false, true);
    assert_eq!(table.versions(), [flag("A", 1, 4), flag("B", 6, 8)]);
}

#[test]
fn a_key_modified_after_an_extract_that_missed_it_is_kept_by_the_next_that_has_it() {
    let mut table = Table::new();
    let row = ("k", 6, Some("A"));
    table.run(&[full(2, &[row]), full(4, &[])]).run(&[full(6, &[row])]).run(&[full(8, &[])]);
    assert_eq!(table.versions(), [("k".to_owned(), Some("A".to_owned()), 6, Some(8), false, true)]);
}

#[test]
fn a_key_that_comes_after_an_extract_with_an_earlier_time_was_not_missing() {
    let mut table = Table::new();
    table.run(&[full(2, &[("l", 1, Some("A"))])]).run(&[upsert(&[("k", 1, Some("A"))])]);
    table.run(&[full(4, &[("l", 1, Some("A"))])]);
    let deleted = ("k".to_owned(), Some("A".to_owned()), 1, Some(4), false, true);
    assert_eq!(table.versions(), [deleted, version("l", "A", 1, None)], "only the extract after it says it is gone");
}

#[test]
fn extracts_of_one_source_say_nothing_of_those_of_another() {
    let of_b = |day, rows: &[Row]| Load { source: "hos-b", ..full(day, rows) };
    let row = ("of b: k", 1, Some("A"));
    let mut table = Table::new();
    table.run(&[of_b(1, &[row]), of_b(2, &[row]), of_b(3, &[row])]);
    table.run(&[full(4, &[("k", 1, Some("A"))]), of_b(5, &[("of b: k", 1, Some("B"))])]);
    let expected = [version("k", "A", 1, None), version("of b: k", "A", 1, Some(1)), version("of b: k", "B", 1, None)];
    assert_eq!(table.versions(), expected);
}

#[test]
fn a_key_that_an_upsert_lacks_stays() {
    let mut table = Table::new();
    table.run(&[upsert(&[("k", 1, Some("A"))])]).run(&[upsert(&[("l", 2, Some("A"))])]);
    assert_eq!(table.versions(), [version("k", "A", 1, None), version("l", "A", 2, None)]);
}

/// Sorts everything that is known of a key and walks along it.
fn reference(loads: &[Load]) -> Vec<Version> {
    let mut versions = Vec::new();
    let keys: BTreeSet<&str> = loads.iter().flat_map(|load| load.rows.iter().map(|row| row.0)).collect();
    for key in keys {
        let of_source: Vec<Load> = loads.iter().filter(|load| load.source == source_of(key)).cloned().collect();
        versions.extend(reference_of(key, &of_source));
    }
    versions.sort();
    versions
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    Value(Option<&'static str>),
    Absent,
    Present,
}

fn reference_of(key: &str, loads: &[Load]) -> Vec<Version> {
    let mut steps: BTreeMap<(i64, usize, usize), Step> = BTreeMap::new();
    let mut known = BTreeSet::new();
    for (sequence, load) in (1..).zip(loads) {
        // Of a key that no load has brought yet an extract says nothing.
        if let Some(day) = load.full_on
            && (!known.is_empty() || load.rows.iter().any(|row| row.0 == key))
        {
            let present = load.rows.iter().any(|row| row.0 == key);
            let (sequence, step) = if present { (0, Step::Present) } else { (sequence, Step::Absent) };
            steps.insert((day, sequence, 0), step);
        }
        for (position, row) in load.rows.iter().enumerate().filter(|(_, row)| row.0 == key) {
            if known.insert((row.1, row.2)) {
                steps.insert((row.1, sequence, position + 1), Step::Value(row.2));
            }
        }
    }
    let mut versions: Vec<Version> = Vec::new();
    let mut alive = false;
    let mut last: Option<Option<&str>> = None;
    let ordered: Vec<_> = steps.iter().collect();
    for (index, ((day, _, _), step)) in ordered.iter().enumerate() {
        let wins = ordered.get(index + 1).is_none_or(|((next, _, _), _)| next != day);
        match step {
            Step::Value(name) if !wins => {
                versions.push((key.to_owned(), name.map(str::to_owned), *day, Some(*day), false, false));
                continue;
            }
            _ if !wins => continue,
            Step::Absent => {
                if alive {
                    close(&mut versions, *day, true);
                }
                alive = false;
                continue;
            }
            Step::Present if alive || last.is_none() => continue,
            Step::Value(name) if alive && last == Some(*name) => continue,
            Step::Value(name) => last = Some(*name),
            Step::Present => {}
        }
        if alive {
            close(&mut versions, *day, false);
        }
        alive = true;
        let name = last.flatten().map(str::to_owned);
        versions.push((key.to_owned(), name, *day, None, true, false));
    }
    versions
}

fn close(versions: &mut [Version], day: i64, deleted: bool) {
    let open = versions.iter_mut().rfind(|version| version.4).unwrap();
    (open.3, open.4, open.5) = (Some(day), false, deleted);
}

fn any_row(keys: Vec<&'static str>) -> impl Strategy<Value = Row> {
    (select(keys), 0_i64..8, select(vec![None, Some("A"), Some("B")]))
}

/// A load before it has its place in the feed: whether it is a full extract, of a source with
/// modified times or without.
fn any_load() -> impl Strategy<Value = (bool, bool, Load)> {
    let of_source = |source, keys| {
        let rows = proptest::collection::vec(any_row(keys), 0..6);
        rows.prop_map(move |rows| Load { source, full_on: None, rows })
    };
    let load = prop_oneof![
        3 => of_source("hos-a", vec!["k", "l", "m"]),
        1 => of_source("hos-b", vec!["of b: k", "of b: l"]),
    ];
    (prop::bool::weighted(0.4), any::<bool>(), load)
}

/// Loads in any order, some of them repeated, and how many of them each run of silver takes. Full
/// extracts get their day when they are taken, as bronze gives it: each later than the one before.
fn any_feed() -> impl Strategy<Value = (Vec<Load>, Vec<usize>)> {
    let loads = proptest::collection::vec(any_load(), 1..7);
    let repeats = proptest::collection::vec(any::<proptest::sample::Index>(), 0..3);
    let feed = (loads, repeats).prop_flat_map(|(loads, repeats)| {
        let mut feed = loads.clone();
        feed.extend(repeats.iter().map(|index| index.get(&loads).clone()));
        Just(feed).prop_shuffle()
    });
    (feed.prop_map(taken_in_order), proptest::collection::vec(1_usize..4, 9))
}

fn taken_in_order(feed: Vec<(bool, bool, Load)>) -> Vec<Load> {
    let mut day = 0;
    let taken = feed.into_iter().map(|(is_full, has_modified_time, mut load)| {
        if !is_full {
            return load;
        }
        day += 2;
        let mut seen = BTreeSet::new();
        load.rows.retain(|row| seen.insert(row.0));
        load.rows.iter_mut().filter(|_| !has_modified_time).for_each(|row| row.1 = day);
        Load { full_on: Some(day), ..load }
    });
    taken.collect()
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
    }
}
