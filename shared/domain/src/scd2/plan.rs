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
    /// Rows to write, with the columns of the silver schema: new versions, and stored ones that
    /// changed.
    pub write: DataFrame,
    /// Column with the entity's surrogate key: stored rows that `write` replaces, or that are no
    /// more.
    pub replace: DataFrame,
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
    /// The outcome of a number that a frame holds.
    fn of(code: i32) -> Option<Self> {
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

/// Plans the versions of one bucket.
///
/// `current` has the bucket's current rows; `history` every stored row, current and closed, of the
/// keys in [`Triage::need_history`]; `events` is the whole batch; `untracked` names columns whose latest value
/// a version keeps.
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
    let stored = concat([in_order.clone().lazy(), history.clone().lazy()], UnionArgs::default())?
        .collect()?
        .with_row_index("payload".into(), None)?;
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
    let Timeline { versions, outcomes } = timeline(points)?;
    let versions = with_payload(entity, untracked, &versions, &stored, &fresh)?;
    let (write, replace) = difference(entity, versions, &stored, now)?;
    let outcomes = outcomes_by_load(entity, events, &fresh, &outcomes, &stored)?;
    Ok(Plan { write, replace, outcomes, deleted: BTreeMap::new(), warnings: Counts::new(), holdings: Vec::new() })
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

/// Versions with everything that comes from the rows they were made of, and their surrogate key.
fn with_payload(
    entity: &Entity,
    untracked: &[&str],
    versions: &DataFrame,
    stored: &DataFrame,
    fresh: &DataFrame,
) -> PolarsResult<DataFrame> {
    let mut columns: Vec<Expr> = entity.source_id.into_iter().map(col).collect();
    columns.extend(["datasource", "load_id", "bucket"].map(col));
    columns.extend(entity.tracked.iter().map(|column| col(column.name)));
    let rows = [stored, fresh].map(|frame| frame.clone().lazy().select(columns.clone()));
    let payloads = concat(rows, UnionArgs::default())?.collect()?;
    let mut taken = payloads.take(versions.column("payload")?.idx()?)?;
    for name in untracked {
        taken.with_column(payloads.column(name)?.take(versions.column("latest")?.idx()?)?)?;
    }
    let mut versions = versions.drop_many(["payload", "latest"]).hstack(taken.columns())?;
    versions.rename("key", entity.key.into())?;
    let surrogates = surrogate(&versions, entity.key)?.with_name(entity.surrogate.into());
    versions.with_column(surrogates.into_column())?;
    let height = versions.height();
    versions.with_column(Column::full_null("presence".into(), height, &presence_dtype()))?;
    Ok(versions)
}

/// The versions that are not stored just so, as rows of the silver schema, and the surrogate keys
/// of the stored rows that have to go for them.
fn difference(
    entity: &Entity,
    versions: DataFrame,
    stored: &DataFrame,
    now: DateTime<Utc>,
) -> PolarsResult<(DataFrame, DataFrame)> {
    let surrogate = || col(entity.surrogate);
    let before = stored.clone().lazy().select([
        surrogate(),
        col("inserted_at"),
        col("effective_to").alias("before_to"),
        col("is_deleted").alias("before_deleted"),
        col("observations").alias("before_observations"),
    ]);
    let compared = versions
        .lazy()
        .join(before, [surrogate()], [surrogate()], JoinArgs::new(JoinType::Left))
        .with_column(
            col("inserted_at")
                .is_not_null()
                .and(col("effective_to").eq_missing(col("before_to")))
                .and(col("is_deleted").eq_missing(col("before_deleted")))
                .and(col("observations").eq_missing(col("before_observations")))
                .alias("same"),
        )
        .collect()?;
    let same = compared.clone().lazy().filter(col("same")).select([surrogate()]);
    let replace = stored
        .clone()
        .lazy()
        .select([surrogate()])
        .join(same, [surrogate()], [surrogate()], JoinArgs::new(JoinType::Anti))
        .collect()?;
    let now = || lit(now.timestamp_micros()).cast(timestamp());
    let columns: Vec<Expr> = silver_schema(entity).iter_names().map(|name| col(name.clone())).collect();
    let write = compared
        .lazy()
        .filter(col("same").not())
        .with_columns([col("inserted_at").fill_null(now()), now().alias("updated_at")])
        .select(columns)
        .collect()?;
    Ok((write, replace))
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
