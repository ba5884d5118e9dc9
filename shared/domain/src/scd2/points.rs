//! Everything that is known of the touched keys, as points in time.
//!
//! A point has: `key`; `at`, its modified time; `sequence` and `position`, its place in bronze;
//! `kind`; `hash` of the attributes and `payload`, the row that holds them (both null where the
//! kind has none); `observations` that it stands for; `last_at`, the latest of them; `inserted_at`;
//! and `event`, the row number of the fresh event that it is, or null.

use polars::prelude::*;
use rcm_model::cdm::Entity;

use super::events::{POSITION, SEQUENCE};
use crate::cdm::observation_dtype;

/// A row said what the attributes were.
pub(super) const VALUE: i32 = 0;
/// A full extract did not have the key.
pub(super) const ABSENT: i32 = 1;
/// A full extract had the key.
pub(super) const PRESENT: i32 = 2;

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
            lit(VALUE).cast(DataType::Int32).alias("kind"),
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
        lit(VALUE).cast(DataType::Int32).alias("kind"),
        col("row_hash").alias("hash"),
        col("payload"),
        one_observation(at(), col("src_inserted_at"), col(SEQUENCE), col(POSITION)),
        at().alias("last_at"),
        col("src_inserted_at").alias("inserted_at"),
        col("event"),
    ])
}

/// Points of full extracts, as [`super::presence::resolve`] answers them. Position 0 puts an absence
/// before the rows of its own load; a presence gives way to every row of the same time.
pub(super) fn of_extracts(resolved: LazyFrame) -> LazyFrame {
    resolved.select([
        col("key"),
        col("extracted_at").alias("at"),
        when(col("present")).then(lit(-1_i64)).otherwise(col("sequence")).cast(DataType::Int64).alias("sequence"),
        lit(0_i64).cast(DataType::Int64).alias("position"),
        when(col("present")).then(lit(PRESENT)).otherwise(lit(ABSENT)).cast(DataType::Int32).alias("kind"),
        lit(NULL).cast(DataType::Int64).alias("hash"),
        lit(NULL).cast(IDX_DTYPE).alias("payload"),
        lit(NULL).cast(observation_dtype()).alias("observations"),
        lit(NULL).cast(crate::cdm::timestamp()).alias("last_at"),
        lit(NULL).cast(crate::cdm::timestamp()).alias("inserted_at"),
        lit(NULL).cast(IDX_DTYPE).alias("event"),
    ])
}

fn one_observation(modified_at: Expr, inserted_at: Expr, sequence: Expr, position: Expr) -> Expr {
    let observation = as_struct(vec![
        modified_at.alias("modified_at"),
        inserted_at.alias("inserted_at"),
        sequence.alias("sequence"),
        position.alias("position"),
    ]);
    observation.reshape(&[-1, 1]).cast(observation_dtype()).alias("observations")
}
