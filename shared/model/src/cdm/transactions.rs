use super::{Column, Entity, Identifying, Origin, amount, date, key_of, text};

/// One version of a billed transaction.
pub const TRANSACTIONS: Entity = Entity {
    name: "transactions",
    key: "transaction_key",
    source_id: Some("src_transaction_id"),
    surrogate: "transaction_sk",
    origin: Origin::Tables,
    tracked: &COLUMNS,
};

const COLUMNS: [Column; 18] = [
    key_of("encounter_key", "encounters"),
    key_of("patient_key", "patients"),
    key_of("provider_key", "providers"),
    key_of("dept_key", "departments"),
    date("visit_date"),
    date("service_date"),
    date("paid_date"),
    text("visit_type"),
    amount("amount"),
    text("amount_type"),
    amount("paid_amount"),
    text("claim_id").identifying(Identifying::RecordNumber),
    text("payor_id"),
    text("procedure_code"),
    text("icd_code"),
    text("line_of_business"),
    text("medicaid_id").identifying(Identifying::HealthPlanNumber),
    text("medicare_id").identifying(Identifying::HealthPlanNumber),
];
