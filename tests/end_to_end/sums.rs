//! Implausibly large amounts are counted, and no sum overflows its column.

use polars::prelude::lit;

use crate::ledger::{Ledger, Load};

/// The largest amount that a row can have.
const LARGEST: &str = "9999999999999999.99";

#[tokio::test(flavor = "multi_thread")]
async fn two_absurd_amounts_are_counted_by_a_warning_and_every_kpi_is_computed() {
    let ledger = Ledger::with_claims().await;
    let claim =
        |id: &str, amount: &str| format!("{id},{id},P,2024-09-01,2024-09-05,{amount},{amount},Paid,A,2024-09-10");
    ledger.land_claims("hosx_1.csv", &[&claim("A", LARGEST), &claim("B", LARGEST), &claim("C", "1.00")]);
    let charge = |id: &str, amount: &str| format!("{id},P,2024-09-01,{amount},2024-09-01,0.01,2024-09-10");
    let paid = |id: &str| format!("{id},P,2024-09-02,1.00,2024-09-03,{LARGEST},2024-09-10");
    let rows = [charge("A", LARGEST), charge("B", LARGEST), charge("C", "100.01"), paid("D"), paid("E")];
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let told = ledger.take(Load::Full, &rows).await.whole();
    assert_eq!((told.counted("paid_amount_absurd"), told.counted("amount_absurd")), (4, 8), "{:?}", told.rules());

    let sums = async |table: &str, columns: &[&str]| ledger.rows(&format!("gold/{table}"), lit(true), columns).await;
    let balance = "20000000000000099.96";
    assert_eq!(
        sums("kpi_days_in_ar", &["balance", "credit_balance"]).await,
        [format!("{balance}|19999999999999997.98")]
    );
    assert_eq!(sums("kpi_ar_aging", &["balance", "total_balance"]).await, [format!("{balance}|{balance}")]);
    assert_eq!(sums("kpi_payer_mix", &["total_amount"]).await, ["20000000000000101.99"]);
    assert_eq!(sums("kpi_provider_department", &["paid_amount"]).await, ["20000000000000000.01"]);
    assert_eq!(sums("kpi_claims", &["claim_amount"]).await, ["20000000000000000.98"]);
    assert_eq!(sums("kpi_collection_rate", &["amount"]).await.len(), 2);
    ledger.take(Load::Full, &rows).await.whole();
}
