//! The guard of full extracts: a table that is suddenly half as long is a broken extract more
//! often than a hospital without patients.

use std::collections::HashSet;

use xxhash_rust::xxh3::xxh3_64;

use crate::bronze::Manifest;
use crate::bronze_file::for_each_text;
use crate::error::{Result, StageError};
use crate::lake::Lake;

/// Checks that the rows under `data_key` have enough of the distinct keys of the loads in `known`, which
/// are those of one datasource: its last whole table and what came after it.
///
/// # Errors
/// `ThresholdExceeded` if more than `max_share` of them are missing.
pub(crate) async fn check(
    lake: &Lake,
    known: &[&Manifest],
    data_key: &str,
    key_column: &str,
    max_share: f64,
) -> Result<()> {
    let Some(last) = known.last() else { return Ok(()) };
    let mut missing = HashSet::new();
    for file in known.iter().flat_map(|load| &load.data_files) {
        for_each_text(lake, file, key_column, |key| _ = missing.insert(hash(key))).await?;
    }
    let known = missing.len();
    for_each_text(lake, data_key, key_column, |key| _ = missing.remove(&hash(key))).await?;
    if missing.len() as f64 <= known as f64 * max_share {
        return Ok(());
    }
    Err(StageError::ThresholdExceeded(format!(
        "`{}` lacks {} of the {known} keys that it had up to load {}, more than the {} % that max_lost_share allows; \
         if they are gone for good, run again with force, or allow more for this stream",
        last.stream,
        missing.len(),
        last.sequence,
        max_share * 100.0,
    )))
}

/// The hash by which two keys are compared.
fn hash(key: &str) -> u64 {
    xxh3_64(key.trim().as_bytes())
}
