use super::{Column, Entity, Origin, amount, date, key_of, text};

/// One version of a claim as the payer decided it.
pub const CLAIMS: Entity = Entity {
    name: "claims",
    key: "claim_key",
    source_id: Some("src_claim_id"),
    surrogate: "claim_sk",
    origin: Origin::LandedFiles,
    tracked: &COLUMNS,
};

const COLUMNS: [Column; 15] = [
    key_of("transaction_key", "transactions"),
    key_of("patient_key", "patients"),
    key_of("encounter_key", "encounters"),
    key_of("provider_key", "providers"),
    key_of("dept_key", "departments"),
    date("service_date"),
    date("claim_date"),
    text("payor_id"),
    amount("claim_amount"),
    amount("paid_amount"),
    text("claim_status"),
    text("payor_type"),
    amount("deductible"),
    amount("coinsurance"),
    amount("copay"),
];
