//! The KPIs of a date → the report that people look at: `report/<as_of>/index.html`, and `report/latest/`.
//!
//! [`handle`] says whether it is due; [`rcm_domain::report`] has the figures and sentences, `templates/` the page,
//! `charts.rs` the marks, `workbook.rs` the spreadsheet beside it.

pub mod charts;
mod gold;
mod page;
mod run_facts;
#[cfg(test)]
mod tests;
mod workbook;

use chrono::NaiveDate;
use rcm_domain::report::facts::{Facts, Frames};
use rcm_domain::report::{About, Report, RunFacts};
use rcm_model::event::{Outcome, StageInput, StageReport};
use rcm_model::report_config::ReportConfig;
use rcm_platform::Context;
use rcm_platform::error::StageError;
use rcm_platform::stage::{self, Failure, Work};
use rcm_tables::frames::blocking;
use rcm_tables::gold::SUBJECT;
use serde::{Deserialize, Serialize};
use tracing::info;

/// Folder of the reports.
pub const FOLDER: &str = "report";
/// Folder of the last one.
pub const LATEST: &str = "report/latest";
pub const PAGE: &str = "index.html";
pub const WORKBOOK: &str = "figures.xlsx";
const RECORD: &str = "made-from.json";
/// Key of the configuration.
pub const CONFIG: &str = "configs/report.toml";
/// Raised when the same gold gives another page.
const REVISION: u32 = 2;

/// What a report was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    as_of: NaiveDate,
    /// Hash of the tables, the configuration and the product that it was made with.
    made_from: String,
}

/// The files of a report.
#[derive(Debug)]
pub struct Files {
    pub page: String,
    pub workbook: Vec<u8>,
}

/// Makes the report of the input's date, or of today, where gold or its configuration have changed.
///
/// # Errors
/// `BadConfig` if `configs/report.toml` cannot be read. A table cannot be read, or the store fails.
pub async fn handle(context: Context, input: StageInput) -> Result<StageReport, StageError> {
    let as_of = input.as_of.map_or_else(|| context.today(), Ok)?;
    stage::report(&context, "gold-report", &input.run_id, SUBJECT, make(&context, &input.run_id, as_of)).await
}

/// Checks `configs/report.toml`.
///
/// # Errors
/// `BadConfig` if it cannot be read.
pub async fn check_config(context: &Context) -> Result<(), StageError> {
    config(&config_text(context).await?).map(|_| ())
}

fn config(text: &str) -> Result<ReportConfig, StageError> {
    ReportConfig::parse(text).map_err(|error| StageError::bad_config(format!("{CONFIG}: {error}")))
}

/// The date of the KPIs that gold has; none where it has none.
///
/// # Errors
/// A table cannot be read.
pub async fn last_date(context: &Context) -> Result<Option<NaiveDate>, StageError> {
    gold::Gold::open(context).await?.last_date().await
}

/// Whether the report of a date would be made: gold, its configuration or the product have changed since it was.
///
/// # Errors
/// A table cannot be read.
pub async fn is_due(context: &Context, as_of: NaiveDate) -> Result<bool, StageError> {
    let config_text = config_text(context).await?;
    let gold = gold::Gold::open(context).await?;
    let record = Record { as_of, made_from: made_from(&gold, as_of, &config_text) };
    Ok(!is_made(context, &record, &format!("{FOLDER}/{as_of}")).await?)
}

/// Hash of the tables, the configuration and the product.
fn made_from(gold: &gold::Gold, as_of: NaiveDate, config_text: &str) -> String {
    gold.fingerprint(&format!("{REVISION} {} {as_of} {config_text}", env!("CARGO_PKG_VERSION")))
}

/// The figures and sentences of the report of a date, without a page of them. `run_id` is the run whose control checks are
/// told.
///
/// # Errors
/// `BadConfig` if `configs/report.toml` cannot be read. A table cannot be read.
pub async fn report(context: &Context, run_id: &str, as_of: NaiveDate) -> Result<Report, StageError> {
    let config_text = config_text(context).await?;
    let gold = gold::Gold::open(context).await?;
    let run = run_facts::of_run(context, run_id).await?;
    report_of(context, &gold, as_of, run, &config_text).await
}

async fn make(context: &Context, run_id: &str, as_of: NaiveDate) -> Result<Work, Failure> {
    let config_text = config_text(context).await?;
    let gold = gold::Gold::open(context).await?;
    let record = Record { as_of, made_from: made_from(&gold, as_of, &config_text) };
    let folder = format!("{FOLDER}/{as_of}");
    if is_made(context, &record, &folder).await? {
        return Ok(Work { outcome: Some(Outcome::NothingNew), ..Work::default() });
    }
    let run = run_facts::of_run(context, run_id).await?;
    let report = report_of(context, &gold, as_of, run, &config_text).await?;
    let Files { page, workbook } = blocking(move || files(&report)).await?;
    let bytes = page.len();
    let json = serde_json::to_vec(&record).map_err(|_| StageError::internal("a record cannot be written as JSON"))?;
    for folder in [folder.as_str(), LATEST] {
        context.lake.put(&format!("{folder}/{PAGE}"), page.clone()).await?;
        context.lake.put(&format!("{folder}/{WORKBOOK}"), workbook.clone()).await?;
        // Last: what is not whole is made anew.
        context.lake.put(&format!("{folder}/{RECORD}"), json.clone()).await?;
    }
    info!(%as_of, bytes, "report made");
    Ok(Work { notes: vec![format!("the report of {as_of} is {folder}/{PAGE}")], ..Work::default() })
}

/// Whether the report of the record is in its folder and is the latest.
async fn is_made(context: &Context, record: &Record, folder: &str) -> Result<bool, StageError> {
    for folder in [folder, LATEST] {
        let Some(bytes) = context.lake.get_if_exists(&format!("{folder}/{RECORD}")).await? else { return Ok(false) };
        if serde_json::from_slice::<Record>(&bytes).ok().as_ref() != Some(record) {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn config_text(context: &Context) -> Result<String, StageError> {
    let Some(bytes) = context.lake.get_if_exists(CONFIG).await? else { return Ok(String::new()) };
    String::from_utf8(bytes.to_vec()).map_err(|_| StageError::bad_config(format!("`{CONFIG}` is not UTF-8")))
}

async fn report_of(
    context: &Context,
    gold: &gold::Gold,
    as_of: NaiveDate,
    run: RunFacts,
    config_text: &str,
) -> Result<Report, StageError> {
    let config = config(config_text)?;
    let frames: Frames = gold.frames(as_of).await?;
    let made_at = context.now();
    blocking(move || {
        let facts = Facts::read(&frames, |word| config.payer(word))?;
        Ok(Report::of(&facts, About { config: &config, as_of, made_at, run: &run }))
    })
    .await
}

fn files(report: &Report) -> Result<Files, StageError> {
    let page = page::page(report).map_err(|error| StageError::internal(format!("the page: {error}")))?;
    let workbook =
        workbook::workbook(report).map_err(|error| StageError::internal(format!("the workbook: {error}")))?;
    Ok(Files { page, workbook })
}
