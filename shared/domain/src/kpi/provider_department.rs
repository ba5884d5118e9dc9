//! `kpi_provider_department`: what each provider bills in each department, and what of it is paid.

use chrono::NaiveDate;
use polars::prelude::*;

use super::measure::{amount, billed, count, date, month_of, paid_by, served_by, sums_by, text};
use super::parts::Parts;
use super::{GoldTables, Kpi, control_sums};
use crate::gold::conform;

/// One row per month of service, provider and department.
pub const KPI: Kpi = Kpi {
    table: "kpi_provider_department",
    grain: &["service_month", "datasource", "provider_key", "dept_key"],
    inputs: &["fact_transactions", "dim_provider", "dim_department"],
    keeps_history: false,
    dated_by: ("fact_transactions", "service_date"),
    schema,
    compute,
    adds_up: &[("amount", control_sums::amount)],
    metrics: &[],
    print: None,
};

/// Columns: `paid_amount` is what was paid up to D; the names are today's, null where the key has
/// no current version. A provider's key holds its datasource; the column keeps the rows without a
/// provider apart.
#[must_use]
pub fn schema() -> Schema {
    Schema::from_iter([
        date("as_of"),
        date("service_month"),
        text("datasource"),
        text("provider_key"),
        text("provider_name"),
        text("dept_key"),
        text("dept_name"),
        count("transactions"),
        amount("amount"),
        amount("paid_amount"),
    ])
}

/// How the table is computed of parts.
pub(super) const PARTS: Parts = Parts { by: KPI.grain, sums, rows };

/// The table's rows: transactions with a service date up to `as_of`.
///
/// # Errors
/// The fact or a dimension lacks a column.
pub fn compute(gold: &GoldTables, as_of: NaiveDate) -> PolarsResult<DataFrame> {
    rows(sums(gold, as_of)?.lazy(), gold, as_of)
}

fn sums(gold: &GoldTables, as_of: NaiveDate) -> PolarsResult<DataFrame> {
    let rows = served_by(&gold.transactions, as_of).select([
        month_of("service_date").alias("service_month"),
        col("datasource"),
        col("provider_key"),
        col("dept_key"),
        billed().alias("amount"),
        paid_by(lit(as_of)).alias("paid_amount"),
    ]);
    sums_by(rows, PARTS.by, [len().alias("transactions"), col("amount").sum(), col("paid_amount").sum()])
}

fn rows(sums: LazyFrame, gold: &GoldTables, as_of: NaiveDate) -> PolarsResult<DataFrame> {
    let full_name = concat_str([col("first_name"), col("last_name")], " ", true);
    let rows = sums
        .join(
            named(&gold.providers, "provider_key", full_name.alias("provider_name")),
            [col("provider_key")],
            [col("provider_key")],
            JoinType::Left.into(),
        )
        .join(
            named(&gold.departments, "dept_key", col("name").alias("dept_name")),
            [col("dept_key")],
            [col("dept_key")],
            JoinType::Left.into(),
        )
        .with_columns([lit(as_of).alias("as_of")])
        .sort(PARTS.by.to_vec(), SortMultipleOptions::default());
    conform(rows, &schema())
}

/// Key and name of the members that a dimension has today.
fn named(dimension: &LazyFrame, key: &str, name: Expr) -> LazyFrame {
    dimension.clone().filter(col("is_current")).select([col(key), name])
}

#[cfg(test)]
mod tests {
    use super::super::samples::{as_of, shown, transactions};
    use super::*;

    #[test]
    fn amounts_add_up_per_month_provider_and_department_and_carry_todays_names() {
        let mut gold = transactions(&[
            ("2024-10-01", 100, Some((40, "2024-10-05"))),
            ("2024-10-31", 50, Some((50, "2024-11-08"))),
            ("2024-11-01", 7, None),
        ]);
        gold.transactions = gold
            .transactions
            .with_columns([lit("PROV1-hos-a").alias("provider_key"), lit("DEPT1-hos-a").alias("dept_key")]);
        let providers = df!(
            "provider_key" => ["unknown", "PROV1-hos-a", "PROV1-hos-a"],
            "first_name" => ["Unknown", "Ada", "Ada"],
            "last_name" => ["Unknown", "Maiden", "Married"],
            "is_current" => [true, false, true],
        );
        gold.providers = providers.unwrap().lazy();
        let table = compute(&gold, as_of()).unwrap();
        assert_eq!(shown(&table, "service_month"), ["2024-10-01", "2024-11-01"]);
        assert_eq!(shown(&table, "transactions"), ["2", "1"]);
        assert_eq!(shown(&table, "amount"), ["150.00", "7.00"]);
        assert_eq!(shown(&table, "paid_amount"), ["40.00", "0.00"]);
        assert_eq!(shown(&table, "provider_name"), ["Ada Married", "Ada Married"]);
        assert_eq!(shown(&table, "dept_name"), ["null", "null"]);
    }

    #[test]
    fn rows_without_a_provider_stay_in_the_sum() {
        let table = compute(&transactions(&[("2024-10-01", 100, None)]), as_of()).unwrap();
        assert_eq!(
            (shown(&table, "provider_key"), shown(&table, "amount")),
            (vec!["null".into()], vec!["100.00".into()])
        );
    }
}
