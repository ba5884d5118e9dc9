//! Extract files: `<folder>/<datasource>/<table>.csv`, each the whole table.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use object_store::path::Path as Key;
use rcm_model::load_config::LoadType;

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
    let stream = table.subject.stream;
    let (load_id, data_key) = load::new_file(context, stream);
    let found = csv_stream::to_parquet(&csv, wanted(context, table)?, &context.lake, &data_key).await?;
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
        watermark: watermark(table, &found),
        unmapped_columns: load::unmapped(&found.columns, table.mapping.source_columns(table.subject.entity)),
    };
    let ahead = (found.ahead > 0).then(|| {
        format!("{} rows have a `{}` in the future: the next load takes them again", found.ahead, table.row.watermark)
    });
    Ok(Extract::Rows(Box::new(rows), ahead.into_iter().collect()))
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
