//! `kpi_claims`: what payers deny and reject.

use chrono::NaiveDate;
use polars::prelude::*;

use super::measure::{amount, count, count_where, date, month_of, rate, ratio, sums_by, text};
use super::parts::Parts;
use super::print::{Layout, Print};
use super::{GoldTables, Kpi, control_sums};
use crate::gold::conform;

/// One row per month of the claim, datasource, payor and type of payor.
pub const KPI: Kpi = Kpi {
    table: "kpi_claims",
    grain: &["claim_month", "datasource", "payor_id", "payor_type"],
    inputs: &["fact_claims"],
    keeps_history: false,
    dated_by: ("fact_claims", "claim_date"),
    schema,
    compute,
    adds_up: &[("claim_amount", control_sums::claim_amount)],
    metrics: &[],
    print: Some(Print::Layout(Layout::Claims)),
};

/// Statuses of a claim that the model knows, compared without case.
pub const STATUSES: [&str; 11] = [
    "approved",
    "paid",
    "denied",
    "rejected",
    "pending",
    "submitted",
    "accepted",
    "partially paid",
    "appealed",
    "voided",
    "closed",
];

/// Columns: `denied`, `rejected` and `paid` are the claims of that status, `unknown_status` those whose
/// status is none of [`STATUSES`]; the rates are shares of `claims`. `clean_claim_proxy` is the share that is
/// neither rejected nor of an unknown status: the real clean claim rate would need to know which claims went
/// through untouched.
#[must_use]
pub fn schema() -> Schema {
    Schema::from_iter([
        date("as_of"),
        date("claim_month"),
        text("datasource"),
        text("payor_id"),
        text("payor_type"),
        count("claims"),
        amount("claim_amount"),
        amount("paid_amount"),
        count("denied"),
        count("rejected"),
        count("paid"),
        rate("denial_rate"),
        rate("rejection_rate"),
        rate("clean_claim_proxy"),
        count("unknown_status"),
    ])
}

/// How the table is computed of parts.
pub(super) const PARTS: Parts = Parts { by: KPI.grain, sums, rows };

/// The table's rows: claims with a claim date up to `as_of`.
///
/// # Errors
/// The fact lacks a column.
pub fn compute(gold: &GoldTables, as_of: NaiveDate) -> PolarsResult<DataFrame> {
    rows(sums(gold, as_of)?.lazy(), gold, as_of)
}

fn sums(gold: &GoldTables, as_of: NaiveDate) -> PolarsResult<DataFrame> {
    let status = || col("claim_status").str().to_lowercase();
    let has_status = |name: &'static str| count_where(status().eq(lit(name)));
    let is_known = STATUSES.iter().fold(lit(false), |known, name| known.or(status().eq(lit(*name))));
    let claims = gold
        .claims
        .clone()
        .filter(col("claim_date").lt_eq(lit(as_of)))
        .with_columns([month_of("claim_date").alias("claim_month")]);
    let sums = [
        len().alias("claims"),
        col("claim_amount").sum(),
        col("paid_amount").sum(),
        has_status("denied").alias("denied"),
        has_status("rejected").alias("rejected"),
        has_status("paid").alias("paid"),
        count_where(is_known.not()).alias("unknown_status"),
    ];
    sums_by(claims, PARTS.by, sums)
}

fn rows(sums: LazyFrame, _: &GoldTables, as_of: NaiveDate) -> PolarsResult<DataFrame> {
    let rows = sums
        .with_columns([
            lit(as_of).alias("as_of"),
            ratio("denied", "claims").alias("denial_rate"),
            ratio("rejected", "claims").alias("rejection_rate"),
        ])
        .with_columns([(col("claims").cast(DataType::Int64)
            - col("rejected").cast(DataType::Int64)
            - col("unknown_status").cast(DataType::Int64))
        .alias("_clean")])
        .with_columns([ratio("_clean", "claims").alias("clean_claim_proxy")])
        .sort(PARTS.by.to_vec(), SortMultipleOptions::default());
    conform(rows, &schema())
}

#[cfg(test)]
mod tests {
    use super::super::samples::{as_of, day, shown, tables};
    use super::*;
    use crate::money;

    fn claims(given: &[(&str, Option<&str>)]) -> GoldTables {
        let rows = df!(
            "claim_date" => given.iter().map(|row| day(row.0)).collect::<Vec<_>>(),
            "claim_status" => given.iter().map(|row| row.1).collect::<Vec<_>>(),
            "claim_amount" => vec![10i64; given.len()],
            "datasource" => vec!["hos-a"; given.len()],
            "payor_id" => vec!["PAYOR1"; given.len()],
        );
        let rows = rows.unwrap().lazy().with_columns([col("claim_amount").cast(money::dtype())]).collect();
        tables(DataFrame::empty(), rows.unwrap())
    }

    #[test]
    fn rates_are_shares_of_the_months_claims_whatever_the_case_of_the_status() {
        let gold = claims(&[
            ("2024-10-01", Some("Denied")),
            ("2024-10-31", Some("DENIED")),
            ("2024-10-15", Some("Rejected")),
            ("2024-10-15", None),
            ("2024-11-01", Some("Paid")),
            ("2024-11-08", Some("Denied")),
        ]);
        let table = compute(&gold, as_of()).unwrap();
        assert_eq!(shown(&table, "claim_month"), ["2024-10-01", "2024-11-01"]);
        assert_eq!(shown(&table, "claims"), ["4", "1"]);
        assert_eq!(shown(&table, "claim_amount"), ["40.00", "10.00"]);
        assert_eq!(shown(&table, "denial_rate"), ["0.5", "0.0"]);
        assert_eq!(shown(&table, "rejection_rate"), ["0.25", "0.0"]);
        assert_eq!(shown(&table, "clean_claim_proxy"), ["0.75", "1.0"]);
        assert_eq!(shown(&table, "paid"), ["0", "1"]);
        assert_eq!(shown(&table, "unknown_status"), ["0", "0"]);
    }

    #[test]
    fn a_status_that_is_not_known_is_counted_and_never_clean() {
        let gold = claims(&[
            ("2024-10-01", Some("D")),
            ("2024-10-01", Some("Claim Denied")),
            ("2024-10-01", Some("Partially Paid")),
            ("2024-10-01", Some("rejected")),
            ("2024-10-01", None),
        ]);
        let table = compute(&gold, as_of()).unwrap();
        assert_eq!(shown(&table, "unknown_status"), ["2"]);
        assert_eq!(shown(&table, "clean_claim_proxy"), ["0.4"]);
    }
}
