//! `rcm sql`: a query of the lake.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use chrono::NaiveDate;
use polars::prelude::*;
use rcm_platform::{Context, StageError};

use super::CommandOutput;
use super::reason::{Reason, ValuesArguments};
use crate::readings::{Reading, record_reading};
use crate::sql::{self, Question};
use crate::{output, print};

/// Rows that are printed where nothing else is said.
const ROWS_SHOWN: usize = 100;

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    Table,
    Csv,
    Json,
    /// Only with `--out`.
    Parquet,
}

#[derive(Debug, clap::Args)]
pub(super) struct SqlArguments {
    /// Query, such as `select payor_id, sum(claim_amount) from gold.fact_claims group by payor_id`.
    query: String,
    /// Date whose versions `silver.<entity>_current` has, and whose rows tables `gold.kpi_…` have. Other tables cannot be
    /// asked then.
    #[arg(long)]
    as_of: Option<NaiveDate>,
    /// How rows are written. JSON has `columns`, `rows` and `is_cut`.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Print one JSON document and nothing else: `--format json`.
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// File that all rows are written to; only its owner may read it.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Rows that are shown; 100 where they are printed as a table or JSON, all where they are CSV or go to a file.
    #[arg(long)]
    limit: Option<usize>,
    #[command(flatten)]
    values: ValuesArguments,
    /// Folder or URL (`file:///…`, `s3://bucket/prefix`) of the lake.
    #[arg(long, env = "LAKE_URL")]
    pub(super) lake: String,
}

/// Asks a query and shows its rows.
///
/// # Errors
/// The query cannot be read or run, or the file cannot be written.
pub(super) async fn sql(context: &Context, arguments: SqlArguments) -> Result<CommandOutput, StageError> {
    let SqlArguments { query, as_of, format, json, out, limit, values, lake: _ } = arguments;
    let format = if json { Format::Json } else { format };
    if format == Format::Parquet && out.is_none() {
        return Err(StageError::bad_config(
            "Parquet is not printed; hint: name a file, `--out FILE.parquet`".to_owned(),
        ));
    }
    let reason = values.check()?;
    let question = Question { sql: &query, as_of, with_values: reason.is_some() };
    let planned = sql::plan(context, &question).await?;
    if let Some(Reason { who, why }) = &reason {
        let what = &planned.statement.recorded;
        record_reading(context, &Reading { who, why, command: "sql", what }).await?;
    }
    let limit = limit.or((out.is_none() && format != Format::Csv).then_some(ROWS_SHOWN));
    let answered = planned.answer(limit).await?;
    let text = match out {
        Some(path) => to_file(answered.rows, format, &path)?,
        None => match format {
            Format::Csv => String::from_utf8_lossy(&output::csv(&answered.rows)?).into_owned(),
            Format::Json => output::json(&answered.rows, answered.is_cut)?,
            Format::Table | Format::Parquet => print::rows(&answered.rows, answered.is_cut)?,
        },
    };
    Ok(CommandOutput { text, exit: ExitCode::SUCCESS })
}

/// Writes rows to a file and says so.
fn to_file(mut rows: DataFrame, format: Format, path: &Path) -> Result<String, StageError> {
    let bytes = match format {
        Format::Table => print::rows(&rows, false)?.into_bytes(),
        Format::Csv => output::csv(&rows)?,
        Format::Json => output::json(&rows, false)?.into_bytes(),
        Format::Parquet => output::parquet(&mut rows)?,
    };
    output::write_private(path, &bytes)?;
    Ok(format!("{} rows in {}\n", rows.height(), path.display()))
}
