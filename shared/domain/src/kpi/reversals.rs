//! Charges that were taken back.
//!
//! A negative charge takes back one of the opposite amount with the same datasource, patient, day of
//! service and procedure: one to one, the oldest first. Neither of the two is owed. What was paid on
//! both together is a credit.

use polars::prelude::*;

use super::measure::date;
use crate::money;

/// 1 for a charge that was taken back, −1 for the one that takes it back, null for all others.
pub(super) const PAIR: &str = "_pair";
/// What was paid on the other one of the pair, and when; on the charge that was taken back.
pub(super) const OTHER_PAID: &str = "_other_paid_amount";
pub(super) const OTHER_PAID_DATE: &str = "_other_paid_date";
/// What the two of a pair have in common, beside the amount.
const SHARED: [&str; 4] = ["datasource", "patient_key", "service_date", "procedure_code"];

/// What charges that take back others have in common with those that they take back: enough to tell which rows may belong
/// to a pair.
#[derive(Debug, Default)]
pub struct Reversals {
    /// Day of service, and amount without its sign.
    days: PlHashSet<(Option<i32>, i128)>,
    /// The same, and a hash of the patient.
    patients: PlHashSet<(Option<i32>, i128, u64)>,
}

impl Reversals {
    /// Columns that [`Reversals::add`] looks at.
    pub const COLUMNS: [&'static str; 3] = ["service_date", "amount", "patient_key"];

    /// Adds those of some transactions.
    ///
    /// # Errors
    /// The rows lack a column.
    pub fn add(&mut self, rows: &DataFrame) -> PolarsResult<()> {
        let (days, amounts, patients) = columns(rows)?;
        for (row, amount) in amounts.iter().enumerate() {
            if let Some(amount) = amount.filter(|amount| *amount < 0) {
                self.days.insert((days.get(row), -amount));
                self.patients.insert((days.get(row), -amount, hashed(patients.get(row))));
            }
        }
        Ok(())
    }

    /// Adds those of other transactions.
    #[must_use]
    pub fn and(mut self, more: Self) -> Self {
        self.days.extend(more.days);
        self.patients.extend(more.patients);
        self
    }

    /// A hash of all of them: an equal one divides transactions in the same way.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let hashes = self.patients.iter().map(|one| xxhash_rust::xxh3::xxh3_64(format!("{one:?}").as_bytes()));
        // The order of a set means nothing.
        hashes.fold(0, u64::wrapping_add)
    }

    /// Divides transactions into those that belong to no pair, and those that may: charges that take back others, and all
    /// that one of them may take back.
    ///
    /// # Errors
    /// The rows lack a column.
    pub fn split(&self, rows: &DataFrame) -> PolarsResult<(DataFrame, DataFrame)> {
        let (days, amounts, patients) = columns(rows)?;
        let may_be_paired = amounts.iter().enumerate().map(|(row, amount)| {
            let Some(amount) = amount else { return false };
            let day = days.get(row);
            amount < 0
                || self.days.contains(&(day, amount))
                    && self.patients.contains(&(day, amount, hashed(patients.get(row))))
        });
        let may_be_paired: BooleanChunked = may_be_paired.collect();
        if !may_be_paired.any() {
            return Ok((rows.clone(), rows.clear()));
        }
        Ok((rows.filter(&!&may_be_paired)?, rows.filter(&may_be_paired)?))
    }
}

fn hashed(text: Option<&str>) -> u64 {
    text.map_or(0, |text| xxhash_rust::xxh3::xxh3_64(text.as_bytes()))
}

fn columns(rows: &DataFrame) -> PolarsResult<(Int32Chunked, Int128Chunked, StringChunked)> {
    let [day, amount, patient] = Reversals::COLUMNS;
    let (days, amounts) = (rows.column(day)?.date()?, rows.column(amount)?.decimal()?);
    Ok((days.physical().clone(), amounts.physical().clone(), rows.column(patient)?.str()?.clone()))
}

/// The transactions with the columns that say which charge was taken back by which.
///
/// # Errors
/// The rows lack a column.
pub(super) fn paired(transactions: LazyFrame) -> PolarsResult<LazyFrame> {
    let amount = || col("amount");
    let negative = sized(transactions.clone().filter(amount().lt(money::zero()))).collect()?;
    if negative.height() == 0 {
        let none = |name: &'static str, dtype: DataType| lit(NULL).cast(dtype).alias(name);
        return Ok(transactions.with_columns([
            none(PAIR, DataType::Int32),
            none(OTHER_PAID, money::dtype()),
            none(OTHER_PAID_DATE, date(OTHER_PAID_DATE).dtype().clone()),
        ]));
    }
    let shared: Vec<Expr> = SHARED.iter().chain(&["_size"]).map(|name| col(*name)).collect();
    let equal = |how| JoinArgs { nulls_equal: true, ..JoinArgs::new(how) };
    let positive = sized(transactions.clone().filter(amount().gt(money::zero()))).join(
        negative.clone().lazy(),
        shared.clone(),
        shared.clone(),
        equal(JoinType::Semi),
    );
    let (positive, negative) = (placed(positive)?, placed(negative.lazy())?);
    let same = [shared, vec![col("_place")]].concat();
    let negative = negative.rename(
        ["transaction_key", "paid_amount", "paid_date"],
        ["_other_key", OTHER_PAID, OTHER_PAID_DATE],
        true,
    );
    let pairs = positive.join(negative, same.clone(), same, equal(JoinType::Inner)).collect()?;
    let charges = pairs.clone().lazy().select([
        col("transaction_key"),
        lit(1).alias(PAIR),
        col(OTHER_PAID),
        col(OTHER_PAID_DATE),
    ]);
    let reversals = pairs.lazy().select([
        col("_other_key").alias("transaction_key"),
        lit(-1).alias(PAIR),
        lit(NULL).cast(money::dtype()).alias(OTHER_PAID),
        lit(NULL).cast(DataType::Date).alias(OTHER_PAID_DATE),
    ]);
    let pairs = concat([charges, reversals], UnionArgs::default())?;
    let key = [col("transaction_key")];
    Ok(transactions.join(pairs, key.clone(), key, JoinArgs::new(JoinType::Left)))
}

/// Charges of one sign: what decides about their pairs, and `_size`, the amount without its sign.
fn sized(charges: LazyFrame) -> LazyFrame {
    let columns = SHARED.iter().chain(&["transaction_key", "effective_from", "paid_amount", "paid_date"]);
    let size = when(col("amount").lt(money::zero())).then(money::zero() - col("amount")).otherwise(col("amount"));
    let size = size.cast(money::dtype()).alias("_size");
    charges.select(columns.map(|name| col(*name)).chain([size]).collect::<Vec<_>>())
}

/// Adds the place of each charge, from the oldest on, among those of its sign that are alike.
fn placed(charges: LazyFrame) -> PolarsResult<LazyFrame> {
    let among: Vec<Expr> = SHARED.iter().chain(&["_size"]).map(|name| col(*name)).collect();
    let place = col("transaction_key").is_not_null().cast(DataType::Int64).cum_sum(false).over(among)?;
    let order = SortMultipleOptions::default().with_maintain_order(true);
    Ok(charges
        .sort(["effective_from", "transaction_key"], order)
        .with_columns([place.alias("_place")])
        .drop(cols(["effective_from"])))
}

#[cfg(test)]
mod tests {
    use super::super::samples::{Sample, as_of, shown, transactions};
    use super::super::{ar_aging, collection_rate, control_sums, days_in_ar};
    use super::*;

    fn sums(given: &[Sample<'_>]) -> (Vec<String>, Vec<String>, Vec<String>) {
        let gold = transactions(given);
        let days = days_in_ar::compute(&gold, as_of()).unwrap();
        let cents = |sum: i128| vec![money::format_cents(sum)];
        assert_eq!(shown(&days, "balance"), cents(control_sums::balance(&gold, as_of()).unwrap()));
        assert_eq!(shown(&days, "credit_balance"), cents(control_sums::credit(&gold, as_of()).unwrap()));
        (shown(&days, "balance"), shown(&days, "credit_balance"), shown(&days, "credit_transactions"))
    }

    fn texts(balance: &str, credit: &str, rows: &str) -> (Vec<String>, Vec<String>, Vec<String>) {
        (vec![balance.to_owned()], vec![credit.to_owned()], vec![rows.to_owned()])
    }

    #[test]
    fn a_charge_and_its_reversal_are_neither_owed_nor_a_credit() {
        let given = [("2024-10-01", 1000, None), ("2024-10-01", -1000, None), ("2024-10-01", 70, None)];
        assert_eq!(sums(&given), texts("70.00", "0.00", "0"));
        let table = ar_aging::compute(&transactions(&given), as_of()).unwrap();
        assert_eq!(shown(&table, "open_transactions"), ["1"]);
        let given = given.map(|(_, amount, paid)| ("2024-06-01", amount, paid));
        let rates = collection_rate::compute(&transactions(&given), as_of()).unwrap();
        assert_eq!(shown(&rates, "balance_at_k"), ["70.00", "70.00", "70.00"]);
        assert_eq!(shown(&rates, "amount"), ["70.00", "70.00", "70.00"]);
    }

    #[test]
    fn what_was_paid_on_a_charge_that_was_taken_back_is_a_credit() {
        let paid = Some((60, "2024-10-05"));
        assert_eq!(sums(&[("2024-10-01", 100, paid), ("2024-10-01", -100, None)]), texts("0.00", "60.00", "1"));
        let back = Some((-60, "2024-10-09"));
        assert_eq!(sums(&[("2024-10-01", 100, paid), ("2024-10-01", -100, back)]), texts("0.00", "0.00", "0"));
        let later = Some((60, "2024-11-08"));
        assert_eq!(sums(&[("2024-10-01", 100, later), ("2024-10-01", -100, None)]), texts("0.00", "0.00", "0"));
    }

    #[test]
    fn a_reversal_takes_back_one_charge_and_one_without_a_charge_is_a_credit() {
        let day = "2024-10-01";
        assert_eq!(sums(&[(day, 100, None), (day, 100, None), (day, -100, None)]), texts("100.00", "0.00", "0"));
        assert_eq!(sums(&[(day, 100, None), (day, -100, None), (day, -100, None)]), texts("0.00", "100.00", "1"));
        assert_eq!(sums(&[(day, 100, None), (day, -99, None)]), texts("100.00", "99.00", "1"));
        assert_eq!(sums(&[(day, 100, None), ("2024-10-02", -100, None)]), texts("100.00", "100.00", "1"));
    }

    #[test]
    fn the_oldest_charge_is_taken_back_first() {
        let paid = Some((100, "2024-10-05"));
        let day = "2024-10-01";
        assert_eq!(sums(&[(day, 100, paid), (day, 100, None), (day, -100, None)]), texts("100.00", "100.00", "1"));
        assert_eq!(sums(&[(day, 100, None), (day, 100, paid), (day, -100, None)]), texts("0.00", "0.00", "0"));
    }
}
