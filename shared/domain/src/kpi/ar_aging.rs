//! `kpi_ar_aging`: how old the balance is.

use chrono::NaiveDate;
use polars::prelude::*;

use super::measure::{
    amount, balance_at, count, count_where, date, days, days_since_service, rate, ratio, served_by, sums_by, text,
};
use super::parts::Parts;
use super::print::{Layout, Print};
use super::{GoldTables, Kpi, control_sums};
use crate::gold::conform;
use crate::money;

/// One row per date D, datasource, line of business and age bucket with transactions in it.
pub const KPI: Kpi = Kpi {
    table: "kpi_ar_aging",
    grain: &["as_of", "datasource", "line_of_business", "age_bucket"],
    inputs: &["fact_transactions"],
    keeps_history: true,
    dated_by: ("fact_transactions", "service_date"),
    schema,
    compute,
    adds_up: &[("balance", control_sums::balance)],
    metrics: &[],
    print: Some(Print::Layout(Layout::Ageing)),
};

/// The age buckets: name, and the age in days that it begins with.
pub const BUCKETS: [(&str, i32); 5] = [("0-30", 0), ("31-60", 31), ("61-90", 61), ("91-120", 91), ("120+", 121)];

/// Columns: `balance` over `total_balance`, the balance of all datasources at D, is
/// `share_of_total`; `open_transactions` are those with a balance; `age_from` is the bucket's
/// least age in days, to sort by.
#[must_use]
pub fn schema() -> Schema {
    Schema::from_iter([
        date("as_of"),
        text("datasource"),
        text("line_of_business"),
        text("age_bucket"),
        days("age_from"),
        count("open_transactions"),
        amount("balance"),
        amount("total_balance"),
        rate("share_of_total"),
    ])
}

/// How the table is computed of parts.
pub(super) const PARTS: Parts = Parts { by: &["datasource", "line_of_business", "age_from"], sums, rows };

/// The table's rows for `as_of`.
///
/// # Errors
/// The fact lacks a column.
pub fn compute(gold: &GoldTables, as_of: NaiveDate) -> PolarsResult<DataFrame> {
    rows(sums(gold, as_of)?.lazy(), gold, as_of)
}

fn sums(gold: &GoldTables, as_of: NaiveDate) -> PolarsResult<DataFrame> {
    let balance = balance_at(lit(as_of));
    let rows = served_by(&gold.transactions, as_of).select([
        col("datasource"),
        col("line_of_business"),
        least_age(&days_since_service(lit(as_of))).alias("age_from"),
        balance.alias("balance"),
    ]);
    let open = count_where(col("balance").gt(money::zero())).alias("open_transactions");
    sums_by(rows, PARTS.by, [open, col("balance").sum()])
}

fn rows(sums: LazyFrame, _: &GoldTables, as_of: NaiveDate) -> PolarsResult<DataFrame> {
    let sums = sums.with_columns([lit(as_of).alias("as_of")]);
    shares(sums, PARTS.by, &schema())
}

/// One row per date D and bucket, over all datasources and lines of business.
///
/// # Errors
/// The rows are not of [`schema`].
pub fn by_bucket(table: &DataFrame) -> PolarsResult<DataFrame> {
    let sums = table
        .clone()
        .lazy()
        .group_by([col("as_of"), col("age_from")])
        .agg([col("open_transactions").sum(), col("balance").sum()]);
    let columns = schema()
        .iter_fields()
        .filter(|field| !["datasource", "line_of_business"].contains(&field.name().as_str()))
        .collect();
    shares(sums, &["as_of", "age_from"], &columns)
}

fn shares(sums: LazyFrame, order: &[&str], schema: &Schema) -> PolarsResult<DataFrame> {
    let rows = sums
        .with_columns([col("balance").sum().over([col("as_of")])?.alias("total_balance"), bucket().alias("age_bucket")])
        .with_columns([ratio("balance", "total_balance").alias("share_of_total")])
        .sort(order.to_vec(), SortMultipleOptions::default());
    conform(rows, schema)
}

/// The least age of the bucket that an age falls into.
fn least_age(age: &Expr) -> Expr {
    BUCKETS.iter().skip(1).fold(lit(BUCKETS[0].1), |younger, (_, from)| {
        when(age.clone().gt_eq(lit(*from))).then(lit(*from)).otherwise(younger)
    })
}

fn bucket() -> Expr {
    BUCKETS.iter().fold(lit(NULL).cast(DataType::String), |others, (name, from)| {
        when(col("age_from").eq(lit(*from))).then(lit(*name)).otherwise(others)
    })
}

#[cfg(test)]
mod tests {
    use super::super::samples::{as_of, shown, transactions};
    use super::*;

    #[rstest::rstest]
    #[case::age_0("2024-11-07", "0-30")]
    #[case::age_30("2024-10-08", "0-30")]
    #[case::age_31("2024-10-07", "31-60")]
    #[case::age_90("2024-08-09", "61-90")]
    #[case::age_91("2024-08-08", "91-120")]
    #[case::age_120("2024-07-10", "91-120")]
    #[case::age_121("2024-07-09", "120+")]
    fn a_bucket_holds_both_its_ends(#[case] service_date: &str, #[case] expected: &str) {
        let table = compute(&transactions(&[(service_date, 100, None)]), as_of()).unwrap();
        assert_eq!(shown(&table, "age_bucket"), [expected]);
    }

    #[test]
    fn a_service_after_the_date_is_not_owed_yet() {
        let gold = transactions(&[("2024-11-08", 100, None)]);
        assert_eq!(compute(&gold, as_of()).unwrap().height(), 0);
        assert_eq!(control_sums::balance(&gold, as_of()).unwrap(), 0);
    }

    #[test]
    fn only_what_was_paid_by_the_date_lowers_the_balance_and_never_below_zero() {
        let gold = transactions(&[
            ("2024-11-01", 100, None),
            ("2024-11-01", 100, Some((30, "2024-11-07"))),
            ("2024-11-01", 100, Some((30, "2024-11-08"))),
            ("2024-09-01", 100, Some((150, "2024-10-01"))),
            ("2024-09-01", 130, Some((100, "2024-08-01"))),
        ]);
        let table = compute(&gold, as_of()).unwrap();
        assert_eq!(shown(&table, "age_bucket"), ["0-30", "61-90"]);
        assert_eq!(shown(&table, "balance"), ["270.00", "30.00"]);
        assert_eq!(shown(&table, "open_transactions"), ["3", "1"]);
        assert_eq!(shown(&table, "share_of_total"), ["0.9", "0.1"]);
        assert_eq!(control_sums::balance(&gold, as_of()).unwrap(), 30_000);
        assert_eq!(shown(&by_bucket(&table).unwrap(), "balance"), ["270.00", "30.00"]);
    }

    #[test]
    fn without_a_balance_there_is_no_share() {
        let gold = transactions(&[("2024-11-01", 100, Some((100, "2024-11-02")))]);
        let table = compute(&gold, as_of()).unwrap();
        assert_eq!(
            (shown(&table, "balance"), shown(&table, "share_of_total")),
            (vec!["0.00".into()], vec!["null".into()])
        );
    }
}
