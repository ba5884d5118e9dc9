use super::{Column, ColumnType, Entity, Origin, carried_text, text};

/// One version of an ICD-10 diagnosis code.
pub const ICD_CODES: Entity = Entity {
    name: "icd_codes",
    key: "icd_code",
    source_id: None,
    surrogate: "icd_code_sk",
    origin: Origin::LandedFiles,
    tracked: &COLUMNS,
};

/// The release is carried: a code that the next release has unchanged is no new version.
const COLUMNS: [Column; 4] = [
    text("description"),
    Column { name: "is_leaf", kind: ColumnType::Boolean, is_tracked: true, identifying: None },
    text("parent_code"),
    carried_text("release"),
];
