//! One full run: the state machine in one process.

mod tries;

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, Utc};
use futures::StreamExt;
use rand::Rng;
use rcm_model::cdm::ICD_CODES;
use rcm_model::event::{Outcome, PlanInput, PullInput, StageFailure, StageInput, StageReport, WorkPlan};
use rcm_platform::{Context, StageError, load};
use rcm_tables::gold;
use serde::Serialize;
use serde_json::{Value, json};

use crate::functions;
use crate::pipeline::{PIPELINE, RETRY, Retry, Source, Step};
use crate::print::Progress;

/// What a run is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Date that the KPIs are computed for; today where none is given.
    pub as_of: Option<NaiveDate>,
    /// Take full extracts, landed snapshots and walks even where they lost more rows than the
    /// configured share.
    pub force: bool,
    pub retry: Retry,
}

impl Default for Options {
    fn default() -> Self {
        Self { as_of: None, force: false, retry: RETRY }
    }
}

/// What a run did.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    pub run_id: String,
    pub as_of: NaiveDate,
    /// The report of every stage that was called, of those that failed too.
    pub stages: Vec<StageReport>,
    /// What failed of them.
    pub failures: Vec<Failure>,
    /// Landed files that the next run takes, since the work list had no room for them.
    pub files_left: usize,
}

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

/// A call that is to be made.
struct Call {
    function: &'static str,
    subject: String,
    input: Value,
}

/// A call that has been made, the last of its tries.
struct Called {
    call: Call,
    answer: Result<StageReport, StageError>,
    /// Whether a try of it failed, were it the last one or not.
    has_failed: bool,
    /// From the start of the first try to the end of the last.
    times: (DateTime<Utc>, DateTime<Utc>),
}

/// Runs the pipeline once.
///
/// # Errors
/// There is no work list: nothing could be run. What fails later is in [`Run::failures`].
pub async fn run(context: &Context, options: Options, progress: &Progress) -> Result<Run, StageError> {
    let input = PlanInput { run_id: None, as_of: options.as_of, force: options.force };
    let work = plan::handle(context.clone(), input).await?;
    let mut run = Run {
        run_id: work.run_id.clone(),
        as_of: work.as_of,
        stages: Vec::new(),
        failures: Vec::new(),
        files_left: work.files_left,
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
    Ok(run)
}

fn source_calls(source: Source, work: &WorkPlan) -> Vec<Call> {
    let (function, list) = match source {
        Source::PerItem { function, list } => (function, list),
        Source::Once { function } => {
            let input = PullInput { run_id: work.run_id.clone(), force: work.force };
            return vec![Call { function, subject: subject_of_layer(function), input: json!(input) }];
        }
    };
    let work = serde_json::to_value(work).unwrap_or_default();
    let items = work.get(list).and_then(Value::as_array).cloned().unwrap_or_default();
    items.into_iter().map(|input| Call { function, subject: subject_of(&input), input }).collect()
}

/// What an item of the work list is about: a bronze stream, or a landed file.
fn subject_of(item: &Value) -> String {
    let text = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default();
    match text("key") {
        "" => text("stream").to_owned(),
        key => load::printable(key),
    }
}

fn layer_call(function: &'static str, run: &Run) -> Call {
    let input = StageInput { run_id: run.run_id.clone(), as_of: Some(run.as_of) };
    Call { function, subject: subject_of_layer(function), input: json!(input) }
}

/// What a function that is called once is about, in the word of its report: `patients` of `silver-patients`.
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
    /// How the call ended; an error is all that one that failed answers.
    fn into_report(self, run_id: &str) -> StageReport {
        self.answer.unwrap_or_else(|error| StageReport {
            outcome: Outcome::Failed,
            error: Some(failure(&error)),
            ..StageReport::new(run_id, self.call.function, &self.call.subject, self.times)
        })
    }
}

impl Run {
    /// Whether every stage ended well.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failures.is_empty()
    }

    /// Whether a stage was called and ended well.
    #[must_use]
    pub fn ended_well(&self, stage: &str) -> bool {
        self.stages.iter().any(|report| report.stage == stage && report.error.is_none())
    }

    /// Takes up the report of a stage, which may have failed.
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

    /// Whether no stage found anything that the lake did not hold.
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
                Err(error) => running.fail(&failure(error)),
            }
            let has_failed = tried_again || answer.is_err();
            Called { call, answer, has_failed, times: (started_at, context.now()) }
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

/// What the last try of a call answered, and whether it was not the first.
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

fn failure(error: &StageError) -> StageFailure {
    StageFailure { name: error.name().to_owned(), message: error.to_string() }
}

#[cfg(test)]
mod tests {
    use rcm_model::cdm;
    use rcm_model::event::ExtractInput;
    use rcm_platform::testing::TestLake;

    use super::*;
    use crate::pipeline::SILVER;

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
        let calls = source_calls(Source::Once { function: "icd-pull" }, &work);
        assert_eq!(calls[0].input, json!({"run_id": "run", "force": true}));
    }

    #[test]
    fn a_silver_stage_is_about_its_entity() {
        let subjects = SILVER.map(subject_of_layer);
        assert!(subjects.iter().all(|subject| cdm::entity(subject).is_some()), "{subjects:?}");
    }

    /// Loads the departments of both hospitals, and has a column of one of them mapped that its load lacks.
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
        let mut run = Run { run_id: "run".to_owned(), as_of, stages: Vec::new(), failures: Vec::new(), files_left: 0 };
        let calls = vec![layer_call("silver-departments", &run)];
        run.call_all(&context, calls, 1, RETRY, &Progress::new(true)).await;
        let report = &run.stages[0];
        let taken: Vec<_> = report.loads.iter().map(|load| (load.stream.as_str(), load.new)).collect();
        assert_eq!((report.outcome, report.commits.len(), taken), (Outcome::Failed, 1, vec![("hosa/departments", 1)]));
        let failures: Vec<&str> = run.failures.iter().map(|failure| failure.error.name.as_str()).collect();
        assert_eq!(failures, ["BrokenContract"]);
    }
}
