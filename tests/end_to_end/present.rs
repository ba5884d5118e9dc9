//! After an extract the current rows are those of the source; modified times only set the start of versions.

use std::time::Duration;

use polars::prelude::*;

use crate::ledger::{COLUMNS, Ledger, Load, csv, make_older};

const UNPAID_IN_2042: &str = "A,P,2024-09-01,100,,,2042-09-10";
const B: &str = "B,P,2024-09-01,200,,,2024-09-10";
const PAID: &str = "A,P,2024-09-01,100,2024-10-20,100,2024-10-20";

/// A to F at 10 each.
const SIX: [&str; 6] = [
    "A,P,2024-09-01,10,,,2024-09-10",
    "B,P,2024-09-01,10,,,2024-09-10",
    "C,P,2024-09-01,10,,,2024-09-10",
    "D,P,2024-09-01,10,,,2024-09-10",
    "E,P,2024-09-01,10,,,2024-09-10",
    "F,P,2024-09-01,10,,,2024-09-10",
];

fn five() -> &'static [&'static str] {
    SIX.split_last().unwrap().1
}

#[rstest::rstest]
#[case::the_whole_table(&[PAID, B])]
#[case::what_changed_alone(&[PAID])]
#[tokio::test(flavor = "multi_thread")]
async fn a_row_modified_in_the_future_is_replaced_by_a_later_incremental_load(#[case] second: &[&str]) {
    let ledger = Ledger::new().await;
    let first = ledger.take(Load::Incremental, &[UNPAID_IN_2042, B]).await.whole();
    assert!(first.counted("modified_in_future") > 0, "{:?}", first.rules());
    ledger.take(Load::Incremental, second).await.whole();
    let paid = ledger.current("transactions", &["src_transaction_id", "paid_amount"]).await;
    assert_eq!(paid, ["A|100.00", "B|null"]);
    assert_eq!(ledger.run_today().await.whole().ar(), "200.00");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_modified_in_the_future_is_replaced_at_a_past_date_too() {
    let ledger = Ledger::new().await;
    ledger.take(Load::Incremental, &[UNPAID_IN_2042, B]).await.whole();
    let told = ledger.take(Load::Incremental, &[PAID, B]).await.whole();
    assert_eq!(told.ar(), "200.00");
}

#[rstest::rstest]
#[case::beyond_the_extract("2042-09-10")]
#[case::as_any_other("2024-09-10")]
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_a_full_extract_lacks_is_deleted_for_any_modified_time(#[case] stamp: &str) {
    let ledger = Ledger::new().await;
    let sixth = format!("F,P,2024-09-01,10,,,{stamp}");
    ledger.take(Load::Full, &[five(), &[&sixth]].concat()).await.whole();
    ledger.take(Load::Full, five()).await.whole();
    assert_eq!(ledger.amounts().await, ["A|10.00", "B|10.00", "C|10.00", "D|10.00", "E|10.00"]);
    let of_key = col("src_transaction_id").eq(lit("F"));
    assert_eq!(ledger.rows("silver/transactions", of_key, &["is_deleted", "is_current"]).await, ["true|false"]);
    assert_eq!(ledger.run_today().await.whole().ar(), "50.00");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_changes_twice_with_one_modified_time_has_the_values_of_the_extract() {
    let ledger = Ledger::new().await;
    let unpaid = "A,P,2024-09-01,100,,,2024-10-05";
    let paid = "A,P,2024-09-01,100,2024-10-04,100,2024-10-05";
    ledger.take(Load::Full, &[unpaid]).await.whole();
    ledger.take(Load::Full, &[paid]).await.whole();
    assert_eq!(ledger.run_today().await.whole().ar(), "0.00");
    let told = ledger.take(Load::Full, &[unpaid]).await.whole();
    assert_eq!(told.ar(), "100.00");
    assert_eq!(ledger.current("transactions", &["src_transaction_id", "paid_amount"]).await, ["A|null"]);
    assert_eq!(ledger.run_today().await.whole().ar(), "100.00");
}

#[rstest::rstest]
#[case::with_too_few_fields("G,P,2024-09-01,10")]
#[case::with_too_many_fields("G,P,2024-09-01,10,,,2024-09-10,and,more")]
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_comes_back_beside_a_malformed_row_is_back(#[case] malformed: &str) {
    let ledger = Ledger::new().await;
    ledger.take(Load::Full, &SIX).await.whole();
    ledger.take(Load::Full, five()).await.whole();
    assert_eq!(ledger.run_today().await.whole().ar(), "50.00");
    let told = ledger.take(Load::Full, &[&SIX[..], &[malformed]].concat()).await.whole();
    assert_eq!(told.ar(), "60.00");
    assert_eq!(ledger.amounts().await.len(), 6);
    assert_eq!(ledger.quarantined("transactions").await.len(), 1);
    assert_eq!(ledger.run_today().await.whole().ar(), "60.00");
}

#[rstest::rstest]
#[case::as_it_was("F,P,2024-09-01,10,,,2024-09-10", "60.00")]
#[case::with_another_amount("F,P,2024-09-01,25,,,2024-10-20", "75.00")]
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_comes_back_in_an_incremental_load_is_back(#[case] back: &str, #[case] ar: &str) {
    let ledger = Ledger::new().await;
    ledger.take(Load::Full, &SIX).await.whole();
    ledger.take(Load::Full, five()).await.whole();
    assert_eq!(ledger.amounts().await.len(), 5);
    ledger.take(Load::Incremental, &[back]).await.whole();
    assert_eq!(ledger.amounts().await.len(), 6);
    assert_eq!(ledger.run_today().await.whole().ar(), ar);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incremental_load_deletes_nothing() {
    let ledger = Ledger::new().await;
    ledger.take(Load::Full, &SIX).await.whole();
    ledger.take(Load::Incremental, &["A,P,2024-09-01,15,,,2024-10-20"]).await.whole();
    assert_eq!(ledger.amounts().await, ["A|15.00", "B|10.00", "C|10.00", "D|10.00", "E|10.00", "F|10.00"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_modified_time_that_goes_back_is_counted_and_excludes_no_row() {
    let ledger = Ledger::new().await;
    ledger.take(Load::Full, &["A,P,2024-09-01,100,,,2024-10-05"]).await.whole();
    let told = ledger.take(Load::Full, &["A,P,2024-09-01,70,,,2024-09-10"]).await.whole();
    assert_eq!(ledger.amounts().await, ["A|70.00"]);
    assert_eq!(told.counted("modified_goes_back"), 1, "{:?}", told.rules());
    assert_eq!(ledger.run_today().await.whole().ar(), "70.00");
}

#[rstest::rstest]
#[case::quarantined("F,P,2024-09-01,many,,,2024-10-10")]
#[case::malformed("F,P,2024-09-01,10")]
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_row_of_a_full_extract_deletes_nothing_that_it_names(#[case] bad: &str) {
    let ledger = Ledger::new().await;
    ledger.take(Load::Full, &SIX).await.whole();
    let told = ledger.take(Load::Full, &[five(), &[bad]].concat()).await.whole();
    assert_eq!(told.ar(), "60.00");
    assert_eq!(ledger.amounts().await.len(), 6);
    assert_eq!(ledger.run_today().await.whole().ar(), "60.00");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_row_of_a_full_extract_protects_no_other_key() {
    let ledger = Ledger::new().await;
    ledger.take(Load::Full, &SIX).await.whole();
    let with_bad_row: Vec<&str> = [five(), &["G,P,2024-09-01,many,,,2024-10-10"]].concat();
    ledger.take(Load::Full, &with_bad_row).await.whole();
    assert_eq!(ledger.amounts().await, ["A|10.00", "B|10.00", "C|10.00", "D|10.00", "E|10.00"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_every_full_extract_the_current_versions_are_checked_against_its_rows() {
    let ledger = Ledger::new().await;
    for (rows, keys, amount) in [(&SIX[..], "6", "60.00"), (five(), "5", "50.00")] {
        let told = ledger.take(Load::Full, rows).await.whole();
        let checks = told.checks("silver-transactions");
        assert!(!checks.is_empty(), "there is no control check of the extract");
        assert!(checks.iter().all(|check| check["passed"] == true), "{checks:#?}");
        let compares =
            |figure: &str| checks.iter().any(|check| check["expected"] == figure && check["actual"] == figure);
        assert!(compares(keys) && compares(amount), "{checks:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extract_file_that_is_older_than_the_last_one_is_skipped_and_reported() {
    let ledger = Ledger::new().await;
    ledger.take(Load::Full, &SIX).await.whole();
    ledger.send("transactions", csv(COLUMNS, five()));
    make_older(&ledger.extract("transactions"), Duration::from_hours(1));
    let told = ledger.run().await;
    assert_eq!(ledger.amounts().await.len(), 6);
    let said = told.notes().iter().any(|note| note.contains("older")) || told.errors().contains("older");
    assert!(said, "{:?} {}", told.notes(), told.errors());
}
