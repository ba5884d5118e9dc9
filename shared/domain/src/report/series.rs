//! Sums of facts that sections and findings are made of.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use super::facts::{Facts, Receivables, TrendRow};

/// A month end and the receivables at it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Point {
    pub end: NaiveDate,
    pub sums: Receivables,
}

impl Point {
    pub(super) fn days(&self) -> Option<f64> {
        self.sums.days()
    }
}

/// The month ends of some rows, the oldest first.
pub(super) fn points(facts: &Facts, wanted: impl Fn(&TrendRow) -> bool) -> Vec<Point> {
    let mut points: BTreeMap<NaiveDate, Receivables> =
        facts.trend.iter().map(|row| (row.month_end, Receivables::default())).collect();
    for row in facts.trend.iter().filter(|row| wanted(row)) {
        *points.entry(row.month_end).or_default() += row.sums;
    }
    points.into_iter().map(|(end, sums)| Point { end, sums }).collect()
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
