//! The KPIs of a date, read from gold for the terminal.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use polars::prelude::*;
use rcm_domain::kpi::{ar_aging, collection_rate, days_in_ar};
use rcm_platform::{Lake, StageError, lake};
use rcm_tables::delta::Table;
use rcm_tables::frames::blocking;

use crate::print::{ALL, AgingRow, ClaimsRow, CollectionRow, DaysInArRow, Kpis, aging_rows};

/// Reads what gold says as of a date. A table that is not there leaves its part empty.
///
/// # Errors
/// A table cannot be read.
pub async fn read(lake: &Lake, as_of: NaiveDate) -> Result<Kpis, StageError> {
    let mut kpis = Kpis {
        as_of,
        ar_aging: Vec::new(),
        days_in_ar: Vec::new(),
        collection_rate: Vec::new(),
        claims: Vec::new(),
        notes: Vec::new(),
    };
    if let Some(rows) = rows_of(lake, "kpi_ar_aging", as_of).await? {
        kpis.ar_aging = aging(&rows)?;
    }
    if let Some(rows) = rows_of(lake, "kpi_days_in_ar", as_of).await? {
        kpis.days_in_ar = days(&with_total(&rows, days_in_ar::total)?)?;
    }
    if let Some(rows) = rows_of(lake, "kpi_collection_rate", as_of).await? {
        kpis.collection_rate = collection(&with_total(&rows, collection_rate::total)?)?;
        kpis.notes.extend(excluded(&rows)?);
    }
    if let Some(rows) = rows_of(lake, "kpi_claims", as_of).await? {
        kpis.claims = claims(&rows)?;
    }
    Ok(kpis)
}

async fn rows_of(lake: &Lake, table: &str, as_of: NaiveDate) -> Result<Option<DataFrame>, StageError> {
    let Some(table) = Table::open(lake, &lake::gold(table)).await? else { return Ok(None) };
    let rows = table.scan(table.files()).await?.filter(col("as_of").eq(lit(as_of)));
    Ok(Some(blocking(move || Ok(rows.collect()?)).await?))
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
    let amount = cents(rows, "claim_amount")?;
    let mut groups: BTreeMap<&str, (u64, i128, u64, u64, u64)> = BTreeMap::new();
    for i in 0..rows.height() {
        for name in [group[i].as_str(), ALL] {
            let sums = groups.entry(name).or_default();
            sums.0 += claims[i];
            sums.1 += amount[i];
            sums.2 += denied[i];
            sums.3 += rejected[i];
            sums.4 += paid[i];
        }
    }
    let mut rows: Vec<ClaimsRow> = groups
        .into_iter()
        .map(|(name, (claims, amount, denied, rejected, paid))| {
            ClaimsRow::new(name, claims, amount, denied, rejected, paid)
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
mod tests {
    use rcm_domain::money;

    use super::*;

    #[test]
    fn days_in_ar_are_shown_as_gold_has_them() {
        let rows = df!(
            "datasource" => ["hos-a"], "balance" => [100i64], "amount_in_period" => [100i64],
            "balance_over_90_days" => [100i64], "credit_balance" => [0i64],
            "days_in_ar" => [12.5], "share_over_90_days" => [None::<f64>],
        );
        let amounts = ["balance", "amount_in_period", "balance_over_90_days", "credit_balance"];
        let rows = rows.unwrap().lazy().with_columns(amounts.map(|name| col(name).cast(money::dtype())));
        let shown = days(&rows.collect().unwrap()).unwrap();
        assert_eq!((shown[0].balance, shown[0].days_in_ar, shown[0].share_over_90), (10_000, Some(12.5), None));
    }

    #[test]
    fn collection_rates_are_shown_as_gold_has_them() {
        let rows = df!(
            "datasource" => ["hos-a"], "horizon_days" => [30i32], "amount" => [100i64], "paid_within_k" => [100i64],
            "balance_at_k" => [100i64], "paid_after_k" => [100i64],
            "collected_within_k" => [0.25], "yield_of_balance_aged_k" => [None::<f64>], "benchmark" => [0.93],
        );
        let amounts = ["amount", "paid_within_k", "balance_at_k", "paid_after_k"];
        let rows = rows.unwrap().lazy().with_columns(amounts.map(|name| col(name).cast(money::dtype())));
        let shown = collection(&rows.collect().unwrap()).unwrap();
        let rates = (shown[0].collected_within_rate, shown[0].yield_rate, shown[0].benchmark);
        assert_eq!(rates, (Some(0.25), None, Some(0.93)));
    }
}
