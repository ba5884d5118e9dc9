//! Extract files: `<folder>/<datasource>/<table>.csv`, each the whole table.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use object_store::path::Path as Key;
use rcm_model::cdm;
use rcm_model::load_config::{LoadRow, LoadType};

use super::{CLOCK_SKEW, Extract, Table};
use crate::bronze::{self, Manifest, Settled, SourceObject, Watermark};
use crate::context::Context;
use crate::csv_stream::{self, Csv, CsvSummary, Moments, Newer, Wanted};
use crate::error::{Result, StageError};
use crate::keys::{KeyReading, LoadedKeys};
use crate::load::{self, Rows};
use crate::voids;

pub(super) async fn extract(context: &Context, table: &Table<'_>) -> Result<Extract> {
    let name = name_of(table.row);
    let place = place(context, &name)?;
    let before = source(context, &place, &name).await?;
    let csv = csv(context, table.row, &place);
    // A load of the other kind has other rows of the same file.
    let is_like = |last: &&Manifest| last.kind == table.subject.kind && last.source.size == before.size;
    if let Some(last) = table.last.filter(is_like)
        && csv_stream::content_hash(&csv).await? == last.content_hash
    {
        return Ok(Extract::NothingNew(format!("`{name}` has not changed since load {}", last.sequence)));
    }
    if let Some(last) = table.last.filter(|last| is_newer(last, &before)) {
        return Ok(Extract::NothingNew(out_of_date(&name, last)));
    }
    let mut notes = Vec::new();
    let (load_id, data_key) = load::new_file(context, table.subject.stream);
    let mut wanted = wanted(context, table, &name).await?;
    let mut found = csv_stream::to_parquet(&csv, wanted.clone(), &context.lake, &data_key).await?;
    if has_more_than_the_last(table, &found) {
        wanted.newer.iter_mut().for_each(|newer| newer.after = None);
        found = csv_stream::to_parquet(&csv, wanted, &context.lake, &data_key).await?;
        notes.push(format!("`{name}` has older rows that were not there at the last load: it is taken whole"));
    }
    if source(context, &place, &name).await? != before {
        context.lake.delete(&data_key).await?;
        return Err(StageError::source_unavailable(format!("`{name}` is still being written")));
    }
    if table.row.loadtype == LoadType::Incremental && found.rows == 0 {
        context.lake.delete(&data_key).await?;
        return Ok(Extract::NothingNew(format!("`{name}` has no row that is newer than the last load")));
    }
    let rows = Rows {
        load_id,
        data_key,
        source: before,
        content_hash: found.content_hash.clone(),
        rows: found.rows,
        malformed: found.malformed,
        watermark: watermark(context, table, &found),
        unmapped_columns: load::unmapped(&found.columns, table.mapping.source_columns_of(table.entity(), &name)),
    };
    if found.late > 0 {
        let late = found.late;
        notes.push(format!("`{name}` has {late} rows from before the last load that no load has: they are taken"));
    }
    if found.ahead > 0 {
        let (ahead, column) = (found.ahead, &table.row.watermark);
        notes.push(format!("{ahead} rows have a `{column}` in the future: the next load takes them again"));
    }
    Ok(Extract::Rows(Box::new(rows), notes))
}

/// The names in the header of a table's file.
pub(super) async fn columns(context: &Context, row: &LoadRow) -> Result<Vec<String>> {
    let place = place(context, &name_of(row))?;
    // It says that the file is missing as an extract does.
    source(context, &place, &name_of(row)).await?;
    csv_stream::columns(&csv(context, row, &place)).await
}

/// The file of a table.
pub(super) async fn source_of(context: &Context, row: &LoadRow) -> Result<SourceObject> {
    let name = name_of(row);
    source(context, &place(context, &name)?, &name).await
}

fn name_of(row: &LoadRow) -> String {
    format!("{}/{}.csv", row.datasource, row.entity())
}

fn csv(context: &Context, row: &LoadRow, place: &Place) -> Csv {
    let csv = match place {
        Place::Disk(path) => Csv::on_disk(path.clone(), name_of(row)),
        Place::Lake(key) => Csv::in_lake(&context.lake, key.clone(), name_of(row)),
    };
    csv.with_dialect(context.settings.sources.emr.dialect_of(&row.datasource))
}

/// Whether a load is of a later writing of a file: what that showed must not be taken back by an older state.
fn is_newer(load: &Manifest, file: &SourceObject) -> bool {
    load.source.name == file.name && load.source.last_modified > file.last_modified
}

fn out_of_date(name: &str, last: &Manifest) -> String {
    format!(
        "`{name}` is older than the file of load {} and is left out. If it is what the hospital holds now, write \
         it again (its time decides)",
        last.sequence
    )
}

/// Where an extract file is.
enum Place {
    Disk(PathBuf),
    Lake(Key),
}

fn place(context: &Context, name: &str) -> Result<Place> {
    if let Some(folder) = &context.environment.emr_dir {
        return Ok(Place::Disk(folder.join(name)));
    }
    let bad = |reason: String| StageError::bad_config(format!("configs/sources.toml: [emr] {reason}"));
    let folder = context.settings.sources.emr.folder.as_deref().ok_or_else(|| bad("names no folder".to_owned()))?;
    if Path::new(folder).is_absolute() {
        return Ok(Place::Disk(Path::new(folder).join(name)));
    }
    let key = Key::parse(format!("{}/{name}", folder.trim_end_matches('/')));
    key.map(Place::Lake).map_err(|error| bad(format!("folder `{folder}` is none below the lake's root: {error}")))
}

async fn source(context: &Context, place: &Place, name: &str) -> Result<SourceObject> {
    // No number of tries brings a file that was not delivered.
    let missing = || StageError::broken_contract(format!("extract file `{name}`: there is none"));
    let (size, modified) = match place {
        Place::Disk(path) => {
            let metadata = tokio::fs::metadata(path).await.map_err(|error| match error.kind() {
                ErrorKind::NotFound => missing(),
                kind => {
                    let message = format!("extract file `{name}`: {kind}");
                    StageError::of_io(message, &error, StageError::source_unavailable)
                }
            })?;
            (metadata.len(), metadata.modified().ok().map(DateTime::<Utc>::from))
        }
        Place::Lake(key) => {
            let meta = context.lake.head(key.as_ref()).await?.ok_or_else(missing)?;
            (meta.size, Some(meta.last_modified))
        }
    };
    Ok(SourceObject { name: name.to_owned(), size: Some(size), last_modified: modified })
}

async fn wanted(context: &Context, table: &Table<'_>, name: &str) -> Result<Wanted> {
    let mapping = table.mapping.columns(table.entity(), name).cloned();
    if table.row.loadtype == LoadType::Full {
        return Ok(Wanted { mapping, ..Wanted::default() });
    }
    let mut newer = Newer {
        column: table.row.watermark.clone(),
        after: last_watermark(table).map(|watermark| watermark - overlap(context, table)),
        until: table.subject.started_at + CLOCK_SKEW,
        moments: Moments::of(table.mapping)?,
        loaded: None,
    };
    if newer.after.is_some() {
        newer.loaded = loaded_keys(context, table, &newer, name).await?.map(Arc::new);
    }
    Ok(Wanted { columns: vec![table.row.watermark.clone()], mapping, newer: Some(newer) })
}

/// What the loads of the stream have of the table's keys.
async fn loaded_keys(context: &Context, table: &Table<'_>, newer: &Newer, name: &str) -> Result<Option<LoadedKeys>> {
    let Some(entity) = cdm::entity(table.entity()) else { return Ok(None) };
    let reading = KeyReading {
        mapping: table.mapping,
        entity,
        watermark: &newer.column,
        moments: &newer.moments,
        until: newer.until,
    };
    let loads = voids::valid_loads(&context.lake, table.subject.stream).await?;
    let loads = bronze::since_last_snapshot(&loads, table.subject.datasource);
    LoadedKeys::read(&context.lake, &loads, reading, name).await.map(Some)
}

fn overlap(context: &Context, table: &Table<'_>) -> TimeDelta {
    TimeDelta::days(context.settings.sources.emr.overlap_days(table.subject.stream).into())
}

/// Whether the file has more rows than the last one had of a time that the last load left behind: that one was
/// cut short, or they were entered later. Among them may be rows that are older than what a load has of their key.
fn has_more_than_the_last(table: &Table<'_>, found: &CsvSummary) -> bool {
    let last = table.last.and_then(|last| last.watermark.as_ref());
    let settled = last.filter(|watermark| watermark.column == table.row.watermark).and_then(|last| last.settled);
    settled.is_some_and(|settled| found.before_day_of(settled.before) > settled.rows)
}

/// Where the last load ended; nowhere if it followed another column.
fn last_watermark(table: &Table<'_>) -> Option<DateTime<Utc>> {
    let watermark = table.last?.watermark.as_ref()?;
    if watermark.column == table.row.watermark { watermark.to } else { None }
}

fn watermark(context: &Context, table: &Table<'_>, found: &CsvSummary) -> Option<Watermark> {
    if table.row.loadtype == LoadType::Full {
        return None;
    }
    let from = last_watermark(table);
    let to = found.high.max(from);
    let settled = to.map(|to| {
        let before = to - overlap(context, table);
        Settled { before, rows: found.before_day_of(before) }
    });
    Some(Watermark { column: table.row.watermark.clone(), from, to, settled, overlap_hash: None })
}
