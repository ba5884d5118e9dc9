//! `kpi_collection_rate`: how much is collected soon, and how much of a balance that has aged is
//! collected at all.

use chrono::{Days, NaiveDate};
use polars::prelude::*;

use super::measure::{
    amount, balance_at, billed, count, count_where, credit_at, date, days, days_since_service, is_paid_by, rate, ratio,
    served_by, sum_where, sums_by, text,
};
use super::parts::Parts;
use super::print::{Layout, Print};
use super::reversals::PAIR;
use super::{ALL_DATASOURCES, GoldTables, Kpi};
use crate::gold::conform;
use crate::money;

/// One row per date D, datasource and horizon k.
pub const KPI: Kpi = Kpi {
    table: "kpi_collection_rate",
    grain: &["as_of", "datasource", "horizon_days"],
    inputs: &["fact_transactions"],
    keeps_history: true,
    dated_by: ("fact_transactions", "service_date"),
    schema,
    compute,
    adds_up: &[],
    metrics: &[],
    print: Some(Print::Layout(Layout::Collection)),
};

/// Horizons k in days, and the share of a balance of that age that is usually still collected.
pub const HORIZONS: [(i32, f64); 3] = [(30, 0.93), (60, 0.85), (90, 0.73)];
/// Columns that add up over datasources.
const SUMS: [&str; 9] = [
    "transactions",
    "amount",
    "paid_within_k",
    "balance_at_k",
    "paid_after_k",
    "excluded_paid_before_service",
    "excluded_amount_paid_before_service",
    "overpaid_transactions",
    "overpaid_amount",
];

/// Columns, all over the cohort of transactions with `service_date` ≤ D − k:
/// `collected_within_k` = `paid_within_k` ÷ `amount`, of payments 0 to k days after service;
/// `yield_of_balance_aged_k` = `paid_after_k` ÷ `balance_at_k`, of payments after day k and up to
/// D; `benchmark` is what the second is held against. Payments dated before the service are in
/// neither numerator: the next two columns say how many and how much. A rate may hide that some are
/// paid more than was billed: `overpaid_transactions` are those of the cohort whose payments up to D
/// exceed the amount, `overpaid_amount` is the money beyond it.
#[must_use]
pub fn schema() -> Schema {
    Schema::from_iter([
        date("as_of"),
        text("datasource"),
        days("horizon_days"),
        count("transactions"),
        amount("amount"),
        amount("paid_within_k"),
        rate("collected_within_k"),
        amount("balance_at_k"),
        amount("paid_after_k"),
        rate("yield_of_balance_aged_k"),
        rate("benchmark"),
        count("excluded_paid_before_service"),
        amount("excluded_amount_paid_before_service"),
        count("overpaid_transactions"),
        amount("overpaid_amount"),
    ])
}

/// How the table is computed of parts.
pub(super) const PARTS: Parts = Parts { by: &["datasource", "horizon_days"], sums, rows };

/// The table's rows for `as_of`.
///
/// # Errors
/// The fact lacks a column.
pub fn compute(gold: &GoldTables, as_of: NaiveDate) -> PolarsResult<DataFrame> {
    rows(sums(gold, as_of)?.lazy(), gold, as_of)
}

fn sums(gold: &GoldTables, as_of: NaiveDate) -> PolarsResult<DataFrame> {
    let served = served(&gold.transactions, as_of).collect()?.lazy();
    let horizons = HORIZONS.iter().map(|(horizon, _)| Ok(at_horizon(&served, as_of, *horizon)?.lazy()));
    concat(horizons.collect::<PolarsResult<Vec<_>>>()?, UnionArgs::default())?.collect()
}

fn rows(sums: LazyFrame, _: &GoldTables, as_of: NaiveDate) -> PolarsResult<DataFrame> {
    rates(sums.with_columns([lit(as_of).alias("as_of")]))
}

/// One row per date D and horizon: the same measures over all datasources together.
///
/// # Errors
/// The rows are not of [`schema`].
pub fn total(table: &DataFrame) -> PolarsResult<DataFrame> {
    let sums = table
        .clone()
        .lazy()
        .group_by([col("as_of"), col("horizon_days")])
        .agg(SUMS.map(|name| col(name).sum()))
        .with_columns([lit(ALL_DATASOURCES).alias("datasource")]);
    rates(sums)
}

/// What every horizon looks at.
fn served(transactions: &LazyFrame, as_of: NaiveDate) -> LazyFrame {
    let overpaid =
        when(is_paid_by(lit(as_of)).or(col(PAIR).is_not_null())).then(credit_at(lit(as_of))).otherwise(money::zero());
    served_by(transactions, as_of).select([
        col("datasource"),
        col("service_date"),
        billed().alias("amount"),
        col("paid_amount"),
        col("paid_date"),
        col(PAIR),
        is_paid_by(lit(as_of)).alias("is_paid"),
        days_since_service(col("paid_date")).alias("wait"),
        overpaid.alias("overpaid_amount"),
    ])
}

fn at_horizon(served: &LazyFrame, as_of: NaiveDate, horizon: i32) -> PolarsResult<DataFrame> {
    let cohort_end = as_of.checked_sub_days(Days::new(horizon.unsigned_abs().into())).unwrap_or(NaiveDate::MIN);
    let at_horizon = col("service_date") + lit(chrono::Duration::days(horizon.into()));
    let is_paid = || col("is_paid");
    let within = is_paid().and(col("wait").is_between(lit(0), lit(horizon), ClosedInterval::Both));
    let after = is_paid().and(col("wait").gt(lit(horizon)));
    let before_service = is_paid().and(col("wait").lt(lit(0)));
    let rows = served_by(served, cohort_end).select([
        col("datasource"),
        col("amount"),
        col("paid_amount"),
        is_paid(),
        col("wait"),
        balance_at(at_horizon).alias("balance_at_k"),
        col("overpaid_amount"),
        lit(horizon).alias("horizon_days"),
    ]);
    let sums = [
        len().alias("transactions"),
        col("amount").sum(),
        sum_where(within, col("paid_amount")).alias("paid_within_k"),
        col("balance_at_k").sum(),
        sum_where(after, col("paid_amount")).alias("paid_after_k"),
        count_where(before_service.clone()).alias("excluded_paid_before_service"),
        sum_where(before_service, col("paid_amount")).alias("excluded_amount_paid_before_service"),
        count_where(col("overpaid_amount").gt(money::zero())).alias("overpaid_transactions"),
        col("overpaid_amount").sum(),
    ];
    sums_by(rows, PARTS.by, sums)
}

fn rates(sums: LazyFrame) -> PolarsResult<DataFrame> {
    let rows = sums
        .with_columns([
            ratio("paid_within_k", "amount").alias("collected_within_k"),
            ratio("paid_after_k", "balance_at_k").alias("yield_of_balance_aged_k"),
            benchmark().alias("benchmark"),
        ])
        .sort(["as_of", "datasource", "horizon_days"], SortMultipleOptions::default());
    conform(rows, &schema())
}

fn benchmark() -> Expr {
    HORIZONS.iter().fold(lit(NULL).cast(DataType::Float64), |others, (horizon, benchmark)| {
        when(col("horizon_days").eq(lit(*horizon))).then(lit(*benchmark)).otherwise(others)
    })
}

#[cfg(test)]
mod tests {
    use super::super::samples::{Sample, as_of, shown, transactions};
    use super::*;

    /// The row of horizon 30.
    fn at_30(given: &[Sample<'_>]) -> DataFrame {
        let table = compute(&transactions(given), as_of()).unwrap();
        table.lazy().filter(col("horizon_days").eq(lit(30))).collect().unwrap()
    }

    #[rstest::rstest]
    #[case::on_the_day_of_service("2024-06-01", "40.00", "0.00", "60.00")]
    #[case::on_day_k("2024-07-01", "40.00", "0.00", "60.00")]
    #[case::after_day_k("2024-07-02", "0.00", "40.00", "100.00")]
    #[case::after_the_date("2024-11-08", "0.00", "0.00", "100.00")]
    #[case::before_the_service("2024-05-31", "0.00", "0.00", "60.00")]
    fn a_payment_counts_within_or_after_the_horizon(
        #[case] paid_date: &str,
        #[case] within: &str,
        #[case] after: &str,
        #[case] balance: &str,
    ) {
        let row = at_30(&[("2024-06-01", 100, Some((40, paid_date)))]);
        assert_eq!(shown(&row, "paid_within_k"), [within]);
        assert_eq!(shown(&row, "paid_after_k"), [after]);
        assert_eq!(shown(&row, "balance_at_k"), [balance]);
    }

    #[test]
    fn the_cohort_ends_k_days_before_the_date() {
        let row = at_30(&[("2024-10-08", 100, None), ("2024-10-09", 100, None)]);
        assert_eq!((shown(&row, "transactions"), shown(&row, "amount")), (vec!["1".into()], vec!["100.00".into()]));
    }

    #[test]
    fn rates_stand_beside_their_benchmark() {
        let row = at_30(&[("2024-06-01", 100, Some((40, "2024-06-05"))), ("2024-06-01", 60, Some((30, "2024-09-01")))]);
        assert_eq!(shown(&row, "collected_within_k"), ["0.25"]);
        assert_eq!(shown(&row, "yield_of_balance_aged_k"), ["0.25"]);
        assert_eq!(shown(&row, "benchmark"), ["0.93"]);
    }

    #[test]
    fn payments_before_the_service_are_left_out_and_counted() {
        let row = at_30(&[("2024-06-01", 100, Some((40, "2024-05-01"))), ("2024-06-01", 100, None)]);
        assert_eq!(shown(&row, "excluded_paid_before_service"), ["1"]);
        assert_eq!(shown(&row, "excluded_amount_paid_before_service"), ["40.00"]);
    }

    #[test]
    fn payments_beyond_the_amount_stand_beside_the_rate() {
        let row = at_30(&[
            ("2024-06-01", 100, Some((160, "2024-06-05"))),
            ("2024-06-01", 100, Some((100, "2024-06-05"))),
            ("2024-06-01", 100, Some((170, "2024-11-08"))),
            ("2024-06-01", -30, None),
        ]);
        assert_eq!(shown(&row, "overpaid_transactions"), ["1"]);
        assert_eq!(shown(&row, "overpaid_amount"), ["60.00"]);
    }

    #[test]
    fn a_payment_of_zero_before_the_service_is_none_that_is_left_out() {
        let row = at_30(&[("2024-06-01", 100, Some((0, "2024-05-01")))]);
        assert_eq!(shown(&row, "excluded_paid_before_service"), ["0"]);
    }

    #[test]
    fn the_total_has_a_row_per_horizon() {
        let table = compute(&transactions(&[("2024-01-01", 100, None)]), as_of()).unwrap();
        let total = total(&table.vstack(&table).unwrap()).unwrap();
        assert_eq!(shown(&total, "horizon_days"), ["30", "60", "90"]);
        assert_eq!(shown(&total, "amount"), ["200.00", "200.00", "200.00"]);
    }
}
