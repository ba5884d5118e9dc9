use super::{Column, Entity, Origin, text};

/// One version of a CPT procedure code.
pub const CPT_CODES: Entity = Entity {
    name: "cpt_codes",
    key: "cpt_code",
    source_id: None,
    surrogate: "cpt_code_sk",
    origin: Origin::LandedFiles,
    tracked: &COLUMNS,
};

const COLUMNS: [Column; 3] = [text("category"), text("description"), text("code_status")];
