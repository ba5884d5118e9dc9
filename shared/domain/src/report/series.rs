//! Sums of facts that sections and findings are made of.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use super::facts::{Facts, TrendRow};
use crate::kpi::days_in_ar::PERIOD_DAYS;
use crate::money::ratio;

/// Receivables at a month end, in cents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Point {
    pub end: NaiveDate,
    pub opening: i128,
    pub billed: i128,
    pub paid: i128,
    pub balance: i128,
    pub amount_in_period: i128,
    pub over_90: i128,
    pub due: i128,
    pub paid_within_90: i128,
}

impl Point {
    fn add(&mut self, row: &TrendRow) {
        self.end = row.month_end;
        self.opening += row.opening;
        self.billed += row.billed;
        self.paid += row.paid;
        self.balance += row.balance;
        self.amount_in_period += row.amount_in_period;
        self.over_90 += row.over_90;
        self.due += row.due;
        self.paid_within_90 += row.paid_within_90;
    }

    pub(super) fn days(&self) -> Option<f64> {
        ratio(self.balance, self.amount_in_period).map(|share| share * f64::from(PERIOD_DAYS))
    }

    pub(super) fn share_over_90(&self) -> Option<f64> {
        ratio(self.over_90, self.balance)
    }

    pub(super) fn collected(&self) -> Option<f64> {
        ratio(self.paid_within_90, self.due)
    }
}

/// The month ends of some rows, the oldest first.
pub(super) fn points(facts: &Facts, wanted: impl Fn(&TrendRow) -> bool) -> Vec<Point> {
    let mut points: BTreeMap<NaiveDate, Point> =
        facts.trend.iter().map(|row| (row.month_end, Point::default())).collect();
    for (end, point) in &mut points {
        point.end = *end;
    }
    for row in facts.trend.iter().filter(|row| wanted(row)) {
        points.entry(row.month_end).or_default().add(row);
    }
    points.into_values().collect()
}

/// Whether two shares differ by more than chance would have them differ.
pub(super) fn differ(one: (u64, u64), other: (u64, u64)) -> bool {
    const Z: f64 = 2.6;
    if one.1 == 0 || other.1 == 0 {
        return false;
    }
    let share = |(part, all): (u64, u64)| part as f64 / all as f64;
    let pooled = (one.0 + other.0) as f64 / (one.1 + other.1) as f64;
    let deviation = (pooled * (1.0 - pooled) * (1.0 / one.1 as f64 + 1.0 / other.1 as f64)).sqrt();
    deviation > 0.0 && (share(one) - share(other)).abs() / deviation > Z
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case((4, 50), (1, 50), false)]
    #[case((170, 1000), (85, 1000), true)]
    #[case((90, 1000), (85, 1000), false)]
    #[case((0, 0), (85, 1000), false)]
    #[case((0, 100), (0, 100), false)]
    fn shares_of_few_rows_differ_by_chance(#[case] one: (u64, u64), #[case] other: (u64, u64), #[case] expected: bool) {
        assert_eq!(differ(one, other), expected);
    }
}
