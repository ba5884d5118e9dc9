//! What the lake holds, read from its logs.

use chrono::{DateTime, Utc};
use polars::prelude::*;
use rcm_model::event::ControlCheck;
use rcm_platform::bronze::LoadLog;
use rcm_platform::{Context, Lake, StageError, lake};
use rcm_tables::delta::{DataFile, Table};
use rcm_tables::frames::blocking;
use rcm_tables::standstill;

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
        failed_checks: failed_checks(lake).await?,
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
        let watermark = loads.last().and_then(|load| load.watermark.as_ref()?.to);
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

/// The checks of the last run that wrote any, where they failed.
async fn failed_checks(lake: &Lake) -> Result<Vec<ControlCheck>, StageError> {
    let Some(table) = Table::open(lake, &lake::audit("control_checks")).await? else { return Ok(Vec::new()) };
    let checks = table.scan(table.files()).await?;
    let rows = blocking(move || {
        let last_run = col("checked_at").eq(col("checked_at").max());
        Ok(checks
            .filter(col("run_id").eq(col("run_id").filter(last_run).first()))
            .filter(col("passed").not())
            .collect()?)
    });
    let rows = rows.await?;
    let text = |name: &str| -> Result<StringChunked, StageError> { Ok(rows.column(name)?.str()?.clone()) };
    let (table, check, expected, actual) = (text("table")?, text("check")?, text("expected")?, text("actual")?);
    let of = |column: &StringChunked, row: usize| column.get(row).unwrap_or_default().to_owned();
    let failed = (0..rows.height()).map(|row| ControlCheck {
        table: of(&table, row),
        check: of(&check, row),
        expected: of(&expected, row),
        actual: of(&actual, row),
        passed: false,
    });
    Ok(failed.collect())
}
