//! `kpi_payer_mix`: which line of business the amounts and the payments come from.

use chrono::NaiveDate;
use polars::prelude::*;

use super::measure::{amount, billed, count, date, month_of, paid_by, rate, ratio, served_by, sums_by, text};
use super::parts::Parts;
use super::{GoldTables, Kpi, control_sums};
use crate::gold::conform;

/// One row per month of service, datasource and line of business.
pub const KPI: Kpi = Kpi {
    table: "kpi_payer_mix",
    grain: &["service_month", "datasource", "line_of_business"],
    inputs: &["fact_transactions"],
    keeps_history: false,
    dated_by: ("fact_transactions", "service_date"),
    schema,
    compute,
    adds_up: &[("amount", control_sums::amount)],
    metrics: &[],
    print: None,
};

/// Columns: the totals are those of the month and datasource, and the shares are of them;
/// `paid_amount` is what was paid up to D.
#[must_use]
pub fn schema() -> Schema {
    Schema::from_iter([
        date("as_of"),
        date("service_month"),
        text("datasource"),
        text("line_of_business"),
        count("transactions"),
        amount("amount"),
        amount("total_amount"),
        rate("share_of_amount"),
        amount("paid_amount"),
        amount("total_paid_amount"),
        rate("share_of_paid_amount"),
    ])
}

/// How the table is computed of parts.
pub(super) const PARTS: Parts = Parts { by: KPI.grain, sums, rows };

/// The table's rows: transactions with a service date up to `as_of`.
///
/// # Errors
/// The fact lacks a column.
pub fn compute(gold: &GoldTables, as_of: NaiveDate) -> PolarsResult<DataFrame> {
    rows(sums(gold, as_of)?.lazy(), gold, as_of)
}

fn sums(gold: &GoldTables, as_of: NaiveDate) -> PolarsResult<DataFrame> {
    let rows = served_by(&gold.transactions, as_of).select([
        month_of("service_date").alias("service_month"),
        col("datasource"),
        col("line_of_business"),
        billed().alias("amount"),
        paid_by(lit(as_of)).alias("paid_amount"),
    ]);
    sums_by(rows, PARTS.by, [len().alias("transactions"), col("amount").sum(), col("paid_amount").sum()])
}

fn rows(sums: LazyFrame, _: &GoldTables, as_of: NaiveDate) -> PolarsResult<DataFrame> {
    let month = ["service_month", "datasource"].map(col);
    let rows = sums
        .with_columns([
            lit(as_of).alias("as_of"),
            col("amount").sum().over(month.clone())?.alias("total_amount"),
            col("paid_amount").sum().over(month)?.alias("total_paid_amount"),
        ])
        .with_columns([
            ratio("amount", "total_amount").alias("share_of_amount"),
            ratio("paid_amount", "total_paid_amount").alias("share_of_paid_amount"),
        ])
        .sort(PARTS.by.to_vec(), SortMultipleOptions::default());
    conform(rows, &schema())
}

#[cfg(test)]
mod tests {
    use super::super::samples::{as_of, shown, transactions};
    use super::*;

    #[test]
    fn shares_are_of_the_month_and_null_where_nothing_was_paid() {
        let mut gold = transactions(&[
            ("2024-10-01", 100, None),
            ("2024-10-02", 300, None),
            ("2024-09-02", 5, Some((5, "2024-09-03"))),
        ]);
        let business = when(col("amount").eq(lit(100))).then(lit("Medicare")).otherwise(lit("Self-Pay"));
        gold.transactions = gold.transactions.with_columns([business.alias("line_of_business")]);
        let table = compute(&gold, as_of()).unwrap();
        assert_eq!(shown(&table, "service_month"), ["2024-09-01", "2024-10-01", "2024-10-01"]);
        assert_eq!(shown(&table, "line_of_business"), ["Self-Pay", "Medicare", "Self-Pay"]);
        assert_eq!(shown(&table, "total_amount"), ["5.00", "400.00", "400.00"]);
        assert_eq!(shown(&table, "share_of_amount"), ["1.0", "0.25", "0.75"]);
        assert_eq!(shown(&table, "share_of_paid_amount"), ["1.0", "null", "null"]);
    }
}
