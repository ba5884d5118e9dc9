//! Runs the pipeline once, in one process.

mod tries;

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, Utc};
use futures::StreamExt;
use rand::Rng;
use rcm_model::cdm::ICD_CODES;
use rcm_model::event::{Outcome, PlanInput, PullInput, StageFailure, StageInput, StageReport, StageTimes, WorkPlan};
use rcm_model::standstill::Standstill;
use rcm_platform::{Context, StageError, load};
use rcm_tables::{gold, standstill};
use serde::Serialize;
use serde_json::{Value, json};

use crate::functions;
use crate::pipeline::{PIPELINE, RETRY, Retry, SourceCall, Step};
use crate::print::Progress;

/// Options of a run.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Date of the KPIs; today by default.
    pub as_of: Option<NaiveDate>,
    /// Ingest full extracts, landed snapshots and walks even if they lost a larger share of their keys than
    /// configured.
    pub force: bool,
    pub retry: Retry,
}

impl Default for Options {
    fn default() -> Self {
        Self { as_of: None, force: false, retry: RETRY }
    }
}

/// Result of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    pub run_id: String,
    pub as_of: NaiveDate,
    /// The report of every stage that was called, including failed ones.
    pub stages: Vec<StageReport>,
    /// The stages that failed.
    pub failures: Vec<Failure>,
    /// Number of landed files that the work list had no room for; the next run loads them.
    pub files_left: usize,
    /// Everything in the lake that waits for a person at the end of the run, also from earlier runs.
    pub standstills: Vec<Standstill>,
}

/// The last stage, which finds standstills.
const AUDIT: &str = "audit";

/// A stage that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    pub stage: String,
    pub subject: String,
    #[serde(flatten)]
    pub error: StageFailure,
    pub started_at: DateTime<Utc>,
    pub finished_at: DateTime<Utc>,
}

/// A call of a function, before it is made.
struct Call {
    function: &'static str,
    subject: String,
    input: Value,
}

/// A call of a function, after its last try.
struct Called {
    call: Call,
    answer: Result<StageReport, StageError>,
    /// Whether any of its tries failed.
    has_failed: bool,
    /// From the start of the first try to the end of the last.
    times: StageTimes,
}

/// Runs the pipeline once.
///
/// # Errors
/// `plan` fails, so that there is no work list. Later failures are in [`Run::failures`].
pub async fn run(context: &Context, options: Options, progress: &Progress) -> Result<Run, StageError> {
    let input = PlanInput { run_id: None, as_of: options.as_of, force: options.force, ..PlanInput::default() };
    let work = plan::handle(context.clone(), input).await?;
    let mut run = Run {
        run_id: work.run_id.clone(),
        as_of: work.as_of,
        stages: Vec::new(),
        failures: Vec::new(),
        files_left: work.files_left,
        standstills: Vec::new(),
    };
    for step in PIPELINE {
        match step {
            Step::Plan => {}
            Step::Sources(sources) => {
                let calls = sources.iter().flat_map(|source| source_calls(*source, &work)).collect();
                run.call_all(context, calls, work.concurrency, options.retry, progress).await;
            }
            Step::Parallel(functions) => {
                let calls: Vec<Call> = functions.iter().map(|function| layer_call(function, &run)).collect();
                let at_once = calls.len();
                run.call_all(context, calls, at_once, options.retry, progress).await;
            }
            Step::Sequence(functions) => {
                for function in functions {
                    let failed = run.failures.len();
                    let call = layer_call(function, &run);
                    run.call_all(context, vec![call], 1, options.retry, progress).await;
                    if run.failures.len() > failed {
                        break;
                    }
                }
            }
        }
    }
    run.find_standstills(context).await;
    Ok(run)
}

fn source_calls(source: SourceCall, work: &WorkPlan) -> Vec<Call> {
    let (function, list) = match source {
        SourceCall::PerItem { function, list } => (function, list),
        SourceCall::Once { function } => {
            let input = PullInput { run_id: work.run_id.clone(), force: work.force };
            return vec![Call { function, subject: subject_of_layer(function), input: json!(input) }];
        }
    };
    let work = serde_json::to_value(work).unwrap_or_default();
    let items = work.get(list).and_then(Value::as_array).cloned().unwrap_or_default();
    items.into_iter().map(|input| Call { function, subject: subject_of(&input), input }).collect()
}

/// Returns the subject of an item of the work list: a bronze stream, or the key of a landed file.
fn subject_of(item: &Value) -> String {
    let text = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default();
    match text("key") {
        "" => text("stream").to_owned(),
        key => load::printable(key),
    }
}

fn layer_call(function: &'static str, run: &Run) -> Call {
    let input = StageInput { run_id: run.run_id.clone(), as_of: Some(run.as_of), ..StageInput::default() };
    Call { function, subject: subject_of_layer(function), input: json!(input) }
}

/// Returns the subject of a function that is called once, as in its report: `patients` for `silver-patients`.
fn subject_of_layer(function: &str) -> String {
    match function.split_once('-') {
        Some(("icd", "pull")) => ICD_CODES.name.to_owned(),
        Some((registry, "pull")) => registry.to_owned(),
        Some(("silver", entity)) => entity.replace('-', "_"),
        Some(("gold", _)) => gold::SUBJECT.to_owned(),
        _ => function.to_owned(),
    }
}

impl Called {
    /// Returns the report of the call; for a failed call, a report with the error.
    fn into_report(self, run_id: &str) -> StageReport {
        self.answer.unwrap_or_else(|error| StageReport {
            outcome: Outcome::Failed,
            error: Some(StageFailure::from(&error)),
            ..StageReport::new(run_id, self.call.function, &self.call.subject, self.times)
        })
    }
}

impl Run {
    /// Returns whether every stage succeeded.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failures.is_empty()
    }

    /// Returns whether no person has to act: every stage succeeded, and nothing in the lake waits.
    #[must_use]
    pub fn waits_for_nobody(&self) -> bool {
        self.is_complete() && self.standstills.is_empty()
    }

    /// Finds all standstills, unless `audit` found none. (The report of `audit` has only the first ones.)
    async fn find_standstills(&mut self, context: &Context) {
        let audited = self.stages.iter().rfind(|report| report.stage == AUDIT && report.error.is_none());
        if audited.is_some_and(|report| report.standstills.is_empty()) {
            return;
        }
        let started_at = context.now();
        match standstill::find(context).await {
            Ok(standstills) => self.standstills = standstills,
            Err(error) => {
                self.standstills = audited.map(|report| report.standstills.clone()).unwrap_or_default();
                let message = format!("the list of what waits for a person cannot be read: {error}");
                self.add(StageReport {
                    outcome: Outcome::Failed,
                    error: Some(StageFailure { message, ..StageFailure::from(&error) }),
                    ..StageReport::new(
                        &self.run_id,
                        AUDIT,
                        AUDIT,
                        StageTimes { started_at, finished_at: context.now() },
                    )
                });
            }
        }
    }

    /// Returns whether a stage was called and succeeded.
    #[must_use]
    pub fn ended_well(&self, stage: &str) -> bool {
        self.stages.iter().any(|report| report.stage == stage && report.error.is_none())
    }

    /// Adds the report of a stage, which may have failed.
    pub fn add(&mut self, report: StageReport) {
        if let Some(error) = &report.error {
            self.failures.push(Failure {
                stage: report.stage.clone(),
                subject: report.subject.clone(),
                error: error.clone(),
                started_at: report.started_at,
                finished_at: report.finished_at,
            });
        }
        self.stages.push(report);
    }

    /// Returns whether no stage found new data.
    #[must_use]
    pub fn found_nothing_new(&self) -> bool {
        self.stages.iter().all(|report| matches!(report.outcome, Outcome::NothingNew | Outcome::Skipped))
    }

    async fn call_all(
        &mut self,
        context: &Context,
        calls: Vec<Call>,
        at_once: usize,
        retry: Retry,
        progress: &Progress,
    ) {
        let calls = calls.into_iter().map(async |call| {
            let running = progress.start(call.function, &call.subject);
            let started_at = context.now();
            let (answer, tried_again) = call_with_retries(context, &call, retry).await;
            match &answer {
                Ok(report) => running.finish(report),
                Err(error) => running.fail(&StageFailure::from(error)),
            }
            let has_failed = tried_again || answer.is_err();
            Called { call, answer, has_failed, times: StageTimes { started_at, finished_at: context.now() } }
        });
        let called: Vec<Called> = futures::stream::iter(calls).buffered(at_once.max(1)).collect().await;
        let failed: BTreeSet<&str> =
            called.iter().filter(|called| called.has_failed).map(|called| called.call.function).collect();
        let tries = tries::failed(&context.lake, &self.run_id, &failed).await;
        for called in called {
            let mut report = called.into_report(&self.run_id);
            tries::add(&mut report, &tries);
            self.add(report);
        }
    }
}

/// Calls a function, with retries. Returns the result of the last try, and whether there was more than one.
async fn call_with_retries(context: &Context, call: &Call, retry: Retry) -> (Result<StageReport, StageError>, bool) {
    let mut attempt = 0;
    loop {
        match functions::call(call.function, context.clone(), call.input.clone()).await {
            Err(error) if error.is_retryable() && attempt < retry.max_attempts => {
                attempt += 1;
                let longest = retry.longest_pause(attempt);
                let pause = longest.mul_f64(rand::rng().random());
                tracing::warn!(function = call.function, error = error.name(), attempt, "trying again");
                tokio::time::sleep(pause).await;
            }
            ended => return (ended, attempt > 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use rcm_model::cdm;
    use rcm_model::event::ExtractInput;
    use rcm_platform::testing::TestLake;

    use super::*;
    use crate::functions::SILVER;

    #[test]
    fn a_pull_is_forced_if_the_run_is() {
        let work = WorkPlan {
            run_id: "run".to_owned(),
            as_of: NaiveDate::default(),
            force: true,
            concurrency: 1,
            extracts: Vec::new(),
            files: Vec::new(),
            files_left: 0,
        };
        let calls = source_calls(SourceCall::Once { function: "icd-pull" }, &work);
        assert_eq!(calls[0].input, json!({"run_id": "run", "force": true}));
    }

    #[test]
    fn a_silver_stage_is_about_its_entity() {
        let subjects = SILVER.map(subject_of_layer);
        assert!(subjects.iter().all(|subject| cdm::entity(subject).is_some()), "{subjects:?}");
    }

    /// Loads the departments of both hospitals, then maps a column of one of them that its load lacks.
    async fn departments_of_which_silver_refuses_some(lake: &TestLake) {
        for hospital in ["hos-a", "hos-b"] {
            lake.write(&format!("emr/{hospital}/departments.csv"), "DeptID,Name\nDEPT001,Cardiology\n");
        }
        let context = lake.context().await;
        for row in context.settings.load_config.iter().filter(|row| row.entity() == "departments") {
            let input = ExtractInput { run_id: "run".to_owned(), row: row.clone(), force: false };
            emr_extract::handle(context.clone(), input).await.unwrap();
        }
        lake.edit("configs/cdm/hos-b.toml", "name = \"Name\"", "name = \"Title\"");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_stage_that_failed_is_told_with_what_it_did() {
        let lake = TestLake::new();
        departments_of_which_silver_refuses_some(&lake).await;
        let context = lake.context().await;
        let as_of = context.now().date_naive();
        let mut run = Run {
            run_id: "run".to_owned(),
            as_of,
            stages: Vec::new(),
            failures: Vec::new(),
            files_left: 0,
            standstills: Vec::new(),
        };
        let calls = vec![layer_call("silver-departments", &run)];
        run.call_all(&context, calls, 1, RETRY, &Progress::new(true)).await;
        let report = &run.stages[0];
        let taken: Vec<_> = report.loads.iter().map(|load| (load.stream.as_str(), load.new)).collect();
        assert_eq!((report.outcome, report.commits.len(), taken), (Outcome::Failed, 1, vec![("hosa/departments", 1)]));
        let failures: Vec<&str> = run.failures.iter().map(|failure| failure.error.name.as_str()).collect();
        assert_eq!(failures, ["BrokenContract"]);
    }
}
