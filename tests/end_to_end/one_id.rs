//! Several rows with one id: a key of several columns distinguishes them; otherwise a warning counts them.

use crate::ledger::{CLAIM_COLUMNS, COLUMNS, Ledger, Load, csv};

const LINES: [&str; 2] = ["A,P,2024-09-01,70,,,2024-09-10,1", "A,P,2024-09-01,50,,,2024-09-10,2"];

#[tokio::test(flavor = "multi_thread")]
async fn two_rows_of_one_id_are_two_transactions_where_the_key_has_two_columns() {
    let ledger = Ledger::new().await;
    ledger.edit_mapping("src_transaction_id = \"Id\"", "src_transaction_id = [\"Id\", \"Line\"]");
    ledger.send("transactions", csv(&format!("{COLUMNS},Line"), &LINES));
    let told = ledger.run().await.whole();
    assert_eq!(told.ar(), "120.00");
    assert_eq!(ledger.current("transactions", &["transaction_key"]).await, ["A|1-hos-x", "A|2-hos-x"]);
    assert_eq!(told.counted("key_repeated"), 0, "{:?}", told.rules());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_several_columns_without_a_part_is_no_key() {
    let ledger = Ledger::new().await;
    ledger.edit_mapping("src_transaction_id = \"Id\"", "src_transaction_id = [\"Id\", \"Line\"]");
    ledger.send("transactions", csv(&format!("{COLUMNS},Line"), &[LINES[0], "A,P,2024-09-01,50,,,2024-09-10,"]));
    let told = ledger.run().await.whole();
    assert_eq!(told.ar(), "70.00");
    assert_eq!(ledger.quarantined("transactions").await.len(), 1);
}

#[rstest::rstest]
#[case::once(&["A,P,2024-09-01,70,,,2024-09-10", "A,P,2024-09-01,50,,,2024-09-10"], "50.00", 1)]
#[case::of_two_keys(&[
    "A,P,2024-09-01,70,,,2024-09-10", "A,P,2024-09-01,50,,,2024-09-10", "A,P,2024-09-01,30,,,2024-09-10",
    "B,P,2024-09-01,1,,,2024-09-10", "B,P,2024-09-01,2,,,2024-09-10", "C,P,2024-09-01,3,,,2024-09-10",
], "35.00", 2)]
#[case::the_same_row_twice(&["A,P,2024-09-01,70,,,2024-09-10", "A,P,2024-09-01,70,,,2024-09-10"], "70.00", 0)]
#[tokio::test(flavor = "multi_thread")]
async fn keys_that_one_load_repeats_with_other_rows_are_counted(
    #[case] rows: &[&str],
    #[case] ar: &str,
    #[case] keys: u64,
) {
    let ledger = Ledger::new().await;
    let told = ledger.take(Load::Full, rows).await.whole();
    assert_eq!(told.ar(), ar);
    assert_eq!(told.counted("key_repeated"), keys, "{:?}", told.rules());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_rows_of_one_id_the_one_that_was_modified_last_counts() {
    let ledger = Ledger::new().await;
    let rows = ["A,P,2024-09-01,70,,,2024-10-10", "A,P,2024-09-01,50,,,2024-09-10"];
    ledger.take(Load::Full, &rows).await.whole();
    assert_eq!(ledger.amounts().await, ["A|70.00"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_of_two_payers_under_one_number_are_two_where_the_key_has_both() {
    let ledger = Ledger::with_claims().await;
    ledger.edit_mapping("src_claim_id = \"ClaimID\"", "src_claim_id = [\"ClaimID\", \"Payor\"]");
    let claims = [
        "C1,A,P,2024-09-01,2024-09-05,1000,800,Paid,AETNA,2024-09-10",
        "C1,A,P,2024-09-01,2024-09-05,200,100,Paid,CIGNA,2024-09-11",
    ];
    ledger.land("claims/hosx_1.csv", csv(CLAIM_COLUMNS, &claims));
    let told = ledger.take(Load::Full, &["A,P,2024-09-01,1200,,,2024-09-10"]).await.whole();
    assert_eq!(told.claims()["claims"].as_u64(), Some(2));
    assert_eq!(
        ledger.current("claims", &["claim_key", "paid_amount"]).await,
        ["C1|AETNA-hos-x|800.00", "C1|CIGNA-hos-x|100.00"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_of_two_payers_under_one_number_are_counted_where_the_key_has_one_column() {
    let ledger = Ledger::with_claims().await;
    let claims = [
        "C1,A,P,2024-09-01,2024-09-05,1000,800,Paid,AETNA,2024-09-10",
        "C1,A,P,2024-09-01,2024-09-05,200,100,Paid,CIGNA,2024-09-10",
    ];
    ledger.land_claims("hosx_1.csv", &claims);
    let told = ledger.take(Load::Full, &["A,P,2024-09-01,1200,,,2024-09-10"]).await.whole();
    assert_eq!(told.counted("key_repeated"), 1, "{:?}", told.rules());
}
