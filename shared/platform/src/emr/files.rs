//! Extract files: `<folder>/<datasource>/<table>.csv`, each the whole table.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use object_store::path::Path as Key;
use rcm_model::load_config::LoadType;

use super::{CLOCK_SKEW, Extract, Table};
use crate::bronze::{Manifest, Settled, Source, Watermark};
use crate::context::Context;
use crate::csv_stream::{self, Csv, Found, Moments, Newer, Wanted};
use crate::error::{Result, StageError};
use crate::load::{self, Rows};

pub(super) async fn extract(context: &Context, table: &Table<'_>) -> Result<Extract> {
    let name = format!("{}/{}.csv", table.row.datasource, table.row.entity());
    let place = place(context, &name)?;
    let before = source(context, &place, &name).await?;
    let csv = match &place {
        Place::Disk(path) => Csv::on_disk(path.clone(), name.clone()),
        Place::Lake(key) => Csv::in_lake(&context.lake, key.clone(), name.clone()),
    };
    // A load of the other kind has other rows of the same file.
    let is_like = |last: &&Manifest| last.kind == table.subject.kind && last.source.size == before.size;
    if let Some(last) = table.last.filter(is_like)
        && csv_stream::content_hash(&csv).await? == last.content_hash
    {
        return Ok(Extract::NothingNew(format!("`{name}` has not changed since load {}", last.sequence)));
    }
    let mut notes = Vec::new();
    let (load_id, data_key) = load::new_file(context, table.subject.stream);
    let mut found = csv_stream::to_parquet(&csv, wanted(context, table)?, &context.lake, &data_key).await?;
    if has_more_than_the_last(table, &found) {
        let mut wanted = wanted(context, table)?;
        wanted.newer.iter_mut().for_each(|newer| newer.after = None);
        found = csv_stream::to_parquet(&csv, wanted, &context.lake, &data_key).await?;
        notes.push(format!("`{name}` has older rows that were not there at the last load: it is taken whole"));
    }
    if source(context, &place, &name).await? != before {
        context.lake.delete(&data_key).await?;
        return Err(StageError::SourceUnavailable(format!("`{name}` is still being written")));
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
        unmapped_columns: load::unmapped(&found.columns, table.mapping.source_columns(table.subject.entity)),
    };
    if found.ahead > 0 {
        let (ahead, column) = (found.ahead, &table.row.watermark);
        notes.push(format!("{ahead} rows have a `{column}` in the future: the next load takes them again"));
    }
    Ok(Extract::Rows(Box::new(rows), notes))
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
    let bad = |reason: String| StageError::BadConfig(format!("configs/sources.toml: [emr] {reason}"));
    let folder = context.settings.sources.emr.folder.as_deref().ok_or_else(|| bad("names no folder".to_owned()))?;
    if Path::new(folder).is_absolute() {
        return Ok(Place::Disk(Path::new(folder).join(name)));
    }
    let key = Key::parse(format!("{}/{name}", folder.trim_end_matches('/')));
    key.map(Place::Lake).map_err(|error| bad(format!("folder `{folder}` is none below the lake's root: {error}")))
}

async fn source(context: &Context, place: &Place, name: &str) -> Result<Source> {
    // No number of tries brings a file that was not delivered.
    let missing = || StageError::BrokenContract(format!("extract file `{name}`: there is none"));
    let (size, modified) = match place {
        Place::Disk(path) => {
            let metadata = tokio::fs::metadata(path).await.map_err(|error| match error.kind() {
                ErrorKind::NotFound => missing(),
                kind => StageError::SourceUnavailable(format!("extract file `{name}`: {kind}")),
            })?;
            (metadata.len(), metadata.modified().ok().map(DateTime::<Utc>::from))
        }
        Place::Lake(key) => {
            let meta = context.lake.head(key.as_ref()).await?.ok_or_else(missing)?;
            (meta.size, Some(meta.last_modified))
        }
    };
    Ok(Source { name: name.to_owned(), size: Some(size), last_modified: modified })
}

fn wanted(context: &Context, table: &Table<'_>) -> Result<Wanted> {
    let mut columns: Vec<String> = table.mapping.source_columns(table.subject.entity).map(str::to_owned).collect();
    if table.row.loadtype == LoadType::Full {
        return Ok(Wanted { columns, newer: None });
    }
    columns.push(table.row.watermark.clone());
    let newer = Newer {
        column: table.row.watermark.clone(),
        after: last_watermark(table).map(|watermark| watermark - overlap(context, table)),
        until: table.subject.started_at + CLOCK_SKEW,
        moments: Moments::of(table.mapping)?,
    };
    Ok(Wanted { columns, newer: Some(newer) })
}

fn overlap(context: &Context, table: &Table<'_>) -> TimeDelta {
    TimeDelta::days(context.settings.sources.emr.overlap_days(table.subject.stream).into())
}

/// Whether the file has more rows than the last one had of a time that the last load left behind: it was
/// cut short, or they were entered later.
fn has_more_than_the_last(table: &Table<'_>, found: &Found) -> bool {
    let last = table.last.and_then(|last| last.watermark.as_ref());
    let settled = last.filter(|watermark| watermark.column == table.row.watermark).and_then(|last| last.settled);
    settled.is_some_and(|settled| found.before_day_of(settled.before) > settled.rows)
}

/// Where the last load ended; nowhere if it followed another column.
fn last_watermark(table: &Table<'_>) -> Option<DateTime<Utc>> {
    let watermark = table.last?.watermark.as_ref()?;
    if watermark.column == table.row.watermark { watermark.to } else { None }
}

fn watermark(context: &Context, table: &Table<'_>, found: &Found) -> Option<Watermark> {
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
