//! Rows of a load as events.

use polars::prelude::*;
use rcm_model::cdm::Entity;

use super::hash::{bucket_of, row_hash};

/// Column with the bronze sequence of an event's load. No entity has a column of its name.
pub const SEQUENCE: &str = "bronze_sequence";
/// Column with an event's place in its load. No entity has a column of its name, which `position`
/// would be.
pub const POSITION: &str = "bronze_position";
/// Column with the id of an event's load.
pub const LOAD_ID: &str = "load_id";

/// Turns rows of the model, all good, into events of one load: `rows` gains [`SEQUENCE`],
/// [`POSITION`], [`LOAD_ID`], `row_hash` and `bucket`.
///
/// # Errors
/// A column of the model is missing.
pub fn events(
    rows: &DataFrame,
    positions: Int64Chunked,
    entity: &Entity,
    load: (i64, &str),
    buckets: u32,
) -> PolarsResult<DataFrame> {
    let (sequence, load_id) = load;
    let height = rows.height();
    let mut events = rows.clone();
    events.with_column(Column::new_scalar(SEQUENCE.into(), Scalar::from(sequence), height))?;
    events.with_column(positions.with_name(POSITION.into()).into_column())?;
    events.with_column(Column::new_scalar(LOAD_ID.into(), Scalar::from(PlSmallStr::from_str(load_id)), height))?;
    events.with_column(row_hash(rows, entity)?.into_column())?;
    let buckets = bucket_of(rows.column(entity.key)?, buckets)?;
    events.with_column(buckets.into_column())?;
    Ok(events)
}
