//! The conditions of the mappings. They are SQL, so only the engine can check them.

use rcm_domain::cdm::check_conditions;
use rcm_model::cdm::Mapping;
use rcm_platform::StageError;
use rcm_platform::config::Settings;
use rcm_platform::error::Result;

use crate::frames::blocking;

/// Checks that every `where` and `deleted_where` of the mappings is a condition.
///
/// # Errors
/// `BadConfig` with the mapping, the entity and the condition.
pub async fn check(settings: &Settings) -> Result<()> {
    let mappings: Vec<_> = settings.mappings().cloned().collect();
    blocking(move || mappings.iter().try_for_each(check_mapping)).await
}

/// Checks the conditions of one mapping.
///
/// # Errors
/// As [`check`].
pub(crate) fn check_mapping(mapping: &Mapping) -> Result<()> {
    check_conditions(mapping).map_err(|(entity, reason)| {
        StageError::bad_config(format!("cdm/{}.toml: [entities.{entity}] {reason}", mapping.datasource))
    })
}
