//! The figures of a month's end that a closing publishes.

use std::collections::{BTreeMap, HashSet};
use std::ops::{Add, AddAssign, Sub};

use chrono::NaiveDate;
use polars::prelude::*;

use super::charge::{Charge, figures_of_group};
use super::rows::Rows;

/// Names of the measures, in the order of [`Figures::values`].
pub const MEASURES: [&str; 5] =
    ["balance", "billed_to_date", "paid_to_date", "amount_in_period", "balance_over_90_days"];

/// What is published of a month's end, in cents. Days in AR are `balance` ÷ (`amount_in_period` ÷ 90).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    pub balance: i128,
    /// Amount of all services up to the month's end.
    pub billed_to_date: i128,
    /// What of it was paid up to the month's end.
    pub paid_to_date: i128,
    /// Amount of age 0 to 89 days.
    pub amount_in_period: i128,
    pub balance_over_90_days: i128,
}

impl Figures {
    /// The figures in the order of [`MEASURES`].
    #[must_use]
    pub fn values(&self) -> [i128; MEASURES.len()] {
        [self.balance, self.billed_to_date, self.paid_to_date, self.amount_in_period, self.balance_over_90_days]
    }

    /// The figure of a measure, to be set; none if there is no such measure.
    pub(super) fn value_mut(&mut self, measure: &str) -> Option<&mut i128> {
        match measure {
            "balance" => Some(&mut self.balance),
            "billed_to_date" => Some(&mut self.billed_to_date),
            "paid_to_date" => Some(&mut self.paid_to_date),
            "amount_in_period" => Some(&mut self.amount_in_period),
            "balance_over_90_days" => Some(&mut self.balance_over_90_days),
            _ => None,
        }
    }

    fn each(self, other: Self, of: impl Fn(i128, i128) -> i128) -> Self {
        Self {
            balance: of(self.balance, other.balance),
            billed_to_date: of(self.billed_to_date, other.billed_to_date),
            paid_to_date: of(self.paid_to_date, other.paid_to_date),
            amount_in_period: of(self.amount_in_period, other.amount_in_period),
            balance_over_90_days: of(self.balance_over_90_days, other.balance_over_90_days),
        }
    }
}

impl Add for Figures {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.each(other, |one, other| one + other)
    }
}

impl Sub for Figures {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.each(other, |one, other| one - other)
    }
}

impl AddAssign for Figures {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// Figures by datasource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ByDatasource(pub(super) BTreeMap<String, Figures>);

impl ByDatasource {
    /// The figures of a datasource; zero of one that there is not.
    #[must_use]
    pub fn of(&self, datasource: &str) -> Figures {
        self.0.get(datasource).copied().unwrap_or_default()
    }

    /// The figures of each datasource.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Figures)> {
        self.0.iter().map(|(datasource, figures)| (datasource.as_str(), *figures))
    }

    /// The figures of all datasources together.
    #[must_use]
    pub fn total(&self) -> Figures {
        self.0.values().fold(Figures::default(), |sum, figures| sum + *figures)
    }

    /// Adds to the figures of a datasource.
    pub(super) fn add(&mut self, datasource: &str, figures: Figures) {
        match self.0.get_mut(datasource) {
            Some(sum) => *sum += figures,
            None => {
                self.0.insert(datasource.to_owned(), figures);
            }
        }
    }
}

/// Figures of rows of [`rows_of`](super::rows_of) that are taken together bucket by bucket: charges that take back each
/// other may be in several.
#[derive(Debug, Clone)]
pub struct Totals {
    day: i32,
    alone: ByDatasource,
    /// Key, datasource and charge.
    grouped: Vec<(String, String, Charge)>,
}

impl Totals {
    /// The figures of no rows at a month's end.
    #[must_use]
    pub fn none(month_end: NaiveDate) -> Self {
        Self { day: month_end.to_epoch_days(), alone: ByDatasource::default(), grouped: Vec::new() }
    }

    /// The figures of some rows. `reversals` has the [`reversal_groups`](super::reversal_groups) of all rows.
    ///
    /// # Errors
    /// The rows are not of [`rows_schema`](super::rows_schema).
    pub fn of(rows: &DataFrame, reversals: &HashSet<i64>, month_end: NaiveDate) -> PolarsResult<Self> {
        let mut totals = Self::none(month_end);
        let rows = Rows::of(rows)?;
        for row in 0..rows.len() {
            let charge = rows.charge(row);
            totals.add(rows.key(row), rows.datasource(row), charge, reversals.contains(&charge.group));
        }
        Ok(totals)
    }

    /// Adds a charge; one that may be of a pair is summed up with those of other buckets.
    pub(super) fn add(&mut self, key: &str, datasource: &str, charge: Charge, may_be_paired: bool) {
        if may_be_paired {
            self.grouped.push((key.to_owned(), datasource.to_owned(), charge));
        } else {
            self.alone.add(datasource, charge.figures(self.day, false));
        }
    }

    /// The figures of both.
    #[must_use]
    pub fn and(mut self, more: Self) -> Self {
        for (datasource, figures) in more.alone.iter() {
            self.alone.add(datasource, figures);
        }
        self.grouped.extend(more.grouped);
        self
    }

    /// The figures by datasource.
    #[must_use]
    pub fn figures(&self) -> ByDatasource {
        let mut figures = self.alone.clone();
        let mut groups: BTreeMap<(&str, i64), Vec<(&str, Charge)>> = BTreeMap::new();
        for (key, datasource, charge) in &self.grouped {
            groups.entry((datasource, charge.group)).or_default().push((key, *charge));
        }
        for ((datasource, _), charges) in groups {
            figures.add(datasource, figures_of_group(&charges, self.day));
        }
        figures
    }
}
