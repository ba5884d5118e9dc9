//! The one place that knows Lambda: from the service's event to a stage's handler and back.

use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures::{FutureExt, TryFutureExt};
use lambda_runtime::{LambdaEvent, service_fn};
use serde::Serialize;
use serde::de::DeserializeOwned;

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
        caught(async move { handler(Context::of(lake, environment, Clock::system()).await?, event.payload).await })
            .inspect_err(log_whole)
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

    #[tokio::test]
    async fn a_handler_that_does_not_panic_is_answered_as_it_is() {
        assert_eq!(caught(async { Ok(1) }).await, Ok(1));
    }
}
