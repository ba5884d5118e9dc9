//! Reads the versions of one key from silver.

mod known;
mod moment;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use polars::prelude::*;
use rcm_model::cdm::{self, Entity};
use rcm_platform::bronze::{LoadLog, Manifest};
use rcm_platform::{Context, Lake, StageError, lake};
use rcm_tables::delta::{DataFile, Table};
use rcm_tables::frames::blocking;
use rcm_tables::silver;

pub use self::known::{held_at, known_at};
pub use self::moment::When;
use crate::hint;
use crate::print::{History, Observation, QuarantinedRow, Version};

/// Returns every version of a key and its rows in quarantine, or `None` if the lake has neither.
///
/// # Errors
/// The entity is unknown, or a table cannot be read.
pub async fn read(lake: &Lake, entity: &str, key: &str) -> Result<Option<History>, StageError> {
    let names = || cdm::ENTITIES.map(|entity| entity.name);
    let entity: &'static Entity = cdm::entity(entity)
        .ok_or_else(|| hint::unknown("entity", entity, names(), &format!("entities are {}", names().join(", "))))?;
    let order = ["effective_from", "effective_to"];
    let rows = rows_of(lake, &lake::silver(entity.name), (entity.key, key), order).await?;
    let versions = rows.as_ref().map_or_else(|| Ok(Vec::new()), |rows| versions(entity, rows))?;
    let datasource = rows.as_ref().and_then(|rows| first_text(rows, "datasource"));
    let order = ["quarantined_at", "position"];
    let rows = rows_of(lake, &lake::quarantine(entity.name), ("key", key), order).await?;
    let quarantined = rows.as_ref().map_or_else(|| Ok(Vec::new()), quarantined)?;
    let datasource = datasource.or_else(|| first_text(rows.as_ref()?, "datasource")).unwrap_or_default();
    if versions.is_empty() && quarantined.is_empty() {
        return Ok(None);
    }
    let columns = entity.tracked.iter().map(|column| column.name.to_owned()).collect();
    let (entity, key) = (entity.name.to_owned(), key.to_owned());
    Ok(Some(History { entity, key, datasource, columns, versions, quarantined }))
}

fn first_text(rows: &DataFrame, column: &str) -> Option<String> {
    rows.column(column).ok()?.str().ok()?.get(0).map(str::to_owned)
}

/// Completes the observations of all versions: since when the lake knows each, and by which load.
///
/// # Errors
/// A load log cannot be read.
pub async fn complete(context: &Context, history: &mut History) -> Result<(), StageError> {
    let Some(entity) = cdm::entity(&history.entity) else { return Ok(()) };
    let mut loads: BTreeMap<i64, Manifest> = BTreeMap::new();
    for stream in context.settings.streams_of(entity).filter(|stream| stream.datasource == history.datasource) {
        for load in LoadLog::new(&context.lake, &stream.name).after(0).await? {
            loads.insert(silver::ordinal(&load), load);
        }
    }
    for version in &mut history.versions {
        let by_load_id = loads.values().find(|load| load.load_id == version.load_id);
        for observed in &mut version.observations {
            // A version that was seen once may have no observation of its own.
            let load = observed.ordinal.map_or(by_load_id, |ordinal| loads.get(&ordinal));
            if let Some(load) = load {
                observed.known_at = load.finished_at;
                observed.load = format!("{} load {}", load.stream, load.sequence);
            }
        }
    }
    Ok(())
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
    let inserted = moments(rows, "inserted_at")?;
    let observations = observations(rows, &inserted)?;
    let version = |row: usize| Version {
        from: from[row].unwrap_or_default(),
        to: to[row],
        is_current: current.get(row).unwrap_or(false),
        is_deleted: deleted.get(row).unwrap_or(false),
        load_id: load.get(row).unwrap_or_default().to_owned(),
        values: tracked.iter().map(|column| column.get(row).map(str::to_owned)).collect(),
        observations: observations[row].clone(),
    };
    Ok((0..rows.height()).map(version).collect())
}

/// When the source said what each version says. Known since the row was written, until [`complete`] knows better.
fn observations(rows: &DataFrame, inserted: &[Option<DateTime<Utc>>]) -> Result<Vec<Vec<Observation>>, StageError> {
    let lists = rows.column("observations").ok().map(Column::list).transpose()?;
    let from = moments(rows, "effective_from")?;
    let mut all = Vec::with_capacity(rows.height());
    for row in 0..rows.height() {
        let known_at = inserted[row].unwrap_or_default();
        let mut of_row = Vec::new();
        if let Some(list) = lists.and_then(|lists| lists.get_as_series(row)) {
            let fields = list.struct_()?;
            let (modified, ordinals) = (fields.field_by_name("modified_at")?, fields.field_by_name("sequence")?);
            // A list gives moments as the numbers that they are stored as.
            let modified = modified.to_physical_repr();
            for (modified_at, ordinal) in modified.i64()?.iter().zip(ordinals.i64()?.iter()) {
                let modified_at =
                    modified_at.and_then(DateTime::from_timestamp_micros).or(from[row]).unwrap_or_default();
                of_row.push(Observation { modified_at, known_at, ordinal, load: String::new() });
            }
        }
        if of_row.is_empty() {
            let modified_at = from[row].unwrap_or_default();
            of_row.push(Observation { modified_at, known_at, ordinal: None, load: String::new() });
        }
        all.push(of_row);
    }
    Ok(all)
}

fn moments(rows: &DataFrame, column: &str) -> Result<Vec<Option<DateTime<Utc>>>, StageError> {
    let micros = rows.column(column)?.datetime()?.physical().clone();
    Ok(micros.iter().map(|micros| micros.and_then(DateTime::from_timestamp_micros)).collect())
}
