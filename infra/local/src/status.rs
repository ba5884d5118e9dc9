//! What the lake holds, read from its logs.

use chrono::{DateTime, Utc};
use polars::prelude::*;
use rcm_platform::bronze::LoadLog;
use rcm_platform::{Context, StageError};
use rcm_tables::delta::{DataFile, Table};
use rcm_tables::frames::blocking;
use rcm_tables::{audit, standstill};

use crate::print::{QuarantineStatus, Status, StreamStatus, TableStatus};

/// The state of a lake.
///
/// # Errors
/// A log cannot be read.
pub async fn read(context: &Context) -> Result<Status, StageError> {
    let lake = &context.lake;
    let mut status = Status {
        lake: lake.root().to_string(),
        now: context.now(),
        streams: streams(context).await?,
        tables: Vec::new(),
        quarantine: Vec::new(),
        failed_checks: audit::last_checks(lake).await?.into_iter().filter(|check| !check.passed).collect(),
        standstills: standstill::find(context).await?,
    };
    for layer in ["silver", "quarantine", "gold", "audit"] {
        for name in lake.folders(layer).await? {
            let path = format!("{layer}/{name}");
            let Some(table) = Table::open(lake, &path).await? else { continue };
            if layer == "quarantine" {
                let open = open_rows(&table).await?;
                status.quarantine.push(QuarantineStatus { entity: name, open });
                continue;
            }
            status.tables.push(table_status(path, &table));
        }
    }
    Ok(status)
}

async fn streams(context: &Context) -> Result<Vec<StreamStatus>, StageError> {
    let mut streams = Vec::new();
    for stream in context.settings.streams.iter().map(|stream| stream.name.clone()) {
        let loads = LoadLog::new(&context.lake, &stream).after(0).await?;
        let of_source = loads.iter().rfind(|load| !load.is_correction());
        let watermark = of_source.and_then(|load| load.watermark.as_ref()?.to);
        streams.push(StreamStatus {
            loads: loads.len() as u64,
            rows: loads.iter().map(|load| load.rows).sum(),
            last_load: loads.last().map(|load| load.finished_at),
            watermark: watermark.map(|to| to.format("%Y-%m-%d %H:%M:%S").to_string()),
            stream,
        });
    }
    streams.sort_by(|a, b| a.stream.cmp(&b.stream));
    Ok(streams)
}

fn table_status(path: String, table: &Table) -> TableStatus {
    let has_history = path.starts_with("silver/");
    // A current version is one without an end.
    let of_file = |file: &DataFile| file.nulls("effective_to").unwrap_or_else(|| file.rows());
    let current = || table.files().iter().map(of_file).sum();
    TableStatus {
        version: table.version(),
        rows: table.rows(),
        current_rows: has_history.then(current),
        changed_at: table.committed_at().and_then(DateTime::<Utc>::from_timestamp_millis),
        table: path,
    }
}

async fn open_rows(table: &Table) -> Result<u64, StageError> {
    let open = table.scan(table.files()).await?.filter(col("status").eq(lit("open"))).select([col("status")]);
    blocking(move || Ok(open.collect()?.height() as u64)).await
}
