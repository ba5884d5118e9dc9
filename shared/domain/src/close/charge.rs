//! What a transaction says of a month's end, and the figures of some of them.

use super::figures::Figures;
use crate::kpi::days_in_ar::{OLD_AFTER_DAYS, PERIOD_DAYS};

/// What a transaction says of a month's end. Amounts are cents, days are counted from 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Charge {
    pub served: Option<i32>,
    pub amount: i128,
    /// What was paid up to the month's end.
    pub paid: i128,
    /// Only charges of one group take back each other.
    pub group: i64,
    /// The older ones of a group are taken back first.
    pub since: Option<i64>,
}

impl Charge {
    /// The figures of a charge at the end of a day.
    pub(super) fn figures(&self, day: i32, is_taken_back: bool) -> Figures {
        let Some(age) = self.served.map(|served| day - served).filter(|age| *age >= 0) else {
            return Figures::default();
        };
        let balance = if is_taken_back { 0 } else { (self.amount - self.paid).max(0) };
        Figures {
            balance,
            billed_to_date: self.amount,
            paid_to_date: self.paid,
            amount_in_period: if age < PERIOD_DAYS { self.amount } else { 0 },
            balance_over_90_days: if age > OLD_AFTER_DAYS { balance } else { 0 },
        }
    }
}

/// The figures of the charges of one group, each with its key: as many of the oldest above and below zero as there are of
/// both are taken back.
pub(super) fn figures_of_group(charges: &[(&str, Charge)], day: i32) -> Figures {
    let mut signs: [Vec<&(&str, Charge)>; 2] = [Vec::new(), Vec::new()];
    for charge in charges {
        signs[usize::from(charge.1.amount < 0)].push(charge);
    }
    let pairs = signs[0].len().min(signs[1].len());
    let mut sum = Figures::default();
    for sign in &mut signs {
        sign.sort_by_key(|(key, charge)| (charge.since, *key));
        for (place, (_, charge)) in sign.iter().enumerate() {
            sum += charge.figures(day, place < pairs);
        }
    }
    sum
}
