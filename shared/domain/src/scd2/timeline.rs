//! From points in time to versions.

use std::collections::HashSet;

use polars::prelude::*;

use super::points::{ABSENT, VALUE};

/// The versions that a set of points makes, and what became of every event among them.
pub(super) struct Timeline {
    /// One row per version: `key`, `payload`, `latest` (the row with what it last said), `row_hash`, `effective_from`, `effective_to`,
    /// `is_current`, `is_deleted`, `observations`, `src_modified_at`, `src_inserted_at`.
    pub versions: DataFrame,
    /// One row per fresh event that is a point: `event`, `starts` (it begins a version that lasts),
    /// `is_current` (of that version), `lost` (it lost a tie).
    pub outcomes: DataFrame,
}

/// Lays the points of every key along time.
pub(super) fn timeline(points: LazyFrame) -> PolarsResult<Timeline> {
    let points = points.collect()?.with_row_index("point".into(), None)?;
    // What a point has observed is nested, and expensive to copy: the versions fetch it when they are laid out.
    let observed = points.select(["observations"])?;
    let sorted = points
        .drop("observations")?
        .lazy()
        .sort(["key", "at", "sequence", "position"], SortMultipleOptions::default())
        .with_column(same_moment(previous).or(same_moment(next)).alias("tied"))
        .collect()?;
    let sorted = first_sightings(sorted)?.lazy().with_column(same_moment(next).not().alias("wins")).collect()?;
    let lost = sorted.clone().lazy().filter(col("wins").not().and(col("hash").is_not_null())).collect()?;
    let values_only = sorted.column("kind")?.i32()?.iter().all(|kind| kind == Some(VALUE));
    let winners = sorted.clone().lazy().filter(col("wins"));
    let steps = numbered(if values_only { winners } else { without_attributes_of_deletions(winners) })?;
    // What lasts no time: values that lost a tie, and every event that deleted its key.
    let empty = if values_only { lost.clone() } else { empty_versions(sorted)? };
    let (runs, observed) = runs(&steps, observed)?;
    let versions = versions(&runs, &empty)?;
    let observations = observed.take(versions.column("point")?.idx()?)?;
    let versions = versions.drop("point")?.hstack(observations.columns())?;
    let outcomes = outcomes(&steps, &runs, lost.lazy())?;
    Ok(Timeline { versions, outcomes })
}

/// Whether a point is of the same key and time as its neighbour.
fn same_moment(neighbour: fn(&str) -> Expr) -> Expr {
    col("key").eq(neighbour("key")).and(col("at").eq(neighbour("at"))).fill_null(lit(false))
}

/// Of the same attributes seen at the same modified time, the sighting that bronze has first.
fn first_sightings(sorted: DataFrame) -> PolarsResult<DataFrame> {
    let tied = sorted.clone().lazy().filter(col("tied").and(col("hash").is_not_null())).collect()?;
    if tied.height() == 0 {
        return Ok(sorted);
    }
    let identity = ["key", "at", "hash"].map(str::to_owned);
    let firsts = tied.unique_stable(Some(&identity), UniqueKeepStrategy::First, None)?;
    let points = |frame: &DataFrame| -> PolarsResult<HashSet<IdxSize>> {
        Ok(frame.column("point")?.idx()?.iter().flatten().collect())
    };
    let repeated = &points(&tied)? - &points(&firsts)?;
    let is_first = |point: Option<IdxSize>| point.is_some_and(|point| !repeated.contains(&point));
    let firsts: BooleanChunked = sorted.column("point")?.idx()?.iter().map(is_first).collect();
    sorted.filter(&firsts)
}

fn empty_versions(sorted: DataFrame) -> PolarsResult<DataFrame> {
    let is_deletion = col("kind").eq(lit(ABSENT));
    sorted.lazy().filter(col("hash").is_not_null().and(col("wins").not().or(is_deletion))).collect()
}

/// The versions of all keys: runs that say something, and points that are kept as versions that last no time.
fn versions(runs: &DataFrame, empty: &DataFrame) -> PolarsResult<DataFrame> {
    let lasting = runs.clone().lazy().filter(col("kind").neq(lit(ABSENT))).select(version_columns());
    if empty.height() == 0 {
        return lasting.collect();
    }
    let empty = empty.clone().lazy().with_columns([
        col("hash").alias("row_hash"),
        col("payload").alias("latest"),
        col("at").alias("effective_from"),
        col("at").alias("effective_to"),
        lit(false).alias("is_current"),
        col("kind").eq(lit(ABSENT)).alias("is_deleted"),
        col("last_at").alias("src_modified_at"),
        col("inserted_at").alias("src_inserted_at"),
    ]);
    concat([lasting, empty.select(version_columns())], UnionArgs::default())?.collect()
}

/// Points of which a deletion has no attributes, so that several after one another are one.
fn without_attributes_of_deletions(points: LazyFrame) -> LazyFrame {
    let unless_absent =
        |column: &str| when(col("kind").eq(lit(ABSENT))).then(lit(NULL)).otherwise(col(column)).alias(column);
    points.with_columns(["hash", "payload", "last_at", "inserted_at"].map(unless_absent))
}

/// The points, numbered by the run of equal attributes that they belong to.
fn numbered(points: LazyFrame) -> PolarsResult<DataFrame> {
    let other_key = col("key").neq(previous("key"));
    let other_attributes = col("hash").neq_missing(previous("hash"));
    points
        .with_column(other_key.or(other_attributes).fill_null(lit(true)).alias("starts"))
        .with_column(col("starts").cast(DataType::Int64).cum_sum(false).alias("run"))
        .collect()
}

/// One row per run of equal attributes, or of absence; and what the points have observed, to which that
/// of whole runs is added. `point` says where it stands.
fn runs(steps: &DataFrame, mut observed: DataFrame) -> PolarsResult<(DataFrame, DataFrame)> {
    // Most runs are one point: nothing is to be brought together there.
    let alone = col("starts").and(next("starts").fill_null(lit(true))).and(col("kind").eq(lit(VALUE)));
    let steps = steps.clone().lazy().with_column(alone.alias("alone")).collect()?;
    let mut runs = of_one_point(&steps)?;
    if runs.height() < steps.height() {
        let several = of_several_points(&steps, &observed)?;
        observed.vstack_mut(&several.select(["observations"])?)?;
        runs.vstack_mut(&several.select(runs.get_column_names_owned())?)?;
        runs = runs.sort(["run"], SortMultipleOptions::default())?;
    }
    let followed = col("key").eq(next("key")).fill_null(lit(false)).alias("followed");
    let runs = runs
        .lazy()
        .with_column(followed)
        .with_columns([
            when(col("followed")).then(next("effective_from")).otherwise(lit(NULL)).alias("effective_to"),
            col("followed").not().alias("is_current"),
            col("followed").and(next("kind").eq(lit(ABSENT))).fill_null(lit(false)).alias("is_deleted"),
        ])
        .collect()?;
    Ok((runs, observed))
}

/// The runs that are one point.
fn of_one_point(steps: &DataFrame) -> PolarsResult<DataFrame> {
    steps
        .clone()
        .lazy()
        .filter(col("alone"))
        .select([
            col("run"),
            col("key"),
            kind_of_run(col("kind")),
            col("payload"),
            col("payload").alias("latest"),
            col("hash").alias("row_hash"),
            col("at").alias("effective_from"),
            col("point"),
            col("last_at").alias("src_modified_at"),
            col("inserted_at").alias("src_inserted_at"),
        ])
        .collect()
}

/// All other runs, and in `observations` what their points have observed together, which has yet to be
/// added to `observed` where `point` says.
fn of_several_points(steps: &DataFrame, observed: &DataFrame) -> PolarsResult<DataFrame> {
    let points = steps.clone().lazy().filter(col("alone").not()).collect()?;
    let observations = observed.take(points.column("point")?.idx()?)?;
    points
        .hstack(observations.columns())?
        .lazy()
        .group_by_stable([col("run")])
        .agg([
            col("key").first(),
            kind_of_run(col("kind").first()),
            col("payload").first(),
            col("payload").last().alias("latest"),
            col("hash").first().alias("row_hash"),
            col("at").first().alias("effective_from"),
            col("last_at").max().alias("src_modified_at"),
            col("inserted_at").first().alias("src_inserted_at"),
            col("observations").drop_nulls().explode(ExplodeOptions { empty_as_null: false, keep_nulls: false }),
        ])
        .collect()?
        .with_row_index("point".into(), Some(observed.height() as IdxSize))
}

/// Of absence, or of attributes: those that a present key goes on with are its own.
fn kind_of_run(first: Expr) -> Expr {
    when(first.eq(lit(ABSENT))).then(lit(ABSENT)).otherwise(lit(VALUE)).alias("kind")
}

fn outcomes(steps: &DataFrame, runs: &DataFrame, lost: LazyFrame) -> PolarsResult<DataFrame> {
    let runs = runs.clone().lazy().select([col("run"), col("is_current")]);
    let won = steps
        .clone()
        .lazy()
        .filter(col("event").is_not_null())
        .join(runs, [col("run")], [col("run")], JoinArgs::new(JoinType::Inner))
        .select([col("event"), col("starts"), col("is_current"), lit(false).alias("lost")]);
    let lost = lost.filter(col("event").is_not_null()).select([
        col("event"),
        lit(false).alias("starts"),
        lit(false).alias("is_current"),
        lit(true).alias("lost"),
    ]);
    concat([won, lost], UnionArgs::default())?.collect()
}

fn version_columns() -> Vec<Expr> {
    [
        "key",
        "payload",
        "latest",
        "row_hash",
        "effective_from",
        "effective_to",
        "is_current",
        "is_deleted",
        "point",
        "src_modified_at",
        "src_inserted_at",
    ]
    .map(col)
    .to_vec()
}

fn next(column: &str) -> Expr {
    col(column).shift(lit(-1))
}

fn previous(column: &str) -> Expr {
    col(column).shift(lit(1))
}
