//! The measures finance reads, as of a date D.
//!
//! An amount counts as paid at D when `paid_date` ≤ D; a null amount or date is no payment.
//! Balance = max(amount − paid at D, 0), over transactions with `service_date` ≤ D; age = D −
//! `service_date` in days. Every ratio stands beside its numerator and denominator and is null
//! where the denominator is nought. Measures follow the HFMA MAP Keys (aged A/R, days in A/R,
//! denial rate); where one differs, its file says so.

pub mod ar_aging;
pub mod claims;
pub mod collection_rate;
pub mod days_in_ar;
pub mod days_to_payment;
mod measure;
pub mod payer_mix;
pub mod provider_department;
#[cfg(test)]
mod samples;
mod straight;

use chrono::NaiveDate;
use polars::prelude::*;
use rcm_model::event::ControlCheck;

use crate::gold::control;
use crate::money;

/// The gold tables that KPIs are made from.
#[derive(Clone)]
pub struct GoldTables {
    /// `fact_transactions`.
    pub transactions: LazyFrame,
    /// `fact_claims`.
    pub claims: LazyFrame,
    /// `dim_provider`.
    pub providers: LazyFrame,
    /// `dim_department`.
    pub departments: LazyFrame,
}

/// One KPI table.
#[derive(Debug)]
pub struct Kpi {
    /// Name of the gold table.
    pub table: &'static str,
    /// What one row is of.
    pub grain: &'static [&'static str],
    /// Gold tables that it is made from.
    pub inputs: &'static [&'static str],
    /// Whether rows of other dates D stay in the table; else it holds the latest run's D alone.
    pub keeps_history: bool,
    /// Fact and its date column that decides what belongs to D; rows without it are in no measure.
    pub dated_by: (&'static str, &'static str),
    pub schema: fn() -> Schema,
    pub compute: fn(&GoldTables, NaiveDate) -> PolarsResult<DataFrame>,
    /// Amount columns, and what their sum over all rows must be, in cents.
    pub adds_up: &'static [(&'static str, Straight)],
}

/// A sum in cents, taken straight from a fact.
type Straight = fn(&GoldTables, NaiveDate) -> PolarsResult<i128>;

impl Kpi {
    /// Holds the rows for `as_of` against the facts: sums to the cent, and one row per grain.
    ///
    /// # Errors
    /// The facts lack a column.
    pub fn check(
        &self,
        path: &str,
        rows: &DataFrame,
        gold: &GoldTables,
        as_of: NaiveDate,
    ) -> PolarsResult<Vec<ControlCheck>> {
        let mut checks = vec![control::no_duplicates(path, self.grain, control::duplicates(rows, self.grain)?)];
        for (column, straight) in self.adds_up {
            let (expected, actual) = (straight(gold, as_of)?, money::sum_cents(rows, column)?);
            checks.push(control::same_cents(path, &format!("sum of {column}"), expected, actual));
        }
        Ok(checks)
    }

    /// Rows of the fact that have no date to belong to, and are in no measure of this table.
    ///
    /// # Errors
    /// The fact lacks the column.
    pub fn undated(&self, gold: &GoldTables) -> PolarsResult<u64> {
        let (fact, column) = self.dated_by;
        let rows = if fact == "fact_claims" { &gold.claims } else { &gold.transactions };
        let undated = rows.clone().select([col(column).null_count()]).collect()?;
        Ok(undated.columns()[0].get(0)?.extract().unwrap_or(0))
    }
}

/// Every KPI table.
pub const KPIS: [&Kpi; 7] = [
    &ar_aging::KPI,
    &days_in_ar::KPI,
    &collection_rate::KPI,
    &claims::KPI,
    &provider_department::KPI,
    &payer_mix::KPI,
    &days_to_payment::KPI,
];

/// The name of the datasource in totals over all of them.
pub const ALL_DATASOURCES: &str = "all";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measure_that_lost_a_row_fails_its_check() {
        let as_of = samples::as_of();
        let gold = samples::transactions(&[("2024-11-01", 100, None), ("2024-09-01", 70, Some((20, "2024-09-02")))]);
        let rows = ar_aging::compute(&gold, as_of).unwrap();
        let checked = |rows: &DataFrame| {
            control::failures(&ar_aging::KPI.check("gold/kpi_ar_aging", rows, &gold, as_of).unwrap())
        };
        assert_eq!(checked(&rows), None);
        let expected = "`gold/kpi_ar_aging`: sum of balance: expected 150.00, got 100.00";
        assert_eq!(checked(&rows.head(Some(1))).as_deref(), Some(expected));
        assert!(checked(&rows.vstack(&rows).unwrap()).unwrap().contains("rows with the same as_of"));
    }

    #[test]
    fn every_measure_computes_on_empty_facts() {
        let gold = samples::tables(DataFrame::empty(), DataFrame::empty());
        for kpi in KPIS {
            let rows = (kpi.compute)(&gold, samples::as_of()).unwrap();
            assert_eq!((rows.height(), &**rows.schema()), (0, &(kpi.schema)()), "{}", kpi.table);
            assert_eq!(control::failures(&kpi.check(kpi.table, &rows, &gold, samples::as_of()).unwrap()), None);
        }
    }
}
