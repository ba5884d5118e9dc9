//! Rows of a load as events.

use polars::prelude::*;
use rcm_model::cdm::Entity;

use super::hash::{bucket_of, deleted_hash, row_hash};

/// Column with the bronze sequence of an event's load. No entity has a column of its name.
pub const SEQUENCE: &str = "bronze_sequence";
/// Column with an event's place in its load. No entity has a column of its name, which `position`
/// would be.
pub const POSITION: &str = "bronze_position";
/// Column that says whether a row deletes its key.
pub const IS_DELETE: &str = "is_delete";
/// Column with the id of an event's load.
pub const LOAD_ID: &str = "load_id";

/// Turns rows of the model, all good, into events of one load: `rows` gains [`SEQUENCE`],
/// [`POSITION`], [`LOAD_ID`], [`IS_DELETE`] where it has none, `row_hash` and `bucket`.
///
/// `untracked` names columns whose change alone is no new version; `load` is the load's ordinal and id.
///
/// # Errors
/// A column of the model is missing.
pub fn events(
    rows: &DataFrame,
    positions: Int64Chunked,
    entity: &Entity,
    untracked: &[&str],
    load: (i64, &str),
    buckets: u32,
) -> PolarsResult<DataFrame> {
    let (sequence, load_id) = load;
    let height = rows.height();
    let mut events = rows.clone();
    events.with_column(Column::new_scalar(SEQUENCE.into(), Scalar::from(sequence), height))?;
    events.with_column(positions.with_name(POSITION.into()).into_column())?;
    events.with_column(Column::new_scalar(LOAD_ID.into(), Scalar::from(PlSmallStr::from_str(load_id)), height))?;
    let mut hash = row_hash(rows, entity, untracked)?;
    match rows.column(IS_DELETE) {
        Ok(is_delete) => hash = deleted_hash(hash, is_delete.bool()?),
        Err(_) => {
            events.with_column(Column::new_scalar(IS_DELETE.into(), Scalar::from(false), height))?;
        }
    }
    events.with_column(hash.into_column())?;
    let buckets = bucket_of(rows.column(entity.key)?, buckets)?;
    events.with_column(buckets.into_column())?;
    Ok(events)
}
