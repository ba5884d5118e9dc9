//! A closed month: what was published stays, and what has changed it since adds up to the cent.

use polars::prelude::*;

use crate::ledger::{Ledger, Load};

/// Two charges of August and one of September, as they were known when September was closed.
const KNOWN: [&str; 3] = [
    "A,P,2024-08-01,100.10,,,2024-09-01",
    "B,P,2024-08-15,60,2024-09-05,20,2024-09-05",
    "C,Q,2024-09-20,30,,,2024-09-21",
];

async fn closed() -> Ledger {
    let ledger = Ledger::new().await;
    ledger.any_share_may_be_lost();
    ledger.take(Load::Full, &KNOWN).await.whole();
    let (text, exit) = ledger.command(&["close", "2024-09", "--by", "finance"]).await;
    assert_eq!(exit, 0, "{text}");
    // 100.10, 40 of B and 30.
    assert!(text.starts_with("2024-09 is closed: balance 170.10, billed_to_date 190.10, paid_to_date 20.00"), "{text}");
    ledger
}

/// Rows of `kpi_restatements` about the balance: part, difference, and the figure as published and as known today.
async fn balances(ledger: &Ledger) -> Vec<String> {
    let of_balance = col("measure").eq(lit("balance"));
    ledger.rows("gold/kpi_restatements", of_balance, &["part", "difference", "published", "now"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_a_closed_month_is_told_part_by_part_and_the_page_says_it() {
    let ledger = closed().await;
    ledger.run().await.whole();
    assert_eq!(balances(&ledger).await, ["unchanged|0.00|170.10|170.10"]);

    // C is gone, more of B was paid by then, D came late, and it is known that A was another amount.
    let changed = [
        "A,P,2024-08-01,90.10,,,2024-10-11",
        "B,P,2024-08-15,60,2024-09-05,45,2024-10-12",
        "D,Q,2024-09-25,500,,,2024-10-13",
    ];
    let told = ledger.take(Load::Full, &changed).await.whole();
    let expected = ["corrections|-10.00", "deletions|-30.00", "late_payments|-25.00", "late_rows|500.00"];
    assert_eq!(balances(&ledger).await, expected.map(|part| format!("{part}|170.10|605.10")));
    assert!(told.checks("gold-kpis").iter().all(|check| check["passed"] == true));
    let published = ledger.rows("gold/kpi_closed_months", lit(true), &["measure", "published", "closed_by"]).await;
    assert!(published.contains(&"balance|170.10|finance".to_owned()) && published.len() == 5, "{published:?}");

    let page = std::fs::read_to_string(ledger.path("report/latest/index.html")).unwrap();
    assert!(page.contains("September was restated by +$435 since it was closed; of it +$500 late charges"), "{page}");
    for value in ["170.10", "605.10", "435.00", "-30.00", "-25.00"] {
        assert!(page.contains(&format!("data-v=\"{value}\"")), "{value}");
    }

    // What arrives unchanged makes nothing anew.
    let version = ledger.table("gold/kpi_restatements").await.unwrap();
    let again = ledger.take(Load::Full, &changed).await.whole();
    let kpis = again.stages().iter().find(|stage| stage["stage"] == "gold-kpis").unwrap();
    assert_eq!(kpis["outcome"], "nothing_new");
    assert!(version.equals_missing(&ledger.table("gold/kpi_restatements").await.unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_with_another_mapping_is_told_as_changed_rules() {
    let ledger = closed().await;
    ledger.edit_mapping("src_modified_at = \"Mod\"", "src_modified_at = \"Mod\"\nwhere = \"Pat = 'P'\"");
    let (text, exit) = ledger.command(&["rebuild", "transactions"]).await;
    assert_eq!(exit, 0, "{text}");
    ledger.run().await.whole();
    assert_eq!(balances(&ledger).await, ["changed_rules|-30.00|170.10|140.10"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_is_closed_once_and_again_after_it_was_reopened_with_a_reason() {
    let ledger = closed().await;
    let refused = async |words: &[&str], expected: &str| {
        let (text, exit) = ledger.command(words).await;
        assert_eq!(exit, 2, "{text}");
        assert!(text.contains(expected), "{text}");
    };
    refused(&["close", "2024-09"], "2024-09 was closed by finance on ").await;
    refused(&["close", "2199-12"], "2199-12 has not ended").await;
    refused(&["close", "2001-01"], "no charge was served up to 2001-01-31").await;
    refused(&["reopen", "2024-08", "--why", "a file was late"], "2024-08 is not closed").await;
    refused(&["reopen", "2024-09", "--why", " "], "--why is empty").await;

    let (text, exit) = ledger.command(&["reopen", "2024-09", "--why", "a file was late", "--by", "audit"]).await;
    assert_eq!((text.as_str(), exit), ("2024-09 is open again: a file was late\n", 0));
    ledger.take(Load::Full, &KNOWN[..2]).await.whole();
    assert!(balances(&ledger).await.is_empty());
    let (text, exit) = ledger.command(&["close", "2024-09", "--by", "finance"]).await;
    assert!(exit == 0 && text.contains("balance 140.10"), "{text}");
    ledger.run().await.whole();
    assert_eq!(balances(&ledger).await, ["unchanged|0.00|140.10|140.10"]);
    let columns = ["published", "reopened_by", "reopened_why"];
    let both = ledger.rows("gold/kpi_closed_months", col("measure").eq(lit("balance")), &columns).await;
    assert_eq!(both, ["140.10|null|null", "170.10|audit|a file was late"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_without_transactions_has_no_month_to_close() {
    let ledger = Ledger::new().await;
    let (text, exit) = ledger.command(&["close", "2024-09"]).await;
    assert!(exit == 2 && text.contains("the lake has no fact_transactions"), "{text}");
}
