use super::{Column, Entity, Origin, date, text};

/// One version of a patient of one hospital.
pub const PATIENTS: Entity = Entity {
    name: "patients",
    key: "patient_key",
    source_id: Some("src_patient_id"),
    surrogate: "patient_sk",
    origin: Origin::Tables,
    tracked: &COLUMNS,
};

const COLUMNS: [Column; 8] = [
    text("first_name"),
    text("last_name"),
    text("middle_name"),
    text("ssn"),
    text("phone_number"),
    text("gender"),
    date("dob"),
    text("address"),
];
