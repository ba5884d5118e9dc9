//! Which table a silver stage brings up: an entity's own, or the one that a rebuild makes beside it.

use chrono::{DateTime, Utc};
use rcm_model::cdm::Entity;
use rcm_platform::bronze::Manifest;
use rcm_platform::context::Context;
use rcm_platform::lake;

use super::columns;
use crate::delta::Table;

/// The tables that the loads of an entity go to.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub entity: &'static Entity,
    /// Path of the silver table below the lake's root.
    pub silver: String,
    /// Path of the quarantine table below the lake's root.
    pub quarantine: String,
    is_rebuild: bool,
}

impl Target {
    /// The entity's own tables.
    pub(super) fn of(entity: &'static Entity) -> Self {
        Self { entity, silver: lake::silver(entity.name), quarantine: lake::quarantine(entity.name), is_rebuild: false }
    }

    /// The tables that a rebuild makes. Its data files lie below the folders of the entity's own tables, so that
    /// these can take them over without a copy.
    pub(super) fn of_rebuild(entity: &'static Entity, folder: &str) -> Self {
        let own = Self::of(entity);
        let below = |path: &str| format!("{path}/{folder}");
        Self { entity, silver: below(&own.silver), quarantine: below(&own.quarantine), is_rebuild: true }
    }

    /// The same tables, for loads that are ingested into a silver table as it is: with the attributes that it has.
    pub(super) fn as_made(&self, table: Option<&Table>) -> Self {
        Self { entity: columns::entity_of(self.entity, table), ..self.clone() }
    }

    /// When rows of loads are written: now, and of a table that is made anew when the loads were made, so that its
    /// rows say what they would if it had always been made so.
    pub(super) fn written_at(&self, context: &Context, loads: &[Manifest]) -> DateTime<Utc> {
        let made = loads.iter().map(|load| load.finished_at).max().filter(|_| self.is_rebuild);
        made.unwrap_or_else(|| context.now())
    }
}
