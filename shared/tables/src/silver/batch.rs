//! Which of the waiting loads a commit takes.

use std::collections::BTreeSet;

use rcm_platform::bronze::Manifest;

use super::nature::{Nature, is_full};
use super::order;

/// Takes the first loads of one nature: no more than have `rows_at_once` rows, and one at least. After a full
/// extract none of its datasource is taken, so that what the datasource holds then can be checked. The loads of
/// a datasource are taken in their order. A correction is taken alone.
pub(super) fn first_batch(mut loads: Vec<Manifest>, rows_at_once: u64) -> Vec<Manifest> {
    order::sort(&mut loads);
    let Some(nature) = loads.first().map(Nature::of) else { return loads };
    if loads[0].is_correction() {
        loads.truncate(1);
        return loads;
    }
    // Datasources of which a load waits for the next batch.
    let mut left: BTreeSet<String> = BTreeSet::new();
    let (mut batch, mut rows) = (Vec::new(), 0);
    for load in loads {
        if left.contains(&load.datasource) {
            continue;
        }
        if Nature::of(&load) != nature || load.is_correction() {
            left.insert(load.datasource);
            continue;
        }
        rows += load.rows;
        if rows > rows_at_once && !batch.is_empty() {
            break;
        }
        if is_full(&load) {
            left.insert(load.datasource.clone());
        }
        batch.push(load);
    }
    batch
}
