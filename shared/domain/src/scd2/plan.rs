//! What a batch of events changes in one bucket of a silver table.

use chrono::{DateTime, Utc};
use polars::prelude::*;
use rcm_model::cdm::Entity;

use super::events::{LOAD_ID, POSITION, SEQUENCE};
use super::hash::surrogate;
use super::points;
use super::presence::{FullExtract, KeysSeen, resolve, toggles};
use super::timeline::{Timeline, timeline};
use super::triage::Triage;
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
    /// One row per good event of the batch: `load_id`, `outcome`.
    pub outcomes: DataFrame,
    /// Keys that a full extract ended: `datasource`, `sequence`, `deleted`.
    pub deleted: DataFrame,
}

/// What [`Plan::outcomes`] says of an event.
pub mod outcome {
    /// It brought a key that was not known.
    pub const NEW: &str = "new";
    /// It became the newest version of a known key.
    pub const CHANGED: &str = "changed";
    /// It said what was known already.
    pub const UNCHANGED: &str = "unchanged";
    /// It became an older version, or lost a tie.
    pub const SUPERSEDED: &str = "superseded";
}

/// What is known of the full extracts of an entity's streams.
#[derive(Debug, Clone, Copy)]
pub struct Extracts<'a> {
    /// All of them, the new ones too.
    pub all: &'a [FullExtract],
    /// The new ones, and the keys of the bucket that are in them.
    pub seen: &'a KeysSeen,
}

/// Plans the versions of one bucket.
///
/// `current` has the bucket's current rows; `history` every stored row, current and closed, of the
/// keys in [`Triage::need_history`]; `events` is the whole batch.
///
/// # Errors
/// A frame lacks a column.
pub fn plan(
    entity: &Entity,
    current: &DataFrame,
    history: &DataFrame,
    events: &DataFrame,
    triage: &Triage,
    extracts: Extracts<'_>,
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

    let values = concat(
        [
            points::of_current(entity, ordered.clone().lazy()),
            points::of_history(entity, rewritten.clone().lazy()),
            points::of_events(entity, fresh.clone().lazy()),
        ],
        UnionArgs::default(),
    )?;
    let kept = ordered.lazy().select([col(entity.key).alias("key"), col("presence")]).drop_nulls(None);
    let (laid_out, presence) = if extracts.all.is_empty() {
        (timeline(values)?, kept)
    } else {
        let known = known_keys(entity, &rewritten, &fresh, &triage.need_history)?;
        let resolved = resolve(&known, extracts.all, extracts.seen)?;
        let laid_out = timeline(concat([values, points::of_extracts(resolved.clone().lazy())], UnionArgs::default())?)?;
        let alive = laid_out.versions.clone().lazy().filter(col("is_current")).select([col("key")]);
        let key = [col("key")];
        let dead = known.lazy().join(alive, key.clone(), key, JoinArgs::new(JoinType::Anti));
        let toggles = toggles(&resolved, dead)?.lazy();
        (laid_out, concat([kept, toggles], UnionArgs::default())?)
    };
    let Timeline { versions, fates } = laid_out;
    let versions = with_payload(entity, &versions, &stored, &fresh)?;
    let versions = versions
        .lazy()
        .join(presence, [col(entity.key)], [col("key")], JoinArgs::new(JoinType::Left))
        .with_column(when(col("is_last")).then(col("presence")).otherwise(lit(NULL)).alias("presence"))
        .collect()?;
    let (write, replace) = difference(entity, &versions, &stored, now)?;
    let deleted = deletions(entity, &write, &stored, extracts.seen)?;
    let outcomes = outcomes(entity, events, &fresh, &fates, &stored)?;
    Ok(Plan { write, replace, outcomes, deleted })
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

/// One row per key whose history is laid out anew: `key`, `datasource`, `since`, `presence`.
fn known_keys(
    entity: &Entity,
    rewritten: &DataFrame,
    fresh: &DataFrame,
    need_history: &DataFrame,
) -> PolarsResult<DataFrame> {
    let first_observed =
        col("observations").list().eval(element().struct_().field_by_name("sequence")).list().min().alias("since");
    let stored = rewritten.clone().lazy().select([
        col(entity.key).alias("key"),
        col("datasource"),
        first_observed,
        col("presence"),
    ]);
    let arrived = fresh.clone().lazy().select([
        col(entity.key).alias("key"),
        col("datasource"),
        col(SEQUENCE).alias("since"),
        lit(NULL).cast(presence_dtype()).alias("presence"),
    ]);
    let arrived = arrived.join(need_history.clone().lazy(), [col("key")], [col("key")], JoinArgs::new(JoinType::Semi));
    concat([stored, arrived], UnionArgs::default())?
        .group_by_stable([col("key")])
        .agg([col("datasource").first(), col("since").min(), col("presence").drop_nulls().first()])
        .collect()
}

/// Versions with everything that comes from the row they were made of, and their surrogate key.
fn with_payload(
    entity: &Entity,
    versions: &DataFrame,
    stored: &DataFrame,
    fresh: &DataFrame,
) -> PolarsResult<DataFrame> {
    let mut columns: Vec<Expr> = entity.source_id.into_iter().map(col).collect();
    columns.extend(["datasource", "load_id", "bucket"].map(col));
    columns.extend(entity.tracked.iter().map(|column| col(column.name)));
    let rows = [stored, fresh].map(|frame| frame.clone().lazy().select(columns.clone()));
    let payloads = concat(rows, UnionArgs::default())?.collect()?;
    let taken = payloads.take(versions.column("payload")?.idx()?)?;
    let mut versions = versions.drop("payload")?.hstack(taken.columns())?;
    versions.rename("key", entity.key.into())?;
    let surrogates = surrogate(&versions, entity.key)?.with_name(entity.surrogate.into());
    versions.with_column(surrogates.into_column())?;
    Ok(versions)
}

/// The versions that are not stored just so, as rows of the silver schema, and the surrogate keys
/// of the stored rows that have to go for them.
fn difference(
    entity: &Entity,
    versions: &DataFrame,
    stored: &DataFrame,
    now: DateTime<Utc>,
) -> PolarsResult<(DataFrame, DataFrame)> {
    let surrogate = || col(entity.surrogate);
    let before = stored.clone().lazy().select([
        surrogate(),
        col("inserted_at"),
        col("effective_to").alias("before_to"),
        col("is_deleted").alias("before_deleted"),
        col("observations").list().len().alias("before_observations"),
        col("presence").list().len().alias("before_presence"),
    ]);
    let compared = versions
        .clone()
        .lazy()
        .join(before, [surrogate()], [surrogate()], JoinArgs::new(JoinType::Left))
        .with_column(
            col("inserted_at")
                .is_not_null()
                .and(col("effective_to").eq_missing(col("before_to")))
                .and(col("is_deleted").eq_missing(col("before_deleted")))
                .and(col("observations").list().len().eq_missing(col("before_observations")))
                .and(col("presence").list().len().eq_missing(col("before_presence")))
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

/// Keys that each new extract has ended.
fn deletions(entity: &Entity, write: &DataFrame, stored: &DataFrame, seen: &KeysSeen) -> PolarsResult<DataFrame> {
    let datasources: Vec<&str> = seen.extracts.iter().map(|extract| extract.datasource.as_str()).collect();
    let sequences: Vec<i64> = seen.extracts.iter().map(|extract| extract.sequence).collect();
    let moments: Vec<i64> = seen.extracts.iter().map(|extract| extract.extracted_at.timestamp_micros()).collect();
    let end = [col("datasource"), col("effective_to")];
    let extracts = df!("datasource" => datasources, "sequence" => sequences, "effective_to" => moments)?
        .lazy()
        .with_column(col("effective_to").cast(timestamp()));
    let before = stored.clone().lazy().filter(col("is_deleted")).select([col(entity.surrogate)]);
    write
        .clone()
        .lazy()
        .filter(col("is_deleted"))
        .join(before, [col(entity.surrogate)], [col(entity.surrogate)], JoinArgs::new(JoinType::Anti))
        .join(extracts, end.clone(), end, JoinArgs::new(JoinType::Inner))
        .group_by_stable([col("datasource"), col("sequence")])
        .agg([len().cast(DataType::Int64).alias("deleted")])
        .collect()
}

fn outcomes(
    entity: &Entity,
    events: &DataFrame,
    fresh: &DataFrame,
    fates: &DataFrame,
    stored: &DataFrame,
) -> PolarsResult<DataFrame> {
    let known = stored.clone().lazy().select([col(entity.key)]).unique(None, UniqueKeepStrategy::Any);
    let known = known.with_column(lit(true).alias("known"));
    let judgement = when(col("lost").fill_null(lit(false)).or(col("starts").and(col("is_current").not())))
        .then(lit(outcome::SUPERSEDED))
        .when(col("starts").fill_null(lit(false)).and(col("known").is_null()))
        .then(lit(outcome::NEW))
        .when(col("starts").fill_null(lit(false)))
        .then(lit(outcome::CHANGED))
        .otherwise(lit(outcome::UNCHANGED));
    let judged = fresh
        .clone()
        .lazy()
        .select([col("event"), col("load_id"), col(entity.key)])
        .join(fates.clone().lazy(), [col("event")], [col("event")], JoinArgs::new(JoinType::Left))
        .join(known, [col(entity.key)], [col(entity.key)], JoinArgs::new(JoinType::Left))
        .select([col("load_id"), judgement.alias("outcome")]);
    let identity = [col(LOAD_ID), col(POSITION)];
    let repeated = events
        .clone()
        .lazy()
        .join(fresh.clone().lazy(), identity.clone(), identity, JoinArgs::new(JoinType::Anti))
        .select([col("load_id"), lit(outcome::UNCHANGED).alias("outcome")]);
    concat([judged, repeated], UnionArgs::default())?.collect()
}
