//! From points in time to versions.

use polars::prelude::*;

use super::points::{ABSENT, VALUE};

/// The versions that a set of points makes, and what became of every event among them.
pub(super) struct Timeline {
    /// One row per version: `key`, `payload`, `row_hash`, `effective_from`, `effective_to`,
    /// `is_current`, `is_deleted`, `is_last` (of its key), `observations`, `src_modified_at`,
    /// `src_inserted_at`.
    pub versions: DataFrame,
    /// One row per fresh event that is a point: `event`, `starts` (it begins a version that lasts),
    /// `is_current` (of that version), `lost` (it lost a tie).
    pub fates: DataFrame,
}

/// Lays the points of every key along time.
pub(super) fn timeline(points: LazyFrame) -> PolarsResult<Timeline> {
    let sorted = points
        .sort(["key", "at", "sequence", "position"], SortMultipleOptions::default())
        .with_column(col("key").neq(next("key")).or(col("at").neq(next("at"))).fill_null(lit(true)).alias("wins"))
        .collect()?;
    let lost = sorted.clone().lazy().filter(col("wins").not().and(col("kind").eq(lit(VALUE))));
    let values_only = sorted.column("kind")?.i32()?.iter().all(|kind| kind == Some(VALUE));
    let winners = sorted.lazy().filter(col("wins"));
    let steps = numbered(if values_only { winners } else { with_extracts(winners)? })?;
    let runs = runs(&steps)?;
    let lasting = runs.clone().lazy().filter(col("kind").neq(lit(ABSENT))).select(version_columns());
    let empty = lost.clone().with_columns([
        col("hash").alias("row_hash"),
        col("at").alias("effective_from"),
        col("at").alias("effective_to"),
        lit(false).alias("is_current"),
        lit(false).alias("is_deleted"),
        col("last_at").alias("src_modified_at"),
        col("inserted_at").alias("src_inserted_at"),
    ]);
    let empty = empty.select(version_columns());
    let lasts = || col("effective_from").neq_missing(col("effective_to"));
    // What is kept once per key goes to a version that lasts, if the key has one.
    let versions = concat([lasting, empty], UnionArgs::default())?
        .with_column(lasts().alias("lasts"))
        .sort(["key", "lasts", "effective_from"], SortMultipleOptions::default())
        .with_column(col("key").neq(next("key")).fill_null(lit(true)).alias("is_last"))
        .collect()?;
    let fates = fates(&steps, &runs, lost)?;
    Ok(Timeline { versions, fates })
}

/// Winning points with what full extracts say made plain: a key that is present goes on with what
/// it last was, and one that is absent has no attributes. Extracts before a key's first value say
/// nothing of it.
fn with_extracts(winners: LazyFrame) -> PolarsResult<LazyFrame> {
    let last_of_key =
        |column: &str| col(column).fill_null_with_strategy(FillNullStrategy::Forward(None)).over([col("key")]);
    let carried = |column: &str| -> PolarsResult<Expr> {
        let absent = col("kind").eq(lit(ABSENT));
        Ok(when(absent).then(lit(NULL)).otherwise(last_of_key(column)?).alias(column))
    };
    let says_something = col("kind").eq(lit(VALUE)).or(last_of_key("hash")?.is_not_null());
    Ok(winners.filter(says_something).with_columns([
        carried("hash")?,
        carried("payload")?,
        carried("last_at")?,
        carried("inserted_at")?,
    ]))
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

/// One row per run of equal attributes, or of absence.
fn runs(steps: &DataFrame) -> PolarsResult<DataFrame> {
    let kind_of_run = when(col("kind").first().eq(lit(ABSENT))).then(lit(ABSENT)).otherwise(lit(VALUE));
    steps
        .clone()
        .lazy()
        .group_by_stable([col("run")])
        .agg([
            col("key").first(),
            kind_of_run.alias("kind"),
            col("payload").first(),
            col("hash").first().alias("row_hash"),
            col("at").first().alias("effective_from"),
            col("observations").drop_nulls().explode(ExplodeOptions { empty_as_null: false, keep_nulls: false }),
            col("last_at").max().alias("src_modified_at"),
            col("inserted_at").first().alias("src_inserted_at"),
        ])
        .with_column(col("key").eq(next("key")).fill_null(lit(false)).alias("followed"))
        .with_columns([
            when(col("followed")).then(next("effective_from")).otherwise(lit(NULL)).alias("effective_to"),
            col("followed").not().alias("is_current"),
            col("followed").and(next("kind").eq(lit(ABSENT))).fill_null(lit(false)).alias("is_deleted"),
        ])
        .collect()
}

fn fates(steps: &DataFrame, runs: &DataFrame, lost: LazyFrame) -> PolarsResult<DataFrame> {
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
        "row_hash",
        "effective_from",
        "effective_to",
        "is_current",
        "is_deleted",
        "observations",
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
