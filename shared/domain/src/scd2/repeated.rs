//! Keys that a load has more than once, with different attributes.

use std::collections::{HashMap, HashSet};

use polars::prelude::*;
use rcm_model::cdm::Entity;
use xxhash_rust::xxh3::xxh3_64;

/// Counts the keys of which one load has two rows that differ although their modified times are the same:
/// `events` are the good rows of the load, as [`super::events`] returns them.
///
/// # Errors
/// A column is missing.
pub fn repeated_keys(events: &DataFrame, entity: &Entity) -> PolarsResult<u64> {
    let keys = events.column(entity.key)?.str()?;
    let modified = events.column("src_modified_at")?.datetime()?.physical();
    let hashes = events.column("row_hash")?.i64()?;
    let mut first: HashMap<(u64, i64), i64> = HashMap::with_capacity(events.height());
    let mut repeated: HashSet<u64> = HashSet::new();
    for ((key, modified), hash) in keys.iter().zip(modified.iter()).zip(hashes.iter()) {
        let (Some(key), Some(modified), Some(hash)) = (key, modified, hash) else { continue };
        let key = xxh3_64(key.as_bytes());
        if *first.entry((key, modified)).or_insert(hash) != hash {
            repeated.insert(key);
        }
    }
    Ok(repeated.len() as u64)
}
