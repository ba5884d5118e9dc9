//! What the measures are made of.

use chrono::NaiveDate;
use polars::prelude::*;

use super::reversals::{OTHER_PAID, OTHER_PAID_DATE, PAIR};
use crate::money;

/// Column with the number of a row's group.
const GROUP: &str = "_group";
/// Numbers of groups up to which those of another column with as many values can be added.
const MOST_NUMBERS: u64 = 1 << 32;

/// Transactions with a service date up to `as_of`: those that a measure as of that date is over.
pub(super) fn served_by(transactions: &LazyFrame, as_of: NaiveDate) -> LazyFrame {
    transactions.clone().filter(col("service_date").lt_eq(lit(as_of)))
}

/// What of `paid_amount` was paid up to a date; a null amount or date is no payment.
pub(crate) fn paid_by(date: Expr) -> Expr {
    paid_of("paid_amount", "paid_date", date)
}

fn paid_of(amount: &str, paid_date: &str, date: Expr) -> Expr {
    when(col(paid_date).lt_eq(date)).then(col(amount)).otherwise(lit(NULL)).fill_null(money::zero())
}

/// What is still owed of what was not paid up to a date; nothing of a charge that was taken back, nor of
/// the one that takes it back.
pub(super) fn balance_at(date: Expr) -> Expr {
    when(col(PAIR).is_not_null()).then(money::zero()).otherwise(positive(billed() - paid_by(date)))
}

/// What was paid up to a date beyond the amount. Of a charge that was taken back, that is what was paid on
/// it and on the one that takes it back.
pub(super) fn credit_at(date: Expr) -> Expr {
    let on_both = paid_by(date.clone()) + paid_of(OTHER_PAID, OTHER_PAID_DATE, date.clone());
    when(col(PAIR).is_null())
        .then(positive(paid_by(date) - billed()))
        .when(col(PAIR).gt(lit(0)))
        .then(positive(on_both))
        .otherwise(money::zero())
}

/// The amount; nothing is owed where there is none.
pub(crate) fn billed() -> Expr {
    col("amount").fill_null(money::zero())
}

fn positive(amount: Expr) -> Expr {
    when(amount.clone().gt(money::zero())).then(amount).otherwise(money::zero())
}

/// Days from service to `date`.
pub(super) fn days_since_service(date: Expr) -> Expr {
    (date - col("service_date")).dt().total_days(false)
}

/// Whether there is a payment up to `date`; zero is none.
pub(super) fn is_paid_by(date: Expr) -> Expr {
    col("paid_amount").neq(money::zero()).and(col("paid_date").lt_eq(date)).fill_null(lit(false))
}

/// The first day of the month of a date column.
pub(super) fn month_of(column: &str) -> Expr {
    col(column).dt().truncate(lit("1mo"))
}

/// A share or rate between two columns; null where the denominator is zero.
pub(super) fn ratio(numerator: &str, denominator: &str) -> Expr {
    let [numerator, denominator] = [numerator, denominator].map(|name| col(name).cast(DataType::Float64));
    when(denominator.clone().neq(lit(0.0))).then(numerator / denominator).otherwise(lit(NULL))
}

/// Sum of an amount over the rows where `condition` holds.
pub(super) fn sum_where(condition: Expr, amount: Expr) -> Expr {
    when(condition).then(amount).otherwise(money::zero()).sum()
}

/// Rows where `condition` holds.
pub(super) fn count_where(condition: Expr) -> Expr {
    condition.fill_null(lit(false)).sum()
}

/// Sums over the rows that share their values of some columns, which are texts, dates or whole numbers.
///
/// # Errors
/// The rows lack a column.
pub(super) fn sums_by(rows: LazyFrame, by: &[&str], sums: impl IntoIterator<Item = Expr>) -> PolarsResult<DataFrame> {
    let mut rows = rows.collect()?;
    // Grouping by one number is several times faster than by some texts.
    let groups = numbered(&rows, by)?;
    rows.with_column(Column::new(GROUP.into(), groups))?;
    let values = by.iter().map(|name| col(*name).first());
    rows.lazy().group_by([col(GROUP)]).agg(values.chain(sums).collect::<Vec<_>>()).drop(cols([GROUP])).collect()
}

/// The number of the group that each row belongs to.
fn numbered(rows: &DataFrame, by: &[&str]) -> PolarsResult<Vec<u64>> {
    let mut groups = vec![0; rows.height()];
    let mut count = 1;
    for name in by {
        let (values, of_column) = distinct(rows.column(name)?)?;
        for (group, value) in groups.iter_mut().zip(values) {
            *group = *group * of_column + value;
        }
        count *= of_column;
        if count > MOST_NUMBERS {
            (groups, count) = numbers_of(groups.into_iter());
        }
    }
    Ok(groups)
}

/// A number for each value of a column, and how many there are.
fn distinct(column: &Column) -> PolarsResult<(Vec<u64>, u64)> {
    if let Ok(texts) = column.str() {
        return Ok(numbers_of(texts.iter()));
    }
    let numbers = column.to_physical_repr().cast(&DataType::Int64)?;
    Ok(numbers_of(numbers.i64()?.iter()))
}

/// A number for each value, and how many there are.
fn numbers_of<T: std::hash::Hash + Eq>(values: impl Iterator<Item = T>) -> (Vec<u64>, u64) {
    let mut known: PlHashMap<T, u64> = PlHashMap::default();
    let numbers = values.map(|value| {
        let next = known.len() as u64;
        *known.entry(value).or_insert(next)
    });
    let numbers = numbers.collect();
    (numbers, known.len().max(1) as u64)
}

/// A date column.
pub(crate) fn date(name: &'static str) -> Field {
    Field::new(name.into(), DataType::Date)
}

/// A text column.
pub(crate) fn text(name: &'static str) -> Field {
    Field::new(name.into(), DataType::String)
}

/// A count of rows.
pub(crate) fn count(name: &'static str) -> Field {
    Field::new(name.into(), DataType::Int64)
}

/// A number of days.
pub(super) fn days(name: &'static str) -> Field {
    Field::new(name.into(), DataType::Int32)
}

/// A sum of amounts.
pub(crate) fn amount(name: &'static str) -> Field {
    Field::new(name.into(), money::sum_dtype())
}

/// A share, a rate, or days with a fraction.
pub(super) fn rate(name: &'static str) -> Field {
    Field::new(name.into(), DataType::Float64)
}
