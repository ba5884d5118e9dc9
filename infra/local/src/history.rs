//! Reads the versions of one key from silver.

use chrono::{DateTime, Utc};
use polars::prelude::*;
use rcm_model::cdm::{self, Entity};
use rcm_platform::{Lake, StageError, lake};
use rcm_tables::delta::{DataFile, Table};
use rcm_tables::frames::blocking;

use crate::hint;
use crate::print::{History, QuarantinedRow, Version};

/// Returns every version of a key and its rows in quarantine, or `None` if the lake has neither.
///
/// # Errors
/// The entity is unknown, or a table cannot be read.
pub async fn read(lake: &Lake, entity: &str, key: &str) -> Result<Option<History>, StageError> {
    let names = || cdm::ENTITIES.map(|entity| entity.name);
    let entity: &'static Entity = cdm::entity(entity)
        .ok_or_else(|| hint::unknown("entity", entity, names(), &format!("entities are {}", names().join(", "))))?;
    let order = ["effective_from", "effective_to"];
    let versions = match rows_of(lake, &lake::silver(entity.name), (entity.key, key), order).await? {
        Some(rows) => versions(entity, &rows)?,
        None => Vec::new(),
    };
    let order = ["quarantined_at", "position"];
    let quarantined = match rows_of(lake, &lake::quarantine(entity.name), ("key", key), order).await? {
        Some(rows) => quarantined(&rows)?,
        None => Vec::new(),
    };
    if versions.is_empty() && quarantined.is_empty() {
        return Ok(None);
    }
    let columns = entity.tracked.iter().map(|column| column.name.to_owned()).collect();
    Ok(Some(History { entity: entity.name.to_owned(), key: key.to_owned(), columns, versions, quarantined }))
}

/// Returns an example key, preferably one with a closed version, by reading one small file. Returns `None` if the lake
/// has no rows of the entity.
///
/// # Errors
/// The table cannot be read.
pub async fn example(lake: &Lake, entity: &'static Entity) -> Result<Option<String>, StageError> {
    let Some(table) = Table::open(lake, &lake::silver(entity.name)).await? else { return Ok(None) };
    let all_current = |file: &DataFile| file.nulls("effective_to") == Some(file.rows());
    let files = table.files().iter().filter(|file| file.rows() > 0);
    let Some(file) = files.min_by_key(|file| (all_current(file), file.size())) else { return Ok(None) };
    let first = table.scan(std::slice::from_ref(file)).await?.select([col(entity.key).min()]);
    let first = blocking(move || Ok(first.collect()?)).await?;
    Ok(first.column(entity.key)?.str()?.get(0).map(str::to_owned))
}

/// Returns the rows of a table with one key, sorted, or `None` if there is no such table.
async fn rows_of(
    lake: &Lake,
    path: &str,
    (column, key): (&'static str, &str),
    order: [&'static str; 2],
) -> Result<Option<DataFrame>, StageError> {
    let Some(table) = Table::open(lake, path).await? else { return Ok(None) };
    let rows = table.scan(table.files()).await?.filter(col(column).eq(lit(key)));
    let nulls_last = SortMultipleOptions::default().with_nulls_last(true);
    Ok(Some(blocking(move || Ok(rows.sort(order, nulls_last).collect()?)).await?))
}

fn quarantined(rows: &DataFrame) -> Result<Vec<QuarantinedRow>, StageError> {
    let text = |column: &str| -> Result<StringChunked, StageError> { Ok(rows.column(column)?.str()?.clone()) };
    let number = |column: &str| -> Result<Int64Chunked, StageError> { Ok(rows.column(column)?.i64()?.clone()) };
    let (stream, reasons, status) = (text("stream")?, text("reasons")?, text("status")?);
    let (sequence, position) = (number("sequence")?, number("position")?);
    let since = moments(rows, "quarantined_at")?;
    let of = |column: &StringChunked, row: usize| column.get(row).unwrap_or_default().to_owned();
    let row = |row: usize| QuarantinedRow {
        quarantined_at: since[row].unwrap_or_default(),
        place: format!(
            "{} load {} row {}",
            of(&stream, row),
            sequence.get(row).unwrap_or_default(),
            position.get(row).unwrap_or_default()
        ),
        reasons: of(&reasons, row),
        status: of(&status, row),
    };
    Ok((0..rows.height()).map(row).collect())
}

fn versions(entity: &Entity, rows: &DataFrame) -> Result<Vec<Version>, StageError> {
    let mut tracked = Vec::with_capacity(entity.tracked.len());
    for column in entity.tracked {
        tracked.push(rows.column(column.name)?.cast(&DataType::String)?.str()?.clone());
    }
    let (from, to) = (moments(rows, "effective_from")?, moments(rows, "effective_to")?);
    let (current, deleted) = (rows.column("is_current")?.bool()?, rows.column("is_deleted")?.bool()?);
    let load = rows.column("load_id")?.str()?;
    let version = |row: usize| Version {
        from: from[row].unwrap_or_default(),
        to: to[row],
        is_current: current.get(row).unwrap_or(false),
        is_deleted: deleted.get(row).unwrap_or(false),
        load_id: load.get(row).unwrap_or_default().to_owned(),
        values: tracked.iter().map(|column| column.get(row).map(str::to_owned)).collect(),
    };
    Ok((0..rows.height()).map(version).collect())
}

fn moments(rows: &DataFrame, column: &str) -> Result<Vec<Option<DateTime<Utc>>>, StageError> {
    let micros = rows.column(column)?.datetime()?.physical().clone();
    Ok(micros.iter().map(|micros| micros.and_then(DateTime::from_timestamp_micros)).collect())
}
