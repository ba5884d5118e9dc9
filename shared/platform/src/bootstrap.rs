//! The one place that knows Lambda: from the service's event to a stage's handler and back.

use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures::{FutureExt, TryFutureExt};
use lambda_runtime::{LambdaEvent, service_fn};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::config::Environment;
use crate::context::{Clock, Context};
use crate::error::StageError;
use crate::lake::Lake;
use crate::{crypto, error, telemetry};

/// Runs a handler as a Lambda function until the service ends it.
///
/// The lake's connections are kept from event to event. Its configuration is read for every one,
/// so that a change of it needs no new deployment.
///
/// # Errors
/// The environment names no lake, or the Lambda runtime cannot be reached.
pub async fn run<I, O, H, F>(handler: H) -> Result<(), lambda_runtime::Error>
where
    I: DeserializeOwned,
    O: Serialize,
    H: Fn(Context, I) -> F + Copy,
    F: Future<Output = Result<O, StageError>>,
{
    crypto::install();
    let environment = Environment::read()?;
    telemetry::start(&environment);
    let lake = Lake::open(&environment.lake_url)?;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<I>| {
        let (lake, environment) = (lake.clone(), environment.clone());
        let answered = async move {
            let answer = handler(Context::of(lake, environment, Clock::system()).await?, event.payload).await?;
            serde_json::to_value(answer).map(fitting).map_err(|_| StageError::internal("the answer is no JSON"))
        };
        caught(answered).inspect_err(log_whole)
    }))
    .await
}

/// Logs an error whose message is cut in what the function answers.
fn log_whole(error: &StageError) {
    let message = error.to_string();
    if error::bounded(&message) != message {
        tracing::error!(error = error.name(), message, "the message is cut in the function's answer");
    }
}

/// Most bytes of an answer: a state of a state machine holds 256 KiB, in which quotes are escaped.
const MOST_BYTES: usize = 128 * 1024;
/// Lists of a report that no state machine reads, the longest first: the report in the lake has them whole.
const LISTS: [&str; 6] = ["profiles", "rules", "checks", "loads", "commits", "notes"];

/// An answer without the lists that make it too large; `left_out` names them. A stage that takes a backlog of a thousand
/// loads has some thousands of counts.
fn fitting(mut answer: Value) -> Value {
    let mut left_out = Vec::new();
    for list in LISTS {
        if answer.to_string().len() <= MOST_BYTES {
            break;
        }
        left_out.extend(answer.as_object_mut().and_then(|report| report.remove(list)).map(|_| list));
    }
    if let Some(report) = answer.as_object_mut().filter(|_| !left_out.is_empty()) {
        report.insert("left_out".to_owned(), json!(left_out));
    }
    answer
}

/// What a handler answers. Of one that panics the runtime would answer the panic's message, which may
/// quote a row, to the state machine and its alerts.
async fn caught<O>(handled: impl Future<Output = Result<O, StageError>>) -> Result<O, StageError> {
    match AssertUnwindSafe(handled).catch_unwind().await {
        Ok(answer) => answer,
        Err(_) => Err(StageError::internal("the function ended early")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_handler_that_panics_answers_an_error_that_says_nothing_of_the_panic() {
        let error = caught::<()>(async { panic!("invalid digit in `Quillon Fictor`") }).await.unwrap_err();
        assert_eq!(error.to_string(), "internal error: the function ended early");
    }

    #[test]
    fn an_answer_that_a_state_machine_cannot_hold_leaves_out_the_longest_lists_and_says_so() {
        let counts = |number: usize| vec![json!({"rule": "amount_missing", "load_id": "x".repeat(36)}); number];
        let small = json!({"outcome": "done", "rules": counts(10), "loads": counts(10)});
        assert_eq!(fitting(small.clone()), small);
        let large =
            fitting(json!({"outcome": "done", "rules": counts(10_000), "loads": counts(1_000), "shared_out": {}}));
        let expected = json!({"outcome": "done", "loads": counts(1_000), "shared_out": {}, "left_out": ["rules"]});
        assert_eq!(large, expected);
        let larger = fitting(json!({"outcome": "done", "rules": counts(10_000), "loads": counts(10_000)}));
        assert_eq!(larger, json!({"outcome": "done", "left_out": ["rules", "loads"]}));
    }

    #[tokio::test]
    async fn a_handler_that_does_not_panic_is_answered_as_it_is() {
        assert_eq!(caught(async { Ok(1) }).await, Ok(1));
    }
}
