//! The last step of a run: its stage reports, left as objects, become rows of the audit tables.
//!
//! One commit per table, so that dozens of functions never race on one log. A run that found
//! nothing new anywhere commits nothing here either; that it ran is kept in `audit/last_run.json`.

mod rows;
#[cfg(test)]
mod tests;

use chrono::{DateTime, TimeDelta, Utc};
use polars::prelude::{DataFrame, Schema};
use rcm_domain::event::{Outcome, StageInput, StageReport, TableCommit};
use rcm_platform::delta::{self, COMMIT_TRIES, Change, Table};
use rcm_platform::stage::REPORTS;
use rcm_platform::telemetry::metrics;
use rcm_platform::{Context, StageError, lake};
use serde_json::json;
use tracing::info;
use uuid::Uuid;

/// Hours after which the reports of a run that never came to its last step are folded by another.
const ABANDONED_AFTER_HOURS: i64 = 24;

/// Folds the reports of the input's run, and of runs that were abandoned, into `audit/load_logs`,
/// `audit/quality_metrics` and `audit/control_checks`.
///
/// # Errors
/// The store fails, or a report cannot be read.
pub async fn handle(context: Context, input: StageInput) -> Result<StageReport, StageError> {
    let started_at = context.now();
    let mut commits = Vec::new();
    for run_id in context.lake.folders(REPORTS).await? {
        if run_id == input.run_id || is_abandoned(&run_id, started_at) {
            commits.extend(fold(&context, &run_id).await?);
        }
    }
    let outcome = if commits.is_empty() { Outcome::NothingNew } else { Outcome::Done };
    info!(commits = commits.len(), "reports folded");
    let report = StageReport {
        run_id: input.run_id,
        stage: "audit".to_owned(),
        subject: "audit".to_owned(),
        outcome,
        started_at,
        finished_at: context.now(),
        loads: Vec::new(),
        commits,
        rules: Vec::new(),
        checks: Vec::new(),
        figures: Vec::new(),
        notes: Vec::new(),
        error: None,
    };
    metrics::tell(&context.environment, &report);
    Ok(report)
}

/// Whether a run started long ago: its identifier says when.
fn is_abandoned(run_id: &str, now: DateTime<Utc>) -> bool {
    let started = Uuid::parse_str(run_id).ok().and_then(|id| id.get_timestamp());
    let started = started.and_then(|time| {
        let (seconds, nanoseconds) = time.to_unix();
        DateTime::from_timestamp(seconds.try_into().ok()?, nanoseconds)
    });
    started.is_none_or(|started| now - started > TimeDelta::hours(ABANDONED_AFTER_HOURS))
}

async fn fold(context: &Context, run_id: &str) -> Result<Vec<TableCommit>, StageError> {
    let folder = format!("{REPORTS}/{run_id}");
    let listed = context.lake.list(&folder).await?;
    let mut reports = Vec::with_capacity(listed.len());
    for meta in &listed {
        let bytes = context.lake.get(meta.location.as_ref()).await?;
        let report: StageReport = serde_json::from_slice(&bytes)
            .map_err(|error| StageError::CorruptLake(format!("`{}`: {error}", meta.location)))?;
        reports.push(report);
    }
    reports.sort_by(|a, b| (a.started_at, &a.stage, &a.subject).cmp(&(b.started_at, &b.stage, &b.subject)));
    let mut commits = Vec::new();
    if reports.iter().any(says_something) {
        for (table, rows) in rows::of(&reports)? {
            commits.extend(append(context, &lake::audit(table), run_id, &rows).await?);
        }
    }
    let failed = reports.iter().filter(|report| report.error.is_some()).count();
    let summary = json!({"run_id": run_id, "finished_at": context.now(), "stages": reports.len(), "failed": failed});
    context.lake.put("audit/last_run.json", summary.to_string()).await?;
    for meta in listed {
        context.lake.delete(meta.location.as_ref()).await?;
    }
    Ok(commits)
}

fn says_something(report: &StageReport) -> bool {
    report.error.is_some() || !report.loads.is_empty() || !report.commits.is_empty() || !report.checks.is_empty()
}

/// Adds a run's rows to a table, once.
async fn append(
    context: &Context,
    path: &str,
    run_id: &str,
    rows: &DataFrame,
) -> Result<Option<TableCommit>, StageError> {
    if rows.height() == 0 {
        return Ok(None);
    }
    let mut file = None;
    for _ in 0..COMMIT_TRIES {
        let table = Table::open(&context.lake, path).await?;
        if let Some(table) = &table
            && table.transaction(run_id).await?.is_some()
        {
            return Ok(None);
        }
        let written = match file.take() {
            Some(written) => written,
            None => delta::write(context, path, rows, &[]).await?,
        };
        let schema: Schema = rows.schema().as_ref().clone();
        let change = Change {
            schema: &schema,
            partition_by: &[],
            properties: &[],
            add: vec![written.clone()],
            remove: Vec::new(),
            transactions: vec![(run_id.to_owned(), 1)],
            run_id,
        };
        match delta::commit(&context.lake, path, table.as_ref(), change).await {
            Err(StageError::CommitConflict(_)) => file = Some(written),
            Err(error) => return Err(error),
            Ok(committed) => {
                let rows = rows.height() as u64;
                return Ok(Some(TableCommit { table: path.to_owned(), version: committed.version, rows }));
            }
        }
    }
    Err(StageError::CommitConflict(format!("table `{path}` was committed to {COMMIT_TRIES} times by other runs")))
}
