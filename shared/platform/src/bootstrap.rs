//! The one place that knows Lambda: from the service's event to a stage's handler and back.

use std::future::Future;

use lambda_runtime::{LambdaEvent, service_fn};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::Environment;
use crate::context::Context;
use crate::error::StageError;
use crate::telemetry;

/// Runs a handler as a Lambda function until the service ends it.
///
/// The lake's configuration is read for every event, so that a change of it needs no new
/// deployment.
///
/// # Errors
/// The Lambda runtime cannot be reached.
pub async fn run<I, O, H, F>(handler: H) -> Result<(), lambda_runtime::Error>
where
    I: DeserializeOwned,
    O: Serialize,
    H: Fn(Context, I) -> F + Copy,
    F: Future<Output = Result<O, StageError>>,
{
    let environment = Environment::read()?;
    telemetry::start(&environment);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<I>| {
        let environment = environment.clone();
        async move { handler(Context::open(environment).await?, event.payload).await }
    }))
    .await
}
