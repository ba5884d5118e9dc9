//! Figures that must agree before a gold table is committed, to the cent and to the row.

use polars::prelude::*;
use rcm_model::cdm::{ColumnType, Entity};
use rcm_model::event::ControlCheck;

use super::fact::is_in_gold;
use crate::money;

/// Rows, and the sum of each amount column in cents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    pub rows: u64,
    pub sums: Vec<(&'static str, i128)>,
}

impl Totals {
    /// Totals of the rows of a silver table that hold now.
    ///
    /// # Errors
    /// The rows lack a column.
    pub fn of_silver(rows: LazyFrame, entity: &Entity) -> PolarsResult<Self> {
        Self::of(rows.filter(is_in_gold()), entity)
    }

    /// Totals of rows of an entity.
    ///
    /// # Errors
    /// The rows lack a column.
    pub fn of(rows: LazyFrame, entity: &Entity) -> PolarsResult<Self> {
        let amounts =
            || entity.tracked.iter().filter(|column| column.kind == ColumnType::Money).map(|column| column.name);
        let mut figures: Vec<Expr> = amounts().map(|name| col(name).sum()).collect();
        figures.push(rows_of(entity).alias("_rows"));
        let figures = rows.select(figures).collect()?;
        let rows = figures
            .column("_rows")?
            .get(0)?
            .extract()
            .ok_or_else(|| polars_err!(ComputeError: "rows cannot be counted"))?;
        let sums = amounts().map(|name| Ok((name, money::sum_cents(&figures, name)?))).collect::<PolarsResult<_>>()?;
        Ok(Self { rows, sums })
    }

    /// The totals of both parts of a table.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.rows += other.rows;
        for (name, cents) in other.sums {
            match self.sums.iter_mut().find(|(known, _)| *known == name) {
                Some((_, sum)) => *sum += cents,
                None => self.sums.push((name, cents)),
            }
        }
        self
    }

    fn sum(&self, column: &str) -> i128 {
        self.sums.iter().find(|(name, _)| *name == column).map_or(0, |(_, cents)| *cents)
    }
}

/// The number of rows of an entity, every one of which has its key.
///
/// A bare `len` over a scan of several files asks Polars for 128-bit counts, which it is built without.
pub fn rows_of(entity: &Entity) -> Expr {
    col(entity.key).is_not_null().sum()
}

/// A fact has the rows of current silver, and the sum of each of its amounts.
#[must_use]
pub fn fact_equals_silver(table: &str, entity: &Entity, silver: &Totals, fact: &Totals) -> Vec<ControlCheck> {
    let mut checks = vec![ControlCheck::equal(table, "rows of current silver", &silver.rows, &fact.rows)];
    for column in entity.tracked.iter().filter(|column| column.kind == ColumnType::Money) {
        let check = format!("sum of {}", column.name);
        checks.push(same_cents(table, &check, silver.sum(column.name), fact.sum(column.name)));
    }
    checks
}

/// No two rows share their values of the columns.
#[must_use]
pub fn no_duplicates(table: &str, columns: &[&str], duplicates: u64) -> ControlCheck {
    ControlCheck::equal(table, &format!("rows with the same {}", columns.join(", ")), &0, &duplicates)
}

/// Rows that share their values of the columns with a row before them.
///
/// # Errors
/// The rows lack a column.
pub fn duplicates(rows: &DataFrame, columns: &[&str]) -> PolarsResult<u64> {
    let distinct = match columns {
        [column] => col(*column).n_unique(),
        _ => as_struct(columns.iter().map(|column| col(*column)).collect()).n_unique(),
    };
    let distinct = rows.clone().lazy().select([distinct]).collect()?;
    let distinct: u64 = distinct.columns()[0].get(0)?.extract().unwrap_or(0);
    Ok(rows.height() as u64 - distinct)
}

/// Two amounts are the same, to the cent.
#[must_use]
pub fn same_cents(table: &str, check: &str, expected: i128, actual: i128) -> ControlCheck {
    ControlCheck::equal(table, check, &money::format_cents(expected), &money::format_cents(actual))
}

/// What to say of the checks that failed: their names and figures; none where all passed.
#[must_use]
pub fn failures(checks: &[ControlCheck]) -> Option<String> {
    let failed: Vec<String> = checks
        .iter()
        .filter(|check| !check.passed)
        .map(|check| format!("`{}`: {}: expected {}, got {}", check.table, check.check, check.expected, check.actual))
        .collect();
    (!failed.is_empty()).then(|| failed.join("; "))
}

#[cfg(test)]
mod tests {
    use rcm_model::cdm::TRANSACTIONS;

    use super::*;

    fn transactions(amounts: &[i64], current: &[bool]) -> LazyFrame {
        let frame = df!(
            "transaction_key" => vec!["T"; amounts.len()],
            "amount" => amounts,
            "paid_amount" => vec![None::<i64>; amounts.len()],
            "is_current" => current,
            "is_deleted" => vec![false; amounts.len()],
        );
        frame
            .unwrap()
            .lazy()
            .with_columns([col("amount").cast(money::dtype()), col("paid_amount").cast(money::dtype())])
    }

    #[test]
    fn a_fact_that_lost_a_row_fails_with_both_figures() {
        let silver = Totals::of_silver(transactions(&[100, 20, 7], &[true, true, false]), &TRANSACTIONS).unwrap();
        let fact = Totals::of(transactions(&[100], &[true]), &TRANSACTIONS).unwrap();
        let checks = fact_equals_silver("gold/fact_transactions", &TRANSACTIONS, &silver, &fact);
        assert_eq!(
            failures(&checks).unwrap(),
            "`gold/fact_transactions`: rows of current silver: expected 2, got 1; \
             `gold/fact_transactions`: sum of amount: expected 120.00, got 100.00"
        );
    }

    #[test]
    fn totals_of_parts_add_up_to_those_of_the_whole() {
        let part = |amounts| Totals::of(transactions(amounts, &[true, true]), &TRANSACTIONS).unwrap();
        let whole = Totals::of(transactions(&[1, 2, 3, 4], &[true; 4]), &TRANSACTIONS).unwrap();
        assert_eq!(Totals::default().and(part(&[1, 2])).and(part(&[3, 4])), whole);
    }

    #[test]
    fn duplicates_are_counted_over_all_columns_together() {
        let rows = df!("month" => ["a", "a", "a"], "payor" => [Some("x"), Some("y"), None]).unwrap();
        assert_eq!(duplicates(&rows, &["month", "payor"]).unwrap(), 0);
        assert_eq!(duplicates(&rows, &["month"]).unwrap(), 2);
    }
}
