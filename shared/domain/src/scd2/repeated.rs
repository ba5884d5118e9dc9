//! Keys that a load has more than once, with different attributes.

use std::collections::{BTreeMap, HashSet};

use polars::prelude::*;
use rcm_model::cdm::Entity;
use xxhash_rust::xxh3::xxh3_64;

use super::events::LOAD_ID;

/// Counts by load the keys of which it has two rows that differ although their modified times are the same: `events` are
/// all good rows of these keys, as [`super::events`] returns them.
///
/// # Errors
/// A column is missing.
pub fn repeated_keys(events: &DataFrame, entity: &Entity) -> PolarsResult<BTreeMap<String, u64>> {
    let keys = events.column(entity.key)?.str()?;
    let modified = events.column("src_modified_at")?.datetime()?.physical();
    let hashes = events.column("row_hash")?.i64()?;
    let loads = events.column(LOAD_ID)?.str()?;
    let mut repeated = BTreeMap::new();
    let mut of_load = Repeated { load: "", first: PlHashMap::default(), keys: HashSet::new() };
    for (((key, modified), hash), load) in keys.iter().zip(modified.iter()).zip(hashes.iter()).zip(loads.iter()) {
        let (Some(key), Some(modified), Some(hash), Some(load)) = (key, modified, hash, load) else { continue };
        if load != of_load.load {
            of_load.count(&mut repeated);
            of_load.load = load;
        }
        let key = xxh3_64(key.as_bytes());
        if *of_load.first.entry((key, modified)).or_insert(hash) != hash {
            of_load.keys.insert(key);
        }
    }
    of_load.count(&mut repeated);
    Ok(repeated)
}

/// What is known of the rows of one load.
struct Repeated<'a> {
    load: &'a str,
    /// Hash of the first row, by the hash of its key and its modified time.
    first: PlHashMap<(u64, i64), i64>,
    keys: HashSet<u64>,
}

impl Repeated<'_> {
    /// Adds the count of the load, and forgets its rows.
    fn count(&mut self, counts: &mut BTreeMap<String, u64>) {
        if !self.keys.is_empty() {
            counts.insert(self.load.to_owned(), self.keys.len() as u64);
        }
        self.first.clear();
        self.keys.clear();
    }
}
