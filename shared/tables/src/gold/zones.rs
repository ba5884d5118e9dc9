//! The time zones of the datasources' days.

use polars::prelude::TimeZone;
use rcm_domain::cdm::zone_of;
use rcm_model::cdm::Mapping;
use rcm_platform::context::Context;
use xxhash_rust::xxh3::xxh3_64;

/// Returns the datasources whose days are not those of UTC, and their zones.
#[must_use]
pub fn zones(context: &Context) -> Vec<(String, TimeZone)> {
    let zone = |mapping: &Mapping| Some((mapping.datasource.clone(), zone_of(mapping)?));
    context.settings.mappings().filter_map(zone).collect()
}

/// Returns what a commit records of the zones, so that a changed zone makes the table anew.
#[must_use]
pub fn record_of_zones(zones: &[(String, TimeZone)]) -> (String, i64) {
    ("rcm.zones".to_owned(), xxh3_64(format!("{zones:?}").as_bytes()).cast_signed())
}
