//! The functions by name, called as Lambda calls them: with the JSON of their input.

use futures::future::BoxFuture;
use rcm_model::event::StageReport;
use rcm_platform::{Context, StageError};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::hint;

// xtask begin: silver functions
/// The silver functions, in the order of the model's entities.
pub const SILVER: [&str; 9] = [
    "silver-departments",
    "silver-providers",
    "silver-patients",
    "silver-encounters",
    "silver-transactions",
    "silver-claims",
    "silver-cpt-codes",
    "silver-icd-codes",
    "silver-npi",
];
// xtask end: silver functions

/// The other functions that answer a stage report.
const OTHERS: [&str; 10] = [
    "emr-extract",
    "landing-to-bronze",
    "npi-pull",
    "icd-pull",
    "gold-dimensions",
    "gold-facts",
    "gold-kpis",
    "gold-report",
    "audit",
    "maintenance",
];

/// Calls a function that answers a stage report.
///
/// # Errors
/// The function's own; `BadConfig` if there is no such function or its input is not as it should be.
pub async fn call(name: &str, context: Context, input: Value) -> Result<StageReport, StageError> {
    let answer: BoxFuture<'static, Result<StageReport, StageError>> = match name {
        "emr-extract" => Box::pin(emr_extract::handle(context, decode(name, input)?)),
        "landing-to-bronze" => Box::pin(landing_to_bronze::handle(context, decode(name, input)?)),
        "npi-pull" => Box::pin(npi_pull::handle(context, decode(name, input)?)),
        "icd-pull" => Box::pin(icd_pull::handle(context, decode(name, input)?)),
        // xtask begin: silver handlers
        "silver-departments" => Box::pin(silver_departments::handle(context, decode(name, input)?)),
        "silver-providers" => Box::pin(silver_providers::handle(context, decode(name, input)?)),
        "silver-patients" => Box::pin(silver_patients::handle(context, decode(name, input)?)),
        "silver-encounters" => Box::pin(silver_encounters::handle(context, decode(name, input)?)),
        "silver-transactions" => Box::pin(silver_transactions::handle(context, decode(name, input)?)),
        "silver-claims" => Box::pin(silver_claims::handle(context, decode(name, input)?)),
        "silver-cpt-codes" => Box::pin(silver_cpt_codes::handle(context, decode(name, input)?)),
        "silver-icd-codes" => Box::pin(silver_icd_codes::handle(context, decode(name, input)?)),
        "silver-npi" => Box::pin(silver_npi::handle(context, decode(name, input)?)),
        // xtask end: silver handlers
        "gold-dimensions" => Box::pin(gold_dimensions::handle(context, decode(name, input)?)),
        "gold-facts" => Box::pin(gold_facts::handle(context, decode(name, input)?)),
        "gold-kpis" => Box::pin(gold_kpis::handle(context, decode(name, input)?)),
        "gold-report" => Box::pin(gold_report::handle(context, decode(name, input)?)),
        "audit" => Box::pin(audit::handle(context, decode(name, input)?)),
        "maintenance" => Box::pin(maintenance::handle(context, decode(name, input)?)),
        other => {
            let known = SILVER.into_iter().chain(OTHERS);
            return Err(hint::unknown("function", other, known, "events/ has an event of each"));
        }
    };
    in_a_task(name, answer).await
}

/// Runs a call in a task of its own: concurrent stages use all cores, and a panic in one does not end the others.
/// The message of a panic may quote a row, so the error does not have it.
async fn in_a_task<T: Send + 'static>(
    name: &str,
    answer: BoxFuture<'static, Result<T, StageError>>,
) -> Result<T, StageError> {
    match tokio::spawn(answer).await {
        Ok(answer) => answer,
        Err(_) => Err(StageError::internal(format!("`{name}` ended early"))),
    }
}

fn decode<I: DeserializeOwned>(name: &str, input: Value) -> Result<I, StageError> {
    serde_json::from_value(input).map_err(|error| StageError::bad_config(format!("input of `{name}`: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_in_a_stage_is_an_internal_error_that_does_not_quote_it() {
        let panics: BoxFuture<'static, Result<(), StageError>> = Box::pin(async { panic!("a row: Brindle") });
        let error = in_a_task("silver-patients", panics).await.unwrap_err();
        assert_eq!((error.name(), error.to_string().contains("Brindle")), ("Internal", false));
    }
}
