//! The last step of a run: its stage reports, left as objects, become rows of the audit tables.
//!
//! One commit per table, so that dozens of functions never race on one log. A run that found
//! nothing new anywhere commits nothing here either; that it ran is kept in `audit/last_run.json`.

mod rows;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use object_store::ObjectMeta;
use polars::prelude::*;
use rcm_model::event::{Outcome, StageInput, StageReport, TableCommit};
use rcm_platform::stage::REPORTS;
use rcm_platform::telemetry::metrics;
use rcm_platform::{Context, StageError, lake};
use rcm_tables::delta::{self, COMMIT_TRIES, Change, Table};
use rcm_tables::frames::blocking;
use serde_json::json;
use tracing::{Instrument, info, info_span, warn};

/// The stage, and what it is about.
const AUDIT: &str = "audit";
/// Hours after the last report of a run that never came to its last step, from which on another run
/// folds them.
const ABANDONED_AFTER_HOURS: i64 = 24;

/// Folds the reports of the input's run, and of runs that were abandoned, into `audit/load_logs`,
/// `audit/quality_metrics` and `audit/control_checks`. A report that cannot be read is noted and left where
/// it is, and so are those of an abandoned run that cannot be folded: they keep no others back.
///
/// # Errors
/// The store fails, or the reports of the input's run cannot be folded.
pub async fn handle(context: Context, input: StageInput) -> Result<StageReport, StageError> {
    let span = info_span!("stage", stage = AUDIT, run_id = input.run_id, subject = AUDIT);
    async {
        let folded = fold_reports(&context, input).await;
        match &folded {
            Ok(report) => info!(commits = report.commits.len(), "reports folded"),
            Err(error) => warn!(error = error.name(), message = %error, "stage failed"),
        }
        folded
    }
    .instrument(span)
    .await
}

/// What folding came to.
#[derive(Default)]
struct Folded {
    commits: Vec<TableCommit>,
    notes: Vec<String>,
}

async fn fold_reports(context: &Context, input: StageInput) -> Result<StageReport, StageError> {
    let started_at = context.now();
    let mut runs = by_run(context.lake.list(REPORTS).await?);
    let own = runs.remove(&input.run_id);
    let mut folded = Folded::default();
    for (run_id, listed) in runs.into_iter().filter(|(_, listed)| is_abandoned(listed, started_at)) {
        if let Err(error) = fold(context, &run_id, listed, &mut folded).await {
            warn!(abandoned = run_id, error = error.name(), message = %error, "reports cannot be folded");
            folded.notes.push(format!("the reports of the abandoned run `{run_id}` cannot be folded: {error}"));
        }
    }
    // Its own come last, so that `audit/last_run.json` is of this run.
    if let Some(listed) = own {
        fold(context, &input.run_id, listed, &mut folded).await?;
    }
    let Folded { commits, notes } = folded;
    let outcome = if commits.is_empty() { Outcome::NothingNew } else { Outcome::Done };
    let times = (started_at, context.now());
    let report = StageReport { outcome, commits, notes, ..StageReport::new(&input.run_id, AUDIT, AUDIT, times) };
    metrics::tell(&context.environment, &report);
    Ok(report)
}

/// The reports by the run whose folder they are in.
fn by_run(listed: Vec<ObjectMeta>) -> BTreeMap<String, Vec<ObjectMeta>> {
    let mut runs: BTreeMap<String, Vec<ObjectMeta>> = BTreeMap::new();
    for meta in listed {
        let below = meta.location.as_ref().strip_prefix(REPORTS).unwrap_or_default().trim_start_matches('/');
        let run_id = below.rsplit_once('/').map_or("", |(run_id, _)| run_id).to_owned();
        runs.entry(run_id).or_default().push(meta);
    }
    runs
}

/// Whether a run left its last report long ago. Its identifier may be anything, so that it tells no time.
fn is_abandoned(listed: &[ObjectMeta], now: DateTime<Utc>) -> bool {
    let newest = listed.iter().map(|meta| meta.last_modified).max();
    newest.is_some_and(|newest| now - newest > TimeDelta::hours(ABANDONED_AFTER_HOURS))
}

async fn fold(context: &Context, run_id: &str, listed: Vec<ObjectMeta>, folded: &mut Folded) -> Result<(), StageError> {
    let Found { mut reports, keys, unreadable } = read(context, listed).await?;
    let unread = unreadable.len();
    folded.notes.extend(unreadable);
    if reports.is_empty() {
        return Ok(());
    }
    reports.sort_by(|a, b| (a.started_at, &a.stage, &a.subject).cmp(&(b.started_at, &b.stage, &b.subject)));
    if reports.iter().any(says_something) {
        for (table, rows) in rows::of(&reports)? {
            folded.commits.extend(append(context, &lake::audit(table), run_id, &rows).await?);
        }
    }
    // Of the tries of a stage the last one says how it ended. One that cannot be read did not end well.
    let stages: BTreeMap<_, _> = reports.iter().map(|report| ((&report.stage, &report.subject), report)).collect();
    let failed = stages.values().filter(|report| report.error.is_some()).count() + unread;
    let stages = stages.len() + unread;
    let summary = json!({"run_id": run_id, "finished_at": context.now(), "stages": stages, "failed": failed});
    context.lake.put("audit/last_run.json", summary.to_string()).await?;
    for key in keys {
        context.lake.delete(&key).await?;
    }
    Ok(())
}

/// What was found of a run.
#[derive(Default)]
struct Found {
    reports: Vec<StageReport>,
    /// Keys of those.
    keys: Vec<String>,
    /// What is to be said of those that cannot be read. They are left where they are, until maintenance
    /// finds them old.
    unreadable: Vec<String>,
}

async fn read(context: &Context, listed: Vec<ObjectMeta>) -> Result<Found, StageError> {
    let mut read = Found::default();
    for meta in listed {
        let key = String::from(meta.location);
        // One that is gone was folded by another run: it goes when all tables have it.
        let Some(bytes) = context.lake.get_if_exists(&key).await? else { continue };
        match serde_json::from_slice(&bytes) {
            Ok(report) => {
                read.reports.push(report);
                read.keys.push(key);
            }
            Err(error) => {
                warn!(key, message = %error, "a report cannot be read");
                read.unreadable.push(format!("`{key}` cannot be read, and is left where it is: {error}"));
            }
        }
    }
    Ok(read)
}

fn says_something(report: &StageReport) -> bool {
    report.error.is_some() || !report.loads.is_empty() || !report.commits.is_empty() || !report.checks.is_empty()
}

/// Adds the rows of a run that a table does not have yet.
///
/// The version of the run's transaction counts its folds. Where there was one, the reports may be left
/// over from it, or be of a stage that ended later: the rows themselves tell.
async fn append(
    context: &Context,
    path: &str,
    run_id: &str,
    rows: &DataFrame,
) -> Result<Option<TableCommit>, StageError> {
    if rows.height() == 0 {
        return Ok(None);
    }
    for _ in 0..COMMIT_TRIES {
        let table = Table::open(&context.lake, path).await?;
        let folds = match &table {
            Some(table) => table.transaction(run_id).await?.unwrap_or(0),
            None => 0,
        };
        let new = match &table {
            Some(table) if folds > 0 => missing(table, run_id, rows).await?,
            _ => rows.clone(),
        };
        if new.height() == 0 {
            return Ok(None);
        }
        let change = Change {
            schema: new.schema(),
            partition_by: &[],
            properties: &[],
            add: vec![delta::write(context, path, &new, &[]).await?],
            remove: Vec::new(),
            transactions: vec![(run_id.to_owned(), folds + 1)],
            run_id,
        };
        match delta::commit(&context.lake, path, table.as_ref(), change).await {
            Err(StageError::CommitConflict(_)) => {}
            Err(error) => return Err(error),
            Ok(committed) => {
                let rows = new.height() as u64;
                return Ok(Some(TableCommit { table: path.to_owned(), version: committed.version, rows }));
            }
        }
    }
    Err(StageError::CommitConflict(format!("table `{path}` was committed to {COMMIT_TRIES} times by other runs")))
}

/// The rows that a table does not have, in every column the same.
async fn missing(table: &Table, run_id: &str, rows: &DataFrame) -> Result<DataFrame, StageError> {
    let of_run = table.scan(table.files()).await?.filter(col("run_id").eq(lit(run_id)));
    let columns: Vec<Expr> = rows.get_column_names().into_iter().map(|name| col(name.clone())).collect();
    let without = JoinArgs { nulls_equal: true, ..JoinArgs::new(JoinType::Anti) };
    let missing = rows.clone().lazy().join(of_run, columns.clone(), columns, without);
    blocking(move || Ok(missing.collect()?)).await
}
