//! Which columns a load has of those that its mapping names.

use polars::prelude::Schema;
use rcm_model::cdm::EntityMapping;
use rcm_platform::bronze::{MALFORMED, Manifest, POSITION};
use rcm_platform::error::{Result, StageError};

/// Returns the mapping with the names that a load has of its columns, and a note on each column that the load has
/// under several names.
///
/// # Errors
/// `BrokenContract` if the load lacks a column that the mapping names, or one that bronze adds.
pub(super) fn of_load(
    columns: &EntityMapping,
    stored: &Schema,
    load: &Manifest,
) -> Result<(EntityMapping, Vec<String>)> {
    let Manifest { stream, sequence, .. } = load;
    let has = |name: &str| stored.contains(name);
    let lacks = |missing: &str| {
        let message = format!("load {sequence} of `{stream}` has no column {missing}, which its mapping names");
        StageError::broken_contract(message)
    };
    let resolved = columns.resolve(has).map_err(|missing| lacks(&missing.join(", ")))?;
    if let Some(missing) = [POSITION, MALFORMED].into_iter().find(|name| !has(name)) {
        return Err(lacks(&format!("`{missing}`")));
    }
    let notes = columns.repeated(has).into_iter().map(|(column, read, others)| {
        let others = others.join("`, `");
        format!("load {sequence} of `{stream}`: `{column}` is read from `{read}`, not from `{others}`")
    });
    Ok((resolved, notes.collect()))
}
