//! KPIs of a past date use the rows that were valid at that date, not later changes.

use polars::prelude::*;

use crate::ledger::{Ledger, Load};

#[rstest::rstest]
#[case::in_full_loads(Load::Full)]
#[case::in_incremental_loads(Load::Incremental)]
#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_payment_still_counts_at_a_date_before_its_replacement(#[case] load: Load) {
    let ledger = Ledger::new().await;
    ledger.take(load, &["A,P,2024-08-01,100,2024-09-01,50,2024-09-01"]).await.whole();
    assert_eq!(ledger.run_as_of("2024-09-15").await.whole().ar(), "50.00");
    let told = ledger.take(load, &["A,P,2024-08-01,100,2024-11-01,80,2024-11-01"]).await.whole();
    assert_eq!(told.ar(), "20.00");
    assert_eq!(ledger.run_as_of("2024-09-15").await.whole().ar(), "50.00");
    let of_date = col("as_of").eq(lit("2024-09-15".parse::<chrono::NaiveDate>().unwrap()));
    assert_eq!(ledger.rows("gold/kpi_days_in_ar", of_date, &["datasource", "balance"]).await, ["hos-x|50.00"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn before_its_first_version_a_row_has_the_values_of_the_first_version() {
    let ledger = Ledger::new().await;
    ledger.take(Load::Full, &["A,P,2024-08-01,100,,,2024-10-01"]).await.whole();
    ledger.take(Load::Full, &["A,P,2024-08-01,300,,,2024-11-01"]).await.whole();
    assert_eq!(ledger.run_as_of("2024-09-15").await.whole().ar(), "100.00");
    assert_eq!(ledger.run().await.whole().ar(), "300.00");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_was_deleted_since_counts_on_a_date_before() {
    let ledger = Ledger::new().await;
    ledger.any_share_may_be_lost();
    let both = ["A,P,2024-08-01,100,,,2024-09-01", "B,P,2024-08-01,30,,,2024-09-01"];
    ledger.take(Load::Full, &both).await.whole();
    let told = ledger.take(Load::Full, &both[..1]).await.whole();
    assert_eq!(told.ar(), "130.00");
    assert_eq!(ledger.run_today().await.whole().ar(), "100.00");
}

#[rstest::rstest]
#[case::one_of_each(&["1000", "-1000"], "0.00", "0.00")]
#[case::the_reversal_first(&["-1000", "1000"], "0.00", "0.00")]
#[case::two_charges(&["1000", "1000", "-1000"], "1000.00", "0.00")]
#[case::a_reversal_of_nothing(&["700", "-1000"], "700.00", "1000.00")]
#[tokio::test(flavor = "multi_thread")]
async fn a_charge_and_its_reversal_are_neither_owed_nor_a_credit(
    #[case] amounts: &[&str],
    #[case] ar: &str,
    #[case] credit: &str,
) {
    let ledger = Ledger::new().await;
    let rows: Vec<String> = amounts
        .iter()
        .enumerate()
        .map(|(row, amount)| format!("T{row},P,2024-09-01,{amount},,,2024-09-{}", row + 10))
        .collect();
    let told = ledger.take(Load::Full, &rows.iter().map(String::as_str).collect::<Vec<_>>()).await.whole();
    assert_eq!((told.ar().as_str(), told.receivables("credit_balance").as_str()), (ar, credit));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reversal_reverses_no_charge_of_another_patient_or_day() {
    let ledger = Ledger::new().await;
    let rows =
        ["A,P,2024-09-01,1000,,,2024-09-10", "B,Q,2024-09-01,-1000,,,2024-09-10", "C,P,2024-09-02,-1000,,,2024-09-10"];
    let told = ledger.take(Load::Full, &rows).await.whole();
    assert_eq!((told.ar().as_str(), told.receivables("credit_balance").as_str()), ("1000.00", "2000.00"));
}

#[tokio::test(flavor = "multi_thread")]
async fn payments_of_zero_are_not_in_the_median() {
    let ledger = Ledger::new().await;
    let rows = [
        "A,P,2024-09-01,100,2024-09-01,0,2024-09-10",
        "B,P,2024-09-01,100,2024-09-02,0.00,2024-09-10",
        "C,P,2024-09-01,100,2024-09-21,40,2024-09-21",
    ];
    ledger.take(Load::Full, &rows).await.whole();
    let found = ledger.rows("gold/kpi_days_to_payment", lit(true), &["payments", "median_days", "p90_days"]).await;
    assert_eq!(found, ["1|20.0|20.0"]);
}

/// Returns the columns of a KPI whose names contain some words, as `<name>=<values>`.
async fn said(ledger: &Ledger, kpi: &str, words: &[&str]) -> Vec<String> {
    let Some(rows) = ledger.table(&format!("gold/{kpi}")).await else { return Vec::new() };
    let names = rows.columns().iter().map(|column| column.name().to_string());
    let mut said = Vec::new();
    for name in names.filter(|name| words.iter().any(|word| name.contains(word))) {
        said.push(format!("{name}={}", ledger.rows(&format!("gold/{kpi}"), lit(true), &[&name]).await.join(",")));
    }
    said
}

/// Returns whether one column has the number of rows and another one the amount.
fn tells(said: &[String], rows: &str, money: &str) -> bool {
    let has = |value: &str| said.iter().any(|column| column.split(['=', ',']).any(|found| found == value));
    has(rows) && has(money)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_collection_rate_reports_number_and_amount_of_overpayments() {
    let ledger = Ledger::new().await;
    let rows = ["A,P,2024-06-01,100,2024-06-10,175,2024-06-10", "B,P,2024-06-01,400,2024-06-10,30,2024-06-10"];
    ledger.take(Load::Full, &rows).await.whole();
    let said =
        said(&ledger, "kpi_collection_rate", &["overpaid", "over_paid", "paid_over", "exceed", "beyond_amount"]).await;
    assert!(tells(&said, "1", "75.00"), "{said:?}");
}

#[rstest::rstest]
#[case::a_typing_error("2204-10-01")]
#[case::the_day_after("2024-11-08")]
#[tokio::test(flavor = "multi_thread")]
async fn each_kpi_reports_number_and_amount_of_rows_after_its_date(#[case] day: &str) {
    let ledger = Ledger::new().await;
    let rows = [format!("A,P,{day},777,,,2024-09-10"), "B,P,2024-06-01,400,2024-06-10,30,2024-06-10".to_owned()];
    let told = ledger.take(Load::Full, &rows.each_ref().map(String::as_str)).await.whole();
    assert_eq!(told.ar(), "370.00");
    let said = said(&ledger, "kpi_days_in_ar", &["future"]).await;
    assert!(tells(&said, "1", "777.00"), "{said:?}");
    for kpi in [
        "kpi_ar_aging",
        "kpi_days_in_ar",
        "kpi_collection_rate",
        "kpi_payer_mix",
        "kpi_days_to_payment",
        "kpi_provider_department",
    ] {
        let notes = told.notes_with("leaves out 1 row of transactions after 2024-11-07: 777.00");
        assert!(notes.iter().any(|note| note.contains(kpi)), "{kpi}: {notes:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_date_in_the_future_is_counted_by_a_warning() {
    let ledger = Ledger::new().await;
    let rows = ["A,P,2204-10-01,777,,,2024-09-10", "B,P,2024-06-01,400,,,2024-06-10"];
    let told = ledger.take(Load::Full, &rows).await.whole();
    assert_eq!(told.counted("service_in_the_future"), 1, "{:?}", told.rules());
    assert_eq!(ledger.amounts().await.len(), 2, "it is a warning");
}
