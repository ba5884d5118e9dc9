//! Generates one row per billed transaction, with the amount paid so far.

use chrono::NaiveDate;
use rand::Rng;

use super::Record;
use super::dice::{days_after, percent, pick};
use super::encounters::{Encounter, encounter};
use super::payments::{self, Coverage, Payer, PayerDecision, Payment};
use super::words::icd_code;
use super::world::{Purpose, World, claim_id, department_id, encounter_id, patient_id, provider_id, transaction_id};

pub(super) const HEADER: [&str; 21] = [
    "TransactionID",
    "EncounterID",
    "PatientID",
    "ProviderID",
    "DeptID",
    "VisitDate",
    "ServiceDate",
    "PaidDate",
    "VisitType",
    "Amount",
    "AmountType",
    "PaidAmount",
    "ClaimID",
    "PayorID",
    "ProcedureCode",
    "ICDCode",
    "LineOfBusiness",
    "MedicaidID",
    "MedicareID",
    "InsertDate",
    "ModifiedDate",
];

/// A transaction and its payments.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) number: u64,
    pub(super) encounter: Encounter,
    pub(super) coverage: Coverage,
    pub(super) service_date: NaiveDate,
    pub(super) amount_cents: i64,
    /// Answer of the payer to its claim; `None` if there is no claim.
    pub(super) answer: Option<PayerDecision>,
    /// Oldest first.
    pub(super) payments: Vec<Payment>,
    inserted: NaiveDate,
    visit_type: &'static str,
    amount_type: &'static str,
    icd_code: String,
}

/// Generates a transaction. Numbers follow the encounters, so that later numbers have later dates.
pub(super) fn transaction(world: &World, number: u64) -> Transaction {
    let mut dice = world.dice(Purpose::Transactions, number);
    let encounter = encounter(world, 1 + (number - 1) * world.scale.encounters / world.scale.transactions);
    let coverage = payments::coverage(world, encounter.patient);
    let service_date = days_after(encounter.date, dice.random_range(0..=1));
    let is_copay = coverage.payer != Payer::SelfPay && percent(&mut dice, 30);
    let amount_cents = match coverage.payer {
        _ if is_copay => dice.random_range(1_500..9_000),
        Payer::SelfPay => dice.random_range(6_000..45_000),
        _ => dice.random_range(12_000..160_000),
    };
    let answer = (coverage.payer != Payer::SelfPay && !is_copay).then(|| payments::answer(&mut dice));
    let mut payments = match answer {
        Some(answer) => payments::insurer_payments(&mut dice, coverage.payer, answer, service_date, amount_cents),
        None if is_copay => payments::copay_payments(&mut dice, service_date, amount_cents),
        None => payments::patient_payments(&mut dice, service_date, amount_cents),
    };
    if let Some(stall) = world.calendar.stall
        && answer.is_some()
    {
        stall.hold_back(coverage.payer, &mut payments);
    }
    Transaction {
        number,
        service_date,
        amount_cents,
        answer,
        payments,
        inserted: days_after(service_date, dice.random_range(0..=2)),
        visit_type: pick(&mut dice, &["Routine", "Follow-up", "Consultation", "Emergency"]),
        amount_type: amount_type(coverage.payer, is_copay),
        icd_code: icd_code(&mut dice),
        encounter,
        coverage,
    }
}

fn amount_type(payer: Payer, is_copay: bool) -> &'static str {
    match payer {
        _ if is_copay => "Co-pay",
        Payer::Medicare => "Medicare",
        Payer::Medicaid => "Medicaid",
        Payer::Commercial => "Insurance",
        Payer::SelfPay => "Self-pay",
    }
}

impl Transaction {
    /// Returns the amount paid by the end of a day; `None` before the first payment.
    fn paid_by(&self, day: NaiveDate) -> Option<&Payment> {
        self.payments.iter().rev().find(|payment| payment.on <= day)
    }

    /// Adds a payment.
    pub(super) fn pay(&mut self, on: NaiveDate) {
        let paid = self.payments.last().map_or(0, |payment| payment.total_cents);
        let open = self.amount_cents - paid;
        self.payments.push(Payment { on, total_cents: if open > 0 { self.amount_cents } else { paid - 1 } });
    }

    /// Returns the row at the end of a day; `None` before it was billed.
    pub(super) fn record(&self, day: NaiveDate) -> Option<Record> {
        if self.inserted > day {
            return None;
        }
        let paid = self.paid_by(day);
        let modified = paid.map_or(self.inserted, |payment| payment.on.max(self.inserted));
        Some(vec![
            transaction_id(self.number),
            encounter_id(self.encounter.number),
            patient_id(self.encounter.patient),
            provider_id(self.encounter.provider),
            department_id(self.encounter.department),
            self.encounter.date.to_string(),
            self.service_date.to_string(),
            paid.map(|payment| payment.on.to_string()).unwrap_or_default(),
            self.visit_type.to_owned(),
            single_precision(self.amount_cents),
            self.amount_type.to_owned(),
            single_precision(paid.map_or(0, |payment| payment.total_cents)),
            if self.answer.is_some() { claim_id(self.number) } else { String::new() },
            self.coverage.payor_number.to_owned(),
            self.encounter.procedure_code(self.inserted).to_string(),
            self.icd_code.clone(),
            self.coverage.payer.line_of_business().to_owned(),
            self.coverage.medicaid_id.clone(),
            self.coverage.medicare_id.clone(),
            self.inserted.to_string(),
            modified.to_string(),
        ])
    }
}

/// Formats an amount like a system that stores money in single precision: 988.37 becomes 988.3699951171875.
fn single_precision(cents: i64) -> String {
    f64::from((cents as f64 / 100.0) as f32).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_carry_the_noise_of_single_precision() {
        assert_eq!(single_precision(98_837), "988.3699951171875");
        assert_eq!(single_precision(0), "0");
    }
}
