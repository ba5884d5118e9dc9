//! Sums taken straight from a fact's columns, row by row and without any expression of the
//! measures: what the control checks hold the measures against.

use std::collections::{HashMap, VecDeque};

use chrono::NaiveDate;
use polars::prelude::*;

use super::GoldTables;

/// Σ max(amount − paid at `as_of`, 0) over transactions served up to `as_of`, without charges that were
/// taken back and those that take them back.
pub(super) fn balance(gold: &GoldTables, as_of: NaiveDate) -> PolarsResult<i128> {
    if let Some(charges) = without_reversals(gold, as_of)? {
        return Ok(charges.into_iter().map(|(amount, paid)| (amount - paid).max(0)).sum());
    }
    let charges = charges(gold, as_of)?;
    let other = pairs(&charges);
    Ok(charges
        .iter()
        .zip(other)
        .filter(|(_, other)| other.is_none())
        .map(|(one, _)| (one.amount - one.paid).max(0))
        .sum())
}

/// Σ of what was paid at `as_of` beyond the amount, over the same transactions; of a charge that was taken
/// back, what was paid on both.
pub(super) fn credit(gold: &GoldTables, as_of: NaiveDate) -> PolarsResult<i128> {
    if let Some(charges) = without_reversals(gold, as_of)? {
        return Ok(charges.into_iter().map(|(amount, paid)| (paid - amount).max(0)).sum());
    }
    let charges = charges(gold, as_of)?;
    let credits = charges.iter().zip(pairs(&charges)).map(|(one, other)| match other {
        None => (one.paid - one.amount).max(0),
        Some(_) if one.amount < 0 => 0,
        Some(other) => charges.get(other).map_or(0, |other| (one.paid + other.paid).max(0)),
    });
    Ok(credits.sum())
}

/// What the balance changed by since the month end before the first one of `kpi_ar_trend`.
pub(super) fn change_of_balance(gold: &GoldTables, as_of: NaiveDate) -> PolarsResult<i128> {
    let start = super::ar_trend::month_ends(as_of)[0];
    Ok(balance(gold, as_of)? - balance(gold, start)?)
}

/// What was billed and what was paid at `as_of` of each transaction served up to then; none if one of all transactions has a
/// negative amount, which may take back another.
fn without_reversals(gold: &GoldTables, as_of: NaiveDate) -> PolarsResult<Option<Vec<(i128, i128)>>> {
    let columns = ["service_date", "amount", "paid_amount", "paid_date"];
    let rows = gold.transactions.clone().select(columns.map(col)).collect()?;
    let (amounts, payments) = (cents(&rows, "amount")?, cents(&rows, "paid_amount")?);
    if amounts.iter().flatten().any(|amount| amount < 0) {
        return Ok(None);
    }
    let (served, paid) = (days(&rows, "service_date")?, days(&rows, "paid_date")?);
    let as_of = as_of.to_epoch_days();
    let is_by = |day: Option<i32>| day.is_some_and(|day| day <= as_of);
    let of_row = served.iter().zip(amounts.iter()).zip(payments.iter().zip(paid.iter()));
    let charges = of_row
        .filter(|((served, _), _)| is_by(*served))
        .map(|((_, amount), (payment, paid))| (amount.unwrap_or(0), payment.filter(|_| is_by(paid)).unwrap_or(0)));
    Ok(Some(charges.collect()))
}

/// What two charges of which one takes back the other have in common.
type Shared = (Option<String>, Option<String>, Option<i32>, Option<String>);

/// A transaction served by a date: what it is of, and what was billed and paid by then.
struct Charge {
    shared: Shared,
    amount: i128,
    paid: i128,
}

/// The transactions served up to `as_of`, the oldest first.
fn charges(gold: &GoldTables, as_of: NaiveDate) -> PolarsResult<Vec<Charge>> {
    let columns = [
        "transaction_key",
        "effective_from",
        "datasource",
        "patient_key",
        "service_date",
        "procedure_code",
        "amount",
        "paid_amount",
        "paid_date",
    ];
    let rows = gold.transactions.clone().select(columns.map(col)).collect()?;
    let [keys, datasources, patients, procedures] =
        ["transaction_key", "datasource", "patient_key", "procedure_code"].map(|name| texts(&rows, name));
    let (keys, datasources, patients, procedures) = (keys?, datasources?, patients?, procedures?);
    let (amounts, payments) = (cents(&rows, "amount")?, cents(&rows, "paid_amount")?);
    let (served, paid) = (days(&rows, "service_date")?, days(&rows, "paid_date")?);
    let from = rows.column("effective_from")?.datetime()?.physical().clone();
    let as_of = as_of.to_epoch_days();
    let mut charges = Vec::new();
    for row in 0..rows.height() {
        if served.get(row).is_some_and(|day| day <= as_of) {
            let text = |column: &StringChunked| column.get(row).map(str::to_owned);
            let payment = payments.get(row).filter(|_| paid.get(row).is_some_and(|day| day <= as_of));
            let charge = Charge {
                shared: (text(&datasources), text(&patients), served.get(row), text(&procedures)),
                amount: amounts.get(row).unwrap_or(0),
                paid: payment.unwrap_or(0),
            };
            charges.push(((from.get(row), text(&keys)), charge));
        }
    }
    charges.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(charges.into_iter().map(|(_, charge)| charge).collect())
}

/// For each charge the place of the one that it takes back or that takes it back.
fn pairs(charges: &[Charge]) -> Vec<Option<usize>> {
    let mut other = vec![None; charges.len()];
    let mut open: HashMap<(&Shared, i128), VecDeque<usize>> = HashMap::new();
    if charges.iter().all(|charge| charge.amount >= 0) {
        return other;
    }
    for (place, charge) in charges.iter().enumerate().filter(|(_, charge)| charge.amount > 0) {
        open.entry((&charge.shared, charge.amount)).or_default().push_back(place);
    }
    for (place, charge) in charges.iter().enumerate().filter(|(_, charge)| charge.amount < 0) {
        let Some(taken_back) = open.get_mut(&(&charge.shared, -charge.amount)).and_then(VecDeque::pop_front) else {
            continue;
        };
        other[place] = Some(taken_back);
        other[taken_back] = Some(place);
    }
    other
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

fn texts(rows: &DataFrame, column: &str) -> PolarsResult<StringChunked> {
    Ok(rows.column(column)?.str()?.clone())
}
