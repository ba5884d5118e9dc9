//! The last step of a run: its stage reports, left as objects, become rows of the audit tables.
//!
//! One commit per table, so that dozens of functions never race on one log. A run that found
//! nothing new anywhere commits nothing here either; that it ran is kept in `audit/last_run.json`.
//!
//! [`handle`] folds the reports; `rows.rs` says what a row of each table is, `drift.rs` which loads are unlike those
//! before them.

mod drift;
mod rows;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use object_store::ObjectMeta;
use polars::prelude::PlSmallStr;
use rcm_model::event::{Metric, Outcome, StageInput, StageReport, StageTimes, TableCommit};
use rcm_model::standstill::Standstill;
use rcm_platform::stage::REPORTS;
use rcm_platform::telemetry::metrics;
use rcm_platform::{Context, StageError, lake};
use rcm_tables::delta::{self, Append};
use rcm_tables::standstill;
use serde_json::json;
use tracing::{Instrument, info, info_span, warn};

use self::rows::AuditRows;

/// The stage, and what it is about.
const AUDIT: &str = "audit";
/// Hours after the last report of a run that never came to its last step, from which on another run
/// folds them.
const ABANDONED_AFTER_HOURS: i64 = 24;
/// Most standstills in the report, and most bytes of them: a state machine hands on 256 KiB.
const MOST_TOLD: usize = 100;
const MOST_TOLD_BYTES: usize = 100_000;

/// Folds the reports of the input's run, and of runs that were abandoned, into `audit/load_logs`,
/// `audit/quality_metrics` and `audit/control_checks`. A report that cannot be read is noted and left where
/// it is, and so are those of an abandoned run that cannot be folded: they keep no others back. The report also
/// has what waits for a person, the first hundred of it.
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

/// The result of folding.
#[derive(Default)]
struct Folded {
    commits: Vec<TableCommit>,
    notes: Vec<String>,
    /// Stages of the run that was folded last which failed in all their tries.
    failed: usize,
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
    folded.failed = 0;
    // Its own come last, so that `audit/last_run.json` is of this run.
    if let Some(listed) = own {
        fold(context, &input.run_id, listed, &mut folded).await?;
    }
    let Folded { commits, notes, failed } = folded;
    let outcome = if commits.is_empty() { Outcome::NothingNew } else { Outcome::Done };
    let times = StageTimes { started_at, finished_at: context.now() };
    let figure = Metric { name: metrics::STAGES_FAILED.to_owned(), entity: AUDIT.to_owned(), value: failed as f64 };
    let mut report = StageReport {
        outcome,
        commits,
        notes,
        standstills: standstill::find(context).await?,
        metrics: vec![figure],
        ..StageReport::new(&input.run_id, AUDIT, AUDIT, times)
    };
    // The metrics count all of them, the report has room for some.
    metrics::emit(&context.environment, &report);
    let left = report.standstills.split_off(fitting(&report.standstills)).len();
    if left > 0 {
        report.notes.push(format!("{left} more wait for a person: `rcm status` tells all of them"));
    }
    Ok(report)
}

/// Returns how many of the first ones have room in the report.
fn fitting(standstills: &[Standstill]) -> usize {
    let mut taken = 0;
    let fitting = standstills.iter().take(MOST_TOLD).take_while(|standstill| {
        taken += serde_json::to_vec(standstill).map_or(0, |json| json.len());
        taken <= MOST_TOLD_BYTES
    });
    fitting.count()
}

/// Groups the reports by the run whose folder they are in.
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
    let PendingReports { mut reports, keys, unreadable } = read(context, listed).await?;
    let unread = unreadable.len();
    folded.notes.extend(unreadable);
    if reports.is_empty() {
        return Ok(());
    }
    reports.sort_by(|a, b| (a.started_at, &a.stage, &a.subject).cmp(&(b.started_at, &b.stage, &b.subject)));
    if reports.iter().any(says_something) {
        for rows in rows::of(&reports)? {
            folded.commits.extend(append(context, run_id, &rows).await?);
        }
        folded.notes.extend(drift::notes(context, &reports).await?);
    }
    // Of the tries of a stage the last one says how it ended. One that cannot be read did not end well.
    let stages: BTreeMap<_, _> = reports.iter().map(|report| ((&report.stage, &report.subject), report)).collect();
    let failed = stages.values().filter(|report| report.error.is_some()).count() + unread;
    folded.failed = failed;
    let stages = stages.len() + unread;
    let summary = json!({"run_id": run_id, "finished_at": context.now(), "stages": stages, "failed": failed});
    context.lake.put("audit/last_run.json", summary.to_string()).await?;
    for key in keys {
        context.lake.delete(&key).await?;
    }
    Ok(())
}

/// The reports of a run.
#[derive(Default)]
struct PendingReports {
    reports: Vec<StageReport>,
    /// Keys of those.
    keys: Vec<String>,
    /// Notes of those that cannot be read. They stay until maintenance finds them old.
    unreadable: Vec<String>,
}

async fn read(context: &Context, listed: Vec<ObjectMeta>) -> Result<PendingReports, StageError> {
    let mut read = PendingReports::default();
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

/// Adds the rows of a run that a table does not have yet: reports may be left over from an earlier fold, or be of a
/// stage that ended later.
async fn append(context: &Context, run_id: &str, rows: &AuditRows) -> Result<Option<TableCommit>, StageError> {
    if rows.rows.height() == 0 {
        return Ok(None);
    }
    let AuditRows { table, moment, rows } = rows;
    let columns: Vec<&str> = rows.get_column_names().into_iter().map(PlSmallStr::as_str).collect();
    let append = Append { rows, same_in: &columns, moment: Some(moment), run_id };
    delta::append_missing(context, &lake::audit(table), append).await
}
