use super::{Column, Entity, Origin, date, key_of, text};

/// One version of an encounter of a patient with a provider.
pub const ENCOUNTERS: Entity = Entity {
    name: "encounters",
    key: "encounter_key",
    source_id: Some("src_encounter_id"),
    surrogate: "encounter_sk",
    origin: Origin::Tables,
    tracked: &COLUMNS,
};

const COLUMNS: [Column; 6] = [
    key_of("patient_key", "patients"),
    date("encounter_date"),
    text("encounter_type"),
    key_of("provider_key", "providers"),
    key_of("dept_key", "departments"),
    text("procedure_code"),
];
