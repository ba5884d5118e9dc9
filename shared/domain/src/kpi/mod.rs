//! The measures finance reads, as of a date D, over what transactions and claims said at the end of D.
//!
//! An amount counts as paid at D when `paid_date` ≤ D; a null amount or date is no payment.
//! Balance = max(amount − paid at D, 0), over transactions with `service_date` ≤ D; age = D −
//! `service_date` in days. A charge that was taken back is not owed; see `reversals`. Every ratio stands beside its numerator and denominator and is null
//! where the denominator is zero. Measures follow the HFMA MAP Keys (aged A/R, days in A/R,
//! denial rate); where one differs, its file says so.

pub mod ar_aging;
pub mod ar_trend;
pub mod claims;
pub mod collection_rate;
mod control_sums;
pub mod days_in_ar;
pub mod days_to_payment;
pub(crate) mod measure;
pub mod parts;
pub mod payer_mix;
pub mod print;
pub mod provider_department;
pub mod reversals;
#[cfg(test)]
mod samples;

use chrono::NaiveDate;
use polars::prelude::*;
use rcm_model::event::ControlCheck;
use serde::{Deserialize, Serialize};

use self::print::Print;
use crate::gold::control;
use crate::money;

/// Columns of transactions that the measures ask for.
pub const TRANSACTION_COLUMNS: [&str; 12] = [
    "transaction_key",
    "datasource",
    "patient_key",
    "provider_key",
    "dept_key",
    "service_date",
    "paid_date",
    "amount",
    "paid_amount",
    "procedure_code",
    "line_of_business",
    "effective_from",
];
/// Columns of claims that the measures ask for.
pub const CLAIM_COLUMNS: [&str; 8] =
    ["claim_key", "datasource", "claim_date", "payor_id", "payor_type", "claim_amount", "paid_amount", "claim_status"];

/// What KPIs are made from.
#[derive(Clone)]
pub struct GoldTables {
    /// What transactions said at the date.
    pub transactions: LazyFrame,
    /// What claims said at the date.
    pub claims: LazyFrame,
    /// `dim_provider`.
    pub providers: LazyFrame,
    /// `dim_department`.
    pub departments: LazyFrame,
}

impl GoldTables {
    /// What KPIs are made from, with the charges that were taken back marked. The transactions have
    /// [`TRANSACTION_COLUMNS`], the claims [`CLAIM_COLUMNS`].
    ///
    /// # Errors
    /// The transactions lack a column.
    pub fn new(
        transactions: LazyFrame,
        claims: LazyFrame,
        providers: LazyFrame,
        departments: LazyFrame,
    ) -> PolarsResult<Self> {
        // Made once: every measure asks for it.
        let transactions = reversals::paired(transactions)?.collect()?.lazy();
        Ok(Self { transactions, claims, providers, departments })
    }
}

/// Rows that are in no measure of a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Rows without a date.
    pub undated: u64,
    /// Rows of dates after D, and their amount in cents.
    pub after: u64,
    pub amount_after: i128,
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
    /// What is emitted as metrics, per datasource.
    pub metrics: &'static [MetricOf],
    /// How `rcm run` and `rcm demo` print it; `None` if they do not.
    pub print: Option<Print>,
}

/// A metric that is taken from a column of a KPI with one row per datasource.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MetricOf {
    /// Name of the metric.
    pub name: &'static str,
    /// Column of numbers; a null is not emitted.
    pub column: &'static str,
    /// What the column is multiplied by.
    pub factor: f64,
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
        self.check_sums(path, rows, &self.straight(gold, as_of)?)
    }

    /// What the sums of [`Kpi::adds_up`] must be, straight from the facts.
    fn straight(&self, gold: &GoldTables, as_of: NaiveDate) -> PolarsResult<Vec<i128>> {
        self.adds_up.iter().map(|(_, control_sum)| control_sum(gold, as_of)).collect()
    }

    /// Holds rows against sums of facts, which are in the order of [`Kpi::adds_up`].
    fn check_sums(&self, path: &str, rows: &DataFrame, sums: &[i128]) -> PolarsResult<Vec<ControlCheck>> {
        let mut checks = vec![control::no_duplicates(path, self.grain, control::duplicates(rows, self.grain)?)];
        for ((column, _), expected) in self.adds_up.iter().zip(sums) {
            let actual = money::sum_cents(rows, column)?;
            checks.push(control::same_cents(path, &format!("sum of {column}"), *expected, actual));
        }
        Ok(checks)
    }

    /// Rows that have no date to belong to, or one after `as_of`, and are in no measure of this table.
    ///
    /// # Errors
    /// The rows lack a column.
    pub fn left_out(&self, gold: &GoldTables, as_of: NaiveDate) -> PolarsResult<LeftOut> {
        let (fact, date) = self.dated_by;
        let (rows, amount) =
            if fact == "fact_claims" { (&gold.claims, "claim_amount") } else { (&gold.transactions, "amount") };
        let is_after = col(date).gt(lit(as_of));
        let figures = rows.clone().select([
            col(date).null_count().alias("undated"),
            measure::count_where(is_after.clone()).alias("after"),
            measure::sum_where(is_after, col(amount)).alias("amount_after"),
        ]);
        let figures = figures.collect()?;
        let number = |name| Ok::<u64, PolarsError>(figures.column(name)?.get(0)?.extract().unwrap_or(0));
        let amount_after = money::sum_cents(&figures, "amount_after")?;
        Ok(LeftOut { undated: number("undated")?, after: number("after")?, amount_after })
    }
}

/// Every KPI table.
pub const KPIS: [&Kpi; 8] = [
    &ar_aging::KPI,
    &ar_trend::KPI,
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

    const DATA_MODEL: &str = "docs/data-model.md";

    fn data_model() -> String {
        std::fs::read_to_string(format!("{}/../../{DATA_MODEL}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

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
    fn rows_of_dates_after_the_date_are_counted_with_their_money() {
        let gold =
            samples::transactions(&[("2024-11-08", 200, None), ("2204-10-01", 100, None), ("2024-11-07", 1, None)]);
        let expected = LeftOut { undated: 0, after: 2, amount_after: 30_000 };
        assert_eq!(payer_mix::KPI.left_out(&gold, samples::as_of()).unwrap(), expected);
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

    #[test]
    fn what_is_printed_and_emitted_are_columns_of_the_kpi() {
        for kpi in KPIS {
            let printed = match &kpi.print {
                Some(Print::Table(table)) => table.columns,
                _ => &[],
            };
            let mut names = printed.iter().map(|column| column.name).chain(kpi.metrics.iter().map(|of| of.column));
            let schema = (kpi.schema)();
            assert_eq!(names.find(|name| !schema.contains(name)), None, "{}: no such column", kpi.table);
        }
    }

    #[test]
    fn the_data_model_describes_every_kpi_and_each_of_its_columns() {
        let text = data_model();
        for kpi in KPIS {
            let row = text.lines().find(|line| line.starts_with(&format!("| `{}`: ", kpi.table)));
            let row = row.unwrap_or_else(|| panic!("{DATA_MODEL}: the table of KPIs has no row for `{}`", kpi.table));
            let words: Vec<&str> = row.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
            let schema = (kpi.schema)();
            let columns = schema.iter_names().map(PlSmallStr::as_str).filter(|name| *name != "as_of");
            let missing: Vec<&str> =
                columns.chain(kpi.grain.iter().copied()).filter(|name| !words.contains(name)).collect();
            assert!(missing.is_empty(), "{DATA_MODEL}: the row of `{}` lacks {missing:?}", kpi.table);
        }
    }

    #[test]
    fn the_data_model_names_the_kpis_that_keep_rows_of_other_dates() {
        let text = data_model().replace('\n', " ");
        let (before, _) = text.split_once(" keep the rows of other dates D").unwrap();
        let (_, names) = before.rsplit_once(". ").unwrap();
        let names: Vec<&str> = names.split('`').filter(|name| name.starts_with("kpi_")).collect();
        let expected: Vec<&str> = KPIS.iter().filter(|kpi| kpi.keeps_history).map(|kpi| kpi.table).collect();
        assert_eq!(names, expected, "{DATA_MODEL}: the tables that keep the rows of other dates D");
    }
}
