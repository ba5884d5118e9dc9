//! Brings `silver/npi` up to its bronze streams. Grain: one row per version of a key.

use rcm_domain::cdm::NPI;
use rcm_domain::event::{StageInput, StageReport};
use rcm_platform::{Context, StageError, silver};

/// Takes in every load that `silver/npi` does not have yet.
///
/// # Errors
/// See [`silver::run`].
pub async fn handle(context: Context, input: StageInput) -> Result<StageReport, StageError> {
    silver::run(context, &NPI, input).await
}
