//! Brings `silver/providers` up to its bronze streams. Grain: one row per version of a key.
//!
//! Which entity is said here; [`rcm_tables::silver`] does the rest, the same for every entity.

use rcm_model::cdm::PROVIDERS;
use rcm_model::event::{StageInput, StageReport};
use rcm_platform::{Context, StageError};
use rcm_tables::silver;

/// Takes in every load that `silver/providers` does not have yet.
///
/// # Errors
/// See [`silver::run`].
pub async fn handle(context: Context, input: StageInput) -> Result<StageReport, StageError> {
    silver::run(context, &PROVIDERS, input).await
}
