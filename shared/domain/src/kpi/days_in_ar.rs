//! `kpi_days_in_ar`: how many days of revenue are still owed.

use chrono::NaiveDate;
use polars::prelude::*;

use super::measure::{
    amount, balance_at, billed, count, count_where, credit_at, date, days, days_since_service, rate, ratio, sum_where,
    sums_by, text,
};
use super::parts::Parts;
use super::print::{Layout, Print};
use super::{ALL_DATASOURCES, GoldTables, Kpi, MetricOf, control_sums};
use crate::gold::conform;
use crate::money;

/// One row per date D and datasource.
pub const KPI: Kpi = Kpi {
    table: "kpi_days_in_ar",
    grain: &["as_of", "datasource"],
    inputs: &["fact_transactions"],
    keeps_history: true,
    dated_by: ("fact_transactions", "service_date"),
    schema,
    compute,
    adds_up: &[("balance", control_sums::balance), ("credit_balance", control_sums::credit)],
    metrics: &METRICS,
    print: Some(Print::Layout(Layout::DaysInAr)),
};

/// What is emitted as metrics: days, amount and percent.
const METRICS: [MetricOf; 3] = [
    MetricOf { name: "DaysInAr", column: "days_in_ar", factor: 1.0 },
    MetricOf { name: "ArBalance", column: "balance", factor: 1.0 },
    MetricOf { name: "ArOver90Percent", column: "share_over_90_days", factor: 100.0 },
];
/// Days whose amount gives the average day.
pub const PERIOD_DAYS: i32 = 90;
/// Age in days after which a balance counts as old.
pub(crate) const OLD_AFTER_DAYS: i32 = 90;
/// Columns that add up over datasources.
const SUMS: [&str; 7] = [
    "balance",
    "amount_in_period",
    "balance_over_90_days",
    "credit_balance",
    "credit_transactions",
    "future_transactions",
    "future_amount",
];

/// Columns: `days_in_ar` = `balance` ÷ (`amount_in_period`, of age 0 to 89, ÷ `period_days`);
/// `share_over_90_days` = `balance_over_90_days` ÷ `balance`. Credit balances, what was paid beyond
/// the amount, stand apart: they lower no other balance. `future_transactions` and `future_amount` are of
/// service dates after D, which are in no other column.
#[must_use]
pub fn schema() -> Schema {
    Schema::from_iter([
        date("as_of"),
        text("datasource"),
        amount("balance"),
        amount("amount_in_period"),
        days("period_days"),
        rate("days_in_ar"),
        amount("balance_over_90_days"),
        rate("share_over_90_days"),
        amount("credit_balance"),
        count("credit_transactions"),
        count("future_transactions"),
        amount("future_amount"),
    ])
}

/// How the table is computed of parts.
pub(super) const PARTS: Parts = Parts { by: &["datasource"], sums, rows };

/// The table's rows for `as_of`.
///
/// # Errors
/// The fact lacks a column.
pub fn compute(gold: &GoldTables, as_of: NaiveDate) -> PolarsResult<DataFrame> {
    rows(sums(gold, as_of)?.lazy(), gold, as_of)
}

fn sums(gold: &GoldTables, as_of: NaiveDate) -> PolarsResult<DataFrame> {
    let is_served = col("service_date").lt_eq(lit(as_of));
    let of_served = |money: Expr| when(is_served.clone()).then(money).otherwise(money::zero());
    let is_aged = |ages: Expr| col("is_served").and(ages);
    let rows = gold.transactions.clone().filter(col("service_date").is_not_null()).select([
        col("datasource"),
        is_served.clone().alias("is_served"),
        billed().alias("amount"),
        days_since_service(lit(as_of)).alias("age"),
        of_served(balance_at(lit(as_of))).alias("balance"),
        of_served(credit_at(lit(as_of))).alias("credit"),
    ]);
    let sums = [
        col("balance").sum(),
        sum_where(is_aged(col("age").lt(lit(PERIOD_DAYS))), col("amount")).alias("amount_in_period"),
        sum_where(is_aged(col("age").gt(lit(OLD_AFTER_DAYS))), col("balance")).alias("balance_over_90_days"),
        col("credit").sum().alias("credit_balance"),
        count_where(col("credit").gt(money::zero())).alias("credit_transactions"),
        count_where(col("is_served").not()).alias("future_transactions"),
        sum_where(col("is_served").not(), col("amount")).alias("future_amount"),
    ];
    sums_by(rows, PARTS.by, sums)
}

fn rows(sums: LazyFrame, _: &GoldTables, as_of: NaiveDate) -> PolarsResult<DataFrame> {
    rates(sums.with_columns([lit(as_of).alias("as_of")]))
}

/// One row per date D: the same measures over all datasources together.
///
/// # Errors
/// The rows are not of [`schema`].
pub fn total(table: &DataFrame) -> PolarsResult<DataFrame> {
    let sums = table
        .clone()
        .lazy()
        .group_by([col("as_of")])
        .agg(SUMS.map(|name| col(name).sum()))
        .with_columns([lit(ALL_DATASOURCES).alias("datasource")]);
    rates(sums)
}

fn rates(sums: LazyFrame) -> PolarsResult<DataFrame> {
    let days_in_ar = ratio("balance", "amount_in_period") * lit(f64::from(PERIOD_DAYS));
    let rows = sums
        .with_columns([
            lit(PERIOD_DAYS).alias("period_days"),
            days_in_ar.alias("days_in_ar"),
            ratio("balance_over_90_days", "balance").alias("share_over_90_days"),
        ])
        .sort(["as_of", "datasource"], SortMultipleOptions::default());
    conform(rows, &schema())
}

#[cfg(test)]
mod tests {
    use super::super::samples::{as_of, shown, transactions};
    use super::*;

    #[test]
    fn days_in_ar_are_the_balance_over_an_average_day_of_the_last_ninety() {
        let gold = transactions(&[
            ("2024-08-10", 900, None),                      // age 89: the last day of the period
            ("2024-08-09", 300, None),                      // age 90: before it, not yet old
            ("2024-08-08", 600, None),                      // age 91: old
            ("2024-08-01", 100, Some((160, "2024-09-01"))), // a credit of 60
        ]);
        let table = compute(&gold, as_of()).unwrap();
        assert_eq!(shown(&table, "balance"), ["1800.00"]);
        assert_eq!(shown(&table, "amount_in_period"), ["900.00"]);
        assert_eq!(shown(&table, "days_in_ar"), ["180.0"]);
        assert_eq!(shown(&table, "balance_over_90_days"), ["600.00"]);
        assert_eq!(
            (shown(&table, "credit_balance"), shown(&table, "credit_transactions")),
            (vec!["60.00".into()], vec!["1".into()])
        );
    }

    #[test]
    fn a_credit_that_is_paid_after_the_date_is_none_yet() {
        let gold = transactions(&[("2024-11-01", 100, Some((160, "2024-11-08")))]);
        assert_eq!(shown(&compute(&gold, as_of()).unwrap(), "credit_balance"), ["0.00"]);
    }

    #[test]
    fn services_after_the_date_stand_apart() {
        let gold = transactions(&[("2024-11-08", 200, None), ("2204-10-01", 100, None), ("2024-11-07", 10, None)]);
        let table = compute(&gold, as_of()).unwrap();
        assert_eq!(shown(&table, "future_transactions"), ["2"]);
        assert_eq!(shown(&table, "future_amount"), ["300.00"]);
        assert_eq!(
            (shown(&table, "balance"), shown(&table, "amount_in_period")),
            (vec!["10.00".into()], vec!["10.00".into()])
        );
    }

    #[test]
    fn without_an_amount_in_the_period_there_are_no_days() {
        let table = compute(&transactions(&[("2024-01-01", 100, None)]), as_of()).unwrap();
        assert_eq!(
            (shown(&table, "amount_in_period"), shown(&table, "days_in_ar")),
            (vec!["0.00".into()], vec!["null".into()])
        );
    }

    #[test]
    fn the_total_divides_sums_and_does_not_average_rates() {
        let one = compute(&transactions(&[("2024-11-01", 900, None)]), as_of()).unwrap();
        let other = compute(&transactions(&[("2024-11-01", 100, Some((100, "2024-11-02")))]), as_of()).unwrap();
        let total = total(&one.vstack(&other).unwrap()).unwrap();
        assert_eq!(
            (shown(&total, "datasource"), shown(&total, "days_in_ar")),
            (vec!["all".into()], vec!["81.0".into()])
        );
    }
}
