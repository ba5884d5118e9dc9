//! Generates one row per claim, with the latest answer of the payer.

use chrono::NaiveDate;
use rand::Rng;

use super::Record;
use super::dice::{days_after, days_before, percent};
use super::payments::{Payer, PayerDecision};
use super::transactions::{Transaction, transaction};
use super::world::{Purpose, World, claim_id, department_id, encounter_id, patient_id, provider_id, transaction_id};

pub(super) const HEADER: [&str; 18] = [
    "ClaimID",
    "TransactionID",
    "PatientID",
    "EncounterID",
    "ProviderID",
    "DeptID",
    "ServiceDate",
    "ClaimDate",
    "PayorID",
    "ClaimAmount",
    "PaidAmount",
    "ClaimStatus",
    "PayorType",
    "Deductible",
    "Coinsurance",
    "Copay",
    "InsertDate",
    "ModifiedDate",
];

/// A claim and its events.
#[derive(Debug)]
pub(super) struct Claim {
    transaction: Transaction,
    made_on: NaiveDate,
    deductible_cents: i64,
    coinsurance_cents: i64,
    copay_cents: i64,
    /// Oldest first; the first one is the submission.
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    on: NaiveDate,
    status: &'static str,
    paid_cents: i64,
}

/// Generates the claim for a transaction; `None` if the patient has no insurer.
pub(super) fn claim(world: &World, number: u64) -> Option<Claim> {
    let transaction = transaction(world, number);
    let answer = transaction.answer?;
    let mut dice = world.dice(Purpose::Claims, number);
    let made_on = days_after(transaction.service_date, dice.random_range(1..=5));
    let mut steps = vec![Step { on: made_on, status: "Pending", paid_cents: 0 }];
    match answer {
        PayerDecision::Rejected => {
            steps.push(Step { on: days_after(made_on, dice.random_range(2..=5)), status: "Rejected", paid_cents: 0 });
        }
        PayerDecision::Denied => {
            steps.push(Step { on: days_after(made_on, dice.random_range(7..=20)), status: "Denied", paid_cents: 0 });
        }
        PayerDecision::Paid => {
            if let Some(first) = transaction.payments.first()
                && percent(&mut dice, 50)
            {
                steps.push(Step { on: days_before(first.on, 4), status: "Approved", paid_cents: 0 });
            }
            let paid = |payment: &super::payments::Payment| Step {
                on: payment.on,
                status: "Paid",
                paid_cents: payment.total_cents,
            };
            steps.extend(transaction.payments.iter().map(paid));
        }
    }
    let has_share = transaction.coverage.payer != Payer::Medicaid;
    let mut share = |most: i64| if has_share { dice.random_range(0..most) } else { 0 };
    let (deductible_cents, coinsurance_cents, copay_cents) = (share(25_000), share(12_000), share(5_000));
    Some(Claim { transaction, made_on, deductible_cents, coinsurance_cents, copay_cents, steps })
}

impl Claim {
    /// Number of the claim and of its transaction.
    pub(super) fn number(&self) -> u64 {
        self.transaction.number
    }

    /// Returns whether the claim changed after one day and until the end of another.
    pub(super) fn changed_between(&self, after: NaiveDate, until: NaiveDate) -> bool {
        self.steps.iter().any(|step| after < step.on && step.on <= until)
    }

    /// Adds a correction by the payer.
    pub(super) fn correct(&mut self, on: NaiveDate) {
        let amount = self.transaction.amount_cents;
        let paid = self.steps.last().map_or(0, |step| step.paid_cents);
        self.steps.push(Step { on, status: "Paid", paid_cents: if paid == amount { amount - 1 } else { amount } });
    }

    /// Returns the row at the end of a day; `None` before the claim was made.
    pub(super) fn record(&self, day: NaiveDate) -> Option<Record> {
        let step = self.steps.iter().rev().find(|step| step.on <= day)?;
        let Transaction { number, encounter, coverage, .. } = &self.transaction;
        Some(vec![
            claim_id(*number),
            transaction_id(*number),
            patient_id(encounter.patient),
            encounter_id(encounter.number),
            provider_id(encounter.provider),
            department_id(encounter.department),
            self.transaction.service_date.to_string(),
            self.made_on.to_string(),
            coverage.payor.to_owned(),
            dollars(self.transaction.amount_cents),
            dollars(step.paid_cents),
            step.status.to_owned(),
            coverage.payer.payor_type().to_owned(),
            dollars(self.deductible_cents),
            dollars(self.coinsurance_cents),
            dollars(self.copay_cents),
            self.made_on.to_string(),
            step.on.to_string(),
        ])
    }
}

/// Formats an amount without trailing zeros, like the payers' files.
fn dollars(cents: i64) -> String {
    (cents as f64 / 100.0).to_string()
}
