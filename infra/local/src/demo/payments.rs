//! Who pays, when and how much: the payer mix, the days to payment and the denials of the demo, and a payer that stalls.
//!
//! The probabilities are chosen so that, of the balance still open after 30, 60 and 90 days, about as much is paid
//! later as finance departments aim for (93, 85 and 73 %), that a tenth of the claims is denied at first, and that four
//! in a hundred are rejected.

use chrono::NaiveDate;
use rand::Rng;

use super::dice::{Dice, days_after, percent, pick};
use super::world::{Purpose, World};

/// Line of business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Payer {
    Medicare,
    Medicaid,
    Commercial,
    SelfPay,
}

impl Payer {
    /// The line of business as the transactions name it.
    pub(super) fn line_of_business(self) -> &'static str {
        match self {
            Self::Medicare => "Medicare",
            Self::Medicaid => "Medicaid",
            Self::Commercial => "Commercial",
            Self::SelfPay => "Self-Pay",
        }
    }

    /// The payer's type as the claims name it.
    pub(super) fn payor_type(self) -> &'static str {
        match self {
            Self::Medicare | Self::Medicaid => "Government",
            Self::Commercial => "Private",
            Self::SelfPay => "Self-pay",
        }
    }

    /// Days from service to payment of a clean claim: usually the first range, else the second.
    fn days_to_payment(self, dice: &mut Dice) -> u64 {
        let (quick_of_hundred, quick, slow) = match self {
            Self::Medicare => (72, 15..=30, 31..=44),
            Self::Medicaid => (78, 24..=46, 47..=75),
            Self::Commercial | Self::SelfPay => (80, 20..=44, 45..=75),
        };
        let days = if percent(dice, quick_of_hundred) { quick } else { slow };
        dice.random_range(days)
    }
}

/// How a patient is insured.
#[derive(Debug, Clone)]
pub(super) struct Coverage {
    pub(super) payer: Payer,
    /// The payer's name on a claim.
    pub(super) payor: &'static str,
    /// The payer's number in the transactions; empty for a self-paying patient.
    pub(super) payor_number: &'static str,
    pub(super) medicaid_id: String,
    pub(super) medicare_id: String,
}

/// Returns the insurance of a patient; it is the same for all encounters.
pub(super) fn coverage(world: &World, patient: u64) -> Coverage {
    let mut dice = world.dice(Purpose::Coverage, patient);
    let [medicare, medicaid, commercial] = world.hospital.insured_of_hundred;
    let payer = match dice.random_range(0..100) {
        at if at < medicare => Payer::Medicare,
        at if at < medicare + medicaid => Payer::Medicaid,
        at if at < medicare + medicaid + commercial => Payer::Commercial,
        _ => Payer::SelfPay,
    };
    let (name, payor_number) = match payer {
        Payer::Medicare => ("Medicare", "PAYOR1001"),
        Payer::Medicaid => ("Medicaid", "PAYOR1002"),
        Payer::Commercial => pick(
            &mut dice,
            &[("Northlight Mutual", "PAYOR2001"), ("Bluefern Health", "PAYOR2002"), ("Harborstone", "PAYOR2003")],
        ),
        Payer::SelfPay => ("", ""),
    };
    let number = dice.random_range(10_000..100_000);
    let id_if = |payers: Payer, prefix: &str| if payer == payers { format!("{prefix}{number}") } else { String::new() };
    Coverage {
        payer,
        payor: name,
        payor_number,
        medicaid_id: id_if(Payer::Medicaid, "MEDI"),
        medicare_id: id_if(Payer::Medicare, "MCARE"),
    }
}

/// Answer of the payer to a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PayerDecision {
    Paid,
    /// The payer refuses to pay; often paid later, after an appeal.
    Denied,
    /// Returned for an error before it was processed; paid after it was sent again.
    Rejected,
}

/// A payer that stops paying.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stall {
    pub(super) payer: Payer,
    /// First day on which it pays nothing. What it denies or rejects, it still does.
    pub(super) from: NaiveDate,
}

impl Stall {
    /// Removes the payments that a payer does not make.
    pub(super) fn hold_back(self, payer: Payer, payments: &mut Vec<Payment>) {
        if payer == self.payer {
            payments.retain(|payment| payment.on < self.from);
        }
    }
}

/// A date and the total paid by then; a later payment has the new total.
#[derive(Debug, Clone, Copy)]
pub(super) struct Payment {
    pub(super) on: NaiveDate,
    pub(super) total_cents: i64,
}

/// Draws the answer of the payer to a claim.
pub(super) fn answer(dice: &mut Dice) -> PayerDecision {
    match dice.random_range(0..1_000) {
        0..105 => PayerDecision::Denied,
        105..148 => PayerDecision::Rejected,
        _ => PayerDecision::Paid,
    }
}

/// Draws the payments of a claim.
pub(super) fn insurer_payments(
    dice: &mut Dice,
    payer: Payer,
    answer: PayerDecision,
    service: NaiveDate,
    cents: i64,
) -> Vec<Payment> {
    let days = payer.days_to_payment(dice);
    let days = match answer {
        PayerDecision::Paid => days,
        PayerDecision::Rejected => days + dice.random_range(8..=20),
        PayerDecision::Denied if percent(dice, 93) => dice.random_range(50..=105),
        PayerDecision::Denied => return Vec::new(),
    };
    let on = days_after(service, days);
    if !percent(dice, 5) {
        return vec![Payment { on, total_cents: cents }];
    }
    let first = Payment { on, total_cents: cents * dice.random_range(60..95) / 100 };
    let rest = Payment { on: days_after(on, dice.random_range(15..=45)), total_cents: cents };
    if percent(dice, 60) { vec![first, rest] } else { vec![first] }
}

/// Draws the payments of a self-paying patient: many late, some never.
pub(super) fn patient_payments(dice: &mut Dice, service: NaiveDate, cents: i64) -> Vec<Payment> {
    let days = match dice.random_range(0..100) {
        0..55 => dice.random_range(5..=40),
        55..93 => dice.random_range(41..=105),
        _ => return Vec::new(),
    };
    vec![Payment { on: days_after(service, days), total_cents: cents }]
}

/// Draws the payment of a patient's share: most pay at the time of service.
pub(super) fn copay_payments(dice: &mut Dice, service: NaiveDate, cents: i64) -> Vec<Payment> {
    let days = match dice.random_range(0..100) {
        0..62 => dice.random_range(0..=2),
        62..97 => dice.random_range(10..=70),
        _ => return Vec::new(),
    };
    vec![Payment { on: days_after(service, days), total_cents: cents }]
}
