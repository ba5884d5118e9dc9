//! What transactions say of a month's end, as it is kept.

use std::collections::HashSet;

use chrono::NaiveDate;
use polars::prelude::*;

use super::charge::Charge;
use crate::cdm::timestamp;
use crate::gold::conform;
use crate::kpi::TRANSACTION_COLUMNS;
use crate::kpi::measure::{billed, paid_by};
use crate::money;
use crate::scd2::hash_of;

/// Columns of `fact_transactions` that [`rows_of`] needs.
pub const FACT_COLUMNS: [&str; TRANSACTION_COLUMNS.len() + 1] = {
    let mut columns = ["load_id"; TRANSACTION_COLUMNS.len() + 1];
    let mut at = 0;
    while at < TRANSACTION_COLUMNS.len() {
        columns[at] = TRANSACTION_COLUMNS[at];
        at += 1;
    }
    columns
};

/// Columns of the rows of [`rows_of`]: `paid` is what was paid up to the month's end. `pair_group` is a hash of what a
/// charge and the one that takes it back have in common.
#[must_use]
pub fn rows_schema() -> Schema {
    Schema::from_iter([
        Field::new("transaction_key".into(), DataType::String),
        Field::new("datasource".into(), DataType::String),
        Field::new("load_id".into(), DataType::String),
        Field::new("service_date".into(), DataType::Date),
        Field::new("amount".into(), money::dtype()),
        Field::new("paid".into(), money::dtype()),
        Field::new("pair_group".into(), DataType::Int64),
        Field::new("effective_from".into(), timestamp()),
    ])
}

/// Returns what rows of `fact_transactions` say of a month's end, one row each: also of services after it, which may turn
/// out to be earlier.
///
/// # Errors
/// The rows lack one of [`FACT_COLUMNS`].
pub fn rows_of(fact: &DataFrame, month_end: NaiveDate) -> PolarsResult<DataFrame> {
    let mut rows = fact.select(FACT_COLUMNS)?;
    rows.with_column(pair_groups(fact)?.into_column())?;
    let kept = ["transaction_key", "datasource", "load_id", "service_date", "pair_group", "effective_from"];
    let values = [billed().alias("amount"), paid_by(lit(month_end)).alias("paid")];
    let columns: Vec<Expr> = kept.into_iter().map(col).chain(values).collect();
    conform(rows.lazy().select(columns), &rows_schema())
}

/// Columns that [`reversal_groups`] looks at.
pub const REVERSAL_COLUMNS: [&str; 5] = ["datasource", "patient_key", "service_date", "procedure_code", "amount"];

/// The groups of charges below zero: only their charges are taken back or take back others.
///
/// # Errors
/// The rows lack one of [`REVERSAL_COLUMNS`].
pub fn reversal_groups(fact: &DataFrame) -> PolarsResult<HashSet<i64>> {
    let negative = fact.select(REVERSAL_COLUMNS)?.lazy().filter(col("amount").lt(money::zero())).collect()?;
    Ok(pair_groups(&negative)?.iter().flatten().collect())
}

/// A hash of what a charge has in common with the one that takes it back: see [`crate::kpi::reversals`].
fn pair_groups(fact: &DataFrame) -> PolarsResult<Int64Chunked> {
    let amount = || col("amount");
    let size = when(amount().lt(money::zero())).then(money::zero() - amount()).otherwise(amount());
    let mut columns = REVERSAL_COLUMNS.map(col);
    columns[REVERSAL_COLUMNS.len() - 1] = size.cast(money::dtype()).alias("amount");
    let shared = fact.clone().lazy().select(columns).collect()?;
    Ok(hash_of(&shared, REVERSAL_COLUMNS.into_iter())?.with_name("pair_group".into()))
}

/// The columns of rows of [`rows_of`].
pub(super) struct Rows {
    keys: StringChunked,
    datasources: StringChunked,
    loads: StringChunked,
    served: Int32Chunked,
    amounts: Int128Chunked,
    paid: Int128Chunked,
    groups: Int64Chunked,
    since: Int64Chunked,
}

impl Rows {
    /// Reads the columns, one chunk each.
    ///
    /// # Errors
    /// A column is missing.
    pub(super) fn of(frame: &DataFrame) -> PolarsResult<Self> {
        let text = |name: &str| PolarsResult::Ok(frame.column(name)?.str()?.rechunk().into_owned());
        let cents = |name: &str| {
            let cents = frame.column(name)?.as_materialized_series().decimal()?.physical().rechunk().into_owned();
            PolarsResult::Ok(cents)
        };
        Ok(Self {
            keys: text("transaction_key")?,
            datasources: text("datasource")?,
            loads: text("load_id")?,
            served: frame.column("service_date")?.date()?.physical().rechunk().into_owned(),
            amounts: cents("amount")?,
            paid: cents("paid")?,
            groups: frame.column("pair_group")?.i64()?.rechunk().into_owned(),
            since: frame.column("effective_from")?.datetime()?.physical().rechunk().into_owned(),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn key(&self, row: usize) -> &str {
        self.keys.get(row).unwrap_or_default()
    }

    pub(super) fn datasource(&self, row: usize) -> &str {
        self.datasources.get(row).unwrap_or_default()
    }

    /// The load that brought the version of a row.
    pub(super) fn load(&self, row: usize) -> &str {
        self.loads.get(row).unwrap_or_default()
    }

    pub(super) fn charge(&self, row: usize) -> Charge {
        Charge {
            served: self.served.get(row),
            amount: self.amounts.get(row).unwrap_or(0),
            paid: self.paid.get(row).unwrap_or(0),
            group: self.groups.get(row).unwrap_or(0),
            since: self.since.get(row),
        }
    }
}
