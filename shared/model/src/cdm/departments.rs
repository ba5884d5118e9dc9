use super::{Column, Entity, Origin, text};

/// One version of a department of one hospital.
pub const DEPARTMENTS: Entity = Entity {
    name: "departments",
    key: "dept_key",
    source_id: Some("src_dept_id"),
    surrogate: "dept_sk",
    origin: Origin::Tables,
    tracked: &COLUMNS,
};

const COLUMNS: [Column; 1] = [text("name")];
