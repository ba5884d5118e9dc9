//! The rules of a history of extracts, each by name, and random extracts against a naive simulation that
//! replaces the state by what each load shows.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use polars::prelude::*;
use proptest::prelude::*;
use proptest::sample::select;
use rcm_model::cdm::{Entity, TRANSACTIONS};

use super::{ExtractBatch, ExtractLoad, LOAD_ID, MODIFIED_GOES_BACK, Outcome, Plan, events, plan_extracts};
use crate::cdm::{silver_schema, timestamp};
use crate::money;

const ENTITY: &Entity = &TRANSACTIONS;
const DAY: i64 = 86_400_000_000;

/// A row as a hospital's table shows it: key, day of its modified time, amount.
type Row = (&'static str, i64, i64);

/// An extract: its source, its day, its rows, and the keys that rows in quarantine name.
#[derive(Debug, Clone)]
struct Load {
    source: &'static str,
    day: i64,
    is_full: bool,
    rows: Vec<Row>,
    named: Vec<&'static str>,
}

fn full(day: i64, rows: &[Row]) -> Load {
    Load { source: "hos-a", day, is_full: true, rows: rows.to_vec(), named: Vec::new() }
}

fn incremental(day: i64, rows: &[Row]) -> Load {
    Load { is_full: false, ..full(day, rows) }
}

/// A version: key, amount, from, to (days), current, deleted.
type Version = (String, i64, i64, Option<i64>, bool, bool);

fn version(key: &str, amount: i64, from: i64, to: Option<i64>) -> Version {
    (key.to_owned(), amount, from, to, to.is_none(), false)
}

fn deleted(key: &str, amount: i64, from: i64, to: i64) -> Version {
    (key.to_owned(), amount, from, Some(to), false, true)
}

/// A silver table in memory, fed as the silver stage feeds it.
struct Table {
    rows: DataFrame,
    loads: usize,
    untracked: Vec<&'static str>,
    plan: Option<Plan>,
    /// Keys whose closed versions the last run asked for.
    needs_closed: usize,
}

impl Table {
    fn new() -> Self {
        let rows = DataFrame::empty_with_schema(&silver_schema(ENTITY));
        Self { rows, loads: 0, untracked: Vec::new(), plan: None, needs_closed: 0 }
    }

    /// One run of silver over some loads.
    fn run(&mut self, loads: &[Load]) -> &mut Self {
        let (mut frames, mut named, mut described) = (Vec::new(), Vec::new(), Vec::new());
        for load in loads {
            self.loads += 1;
            let load_id = format!("load-{}", self.loads);
            frames.push(frame(load, self.loads as i64, &load_id, &self.untracked).lazy());
            named.extend(load.named.iter().map(|key| (*key, load_id.clone())));
            described.push(ExtractLoad {
                load_id,
                datasource: load.source.to_owned(),
                extracted_at: moment(load.day),
                is_full: load.is_full,
                untracked: self.untracked.clone(),
                corrected_by: Vec::new(),
            });
        }
        let rows = concat(frames, UnionArgs::default()).unwrap().collect().unwrap();
        let (keys, ids): (Vec<_>, Vec<_>) = named.into_iter().unzip();
        let named = df!("key" => keys, LOAD_ID => ids).unwrap();
        let batch = ExtractBatch { loads: &described, rows: &rows, named: &named, may_hash_otherwise: true };
        let current = self.rows.clone().lazy().filter(col("is_current")).collect().unwrap();
        let needed = batch.needs_closed(ENTITY, &current).unwrap();
        self.needs_closed = needed.height();
        let needed = needed.lazy();
        let key = [col(ENTITY.key)];
        let closed = self.rows.clone().lazy().filter(col("is_current").not());
        let closed = closed.join(needed, key, [col("key")], JoinArgs::new(JoinType::Semi)).collect().unwrap();
        let planned = plan_extracts(ENTITY, &current, &closed, &batch, moment(1000)).unwrap();
        self.rows = planned.applied_to(&self.rows, ENTITY.surrogate).unwrap();
        assert_eq!(planned.outcomes.values().sum::<u64>(), rows.height() as u64, "every row has one outcome");
        for holdings in &planned.holdings {
            self.holds(holdings.keys, holdings.sums[0], &holdings.datasource);
        }
        self.plan = Some(planned);
        self
    }

    fn holds(&self, keys: u64, cents: i128, datasource: &str) {
        let of_source = col("is_current").and(col("datasource").eq(lit(datasource.to_owned())));
        let rows = self.rows.clone().lazy().filter(of_source).collect().unwrap();
        assert_eq!((rows.height() as u64, money::sum_cents(&rows, "amount").unwrap()), (keys, cents));
    }

    fn outcome(&self, outcome: Outcome) -> u64 {
        let counts = &self.plan.as_ref().unwrap().outcomes;
        counts.iter().filter(|((_, found), _)| *found == outcome).map(|(_, rows)| rows).sum()
    }

    fn went_back(&self) -> u64 {
        let counts = &self.plan.as_ref().unwrap().warnings;
        counts.iter().filter(|((_, rule), _)| *rule == MODIFIED_GOES_BACK).map(|(_, rows)| rows).sum()
    }

    fn versions(&self) -> Vec<Version> {
        let keys = self.rows.column(ENTITY.key).unwrap().str().unwrap().clone();
        let cents = self.rows.column("amount").unwrap().decimal().unwrap().physical().clone();
        let day = |name: &str| self.rows.column(name).unwrap().datetime().unwrap().physical().clone();
        let flag = |name: &str| self.rows.column(name).unwrap().bool().unwrap().clone();
        let (from, to) = (day("effective_from"), day("effective_to"));
        let (current, deleted) = (flag("is_current"), flag("is_deleted"));
        let mut versions: Vec<Version> = (0..self.rows.height())
            .map(|row| {
                let days = (from.get(row).unwrap() / DAY, to.get(row).map(|to| to / DAY));
                let amount = (cents.get(row).unwrap() / 100) as i64;
                let key = keys.get(row).unwrap().to_owned();
                (key, amount, days.0, days.1, current.get(row).unwrap(), deleted.get(row).unwrap())
            })
            .collect();
        versions.sort();
        versions
    }
}

fn moment(day: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(day * DAY).unwrap()
}

fn frame(load: &Load, sequence: i64, load_id: &str, untracked: &[&str]) -> DataFrame {
    let keys: Vec<&str> = load.rows.iter().map(|row| row.0).collect();
    let modified: Vec<i64> = load.rows.iter().map(|row| row.1 * DAY).collect();
    let amounts: Vec<i64> = load.rows.iter().map(|row| row.2).collect();
    let given = df!(ENTITY.key => keys, "src_modified_at" => modified, "amount" => amounts).unwrap();
    let schema = silver_schema(ENTITY);
    let others = schema.iter_fields().filter(|field| !given.schema().contains(field.name()));
    let others: Vec<Expr> =
        others.map(|field| lit(NULL).cast(field.dtype().clone()).alias(field.name().clone())).collect();
    let rows =
        given.lazy().with_columns([col("src_modified_at").cast(timestamp()), col("amount").cast(money::dtype())]);
    let rows = rows.with_columns(others).with_column(lit(load.source).alias("datasource"));
    let rows = rows.drop(cols(["row_hash", "load_id", "bucket"])).collect().unwrap();
    let positions = Int64Chunked::from_iter_values("".into(), 1..=load.rows.len() as i64);
    events(&rows, positions, ENTITY, untracked, (sequence, load_id), 1).unwrap()
}

#[test]
fn a_stamp_in_the_future_keeps_nothing_from_what_the_source_shows() {
    let mut table = Table::new();
    table.run(&[incremental(10, &[("A", 5000, 100), ("B", 4, 200)])]).run(&[incremental(20, &[("A", 15, 0)])]);
    assert_eq!(
        table.versions(),
        [version("A", 0, 15, None), version("A", 100, 10, Some(15)), version("B", 200, 4, None)]
    );
}

#[test]
fn a_row_stamped_in_the_future_that_the_next_extract_lacks_is_deleted() {
    let mut table = Table::new();
    table.run(&[full(10, &[("A", 5000, 100)])]).run(&[full(20, &[])]);
    assert_eq!(table.versions(), [deleted("A", 100, 10, 20)]);
}

#[test]
fn a_row_that_goes_there_and_back_under_one_stamp_is_what_it_was_last() {
    let mut table = Table::new();
    let loads = [full(10, &[("A", 5, 100)]), full(20, &[("A", 5, 0)]), full(30, &[("A", 5, 100)])];
    for load in loads {
        table.run(&[load]);
    }
    let expected = [version("A", 0, 20, Some(30)), version("A", 100, 5, Some(20)), version("A", 100, 30, None)];
    assert_eq!(table.versions(), expected);
    assert_eq!((table.outcome(Outcome::Changed), table.went_back()), (1, 1));
}

#[test]
fn a_key_that_comes_back_beside_a_malformed_row_is_back() {
    let mut table = Table::new();
    let malformed = Load { named: vec!["Q"], ..full(30, &[("A", 1, 10), ("F", 1, 10)]) };
    table.run(&[full(10, &[("A", 1, 10), ("F", 1, 10)])]).run(&[full(20, &[("A", 1, 10)])]).run(&[malformed]);
    assert_eq!(table.versions(), [version("A", 10, 1, None), deleted("F", 10, 1, 20), version("F", 10, 30, None)]);
}

#[test]
fn a_key_that_comes_back_in_an_incremental_load_is_back() {
    let mut table = Table::new();
    table.run(&[full(10, &[("F", 1, 10)])]).run(&[full(20, &[])]).run(&[incremental(30, &[("F", 1, 10)])]);
    assert_eq!(table.versions(), [deleted("F", 10, 1, 20), version("F", 10, 30, None)]);
    table.run(&[full(40, &[])]).run(&[incremental(50, &[("F", 45, 10)])]);
    let expected = [deleted("F", 10, 1, 20), deleted("F", 10, 30, 40)];
    assert_eq!(table.versions()[..2], expected);
    assert_eq!(table.versions()[2], version("F", 10, 45, None));
}

#[test]
fn a_row_in_quarantine_deletes_nothing_that_it_names() {
    let mut table = Table::new();
    let second = Load { named: vec!["A"], ..full(20, &[]) };
    table.run(&[full(10, &[("A", 1, 10), ("B", 1, 10)])]).run(&[second]);
    assert_eq!(table.versions(), [version("A", 10, 1, None), deleted("B", 10, 1, 20)]);
}

#[test]
fn of_several_rows_of_a_key_the_latest_counts_and_of_equal_ones_the_last() {
    let mut table = Table::new();
    table.run(&[full(10, &[("A", 5, 70), ("A", 3, 60), ("B", 5, 70), ("B", 5, 50)])]);
    assert_eq!(table.versions(), [version("A", 70, 5, None), version("B", 50, 5, None)]);
    assert_eq!((table.outcome(Outcome::New), table.outcome(Outcome::Superseded)), (2, 2));
}

#[test]
fn a_newer_modified_time_alone_is_no_new_version_and_is_kept() {
    let mut table = Table::new();
    table.run(&[full(10, &[("A", 5, 70)])]).run(&[full(20, &[("A", 15, 70)])]);
    assert_eq!(table.versions(), [version("A", 70, 5, None)]);
    let modified = table.rows.column("src_modified_at").unwrap().datetime().unwrap().physical().get(0);
    assert_eq!((modified, table.outcome(Outcome::Unchanged)), (Some(15 * DAY), 1));
    table.run(&[full(30, &[("A", 15, 70)])]);
    assert!(table.plan.as_ref().unwrap().is_empty(), "what says nothing new writes nothing");
}

#[test]
fn an_untracked_column_takes_its_latest_value_without_a_new_version() {
    let mut table = Table::new();
    table.untracked = vec!["amount"];
    table.run(&[full(10, &[("A", 5, 70)])]).run(&[full(20, &[("A", 5, 80)])]);
    assert_eq!(table.versions(), [version("A", 80, 5, None)]);
    table.run(&[full(30, &[("A", 5, 80)])]);
    assert!(table.plan.as_ref().unwrap().is_empty());
}

#[test]
fn a_version_from_before_that_starts_after_the_extract_gives_way() {
    let mut table = Table::new();
    // As a table is that was made when modified times decided.
    table.run(&[full(6000, &[("A", 3, 50)])]).run(&[full(6001, &[("A", 5000, 100)])]);
    assert_eq!(table.versions(), [version("A", 50, 3, Some(5000)), version("A", 100, 5000, None)]);
    table.run(&[full(20, &[("A", 15, 0)])]);
    let expected = [version("A", 0, 20, None), version("A", 50, 3, Some(20)), version("A", 100, 5000, Some(5000))];
    assert_eq!(table.versions(), expected);
}

/// Observations in a table, and the bytes of their column.
fn observations(table: &Table) -> (usize, usize) {
    let column = table.rows.column("observations").unwrap();
    let count = column.list().unwrap().amortized_iter().flatten().map(|list| list.as_ref().len()).sum();
    (count, column.as_materialized_series().estimated_size())
}

#[rstest::rstest]
#[case::without_a_modified_time(|day| day)]
#[case::with_a_modified_time_that_moves_on(|day| day - 1)]
#[case::with_a_modified_time_that_stays(|_| 1)]
fn a_table_that_is_extracted_every_day_does_not_grow_while_nothing_changes(#[case] modified: fn(i64) -> i64) {
    const KEYS: usize = 40;
    let keys: Vec<&'static str> = (0..KEYS).map(|key| &*format!("{key}-hos-a").leak()).collect();
    let load = |day: i64| full(day, &keys.iter().map(|key| (*key, modified(day), 100)).collect::<Vec<_>>());
    let mut table = Table::new();
    table.run(&[load(2)]);
    let first_day = observations(&table);
    assert_eq!(first_day.0, KEYS, "one observation per version");
    for day in 3..15 {
        let before = table.rows.clone();
        let loads = [load(day)];
        table.run(&loads);
        assert_eq!((table.rows.height(), observations(&table).0), (KEYS, KEYS), "day {day}");
        assert_eq!(table.needs_closed, 0, "no closed version is read");
        if modified(day) == day || modified(day) == modified(day - 1) {
            assert!(table.rows.equals_missing(&before), "day {day} writes nothing");
        }
    }
    assert!(observations(&table).1 <= first_day.1, "{:?} after {first_day:?}", observations(&table));
}

#[test]
fn of_the_many_observations_of_an_older_table_a_changed_version_keeps_the_first() {
    let mut table = Table::new();
    table.run(&[full(2, &[("k-hos-a", 1, 100), ("l-hos-a", 1, 100)])]);
    let first = table.rows.column("observations").unwrap().clone();
    let often = concat_list([col("observations"), col("observations")]).unwrap();
    table.rows = table.rows.clone().lazy().with_column(often.alias("observations")).collect().unwrap();
    assert_eq!(observations(&table).0, 4);
    table.run(&[full(5, &[("k-hos-a", 3, 100), ("l-hos-a", 1, 100)])]);
    assert_eq!(table.versions(), [version("k-hos-a", 100, 1, None), version("l-hos-a", 100, 1, None)]);
    assert_eq!(observations(&table).0, 3, "k is written and holds one, l is left alone");
    let sorted = table.rows.sort([ENTITY.key], SortMultipleOptions::default()).unwrap();
    let of_k = sorted.column("observations").unwrap().slice(0, 1);
    assert!(of_k.equals_missing(&first.slice(0, 1)));
}

/// What the loads say, one after the other, without any table: the versions of every key.
fn simulation(loads: &[Load]) -> Vec<Version> {
    let mut versions: Vec<Version> = Vec::new();
    for load in loads {
        let mut shown: BTreeMap<&str, Row> = BTreeMap::new();
        for row in &load.rows {
            let is_later = shown.get(row.0).is_none_or(|before| before.1 <= row.1);
            if is_later {
                shown.insert(row.0, *row);
            }
        }
        for (key, row) in &shown {
            let of_key = || versions.iter().filter(|version| version.0 == *key);
            let current = of_key().find(|version| version.4).cloned();
            if current.as_ref().is_some_and(|version| version.1 == row.2) {
                continue;
            }
            // The start of the version before, or of the gap.
            let before =
                current.as_ref().map(|version| version.2).or_else(|| of_key().filter_map(|version| version.3).max());
            let is_believable = row.1 <= load.day && before.is_none_or(|before| before < row.1);
            let from = if is_believable { row.1 } else { load.day };
            end(&mut versions, key, from, false);
            versions.push(version(key, row.2, from, None));
        }
        if load.is_full {
            let current = versions.iter().filter(|version| version.4).map(|version| version.0.clone());
            let gone: Vec<String> = current
                .filter(|key| source_of(key) == load.source)
                .filter(|key| !shown.contains_key(key.as_str()) && !load.named.contains(&key.as_str()))
                .collect();
            for key in &gone {
                end(&mut versions, key, load.day, true);
            }
        }
    }
    versions.sort();
    versions
}

fn end(versions: &mut [Version], key: &str, to: i64, is_deleted: bool) {
    if let Some(open) = versions.iter_mut().find(|version| version.0 == key && version.4) {
        (open.3, open.4, open.5) = (Some(to), false, is_deleted);
    }
}

/// The source of a key: no two sources have a key in common.
fn source_of(key: &str) -> &'static str {
    if key.starts_with("of b: ") { "hos-b" } else { "hos-a" }
}

/// A load before it has its place in time; stamps stand still, go back, and lie in the future.
fn any_load() -> impl Strategy<Value = Load> {
    let of_source = |source: &'static str, keys: Vec<&'static str>| {
        let row = (select(keys.clone()), prop_oneof![3 => 0_i64..30, 1 => 100_i64..200], 0_i64..3);
        let rows = proptest::collection::vec(row, 0..6);
        let named = proptest::collection::vec(select(keys), 0..2);
        (any::<bool>(), rows, named).prop_map(move |(is_full, rows, named)| Load {
            source,
            day: 0,
            is_full,
            rows,
            named,
        })
    };
    prop_oneof![3 => of_source("hos-a", vec!["k", "l", "m"]), 1 => of_source("hos-b", vec!["of b: k", "of b: l"])]
}

/// Loads, each later than the one before, cut into runs; a full extract is the last load of its source in a run.
fn any_feed() -> impl Strategy<Value = Vec<Vec<Load>>> {
    let loads = proptest::collection::vec((any_load(), 1_i64..6, any::<bool>()), 1..10);
    loads.prop_map(|loads| {
        let (mut runs, mut day): (Vec<Vec<Load>>, i64) = (vec![Vec::new()], 0);
        let mut full: BTreeSet<&str> = BTreeSet::new();
        for (load, later, next_run) in loads {
            day += later;
            if next_run || full.contains(load.source) {
                runs.push(Vec::new());
                full.clear();
            }
            if load.is_full {
                full.insert(load.source);
            }
            runs.last_mut().unwrap().push(Load { day, ..load });
        }
        runs.retain(|run| !run.is_empty());
        runs
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]
    #[test]
    fn after_every_extract_the_lake_holds_what_the_source_showed(runs in any_feed()) {
        let mut table = Table::new();
        for run in &runs {
            table.run(run);
        }
        let loads: Vec<Load> = runs.into_iter().flatten().collect();
        prop_assert_eq!(table.versions(), simulation(&loads));
        let surrogates = table.rows.column(ENTITY.surrogate).unwrap().n_unique().unwrap();
        prop_assert_eq!(surrogates, table.rows.height());
    }
}
