//! The measures finance reads, as tables and as JSON.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use rcm_domain::money::ratio;
use serde::{Serialize, Serializer};

use super::figures::{NONE, count, money, percent};
use super::kpi_table::{self, KpiTable, kpi_table};
use super::table::{list, sections, table};

/// Datasource of a row that stands for all hospitals together.
pub const ALL: &str = "all";

/// The KPIs of a date. Amounts are cents here and numbers with two decimals in JSON; ratios are
/// fractions, and null where the denominator is zero.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Kpis {
    /// Date that they are computed for.
    pub as_of: NaiveDate,
    pub ar_aging: Vec<AgingRow>,
    pub days_in_ar: Vec<DaysInArRow>,
    pub collection_rate: Vec<CollectionRow>,
    pub claims: Vec<ClaimsRow>,
    /// KPIs that are printed as tables of their columns; in JSON each under its name.
    #[serde(flatten, serialize_with = "kpi_table::by_name")]
    pub tables: Vec<KpiTable>,
    /// What a KPI leaves out, and how many rows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Balance of one age bucket of one datasource.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AgingRow {
    pub datasource: String,
    /// Days since the service, such as `31-60`.
    pub bucket: String,
    #[serde(serialize_with = "amount")]
    pub balance: i128,
    /// Share of the datasource's whole balance.
    pub share: Option<f64>,
}

/// Days in accounts receivable of one datasource.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DaysInArRow {
    pub datasource: String,
    #[serde(serialize_with = "amount")]
    pub balance: i128,
    /// Billed amount of the last 90 days: the denominator, times 90.
    #[serde(serialize_with = "amount")]
    pub amount_90_days: i128,
    pub days_in_ar: Option<f64>,
    #[serde(serialize_with = "amount")]
    pub balance_over_90: i128,
    pub share_over_90: Option<f64>,
    /// What was paid beyond what was billed; no part of the balance.
    #[serde(serialize_with = "amount")]
    pub credit_balance: i128,
}

/// Collection of one datasource within `horizon` days, over what was served at least so long ago.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CollectionRow {
    pub datasource: String,
    /// Days since the service.
    pub horizon: u32,
    #[serde(serialize_with = "amount")]
    pub cohort_amount: i128,
    #[serde(serialize_with = "amount")]
    pub collected_within: i128,
    pub collected_within_rate: Option<f64>,
    /// Balance still open on the last day of the horizon.
    #[serde(serialize_with = "amount")]
    pub open_balance: i128,
    /// What was paid of it later.
    #[serde(serialize_with = "amount")]
    pub collected_after: i128,
    pub yield_rate: Option<f64>,
    /// What the industry reaches of the yield.
    pub benchmark: Option<f64>,
}

/// Claims of one group: a payor type, a payor, or all.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClaimsRow {
    pub group: String,
    pub claims: u64,
    #[serde(serialize_with = "amount")]
    pub amount: i128,
    pub denied: u64,
    pub rejected: u64,
    pub paid: u64,
    /// Claims with a status that the model does not know.
    pub unknown_status: u64,
    pub denial_rate: Option<f64>,
    pub rejection_rate: Option<f64>,
    /// Share of the claims that were neither rejected nor of an unknown status.
    pub clean_claim_rate: Option<f64>,
}

/// The rows of one datasource from the balance of each bucket, youngest first. Gold has the share of the
/// balance of all datasources alone.
#[must_use]
pub fn aging_rows(datasource: &str, buckets: &[(&str, i128)]) -> Vec<AgingRow> {
    let total: i128 = buckets.iter().map(|(_, balance)| balance).sum();
    let row = |&(bucket, balance): &(&str, i128)| AgingRow {
        datasource: datasource.to_owned(),
        bucket: bucket.to_owned(),
        balance,
        share: ratio(balance, total),
    };
    buckets.iter().map(row).collect()
}

impl ClaimsRow {
    /// A group of gold's rows: its rates are those of its sums, which no row of gold has.
    #[must_use]
    pub fn new(group: &str, claims: u64, amount: i128, denied: u64, rejected: u64, paid: u64, unknown: u64) -> Self {
        let share = |part: u64| ratio(i128::from(part), i128::from(claims));
        Self {
            group: group.to_owned(),
            claims,
            amount,
            denied,
            rejected,
            paid,
            unknown_status: unknown,
            denial_rate: share(denied),
            rejection_rate: share(rejected),
            clean_claim_rate: share(claims.saturating_sub(rejected + unknown)),
        }
    }
}

/// The KPIs as tables.
#[must_use]
pub fn kpis(kpis: &Kpis) -> String {
    let title = format!("Receivables as of {}\n\n", kpis.as_of);
    let mut tables = vec![
        aging(&kpis.ar_aging),
        days_in_ar(&kpis.days_in_ar),
        collection(&kpis.collection_rate),
        claims(&kpis.claims),
    ];
    tables.extend(kpis.tables.iter().map(kpi_table));
    tables.push(list("Worth knowing", &kpis.notes));
    title + &sections(&tables)
}

/// A line per bucket, a pair of columns per datasource.
fn aging(rows: &[AgingRow]) -> String {
    let mut datasources: Vec<&str> = Vec::new();
    let mut buckets: Vec<&str> = Vec::new();
    let mut cells: BTreeMap<(&str, &str), &AgingRow> = BTreeMap::new();
    for row in rows {
        if !datasources.contains(&row.datasource.as_str()) {
            datasources.push(&row.datasource);
        }
        if !buckets.contains(&row.bucket.as_str()) {
            buckets.push(&row.bucket);
        }
        cells.insert((&row.bucket, &row.datasource), row);
    }
    let mut header = vec!["days since service"];
    header.extend(datasources.iter().flat_map(|datasource| [*datasource, "share"]));
    let mut lines: Vec<Vec<String>> = Vec::new();
    for bucket in buckets {
        let mut line = vec![bucket.to_owned()];
        for datasource in &datasources {
            let cell = cells.get(&(bucket, *datasource));
            line.push(cell.map_or_else(|| NONE.to_owned(), |row| money(row.balance)));
            line.push(percent(cell.and_then(|row| row.share), 2));
        }
        lines.push(line);
    }
    if !lines.is_empty() {
        let mut line = vec!["balance".to_owned()];
        for datasource in &datasources {
            let of_datasource = rows.iter().filter(|row| row.datasource == *datasource);
            line.extend([money(of_datasource.map(|row| row.balance).sum()), String::new()]);
        }
        lines.push(line);
    }
    table("Ageing of the balance", &header, 1, lines)
}

fn days_in_ar(rows: &[DaysInArRow]) -> String {
    let lines = rows.iter().map(|row| {
        vec![
            row.datasource.clone(),
            row.days_in_ar.map_or_else(|| NONE.to_owned(), |days| format!("{days:.2}")),
            money(row.balance),
            money(row.amount_90_days),
            percent(row.share_over_90, 2),
            money(row.credit_balance),
        ]
    });
    let header = ["datasource", "days", "balance", "billed in 90 days", "older than 90 days", "credit balances"];
    table("Days in AR", &header, 1, lines.collect())
}

fn collection(rows: &[CollectionRow]) -> String {
    let lines = rows.iter().map(|row| {
        vec![
            row.datasource.clone(),
            row.horizon.to_string(),
            money(row.cohort_amount),
            percent(row.collected_within_rate, 2),
            money(row.open_balance),
            percent(row.yield_rate, 2),
            percent(row.benchmark, 0),
        ]
    });
    let header = ["datasource", "days", "billed", "collected within", "still open then", "of it later", "benchmark"];
    table("Collection", &header, 1, lines.collect())
}

fn claims(rows: &[ClaimsRow]) -> String {
    let lines = rows.iter().map(|row| {
        vec![
            row.group.clone(),
            count(row.claims),
            money(row.amount),
            count(row.paid),
            percent(row.denial_rate, 1),
            percent(row.rejection_rate, 1),
            percent(row.clean_claim_rate, 1),
        ]
    });
    table("Claims", &["", "claims", "amount", "paid", "denied", "rejected", "clean"], 1, lines.collect())
}

/// Writes cents as a number with decimals. A double holds every cent of amounts below 90 trillion.
pub(super) fn amount<S: Serializer>(cents: &i128, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(*cents as f64 / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Kpis {
        let buckets = ["0-30", "31-60", "61-90", "91-120", "120+"];
        let aging = |datasource: &str, balances: [i128; 5]| {
            aging_rows(datasource, &std::array::from_fn::<_, 5, _>(|index| (buckets[index], balances[index])))
        };
        Kpis {
            as_of: NaiveDate::from_ymd_opt(2024, 11, 7).unwrap(),
            ar_aging: [
                aging(ALL, [40_855_773, 41_677_129, 37_725_407, 40_299_309, 256_790_773]),
                aging("hos-a", [20_855_773, 21_677_129, 17_725_407, 20_299_309, 126_790_773]),
            ]
            .concat(),
            days_in_ar: vec![
                DaysInArRow {
                    datasource: ALL.to_owned(),
                    balance: 417_348_391,
                    amount_90_days: 298_458_930,
                    days_in_ar: Some(125.851_0),
                    balance_over_90: 297_090_082,
                    share_over_90: Some(0.711_9),
                    credit_balance: 1_234_567,
                },
                DaysInArRow {
                    datasource: "hos-c".to_owned(),
                    balance: 0,
                    amount_90_days: 0,
                    days_in_ar: None,
                    balance_over_90: 0,
                    share_over_90: None,
                    credit_balance: 0,
                },
            ],
            collection_rate: vec![CollectionRow {
                datasource: ALL.to_owned(),
                horizon: 30,
                cohort_amount: 10_000,
                collected_within: 4_300,
                collected_within_rate: Some(0.43),
                open_balance: 5_700,
                collected_after: 5_301,
                yield_rate: Some(0.93),
                benchmark: Some(0.93),
            }],
            claims: vec![ClaimsRow::new(ALL, 20_000, 5_123_456_789, 2_000, 800, 12_000, 0)],
            tables: Vec::new(),
            notes: vec!["days to payment leave out 12 transactions paid before their service".to_owned()],
        }
    }

    #[test]
    fn kpis_are_shown_as_small_tables() {
        insta::assert_snapshot!(kpis(&sample()), @r"
        Receivables as of 2024-11-07

        Ageing of the balance
          days since service            all     share          hos-a     share
        ───────────────────────────────────────────────────────────────────────
          0-30                   408,557.73    9.79 %     208,557.73   10.06 %
          31-60                  416,771.29    9.99 %     216,771.29   10.45 %
          61-90                  377,254.07    9.04 %     177,254.07    8.55 %
          91-120                 402,993.09    9.66 %     202,993.09    9.79 %
          120+                 2,567,907.73   61.53 %   1,267,907.73   61.15 %
          balance              4,173,483.91             2,073,483.91

        Days in AR
          datasource     days        balance   billed in 90 days   older than 90 days   credit balances
        ────────────────────────────────────────────────────────────────────────────────────────────────
          all          125.85   4,173,483.91        2,984,589.30              71.19 %         12,345.67
          hos-c             –           0.00                0.00                    –              0.00

        Collection
          datasource   days   billed   collected within   still open then   of it later   benchmark
        ────────────────────────────────────────────────────────────────────────────────────────────
          all            30   100.00            43.00 %             57.00       93.00 %        93 %

        Claims
                claims          amount     paid   denied   rejected    clean
        ─────────────────────────────────────────────────────────────────────
          all   20,000   51,234,567.89   12,000   10.0 %      4.0 %   96.0 %

        Worth knowing
          days to payment leave out 12 transactions paid before their service
        ");
    }

    #[test]
    fn json_has_amounts_as_numbers_to_the_cent() {
        let json = serde_json::to_value(sample()).unwrap();
        assert_eq!(json["days_in_ar"][0]["balance"].to_string(), "4173483.91");
        assert_eq!(json["ar_aging"][4]["balance"].to_string(), "2567907.73");
        assert!(json["days_in_ar"][1]["days_in_ar"].is_null());
    }
}
