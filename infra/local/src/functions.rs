//! The functions by name, called as Lambda calls them: with the JSON of their input.

use futures::future::BoxFuture;
use rcm_model::event::StageReport;
use rcm_platform::{Context, StageError};
use serde::de::DeserializeOwned;
use serde_json::Value;

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
        "silver-departments" => Box::pin(silver_departments::handle(context, decode(name, input)?)),
        "silver-providers" => Box::pin(silver_providers::handle(context, decode(name, input)?)),
        "silver-patients" => Box::pin(silver_patients::handle(context, decode(name, input)?)),
        "silver-encounters" => Box::pin(silver_encounters::handle(context, decode(name, input)?)),
        "silver-transactions" => Box::pin(silver_transactions::handle(context, decode(name, input)?)),
        "silver-claims" => Box::pin(silver_claims::handle(context, decode(name, input)?)),
        "silver-cpt-codes" => Box::pin(silver_cpt_codes::handle(context, decode(name, input)?)),
        "silver-icd-codes" => Box::pin(silver_icd_codes::handle(context, decode(name, input)?)),
        "silver-npi" => Box::pin(silver_npi::handle(context, decode(name, input)?)),
        "gold-dimensions" => Box::pin(gold_dimensions::handle(context, decode(name, input)?)),
        "gold-facts" => Box::pin(gold_facts::handle(context, decode(name, input)?)),
        "gold-kpis" => Box::pin(gold_kpis::handle(context, decode(name, input)?)),
        "audit" => Box::pin(audit::handle(context, decode(name, input)?)),
        "maintenance" => Box::pin(maintenance::handle(context, decode(name, input)?)),
        other => return Err(StageError::BadConfig(format!("there is no function `{other}`"))),
    };
    // A task of its own: stages side by side use all cores, and one that dies takes no other along.
    match tokio::spawn(answer).await {
        Ok(answer) => answer,
        Err(_) => Err(StageError::CorruptLake(format!("`{name}` ended early"))),
    }
}

fn decode<I: DeserializeOwned>(name: &str, input: Value) -> Result<I, StageError> {
    serde_json::from_value(input).map_err(|error| StageError::BadConfig(format!("input of `{name}`: {error}")))
}
