//! Made-up rows for the tests of the measures.

use chrono::NaiveDate;
use polars::prelude::*;
use rcm_model::cdm::TRANSACTIONS;

use super::GoldTables;
use super::reversals::paired;
use crate::gold::FACTS;
use crate::gold::dimension::{DIM_DEPARTMENT, DIM_PROVIDER};
use crate::money;

/// Date that the samples are looked at from.
pub(super) fn as_of() -> NaiveDate {
    day("2024-11-07")
}

pub(super) fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// Service date, amount, and what was paid on which date. Amounts are in whole units of money.
pub(super) type Sample<'a> = (&'a str, i64, Option<(i64, &'a str)>);

/// Transactions of `hos-a`, line of business `Commercial`.
pub(super) fn transactions(given: &[Sample<'_>]) -> GoldTables {
    let rows = df!(
        "transaction_key" => (0..given.len()).map(|index| format!("T{index}")).collect::<Vec<_>>(),
        "datasource" => vec!["hos-a"; given.len()],
        "line_of_business" => vec!["Commercial"; given.len()],
        "service_date" => given.iter().map(|row| day(row.0)).collect::<Vec<_>>(),
        "amount" => given.iter().map(|row| row.1).collect::<Vec<_>>(),
        "paid_amount" => given.iter().map(|row| row.2.map(|paid| paid.0)).collect::<Vec<_>>(),
        "paid_date" => given.iter().map(|row| row.2.map(|paid| day(paid.1))).collect::<Vec<_>>(),
    );
    let amounts = ["amount", "paid_amount"].map(|name| col(name).cast(money::dtype()));
    tables(rows.unwrap().lazy().with_columns(amounts).collect().unwrap(), DataFrame::empty())
}

/// Gold tables with these columns; every other is null, and the dimensions are empty.
pub(super) fn tables(transactions: DataFrame, claims: DataFrame) -> GoldTables {
    let [fact_transactions, fact_claims, _] = &FACTS;
    debug_assert_eq!(fact_transactions.entity.name, TRANSACTIONS.name);
    GoldTables {
        transactions: paired(filled(transactions, &fact_transactions.schema())).unwrap(),
        claims: filled(claims, &fact_claims.schema()),
        providers: DataFrame::empty_with_schema(&DIM_PROVIDER.schema()).lazy(),
        departments: DataFrame::empty_with_schema(&DIM_DEPARTMENT.schema()).lazy(),
    }
}

fn filled(given: DataFrame, schema: &Schema) -> LazyFrame {
    if given.width() == 0 {
        return DataFrame::empty_with_schema(schema).lazy();
    }
    let others = schema.iter_fields().filter(|field| !given.schema().contains(field.name()));
    let others: Vec<Expr> =
        others.map(|field| lit(NULL).cast(field.dtype().clone()).alias(field.name().clone())).collect();
    given.lazy().with_columns(others)
}

/// One column of a table as text, value by value.
pub(super) fn shown(table: &DataFrame, column: &str) -> Vec<String> {
    let values = table.column(column).unwrap().cast(&DataType::String).unwrap();
    values.str().unwrap().iter().map(|value| value.unwrap_or("null").to_owned()).collect()
}
