//! Prints KPIs as tables of their columns, as their descriptions say.

use std::collections::BTreeMap;

use rcm_domain::kpi::print::{Format, PrintedColumn};
use serde::{Serialize, Serializer};

use super::figures::{NONE, count, money, percent};
use super::table::table;

/// A KPI that is printed as a table of its columns.
#[derive(Debug, Clone, PartialEq)]
pub struct KpiTable {
    /// Name in JSON: that of the gold table without `kpi_`.
    pub name: &'static str,
    /// Heading of the table.
    pub title: &'static str,
    /// Columns from left to right.
    pub columns: &'static [PrintedColumn],
    /// Rows of as many values as there are columns.
    pub rows: Vec<Vec<Cell>>,
}

/// A value of a printed table.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Cell {
    Null,
    Text(String),
    Count(u64),
    /// Cents; in JSON a number with two decimals.
    Money(#[serde(serialize_with = "super::kpis::amount")] i128),
    /// A share of 1, or days.
    Number(f64),
}

impl Serialize for KpiTable {
    /// Writes a list of rows, each from names of columns to values.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let names = || self.columns.iter().map(|column| column.name);
        serializer.collect_seq(self.rows.iter().map(|row| names().zip(row).collect::<BTreeMap<_, _>>()))
    }
}

/// Writes tables from name to rows.
pub(super) fn by_name<S: Serializer>(tables: &[KpiTable], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(tables.iter().map(|table| (table.name, table)))
}

/// Returns a table as text; empty if it has no rows.
pub(super) fn kpi_table(kpi: &KpiTable) -> String {
    let headings: Vec<&str> = kpi.columns.iter().map(|column| column.heading).collect();
    let left = kpi.columns.iter().take_while(|column| column.format == Format::Text).count();
    let line = |row: &Vec<Cell>| kpi.columns.iter().zip(row).map(|(column, cell)| text(column.format, cell)).collect();
    table(kpi.title, &headings, left, kpi.rows.iter().map(line).collect())
}

fn text(format: Format, cell: &Cell) -> String {
    match cell {
        Cell::Null => NONE.to_owned(),
        Cell::Text(text) => text.clone(),
        Cell::Count(number) => count(*number),
        Cell::Money(cents) => money(*cents),
        Cell::Number(number) => match format {
            Format::Percent(decimals) => percent(Some(*number), decimals),
            _ => format!("{number:.2}"),
        },
    }
}
