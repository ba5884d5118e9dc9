//! `kpi_days_to_payment`: how long payments take.

use chrono::NaiveDate;
use polars::prelude::*;

use super::measure::{count, date, days_since_service, is_paid_by, month_of, rate, served_by, sums_by, text};
use super::parts::Parts;
use super::{GoldTables, Kpi};
use crate::gold::conform;

/// One row per month of service, datasource and line of business with payments.
pub const KPI: Kpi = Kpi {
    table: "kpi_days_to_payment",
    grain: &["service_month", "datasource", "line_of_business"],
    inputs: &["fact_transactions"],
    keeps_history: false,
    dated_by: ("fact_transactions", "service_date"),
    schema,
    compute,
    adds_up: &[],
    metrics: &[],
    print: None,
};

/// Columns: median and 90th percentile (between neighbours, linear) of `paid_date` −
/// `service_date` over `payments`, those up to D with a wait of 0 days or more; 0.00 is no payment.
/// Payments dated before the service are left out: `excluded_paid_before_service` says how many.
#[must_use]
pub fn schema() -> Schema {
    Schema::from_iter([
        date("as_of"),
        date("service_month"),
        text("datasource"),
        text("line_of_business"),
        count("payments"),
        rate("median_days"),
        rate("p90_days"),
        count("excluded_paid_before_service"),
    ])
}

/// How the table is computed of parts: payments by their wait, since a median is no sum.
pub(super) const PARTS: Parts = Parts { by: &["service_month", "datasource", "line_of_business", "wait"], sums, rows };

/// The table's rows: transactions with a service date and a payment up to `as_of`.
///
/// # Errors
/// The fact lacks a column.
pub fn compute(gold: &GoldTables, as_of: NaiveDate) -> PolarsResult<DataFrame> {
    rows(sums(gold, as_of)?.lazy(), gold, as_of)
}

fn sums(gold: &GoldTables, as_of: NaiveDate) -> PolarsResult<DataFrame> {
    let rows = served_by(&gold.transactions, as_of).filter(is_paid_by(lit(as_of))).select([
        month_of("service_date").alias("service_month"),
        col("datasource"),
        col("line_of_business"),
        days_since_service(col("paid_date")).alias("wait"),
    ]);
    sums_by(rows, PARTS.by, [len().alias("payments")])
}

fn rows(sums: LazyFrame, _: &GoldTables, as_of: NaiveDate) -> PolarsResult<DataFrame> {
    let grain = KPI.grain.iter().map(|name| col(*name)).collect::<Vec<_>>();
    let counts = col("wait").gt_eq(lit(0));
    let payments = col("payments").cast(DataType::Int64);
    let rows = sums
        .sort(PARTS.by.to_vec(), SortMultipleOptions::default())
        .with_columns([
            when(counts.clone()).then(payments.clone()).otherwise(lit(0)).alias("_counted"),
            when(counts).then(lit(0)).otherwise(payments).alias("_before"),
        ])
        .with_columns([
            col("_counted").cum_sum(false).over(grain.clone())?.alias("_up_to"),
            col("_counted").sum().over(grain.clone())?.alias("_all"),
        ])
        .group_by(grain)
        .agg([
            col("_counted").sum().alias("payments"),
            quantile(0.5).alias("median_days"),
            quantile(0.9).alias("p90_days"),
            col("_before").sum().alias("excluded_paid_before_service"),
        ])
        .with_columns([lit(as_of).alias("as_of")])
        .sort(KPI.grain.to_vec(), SortMultipleOptions::default());
    conform(rows, &schema())
}

/// The wait at a share of the payments of a group, between neighbours linear; null if there are none. `_up_to` is the
/// number of payments with this wait or a shorter one, `_all` that of all.
fn quantile(share: f64) -> Expr {
    let place = || (col("_all") - lit(1)).cast(DataType::Float64) * lit(share);
    let below = || place().cast(DataType::Int64);
    let above = below() + place().gt(below().cast(DataType::Float64)).cast(DataType::Int64);
    let wait_at = |place: Expr| col("wait").filter(col("_up_to").gt(place)).min().cast(DataType::Float64);
    let between = (place() - below().cast(DataType::Float64)).max();
    between * (wait_at(above) - wait_at(below())) + wait_at(below())
}

#[cfg(test)]
mod tests {
    use super::super::samples::{as_of, shown, transactions};
    use super::*;

    #[test]
    fn waits_before_the_service_are_left_out_and_counted() {
        let table = compute(
            &transactions(&[
                ("2024-10-01", 1, Some((1, "2024-10-01"))),
                ("2024-10-01", 1, Some((1, "2024-10-11"))),
                ("2024-10-01", 1, Some((1, "2024-10-21"))),
                ("2024-10-01", 1, Some((1, "2024-09-30"))),
                ("2024-10-01", 1, Some((1, "2024-11-08"))),
                ("2024-10-01", 1, None),
            ]),
            as_of(),
        );
        let table = table.unwrap();
        assert_eq!(shown(&table, "payments"), ["3"]);
        assert_eq!(shown(&table, "median_days"), ["10.0"]);
        assert_eq!(shown(&table, "p90_days"), ["18.0"]);
        assert_eq!(shown(&table, "excluded_paid_before_service"), ["1"]);
    }

    #[test]
    fn a_payment_of_zero_is_none() {
        let given = [("2024-10-01", 1, Some((0, "2024-10-31"))), ("2024-10-01", 1, Some((1, "2024-10-11")))];
        let table = compute(&transactions(&given), as_of()).unwrap();
        assert_eq!((shown(&table, "payments"), shown(&table, "median_days")), (vec!["1".into()], vec!["10.0".into()]));
    }

    #[test]
    fn a_month_with_only_early_payments_has_no_median() {
        let table = compute(&transactions(&[("2024-10-01", 1, Some((1, "2024-09-30")))]), as_of()).unwrap();
        assert_eq!((shown(&table, "payments"), shown(&table, "median_days")), (vec!["0".into()], vec!["null".into()]));
    }
}
