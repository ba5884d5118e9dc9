//! How a KPI is printed after a run.

use polars::prelude::*;

/// How a KPI is printed.
#[derive(Debug)]
pub enum Print {
    /// As a table of its columns, which needs no other code.
    Table(PrintedTable),
    /// In a layout of its own, which `infra/local/src/kpis.rs` reads and `infra/local/src/print/kpis.rs` prints.
    Layout(Layout),
}

/// Layouts that are more than a table of columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// A line per age bucket, a pair of columns per datasource.
    Ageing,
    /// A line per datasource, and one for all of them.
    DaysInAr,
    /// A line per datasource and horizon, and those for all datasources; a note of what the rates leave out.
    Collection,
    /// A line per type of payor, and one for all of them.
    Claims,
}

/// A table of columns.
#[derive(Debug)]
pub struct PrintedTable {
    /// Heading of the table.
    pub title: &'static str,
    /// Columns from left to right.
    pub columns: &'static [PrintedColumn],
    /// Rows to print, from the rows of the date in the order of the grain.
    pub rows: fn(DataFrame) -> PolarsResult<DataFrame>,
}

/// A column of a printed table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrintedColumn {
    /// Name in the KPI's schema, and in JSON.
    pub name: &'static str,
    /// Name that is printed.
    pub heading: &'static str,
    pub format: Format,
}

/// How the values of a column are printed. A null is a dash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A text or a date; to the left.
    Text,
    /// A whole number, not negative, with thousands separators.
    Count,
    /// An amount with thousands separators and two decimals.
    Money,
    /// A share of 1 as a percentage with so many decimals.
    Percent(usize),
    /// Days with two decimals.
    Days,
}

/// All rows of the date.
///
/// # Errors
/// None.
pub fn all_rows(rows: DataFrame) -> PolarsResult<DataFrame> {
    Ok(rows)
}
