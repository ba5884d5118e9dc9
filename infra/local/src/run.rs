//! One full run: the state machine in one process.

use chrono::{DateTime, NaiveDate, Utc};
use futures::StreamExt;
use rand::Rng;
use rcm_model::event::{Outcome, PlanInput, PullInput, StageFailure, StageInput, StageReport, WorkPlan};
use rcm_platform::{Context, StageError, load};
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
    pub stages: Vec<StageReport>,
    pub failures: Vec<Failure>,
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

/// Runs the pipeline once.
///
/// # Errors
/// There is no work list: nothing could be run. What fails later is in [`Run::failures`].
pub async fn run(context: &Context, options: Options, progress: &Progress) -> Result<Run, StageError> {
    let input = PlanInput { run_id: None, as_of: options.as_of, force: options.force };
    let work = plan::handle(context.clone(), input).await?;
    let mut run = Run { run_id: work.run_id.clone(), as_of: work.as_of, stages: Vec::new(), failures: Vec::new() };
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

/// What a function that is called once is about: `patients` of `silver-patients`.
fn subject_of_layer(function: &str) -> String {
    match function.split_once('-') {
        Some((registry, "pull")) => registry.to_owned(),
        Some((_, entity)) => entity.to_owned(),
        None => function.to_owned(),
    }
}

impl Run {
    /// Whether every stage ended well.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failures.is_empty()
    }

    /// What a stage that failed would have reported.
    #[must_use]
    pub fn report_of(&self, failure: &Failure) -> StageReport {
        let times = (failure.started_at, failure.finished_at);
        StageReport {
            outcome: Outcome::Failed,
            error: Some(failure.error.clone()),
            ..StageReport::new(&self.run_id, &failure.stage, &failure.subject, times)
        }
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
            let answer = call_with_retries(context, &call, retry).await;
            match &answer {
                Ok(report) => running.finish(report),
                Err(error) => running.fail(&failure(error)),
            }
            (call, answer, (started_at, context.now()))
        });
        let answers: Vec<_> = futures::stream::iter(calls).buffered(at_once.max(1)).collect().await;
        for (call, answer, (started_at, finished_at)) in answers {
            match answer {
                Ok(report) => self.stages.push(report),
                Err(error) => {
                    let (stage, subject) = (call.function.to_owned(), call.subject);
                    self.failures.push(Failure { stage, subject, error: failure(&error), started_at, finished_at });
                }
            }
        }
    }
}

async fn call_with_retries(context: &Context, call: &Call, retry: Retry) -> Result<StageReport, StageError> {
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
            ended => return ended,
        }
    }
}

fn failure(error: &StageError) -> StageFailure {
    StageFailure { name: error.name().to_owned(), message: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pull_is_forced_if_the_run_is() {
        let work = WorkPlan {
            run_id: "run".to_owned(),
            as_of: NaiveDate::default(),
            force: true,
            concurrency: 1,
            extracts: Vec::new(),
            files: Vec::new(),
        };
        let calls = source_calls(Source::Once { function: "icd-pull" }, &work);
        assert_eq!(calls[0].input, json!({"run_id": "run", "force": true}));
    }
}
