//! What is the same around every stage: the span, the report object, the error's name.

use chrono::{DateTime, Utc};
use futures::Future;
use rcm_model::event::{
    ControlCheck, ErrorContext, LoadCounts, LoadProfile, Metric, Outcome, ReplayCount, RuleCount, SharedOut,
    StageFailure, StageReport, TableCommit,
};
use tracing::{Instrument, info, info_span, warn};
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

use crate::context::Context;
use crate::error::{Result, StageError};
use crate::telemetry::metrics;

/// Where the reports of a run wait to be folded into the audit tables.
pub const REPORTS: &str = "audit/_reports";

/// What a stage found and did.
#[derive(Debug, Default)]
pub struct Work {
    pub outcome: Option<Outcome>,
    pub loads: Vec<LoadCounts>,
    pub commits: Vec<TableCommit>,
    pub rules: Vec<RuleCount>,
    pub profiles: Vec<LoadProfile>,
    pub checks: Vec<ControlCheck>,
    pub metrics: Vec<Metric>,
    pub notes: Vec<String>,
    /// How a silver step goes on that was shared out.
    pub shared_out: Option<SharedOut>,
    /// Rows in quarantine that were assessed anew.
    pub replayed: Vec<ReplayCount>,
}

impl Work {
    /// Work that found everything done already.
    #[must_use]
    pub fn nothing_new() -> Self {
        Self { outcome: Some(Outcome::NothingNew), ..Self::default() }
    }

    /// Adds what was done and found beside it. A note that both have is one.
    pub fn add(&mut self, more: Self) {
        self.loads.extend(more.loads);
        self.commits.extend(more.commits);
        self.rules.extend(more.rules);
        self.profiles.extend(more.profiles);
        self.checks.extend(more.checks);
        self.metrics.extend(more.metrics);
        self.replayed.extend(more.replayed);
        self.shared_out = more.shared_out.or(self.shared_out.take());
        for note in more.notes {
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
    }
}

/// A stage that failed, and what it had found until then.
#[derive(Debug)]
pub struct Failure {
    pub error: StageError,
    pub work: Work,
}

impl<E: Into<StageError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { error: error.into(), work: Work::default() }
    }
}

/// Identifier of a new run, ordered by time.
#[must_use]
pub fn new_id(now: DateTime<Utc>) -> String {
    let seconds = now.timestamp().try_into().unwrap_or(0);
    Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, now.timestamp_subsec_nanos())).to_string()
}

/// Does the work of a stage and leaves its report in the lake, whether it ends well or not.
///
/// A second try of the same stage on the same subject in the same run leaves a report of its own: what
/// the first one loaded and committed stays reported.
///
/// # Errors
/// The work's own error, whether its report can be written or not; else that the report cannot be written,
/// though the store has tried again by itself what may pass.
pub async fn report<F>(context: &Context, stage: &str, run_id: &str, subject: &str, work: F) -> Result<StageReport>
where
    F: Future<Output = std::result::Result<Work, Failure>>,
{
    let started_at = context.now();
    let span = info_span!("stage", stage, run_id, subject);
    async {
        let (work, error) = match work.await {
            Ok(work) => (work, None),
            Err(Failure { error, work }) => (work, Some(error)),
        };
        let outcome = if error.is_some() { Outcome::Failed } else { work.outcome.unwrap_or(Outcome::Done) };
        let report = StageReport {
            run_id: run_id.to_owned(),
            stage: stage.to_owned(),
            subject: subject.to_owned(),
            outcome,
            started_at,
            finished_at: context.now(),
            loads: work.loads,
            commits: work.commits,
            rules: work.rules,
            profiles: work.profiles,
            checks: work.checks,
            metrics: work.metrics,
            notes: work.notes,
            standstills: Vec::new(),
            shared_out: work.shared_out,
            replayed: work.replayed,
            error: error.as_ref().map(StageFailure::from),
        };
        metrics::emit(&context.environment, &report);
        if let Some(error) = error {
            let ErrorContext { table, load, row, object } = error.context();
            let (table, load, object) = (table.as_deref(), load.as_deref(), object.as_deref());
            let (name, causes) = (error.name(), error.causes());
            warn!(error = name, message = %error, table, load, row, object, causes, "stage failed");
            write(context, &report).await.ok();
            return Err(error);
        }
        let rows: u64 = report.loads.iter().map(|load| load.read).sum();
        info!(outcome = ?report.outcome, rows, commits = report.commits.len(), "stage done");
        write(context, &report).await?;
        Ok(report)
    }
    .instrument(span)
    .await
}

async fn write(context: &Context, report: &StageReport) -> Result<()> {
    let StageReport { run_id, stage, subject, finished_at, .. } = report;
    let key = format!("{REPORTS}/{run_id}/{stage}--{}--{}.json", file_name(subject), new_id(*finished_at));
    let json = serde_json::to_vec(report).map_err(|error| StageError::corrupt_lake(error.to_string()))?;
    let written = context.lake.put(&key, json).await;
    if let Err(error) = &written {
        warn!(error = error.name(), message = %error, "the stage's report is not written");
    }
    written
}

/// A name for a subject that any store takes. Where letters are lost the subject's hash makes
/// the name unique.
fn file_name(subject: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let name: String = subject.chars().take(100).map(|c| if is_plain(c) { c } else { '.' }).collect();
    if subject.chars().count() <= 100 && subject.chars().all(|c| is_plain(c) || c == '/') {
        return name;
    }
    format!("{name}.{:016x}", xxh3_64(subject.as_bytes()))
}

#[cfg(test)]
mod tests {
    use tracing::instrument::WithSubscriber;

    use super::*;
    use crate::testing::{Captured, TestLake};

    /// What a stage returns whose report cannot be written: a file is where its folder would be.
    async fn unreported(work: std::result::Result<Work, Failure>) -> Result<StageReport> {
        let lake = TestLake::new();
        lake.write("audit", "");
        report(&lake.context().await, "made-up", "run-1", "hosa/patients", async { work }).await
    }

    #[tokio::test]
    async fn a_stage_that_failed_says_why_even_if_its_report_cannot_be_written() {
        let error = StageError::threshold_exceeded("too few".to_owned());
        assert_eq!(unreported(Err(error.clone().into())).await.unwrap_err(), error);
    }

    #[tokio::test]
    async fn a_report_says_what_the_stage_that_failed_was_working_on() {
        let lake = TestLake::new();
        let error = StageError::storage("the disk is gone").in_table("silver/patients").of_load("hosa/patients", 3);
        let work = async { Err(Failure::from(error)) };
        report(&lake.context().await, "made-up", "run-1", "hosa/patients", work).await.unwrap_err();
        let text = lake.read(&lake.files("audit/_reports/run-1")[0]);
        let written: StageReport = serde_json::from_str(&text).unwrap();
        let context = written.error.unwrap().context;
        assert_eq!(context.table.as_deref(), Some("silver/patients"));
        assert_eq!((context.load.as_deref(), context.row, context.object), (Some("hosa/patients 3"), None, None));
        assert!(!text.contains("\"row\"") && !text.contains("\"object\""), "{text}");
    }

    #[test]
    fn a_failure_of_a_report_of_version_0_1_is_read_without_what_it_does_not_say() {
        let failure: StageFailure = serde_json::from_str(r#"{"name":"Storage","message":"storage: x"}"#).unwrap();
        assert_eq!(failure.context, ErrorContext::default());
    }

    #[tokio::test]
    async fn the_log_of_a_stage_that_failed_says_its_causes_and_what_it_was_working_on() {
        let captured = Captured::default();
        let subscriber = tracing_subscriber::fmt().json().with_writer(captured.clone()).finish();
        let error =
            StageError::storage("writing failed").of_object("bronze/a").caused_by(std::io::Error::other("full"));
        let context = TestLake::new().context().await;
        let work = async { Err(Failure::from(error)) };
        let reported = report(&context, "made-up", "run-1", "a", work).with_subscriber(subscriber);
        reported.await.unwrap_err();
        let line = captured.text();
        assert!(line.contains(r#""object":"bronze/a","causes":"full""#), "{line}");
        assert!(!line.contains(r#""table""#), "{line}");
    }

    #[tokio::test]
    async fn a_stage_that_cannot_leave_its_report_has_failed_and_is_not_tried_again() {
        assert_eq!(unreported(Ok(Work::default())).await.unwrap_err().name(), "BadConfig");
    }
}
