use super::{Column, Entity, Origin, key_of, text};

/// One version of a provider of one hospital.
pub const PROVIDERS: Entity = Entity {
    name: "providers",
    key: "provider_key",
    source_id: Some("src_provider_id"),
    surrogate: "provider_sk",
    origin: Origin::Tables,
    tracked: &COLUMNS,
};

const COLUMNS: [Column; 5] =
    [text("first_name"), text("last_name"), text("specialization"), key_of("dept_key", "departments"), text("npi")];
