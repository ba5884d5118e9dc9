//! What a batch of landed events changes in one bucket of a silver table.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use polars::prelude::*;
use rcm_model::cdm::Entity;

use super::columns::Counts;
use super::events::{LOAD_ID, POSITION};
use super::hash::surrogate;
use super::points;
use super::timeline::{Timeline, timeline};
use super::triage::{KNOWN, Triage};
use crate::cdm::{presence_dtype, silver_schema, timestamp};

/// What a batch changes in one bucket of a silver table.
#[derive(Debug)]
pub struct Plan {
    /// New versions, with the columns of the silver schema.
    pub add: DataFrame,
    /// Stored versions that change in some columns: each frame has the entity's surrogate key, and the columns that
    /// it sets in the rows with these keys.
    pub patches: Vec<DataFrame>,
    /// Column with the entity's surrogate key: stored versions that are no more.
    pub remove: DataFrame,
    /// Good rows of the batch, by load and outcome.
    pub outcomes: Counts<Outcome>,
    /// Keys that a full extract ended, by load.
    pub deleted: BTreeMap<String, u64>,
    /// Rows that fail a rule which only their history shows, by load and rule.
    pub warnings: Counts<&'static str>,
    /// What the datasource of each full extract must hold after it.
    pub holdings: Vec<Holdings>,
}

/// What became of a good row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It brought a key that was not known.
    New,
    /// It became the newest version of a known key.
    Changed,
    /// It said what was known already.
    Unchanged,
    /// It became an older version, or lost to another row of its key.
    Superseded,
}

impl Outcome {
    /// The outcome of a number that a frame or a record holds.
    #[must_use]
    pub fn of(code: i32) -> Option<Self> {
        [Self::New, Self::Changed, Self::Unchanged, Self::Superseded]
            .into_iter()
            .find(|outcome| *outcome as i32 == code)
    }
}

/// Keys and amounts that a datasource holds now, by its last full extract: those of the good rows, and of the
/// versions that stand for keys whose row is in quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holdings {
    pub load_id: String,
    pub datasource: String,
    pub keys: u64,
    /// In cents, in the order of the entity's amounts.
    pub sums: Vec<i128>,
}

impl Holdings {
    /// Nothing yet.
    pub(super) fn new(load_id: &str, datasource: &str, amounts: usize) -> Self {
        Self { load_id: load_id.to_owned(), datasource: datasource.to_owned(), keys: 0, sums: vec![0; amounts] }
    }
}

/// Columns of stored rows that the planning of events looks at, beside the key and the surrogate key.
pub const PROBED: [&str; 8] = [
    "datasource",
    "row_hash",
    "effective_from",
    "effective_to",
    "is_deleted",
    "src_modified_at",
    "src_inserted_at",
    "observations",
];

/// Plans the versions of one bucket.
///
/// `current` has [`PROBED`] of the bucket's current rows; `history` every stored row with all its columns, current
/// and closed, of the keys in [`Triage::need_history`]; `events` is the whole batch; `untracked` names columns whose
/// latest value a version keeps.
///
/// # Errors
/// A frame lacks a column.
pub fn plan_events(
    entity: &Entity,
    untracked: &[&str],
    current: &DataFrame,
    history: &DataFrame,
    events: &DataFrame,
    triage: &Triage,
    now: DateTime<Utc>,
) -> PolarsResult<Plan> {
    let fresh = triage.fresh.with_row_index("event".into(), None)?;
    let in_order = in_order(entity, current, &fresh, &triage.need_history)?;
    let probed = || [entity.surrogate, entity.key].into_iter().chain(PROBED).map(col).collect::<Vec<_>>();
    let parts = [&in_order, history].map(|rows| rows.clone().lazy().select(probed()));
    let stored = concat(parts, UnionArgs::default())?.collect()?.with_row_index("payload".into(), None)?;
    let fresh =
        fresh.lazy().with_column((col("event") + lit(stored.height() as IdxSize)).alias("payload")).collect()?;
    let (ordered, rewritten) = (stored.slice(0, in_order.height()), stored.slice(in_order.height() as i64, usize::MAX));
    let points = concat(
        [
            points::of_current(entity, ordered.lazy()),
            points::of_history(entity, rewritten.clone().lazy()),
            points::of_deletions(entity, rewritten.lazy()),
            points::of_events(entity, fresh.clone().lazy()),
        ],
        UnionArgs::default(),
    )?;
    let Timeline { mut versions, outcomes } = timeline(points)?;
    versions.rename("key", entity.key.into())?;
    let surrogates = surrogate(&versions, entity.key)?.with_name(entity.surrogate.into());
    versions.with_column(surrogates.into_column())?;
    let payloads = Payloads { entity, untracked, in_order: in_order.height(), history, fresh: &fresh };
    let (add, patches, remove) = difference(&payloads, versions, &stored, now)?;
    let outcomes = outcomes_by_load(entity, events, &fresh, &outcomes, &stored)?;
    let (deleted, warnings) = (BTreeMap::new(), Counts::new());
    Ok(Plan { add, patches, remove, outcomes, deleted, warnings, holdings: Vec::new() })
}

/// Current rows whose key only has events after everything the row has observed.
fn in_order(
    entity: &Entity,
    current: &DataFrame,
    fresh: &DataFrame,
    need_history: &DataFrame,
) -> PolarsResult<DataFrame> {
    let key = [col(entity.key)];
    current
        .clone()
        .lazy()
        .join(fresh.clone().lazy(), key.clone(), key.clone(), JoinArgs::new(JoinType::Semi))
        .join(need_history.clone().lazy(), key, [col("key")], JoinArgs::new(JoinType::Anti))
        .collect()
}

/// The rows that versions are made of. A version names them by their numbers: current rows whose key keeps its
/// history come first, then those of `history`, then those of `fresh`.
struct Payloads<'a> {
    entity: &'a Entity,
    untracked: &'a [&'a str],
    /// Current rows whose key keeps its history. Their versions keep their start and attributes, so they are patched
    /// and never written anew.
    in_order: usize,
    history: &'a DataFrame,
    fresh: &'a DataFrame,
}

impl Payloads<'_> {
    /// Columns of the rows with the numbers in a column.
    fn take(&self, columns: &[&str], numbers: &Column) -> PolarsResult<DataFrame> {
        let first = self.in_order as IdxSize;
        let numbers: IdxCa =
            numbers.idx()?.iter().map(|number| number.and_then(|row| row.checked_sub(first))).collect();
        let select = || columns.iter().copied().map(col).collect::<Vec<_>>();
        let rows = [self.history, self.fresh].map(|frame| frame.clone().lazy().select(select()));
        concat(rows, UnionArgs::default())?.collect()?.take(&numbers)
    }

    /// New versions as rows of the silver schema.
    fn rows(&self, versions: &DataFrame, now: DateTime<Utc>) -> PolarsResult<DataFrame> {
        let entity = self.entity;
        let mut columns: Vec<&str> = entity.source_id.into_iter().collect();
        columns.extend(["datasource", "load_id", "bucket"]);
        columns.extend(entity.tracked.iter().map(|column| column.name));
        let mut rows = self.take(&columns, versions.column("payload")?)?;
        if !self.untracked.is_empty() {
            for column in self.take(self.untracked, versions.column("latest")?)?.columns() {
                rows.with_column(column.clone())?;
            }
        }
        let rows = versions.drop_many(["payload", "latest"]).hstack(rows.columns())?;
        let now = || lit(now.timestamp_micros()).cast(timestamp());
        let columns: Vec<Expr> = silver_schema(entity).iter_names().map(|name| col(name.clone())).collect();
        rows.lazy()
            .with_columns([
                now().alias("inserted_at"),
                now().alias("updated_at"),
                lit(NULL).cast(presence_dtype()).alias("presence"),
            ])
            .select(columns)
            .collect()
    }

    /// What changes in stored versions.
    fn patches(&self, versions: &DataFrame, now: DateTime<Utc>) -> PolarsResult<Vec<DataFrame>> {
        let surrogate = || col(self.entity.surrogate);
        let changed = ["effective_to", "is_current", "is_deleted", "src_modified_at", "observations"].map(col);
        let now = lit(now.timestamp_micros()).cast(timestamp()).alias("updated_at");
        let no_presence = lit(NULL).cast(presence_dtype()).alias("presence");
        let all = versions.clone().lazy().select([surrogate()]).with_columns([now, no_presence]);
        let all = all.collect()?.hstack(versions.clone().lazy().select(changed).collect()?.columns())?;
        let mut patches = vec![all];
        let stored = (self.in_order + self.history.height()) as IdxSize;
        // The first row that said what a version says may have come last.
        let (first, said) = of_others(versions, "payload", |payload, _| payload >= stored)?;
        if first.height() > 0 {
            let said = self.take(&["load_id", "src_inserted_at"], &said)?;
            patches.push(first.select([self.entity.surrogate])?.hstack(said.columns())?);
        }
        let is_new = |latest, payload| latest != payload || latest >= stored;
        let (of_latest, latest) = of_others(versions, "latest", is_new)?;
        if !self.untracked.is_empty() && of_latest.height() > 0 {
            let values = self.take(self.untracked, &latest)?;
            patches.push(of_latest.select([self.entity.surrogate])?.hstack(values.columns())?);
        }
        Ok(patches)
    }
}

/// The versions of which a column of row numbers fulfils a condition together with their payload, and the column.
fn of_others(
    versions: &DataFrame,
    column: &str,
    is_other: impl Fn(IdxSize, IdxSize) -> bool,
) -> PolarsResult<(DataFrame, Column)> {
    let (numbers, payloads) = (versions.column(column)?.idx()?, versions.column("payload")?.idx()?);
    let others = numbers.iter().zip(payloads.iter());
    let others: BooleanChunked =
        others.map(|(number, payload)| number.zip(payload).is_some_and(|(one, other)| is_other(one, other))).collect();
    let found = versions.filter(&others)?;
    let numbers = found.column(column)?.clone();
    Ok((found, numbers))
}

/// The versions that are not stored just so: new ones as rows of the silver schema, patches of stored ones, and the
/// surrogate keys of stored rows that are no more.
fn difference(
    payloads: &Payloads<'_>,
    versions: DataFrame,
    stored: &DataFrame,
    now: DateTime<Utc>,
) -> PolarsResult<(DataFrame, Vec<DataFrame>, DataFrame)> {
    let key = payloads.entity.surrogate;
    let surrogate = || col(key);
    let before = stored.clone().lazy().select([
        surrogate(),
        lit(true).alias("stored"),
        col("effective_to").alias("before_to"),
        col("is_deleted").alias("before_deleted"),
        col("observations").alias("before_observations"),
    ]);
    let compared = versions
        .clone()
        .lazy()
        .join(before, [surrogate()], [surrogate()], JoinArgs::new(JoinType::Left))
        .with_column(
            col("effective_to")
                .eq_missing(col("before_to"))
                .and(col("is_deleted").eq_missing(col("before_deleted")))
                .and(col("observations").eq_missing(col("before_observations")))
                .alias("same"),
        )
        .with_column(col("stored").is_not_null().alias("stored"))
        .collect()?;
    let names: Vec<&str> = versions.get_column_names().into_iter().map(PlSmallStr::as_str).collect();
    let (is_stored, is_same) = (compared.column("stored")?.bool()?, compared.column("same")?.bool()?);
    let compared_rows = compared.select(names)?;
    let new = compared_rows.filter(&!is_stored)?;
    let changed = compared_rows.filter(&(is_stored & &!is_same))?;
    let patches = if changed.height() == 0 { Vec::new() } else { payloads.patches(&changed, now)? };
    let remove = stored
        .clone()
        .lazy()
        .select([surrogate()])
        .join(versions.lazy().select([surrogate()]), [surrogate()], [surrogate()], JoinArgs::new(JoinType::Anti))
        .collect()?;
    Ok((payloads.rows(&new, now)?, patches, remove))
}

/// Rows of the batch by load and outcome.
fn outcomes_by_load(
    entity: &Entity,
    events: &DataFrame,
    fresh: &DataFrame,
    outcomes: &DataFrame,
    stored: &DataFrame,
) -> PolarsResult<Counts<Outcome>> {
    let known = stored.clone().lazy().select([col(entity.key)]).unique(None, UniqueKeepStrategy::Any);
    let known = known.with_column(lit(true).alias("known"));
    let outcome = when(col("lost").fill_null(lit(false)).or(col("starts").and(col("is_current").not())))
        .then(lit(Outcome::Superseded as i32))
        .when(col(KNOWN))
        .then(lit(Outcome::Unchanged as i32))
        .when(col("starts").fill_null(lit(false)).and(col("known").is_null()))
        .then(lit(Outcome::New as i32))
        .when(col("starts").fill_null(lit(false)))
        .then(lit(Outcome::Changed as i32))
        .otherwise(lit(Outcome::Unchanged as i32));
    let decided = fresh
        .clone()
        .lazy()
        .select([col("event"), col("load_id"), col(entity.key), col(KNOWN)])
        .join(outcomes.clone().lazy(), [col("event")], [col("event")], JoinArgs::new(JoinType::Left))
        .join(known, [col(entity.key)], [col(entity.key)], JoinArgs::new(JoinType::Left))
        .select([col("load_id"), outcome.alias("outcome")]);
    let identity = [col(LOAD_ID), col(POSITION)];
    let repeated = events
        .clone()
        .lazy()
        .join(fresh.clone().lazy(), identity.clone(), identity, JoinArgs::new(JoinType::Anti))
        .select([col("load_id"), lit(Outcome::Unchanged as i32).alias("outcome")]);
    let counted = concat([decided, repeated], UnionArgs::default())?
        .group_by([col("load_id"), col("outcome")])
        .agg([len().cast(DataType::Int64).alias("rows")])
        .collect()?;
    let (loads, codes) = (counted.column("load_id")?.str()?, counted.column("outcome")?.i32()?);
    let rows = counted.column("rows")?.i64()?;
    let mut counts = Counts::new();
    for ((load, code), rows) in loads.iter().zip(codes.iter()).zip(rows.iter()) {
        // A row that is left out here is in no count of the load's report.
        let (Some(load), Some(outcome), Some(rows)) = (load, code.and_then(Outcome::of), rows) else {
            polars_bail!(ComputeError: "rows of the batch have no load or no outcome");
        };
        counts.insert((load.to_owned(), outcome), rows.unsigned_abs());
    }
    Ok(counts)
}
