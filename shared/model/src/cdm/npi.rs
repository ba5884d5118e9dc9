use super::{Column, Entity, Origin, date, text};

/// One version of a provider in the national registry (NPPES).
///
/// An identifier that is no longer in service, or that the registry never knew, is a version as
/// well: its `status` says so, and the registry tells nothing else of it. The names of an
/// organization are those of its authorized official, and the position is theirs.
pub const NPI: Entity = Entity {
    name: "npi",
    key: "npi",
    source_id: None,
    surrogate: "npi_sk",
    origin: Origin::Registry,
    tracked: &COLUMNS,
};

const COLUMNS: [Column; 9] = [
    text("entity_type"),
    text("first_name"),
    text("last_name"),
    text("organization_name"),
    text("position"),
    text("primary_taxonomy"),
    text("state"),
    date("last_updated"),
    text("status"),
];
