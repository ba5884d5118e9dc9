use super::{Column, Entity, Kind, text};

/// One version of an ICD-10 diagnosis code.
pub const ICD_CODES: Entity =
    Entity { name: "icd_codes", key: "icd_code", source_id: None, surrogate: "icd_code_sk", tracked: &COLUMNS };

const COLUMNS: [Column; 4] =
    [text("description"), Column { name: "is_leaf", kind: Kind::Boolean }, text("parent_code"), text("release")];
