use super::{Column, Entity, date, text};

/// One version of a provider in the national registry (NPPES).
pub const NPI: Entity = Entity {
    name: "npi",
    key: "npi",
    source_id: None,
    surrogate: "npi_sk",
    tracked: &COLUMNS,
};

const COLUMNS: [Column; 8] = [
    text("entity_type"),
    text("first_name"),
    text("last_name"),
    text("organization_name"),
    text("position"),
    text("primary_taxonomy"),
    text("state"),
    date("last_updated"),
];
