use super::{Column, Entity, Identifying, Origin, date, text};

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
    text("first_name").identifying(Identifying::Name),
    text("last_name").identifying(Identifying::Name),
    text("middle_name").identifying(Identifying::Name),
    text("ssn").identifying(Identifying::SocialSecurityNumber),
    text("phone_number").identifying(Identifying::PhoneNumber),
    text("gender"),
    date("dob").identifying(Identifying::BirthDate),
    text("address").identifying(Identifying::Address),
];
