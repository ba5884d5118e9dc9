//! The KPIs of a date, read from gold for the terminal.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use polars::prelude::*;
use rcm_domain::kpi::print::{Format, Layout, Print, PrintedTable};
use rcm_domain::kpi::{KPIS, Kpi, ar_aging, collection_rate, days_in_ar};
use rcm_domain::money;
use rcm_platform::{Lake, StageError, lake};
use rcm_tables::delta::Table;
use rcm_tables::frames::blocking;

use crate::print::{ALL, AgingRow, Cell, ClaimsRow, CollectionRow, DaysInArRow, KpiTable, Kpis, aging_rows};

/// Reads the KPIs that are printed. A table that is not there leaves its part empty.
///
/// # Errors
/// A table cannot be read.
pub async fn read(lake: &Lake, as_of: NaiveDate) -> Result<Kpis, StageError> {
    read_of(lake, &KPIS, as_of).await
}

async fn read_of(lake: &Lake, kpis: &[&'static Kpi], as_of: NaiveDate) -> Result<Kpis, StageError> {
    let mut found = Kpis { as_of, ..Kpis::default() };
    for &kpi in kpis {
        let Some(print) = &kpi.print else { continue };
        let Some(rows) = rows_of(lake, kpi, as_of).await? else { continue };
        match print {
            Print::Table(printed) => found.tables.push(blocking(move || table_of(kpi, printed, &rows)).await?),
            Print::Layout(layout) => lay_out(&mut found, *layout, &rows)?,
        }
    }
    Ok(found)
}

async fn rows_of(lake: &Lake, kpi: &Kpi, as_of: NaiveDate) -> Result<Option<DataFrame>, StageError> {
    let Some(table) = Table::open(lake, &lake::gold(kpi.table)).await? else { return Ok(None) };
    let rows = table.scan(table.files()).await?.filter(col("as_of").eq(lit(as_of)));
    Ok(Some(blocking(move || Ok(rows.collect()?)).await?))
}

/// Adds a KPI that has a layout of its own.
fn lay_out(kpis: &mut Kpis, layout: Layout, rows: &DataFrame) -> Result<(), StageError> {
    match layout {
        Layout::Ageing => kpis.ar_aging = aging(rows)?,
        Layout::DaysInAr => kpis.days_in_ar = days(&with_total(rows, days_in_ar::total)?)?,
        Layout::Collection => {
            kpis.collection_rate = collection(&with_total(rows, collection_rate::total)?)?;
            kpis.notes.extend(excluded(rows)?);
        }
        Layout::Claims => kpis.claims = claims(rows)?,
    }
    Ok(())
}

/// Returns a KPI as a table of its columns.
fn table_of(kpi: &Kpi, printed: &PrintedTable, rows: &DataFrame) -> Result<KpiTable, StageError> {
    let rows = (printed.rows)(rows.sort(kpi.grain.to_vec(), SortMultipleOptions::default())?)?;
    let columns = printed.columns.iter().map(|column| cells(rows.column(column.name)?, column.format));
    let columns = columns.collect::<Result<Vec<_>, StageError>>()?;
    let row = |i: usize| columns.iter().map(|cells| cells[i].clone()).collect();
    let name = kpi.table.trim_start_matches("kpi_");
    let rows = (0..rows.height()).map(row).collect();
    Ok(KpiTable { name, title: printed.title, columns: printed.columns, rows })
}

/// Returns the values of a column for a format.
fn cells(values: &Column, format: Format) -> Result<Vec<Cell>, StageError> {
    let dtype = match format {
        Format::Text => DataType::String,
        Format::Count => DataType::UInt64,
        Format::Money => money::sum_dtype(),
        Format::Percent(_) | Format::Days => DataType::Float64,
    };
    let values = values.cast(&dtype)?;
    let cells = match format {
        Format::Text => values.str()?.iter().map(|text| text.map(|text| Cell::Text(text.to_owned()))).collect(),
        Format::Count => values.u64()?.iter().map(|count| count.map(Cell::Count)).collect(),
        Format::Money => values.decimal()?.physical().iter().map(|cents| cents.map(Cell::Money)).collect(),
        Format::Percent(_) | Format::Days => values.f64()?.iter().map(|number| number.map(Cell::Number)).collect(),
    };
    let cells: Vec<Option<Cell>> = cells;
    Ok(cells.into_iter().map(|cell| cell.unwrap_or(Cell::Null)).collect())
}

/// The rows of the datasources, and behind them their total where there are several.
fn with_total(rows: &DataFrame, total: fn(&DataFrame) -> PolarsResult<DataFrame>) -> Result<DataFrame, StageError> {
    let order = SortMultipleOptions::default();
    if rows.column("datasource")?.n_unique()? < 2 {
        return Ok(rows.sort(["datasource"], order)?);
    }
    let names: Vec<Expr> = rows.get_column_names().into_iter().map(|name| col(name.clone())).collect();
    let total = total(rows)?.lazy().select(names).collect()?;
    Ok(rows.sort(["datasource"], order)?.vstack(&total)?)
}

fn aging(rows: &DataFrame) -> Result<Vec<AgingRow>, StageError> {
    let (datasource, bucket, balance) =
        (texts(rows, "datasource")?, texts(rows, "age_bucket")?, cents(rows, "balance")?);
    let mut by_source: BTreeMap<String, BTreeMap<String, i128>> = BTreeMap::new();
    for ((datasource, bucket), balance) in datasource.into_iter().zip(bucket).zip(balance) {
        *by_source.entry(ALL.to_owned()).or_default().entry(bucket.clone()).or_default() += balance;
        *by_source.entry(datasource).or_default().entry(bucket).or_default() += balance;
    }
    let all = by_source.remove(ALL);
    if by_source.len() < 2 {
        return Ok(by_source.iter().flat_map(|(datasource, buckets)| in_order(datasource, buckets)).collect());
    }
    let total = all.iter().flat_map(|buckets| in_order(ALL, buckets));
    Ok(by_source.iter().flat_map(|(datasource, buckets)| in_order(datasource, buckets)).chain(total).collect())
}

fn in_order(datasource: &str, balances: &BTreeMap<String, i128>) -> Vec<AgingRow> {
    let buckets = ar_aging::BUCKETS.map(|(bucket, _)| (bucket, balances.get(bucket).copied().unwrap_or(0)));
    aging_rows(datasource, &buckets)
}

fn days(rows: &DataFrame) -> Result<Vec<DaysInArRow>, StageError> {
    let datasource = texts(rows, "datasource")?;
    let columns = ["balance", "amount_in_period", "balance_over_90_days", "credit_balance"];
    let [balance, amount, old, credit] = columns.map(|column| cents(rows, column));
    let (balance, amount, old, credit) = (balance?, amount?, old?, credit?);
    let (days, share) = (rates(rows, "days_in_ar")?, rates(rows, "share_over_90_days")?);
    let row = |i: usize| DaysInArRow {
        datasource: datasource[i].clone(),
        balance: balance[i],
        amount_90_days: amount[i],
        days_in_ar: days[i],
        balance_over_90: old[i],
        share_over_90: share[i],
        credit_balance: credit[i],
    };
    Ok((0..rows.height()).map(row).collect())
}

fn collection(rows: &DataFrame) -> Result<Vec<CollectionRow>, StageError> {
    let datasource = texts(rows, "datasource")?;
    let horizon = counts(rows, "horizon_days")?;
    let columns = ["amount", "paid_within_k", "balance_at_k", "paid_after_k"];
    let [amount, within, open, after] = columns.map(|column| cents(rows, column));
    let (amount, within, open, after) = (amount?, within?, open?, after?);
    let columns = ["collected_within_k", "yield_of_balance_aged_k", "benchmark"];
    let [within_rate, yield_rate, benchmark] = columns.map(|column| rates(rows, column));
    let (within_rate, yield_rate, benchmark) = (within_rate?, yield_rate?, benchmark?);
    let row = |i: usize| CollectionRow {
        datasource: datasource[i].clone(),
        horizon: horizon[i] as u32,
        cohort_amount: amount[i],
        collected_within: within[i],
        collected_within_rate: within_rate[i],
        open_balance: open[i],
        collected_after: after[i],
        yield_rate: yield_rate[i],
        benchmark: benchmark[i],
    };
    let mut rows: Vec<CollectionRow> = (0..rows.height()).map(row).collect();
    rows.sort_by_key(|row| (row.datasource == ALL, row.datasource.clone(), row.horizon));
    Ok(rows)
}

fn excluded(rows: &DataFrame) -> Result<Option<String>, StageError> {
    let excluded: u64 = counts(rows, "excluded_paid_before_service")?.into_iter().max().unwrap_or(0);
    Ok((excluded > 0).then(|| {
        format!("collection rates leave out payments dated before the service, up to {excluded} in one cohort")
    }))
}

fn claims(rows: &DataFrame) -> Result<Vec<ClaimsRow>, StageError> {
    let group = texts(rows, "payor_type")?;
    let [claims, denied, rejected, paid] = ["claims", "denied", "rejected", "paid"].map(|column| counts(rows, column));
    let (claims, denied, rejected, paid) = (claims?, denied?, rejected?, paid?);
    let unknown =
        if rows.schema().contains("unknown_status") { counts(rows, "unknown_status")? } else { vec![0; rows.height()] };
    let amount = cents(rows, "claim_amount")?;
    let mut groups: BTreeMap<&str, (u64, i128, u64, u64, u64, u64)> = BTreeMap::new();
    for i in 0..rows.height() {
        for name in [group[i].as_str(), ALL] {
            let sums = groups.entry(name).or_default();
            sums.0 += claims[i];
            sums.1 += amount[i];
            sums.2 += denied[i];
            sums.3 += rejected[i];
            sums.4 += paid[i];
            sums.5 += unknown[i];
        }
    }
    let mut rows: Vec<ClaimsRow> = groups
        .into_iter()
        .map(|(name, (claims, amount, denied, rejected, paid, unknown))| {
            ClaimsRow::new(name, claims, amount, denied, rejected, paid, unknown)
        })
        .collect();
    rows.sort_by_key(|row| row.group == ALL);
    Ok(rows)
}

fn texts(rows: &DataFrame, column: &str) -> Result<Vec<String>, StageError> {
    Ok(rows.column(column)?.str()?.iter().map(|text| text.unwrap_or("–").to_owned()).collect())
}

fn cents(rows: &DataFrame, column: &str) -> Result<Vec<i128>, StageError> {
    Ok(rows.column(column)?.decimal()?.physical().iter().map(Option::unwrap_or_default).collect())
}

fn rates(rows: &DataFrame, column: &str) -> Result<Vec<Option<f64>>, StageError> {
    Ok(rows.column(column)?.f64()?.iter().collect())
}

fn counts(rows: &DataFrame, column: &str) -> Result<Vec<u64>, StageError> {
    let numbers = rows.column(column)?.cast(&DataType::UInt64)?;
    Ok(numbers.u64()?.iter().map(Option::unwrap_or_default).collect())
}

#[cfg(test)]
mod tests;
