//! Reads the rows of a silver table that were valid at the end of a day, bucket by bucket.

use polars::prelude::*;
use rcm_domain::cdm::silver_schema;
use rcm_domain::gold::held::{EndOfDay, candidates, ended, settled};
use rcm_model::cdm::Entity;
use rcm_platform::{StageError, lake};
use rcm_tables::delta::{DataFile, Table};
use rcm_tables::frames::blocking;
use rcm_tables::gold::Tables;
use rcm_tables::silver::is_open;

/// Returns columns of the rows of the day; no rows if there is no table, or if none are `needed`.
///
/// # Errors
/// A file cannot be read.
pub(crate) async fn read(
    sources: &Tables,
    entity: &'static Entity,
    columns: &'static [&'static str],
    end: &EndOfDay,
    needed: bool,
) -> Result<DataFrame, StageError> {
    let path = lake::silver(entity.name);
    let schema = silver_schema(entity);
    let fields = columns.iter().filter_map(|name| Some(Field::new((*name).into(), schema.get(name)?.clone())));
    let mut rows = DataFrame::empty_with_schema(&fields.collect());
    let Some(silver) = sources.get(&path).filter(|_| needed) else { return Ok(rows) };
    for files in sources.buckets(&path) {
        rows.vstack_mut(&of_bucket(silver, files.files, entity, columns, end).await?)?;
    }
    Ok(rows)
}

/// Returns the rows of one bucket; no key is in two. Files whose versions had all ended before are only read if a
/// key has later versions and none of the day: they show whether it was deleted.
async fn of_bucket(
    silver: &Table,
    files: Vec<DataFile>,
    entity: &'static Entity,
    columns: &'static [&'static str],
    end: &EndOfDay,
) -> Result<DataFrame, StageError> {
    let near: Vec<DataFile> = files.iter().filter(|file| !had_ended(file, end)).cloned().collect();
    let versions = silver.scan(&near).await?;
    let of_day = end.clone();
    let found = blocking(move || Ok(candidates(versions, entity, columns, &of_day)?)).await?;
    if found.later.height() == 0 {
        return Ok(found.held);
    }
    let (versions, of_day) = (silver.scan(&files).await?, end.clone());
    blocking(move || Ok(settled(found, ended(versions, entity, &of_day), entity, columns)?)).await
}

/// Returns whether no version of a file can be valid at the end of the day or later.
fn had_ended(file: &DataFile, end: &EndOfDay) -> bool {
    !is_open(file) && file.latest("effective_to").is_some_and(|latest| latest <= end.earliest())
}
