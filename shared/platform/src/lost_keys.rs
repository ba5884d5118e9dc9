//! The guard of full extracts: a table that is suddenly half as long is a broken extract more
//! often than a hospital without patients.

use std::collections::HashSet;

use rcm_model::cdm::{Entity, Mapping, SourceColumn};

use crate::bronze::Manifest;
use crate::bronze_file::for_each_row_of;
use crate::error::{Result, StageError};
use crate::keys::{KeyHash, id_columns};
use crate::lake::Lake;

/// Checks that the rows under `data_key`, of the source `name`, have enough of the distinct keys of the loads in
/// `known`, which are those of one datasource: its last whole table and what came after it.
///
/// # Errors
/// `ThresholdExceeded` if more than `max_share` of them are missing, or if keys cannot be compared since a load
/// lacks a column that the mapping makes the id of.
pub(crate) async fn check(
    lake: &Lake,
    known: &[&Manifest],
    (data_key, name): (&str, &str),
    (mapping, entity): (&Mapping, &'static Entity),
    max_share: f64,
) -> Result<()> {
    let Some(last) = known.last() else { return Ok(()) };
    let hash = KeyHash::of(mapping);
    let mut missing = HashSet::new();
    for load in known {
        let id = id_columns(mapping, entity, &load.source.name);
        for file in &load.data_files {
            let insert = |id: &[&str]| _ = missing.insert(hash.hash(id.iter().copied()));
            if id.is_empty() || !for_each_row_of(lake, file, id, insert).await? {
                let error = incomparable(&format!("load {} of `{}`", load.sequence, load.stream), id);
                return Err(error.of_load(&load.stream, load.sequence));
            }
        }
    }
    let known = missing.len();
    let id = id_columns(mapping, entity, name);
    let remove = |id: &[&str]| _ = missing.remove(&hash.hash(id.iter().copied()));
    if id.is_empty() || !for_each_row_of(lake, data_key, id, remove).await? {
        return Err(incomparable(&format!("`{name}`"), id));
    }
    if missing.len() as f64 <= known as f64 * max_share {
        return Ok(());
    }
    Err(StageError::threshold_exceeded(format!(
        "`{}` lacks {} of the {known} keys that it had up to load {}, more than the {} % that max_lost_share allows; \
         if they are gone for good, run again with force, or allow more for this stream",
        last.stream,
        missing.len(),
        last.sequence,
        max_share * 100.0,
    )))
}

/// The error of rows whose keys cannot be read: of a load from before the id's column got another name.
fn incomparable(rows: &str, id: &[SourceColumn]) -> StageError {
    let columns: Vec<String> = id.iter().map(SourceColumn::quoted).collect();
    let columns = if id.is_empty() { "no column".to_owned() } else { columns.join(", ") };
    StageError::threshold_exceeded(format!(
        "{rows} cannot be checked for lost keys: the mapping makes the id of {columns}, which it does not have; hint: \
         if the column was renamed, map it by both names, `{{ any_of = [\"old\", \"new\"] }}`; or if the new extract \
         is complete, run once with force: later extracts are then compared with it"
    ))
}
