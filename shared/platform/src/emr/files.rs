//! Extract files: `<folder>/<datasource>/<table>.csv`, each the whole table.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use rcm_domain::load_config::LoadType;

use super::{Extract, Table};
use crate::bronze::{Manifest, Source, Watermark};
use crate::context::Context;
use crate::csv_stream::{self, Csv, Found, Moments, Newer, Wanted};
use crate::error::{Result, StageError};
use crate::load::{self, Rows};

/// How far a hospital's clock may go before ours.
const CLOCK_SKEW: TimeDelta = TimeDelta::days(1);

pub(super) async fn extract(context: &Context, table: &Table<'_>) -> Result<Extract> {
    let name = format!("{}/{}.csv", table.row.datasource, table.row.entity());
    let path = folder(context)?.join(&name);
    let before = source(&path, &name).await?;
    let csv = Csv::on_disk(path.clone(), name.clone());
    // A load of the other kind has other rows of the same file.
    let is_like = |last: &&Manifest| last.kind == table.subject.kind && last.source.size == before.size;
    if let Some(last) = table.last.filter(is_like)
        && csv_stream::content_hash(&csv).await? == last.content_hash
    {
        return Ok(Extract::NothingNew(format!("`{name}` has not changed since load {}", last.sequence)));
    }
    let stream = table.subject.stream;
    let (load_id, data_key) = load::new_file(context, stream);
    let found = csv_stream::to_parquet(&csv, wanted(context, table)?, &context.lake, &data_key).await?;
    if source(&path, &name).await? != before {
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
        watermark: watermark(table, &found),
        unmapped_columns: load::unmapped(&found.columns, table.mapping.source_columns(table.subject.entity)),
    };
    let ahead = (found.ahead > 0).then(|| {
        format!("{} rows have a `{}` in the future: the next load takes them again", found.ahead, table.row.watermark)
    });
    Ok(Extract::Rows(Box::new(rows), ahead.into_iter().collect()))
}

fn folder(context: &Context) -> Result<PathBuf> {
    if let Some(folder) = &context.environment.emr_dir {
        return Ok(folder.clone());
    }
    let bad = |reason: &str| StageError::BadConfig(format!("configs/sources.toml: {reason}"));
    let folder = context.settings.sources.emr.folder.as_deref().ok_or_else(|| bad("[emr] names no folder"))?;
    if Path::new(folder).is_absolute() {
        return Ok(PathBuf::from(folder));
    }
    context.lake.local_path(folder).ok_or_else(|| bad("[emr] folder must be absolute where the lake is no folder"))
}

async fn source(path: &Path, name: &str) -> Result<Source> {
    let metadata = tokio::fs::metadata(path).await.map_err(|error| match error.kind() {
        // No number of tries brings a file that was not delivered.
        ErrorKind::NotFound => StageError::BrokenContract(format!("extract file `{name}`: there is none")),
        kind => StageError::SourceUnavailable(format!("extract file `{name}`: {kind}")),
    })?;
    let modified = metadata.modified().ok().map(DateTime::<Utc>::from);
    Ok(Source { name: name.to_owned(), size: Some(metadata.len()), last_modified: modified })
}

fn wanted(context: &Context, table: &Table<'_>) -> Result<Wanted> {
    let mut columns: Vec<String> = table.mapping.source_columns(table.subject.entity).map(str::to_owned).collect();
    if table.row.loadtype == LoadType::Full {
        return Ok(Wanted { columns, newer: None });
    }
    columns.push(table.row.watermark.clone());
    let overlap = TimeDelta::days(context.settings.sources.emr.overlap_days(table.subject.stream).into());
    let newer = Newer {
        column: table.row.watermark.clone(),
        after: last_watermark(table).map(|watermark| watermark - overlap),
        until: table.subject.started_at + CLOCK_SKEW,
        moments: Moments::of(table.mapping)?,
    };
    Ok(Wanted { columns, newer: Some(newer) })
}

/// Where the last load ended; nowhere if it followed another column.
fn last_watermark(table: &Table<'_>) -> Option<DateTime<Utc>> {
    let watermark = table.last?.watermark.as_ref()?;
    if watermark.column == table.row.watermark { watermark.to } else { None }
}

fn watermark(table: &Table<'_>, found: &Found) -> Option<Watermark> {
    if table.row.loadtype == LoadType::Full {
        return None;
    }
    let from = last_watermark(table);
    Some(Watermark { column: table.row.watermark.clone(), from, to: found.high.max(from), overlap_hash: None })
}
