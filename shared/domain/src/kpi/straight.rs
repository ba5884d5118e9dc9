//! Sums taken straight from a fact's columns, row by row and without any expression of the
//! measures: what the control checks hold the measures against.

use chrono::NaiveDate;
use polars::prelude::*;

use super::GoldTables;

/// Σ max(amount − paid at `as_of`, 0) over transactions served up to `as_of`.
pub(super) fn balance(gold: &GoldTables, as_of: NaiveDate) -> PolarsResult<i128> {
    let rows =
        gold.transactions.clone().select(["service_date", "amount", "paid_amount", "paid_date"].map(col)).collect()?;
    let (amounts, payments) = (cents(&rows, "amount")?, cents(&rows, "paid_amount")?);
    let (served, paid) = (days(&rows, "service_date")?, days(&rows, "paid_date")?);
    let as_of = as_of.to_epoch_days();
    let rows = served.iter().zip(paid.iter()).zip(amounts.iter().zip(payments.iter()));
    let owed =
        rows.filter(|((served, _), _)| served.is_some_and(|day| day <= as_of)).map(|((_, paid), (amount, payment))| {
            let payment = payment.filter(|_| paid.is_some_and(|day| day <= as_of));
            (amount.unwrap_or(0) - payment.unwrap_or(0)).max(0)
        });
    Ok(owed.sum())
}

/// Σ amount over transactions served up to `as_of`.
pub(super) fn amount(gold: &GoldTables, as_of: NaiveDate) -> PolarsResult<i128> {
    sum_up_to(&gold.transactions, "service_date", "amount", as_of)
}

/// Σ amount over claims made up to `as_of`.
pub(super) fn claim_amount(gold: &GoldTables, as_of: NaiveDate) -> PolarsResult<i128> {
    sum_up_to(&gold.claims, "claim_date", "claim_amount", as_of)
}

fn sum_up_to(fact: &LazyFrame, date: &str, amount: &str, as_of: NaiveDate) -> PolarsResult<i128> {
    let rows = fact.clone().select([col(date), col(amount)]).collect()?;
    let (dates, amounts) = (days(&rows, date)?, cents(&rows, amount)?);
    let as_of = as_of.to_epoch_days();
    Ok(dates
        .iter()
        .zip(amounts.iter())
        .filter(|(date, _)| date.is_some_and(|day| day <= as_of))
        .filter_map(|(_, cents)| cents)
        .sum())
}

fn cents(rows: &DataFrame, column: &str) -> PolarsResult<Int128Chunked> {
    Ok(rows.column(column)?.decimal()?.physical().clone())
}

fn days(rows: &DataFrame, column: &str) -> PolarsResult<Int32Chunked> {
    Ok(rows.column(column)?.date()?.physical().clone())
}
