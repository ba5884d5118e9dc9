//! Everything that is known of the touched keys, as points in time.
//!
//! A point has: `key`; `at`, its modified time; `sequence` and `position`, its place in bronze;
//! `kind`; `hash` of the attributes and `payload`, the row that holds them (both null where the
//! kind has none); `observations` that it stands for; `last_at`, the latest of them; `inserted_at`;
//! and `event`, the row number of the fresh event that it is, or null.

use polars::prelude::*;
use rcm_model::cdm::Entity;

use super::events::{IS_DELETE, POSITION, SEQUENCE};
use crate::cdm::observation_dtype;

/// A row said what the attributes were.
pub(super) const VALUE: i32 = 0;
/// The key was deleted.
pub(super) const ABSENT: i32 = 1;

/// Points of stored versions whose key keeps its history: one each, for all it has observed.
/// `rows` has the row number of the version in `payload`.
pub(super) fn of_current(entity: &Entity, rows: LazyFrame) -> LazyFrame {
    rows.select([
        col(entity.key).alias("key"),
        col("effective_from").alias("at"),
        lit(-1_i64).cast(DataType::Int64).alias("sequence"),
        lit(-1_i64).cast(DataType::Int64).alias("position"),
        lit(VALUE).cast(DataType::Int32).alias("kind"),
        col("row_hash").alias("hash"),
        col("payload"),
        col("observations"),
        col("src_modified_at").alias("last_at"),
        col("src_inserted_at").alias("inserted_at"),
        lit(NULL).cast(IDX_DTYPE).alias("event"),
    ])
}

/// Points of stored versions whose key gets its history anew: one per observation.
pub(super) fn of_history(entity: &Entity, rows: LazyFrame) -> LazyFrame {
    let field = |name: &str| col("observation").struct_().field_by_name(name);
    rows.with_column(col("observations").alias("observation"))
        .explode(by_name(["observation"], true, false), ExplodeOptions { empty_as_null: false, keep_nulls: false })
        .select([
            col(entity.key).alias("key"),
            field("modified_at").alias("at"),
            field("sequence"),
            field("position"),
            kind(is_deletion_event()),
            col("row_hash").alias("hash"),
            col("payload"),
            one_observation(field("modified_at"), field("inserted_at"), field("sequence"), field("position")),
            field("modified_at").alias("last_at"),
            field("inserted_at"),
            lit(NULL).cast(IDX_DTYPE).alias("event"),
        ])
}

/// Points of fresh events. `rows` has `payload` and `event`.
pub(super) fn of_events(entity: &Entity, rows: LazyFrame) -> LazyFrame {
    let at = || col("src_modified_at");
    rows.select([
        col(entity.key).alias("key"),
        at().alias("at"),
        col(SEQUENCE).alias("sequence"),
        col(POSITION).alias("position"),
        kind(col(IS_DELETE)),
        col("row_hash").alias("hash"),
        col("payload"),
        one_observation(at(), col("src_inserted_at"), col(SEQUENCE), col(POSITION)),
        at().alias("last_at"),
        col("src_inserted_at").alias("inserted_at"),
        col("event"),
    ])
}

/// The time, as a point without attributes, at which a stored version of a key that gets its history anew was
/// ended by a deletion. Where the event that ended it is stored too, it stands at the same time and goes first.
pub(super) fn of_deletions(entity: &Entity, rows: LazyFrame) -> LazyFrame {
    let before_all = || lit(-1_i64).cast(DataType::Int64);
    rows.filter(col("is_deleted").and(col("effective_from").lt(col("effective_to")))).select([
        col(entity.key).alias("key"),
        col("effective_to").alias("at"),
        before_all().alias("sequence"),
        before_all().alias("position"),
        lit(ABSENT).cast(DataType::Int32).alias("kind"),
        lit(NULL).cast(DataType::Int64).alias("hash"),
        lit(NULL).cast(IDX_DTYPE).alias("payload"),
        lit(NULL).cast(observation_dtype()).alias("observations"),
        lit(NULL).cast(crate::cdm::timestamp()).alias("last_at"),
        lit(NULL).cast(crate::cdm::timestamp()).alias("inserted_at"),
        lit(NULL).cast(IDX_DTYPE).alias("event"),
    ])
}

/// Whether a stored row is an event that deleted its key: an empty version that is marked as deleted.
pub(super) fn is_deletion_event() -> Expr {
    col("is_deleted").and(col("effective_from").eq(col("effective_to"))).fill_null(lit(false))
}

/// A value, or a deletion where `is_delete`.
fn kind(is_delete: Expr) -> Expr {
    when(is_delete).then(lit(ABSENT)).otherwise(lit(VALUE)).cast(DataType::Int32).alias("kind")
}

pub(super) fn one_observation(modified_at: Expr, inserted_at: Expr, sequence: Expr, position: Expr) -> Expr {
    let observation = as_struct(vec![
        modified_at.alias("modified_at"),
        inserted_at.alias("inserted_at"),
        sequence.alias("sequence"),
        position.alias("position"),
    ]);
    observation.reshape(&[-1, 1]).cast(observation_dtype()).alias("observations")
}
