//! A rebuild of a silver table from bronze: after its mapping changed, and without voided loads.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use rcm::{demo, functions};
use rcm_platform::StageError;
use rcm_platform::bronze::LoadLog;
use rcm_platform::voids::{self, Decision, VoidMark};
use serde_json::json;

use crate::crash::{Fault, Faulty};
use crate::ledger::{Ledger, Load};
use crate::scratch::{Scratch, SmallHospital, as_of};

/// Maximum number of writes of a rebuild.
const MOST_WRITES: i64 = 60;

/// Makes a lake with some deliveries of the small hospital.
async fn lake_of(deliveries: usize) -> (Scratch, SmallHospital) {
    let scratch = Scratch::new().await;
    let hospital = SmallHospital::write(&scratch);
    for delivery in 0..deliveries {
        take(&scratch, &hospital, delivery).await;
    }
    (scratch, hospital)
}

async fn take(scratch: &Scratch, hospital: &SmallHospital, delivery: usize) {
    scratch.set_clock(demo::EXTRACTED_AT[delivery]);
    scratch.land(&hospital.landing[delivery]).await;
    let run = scratch.run(&hospital.emr[delivery], as_of()).await;
    assert!(run.is_complete(), "{:?}", run.failures);
}

async fn rebuild(scratch: &Scratch, hospital: &SmallHospital, entity: &str) -> Result<(), StageError> {
    let input = json!({"run_id": "rebuild", "rebuild": true});
    let context = scratch.context(&hospital.emr[1]).await;
    functions::call(&format!("silver-{entity}"), context, input).await.map(|_| ())
}

/// Returns the transactions in silver and quarantine.
async fn transactions(scratch: &Scratch) -> [Option<String>; 2] {
    let mut content = scratch.content().await;
    ["silver/transactions", "quarantine/transactions"].map(|table| content.remove(table))
}

/// Every write of a rebuild fails in turn. Readers see the old rows or the new ones, and the next rebuild succeeds.
async fn every_write_of_a_rebuild_may_fail(fault: Fault) {
    let (before, hospital) = lake_of(2).await;
    let old = transactions(&before).await;
    // Another word for every row, and a row that passes now.
    before.edit(
        "configs/cdm/hos-a.toml",
        "datasource = \"hos-a\"",
        "datasource = \"hos-a\"\nnull_words = [\"many\", \"NULL\"]",
    );
    before.edit("configs/quality/transactions.toml", "severity = \"error\"", "severity = \"warn\"");
    // Load by load, so that a rebuild has several commits.
    before.edit("configs/sources.toml", "rows_at_once = 20000000", "rows_at_once = 1");
    let undisturbed = before.copy();
    rebuild(&undisturbed, &hospital, "transactions").await.unwrap();
    let new = transactions(&undisturbed).await;
    assert_ne!(old[0], new[0], "what is made anew says something else");
    for write in 0..MOST_WRITES {
        let mut scratch = before.copy();
        let left = Arc::new(AtomicI64::new(write));
        let faulty = Faulty { inner: scratch.lake().store(), fault, left: Arc::clone(&left) };
        scratch.through(Some(Arc::new(faulty)));
        rebuild(&scratch, &hospital, "transactions").await.ok();
        scratch.through(None);
        if left.load(Ordering::SeqCst) >= 0 {
            assert!(write > 5, "a rebuild has more writes than {write}");
            return;
        }
        let [seen, _] = transactions(&scratch).await;
        assert!(seen == old[0] || seen == new[0], "after write {write} ({fault:?}) readers see half a table");
        rebuild(&scratch, &hospital, "transactions").await.unwrap();
        assert_eq!(transactions(&scratch).await, new, "after write {write} failed ({fault:?})");
        let folders = scratch.lake().folders("quarantine/transactions").await.unwrap();
        assert!(!folders.iter().any(|folder| folder.starts_with("rebuild-")), "{folders:?}");
    }
    panic!("a rebuild has {MOST_WRITES} writes or more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_whose_write_is_not_done_is_completed_by_the_next() {
    every_write_of_a_rebuild_may_fail(Fault::NotDone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_whose_write_is_done_but_reported_as_failed_is_completed_by_the_next() {
    every_write_of_a_rebuild_may_fail(Fault::DoneButReported).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_of_a_table_from_the_same_loads_gives_the_same_rows() {
    let (scratch, hospital) = lake_of(2).await;
    let before = scratch.content().await;
    for entity in ["patients", "transactions", "claims", "cpt-codes"] {
        rebuild(&scratch, &hospital, entity).await.unwrap();
    }
    assert_eq!(scratch.content().await, before);
    let run = scratch.run(&hospital.emr[1], as_of()).await;
    assert!(run.is_complete() && run.standstills.is_empty(), "{:?} {:?}", run.failures, run.standstills);
    assert_eq!(scratch.content().await, before);
}

/// Makes the same decision about the second load of every stream that has one, and runs. Returns their number.
async fn decide(scratch: &Scratch, hospital: &SmallHospital, decision: Decision) -> usize {
    let mut decided = 0;
    let streams = ["hosa/patients", "hosa/transactions", "claims/hos-a"];
    for stream in streams {
        if LoadLog::new(&scratch.lake(), stream).read_if_exists(2).await.unwrap().is_none() {
            continue;
        }
        let (who, why) = ("somebody".to_owned(), "a test".to_owned());
        let mark = VoidMark { sequence: 2, decision, who, why, at: demo::EXTRACTED_AT[1] };
        assert!(voids::decide(&scratch.lake(), stream, &mark).await.unwrap());
        decided += 1;
    }
    let run = scratch.run(&hospital.emr[1], as_of()).await;
    assert!(run.is_complete() && run.standstills.is_empty(), "{:?} {:?}", run.failures, run.standstills);
    decided
}

#[tokio::test(flavor = "multi_thread")]
async fn a_void_gives_the_lake_without_the_load_and_an_unvoid_the_lake_with_it() {
    let (never, _) = lake_of(1).await;
    let (scratch, hospital) = lake_of(2).await;
    let always = scratch.content().await;
    assert_eq!(decide(&scratch, &hospital, Decision::Void).await, 3);
    let without = scratch.content().await;
    for (table, rows) in &never.content().await {
        assert_eq!(without.get(table), Some(rows), "{table} after the loads were voided");
    }
    decide(&scratch, &hospital, Decision::Unvoid).await;
    let again = scratch.content().await;
    for (table, rows) in &always {
        assert_eq!(again.get(table), Some(rows), "{table} after the loads were voided no more");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_mapping_is_reported_until_the_table_is_rebuilt() {
    let ledger = Ledger::with_claims().await;
    let claims = ["C1,T1,P1,2024-09-01,2024-09-05,100,0,Refused,Payer,2024-09-05"];
    ledger.land_claims("hosx_1.csv", &claims);
    ledger.take(Load::Full, &["A,P1,2024-09-01,100,,,2024-09-01"]).await.whole();
    ledger.add_to_mapping("[values.claim_status]\ndenied = [\"Refused\"]\n");
    for _ in 0..2 {
        let run = ledger.run().await;
        assert_eq!((run.exit_code(), run.waiting()), (1, vec!["table_outdated silver/claims".to_owned()]));
    }
    let (status, _) = ledger.command(&["status"]).await;
    assert!(status.contains("rcm rebuild claims") && status.contains("configs/cdm/hos-x.toml"), "{status}");
    let (told, exit) = ledger.command(&["rebuild", "claims"]).await;
    assert_eq!(exit, 0, "{told}");
    assert_eq!(ledger.run().await.whole().waiting(), [""; 0]);
    let statuses = ledger.current("claims", &["claim_key", "claim_status"]).await;
    assert_eq!(statuses, ["C1-hos-x|denied"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_warn_rule_or_comment_does_not_make_a_table_outdated() {
    let ledger = Ledger::new().await;
    ledger.take(Load::Full, &["A,P1,2024-09-01,100,,,2024-09-01"]).await.whole();
    ledger.add_to_mapping("# Looked at by finance.");
    let rule = "[[rule]]\nid = \"large\"\nkind = \"range\"\ncolumns = [\"amount\"]\nmax = 50\nseverity = \"warn\"\n\
                description = \"Large\"\n";
    ledger.add_to("configs/quality/transactions.toml", rule);
    ledger.run().await.whole();
    ledger.edit(
        "configs/quality/transactions.toml",
        "severity = \"warn\"\ndescription = \"Large\"",
        "severity = \"error\"\ndescription = \"Large\"",
    );
    assert_eq!(ledger.run().await.waiting(), ["table_outdated silver/transactions"]);
    let (told, exit) = ledger.command(&["rebuild", "transactions"]).await;
    assert_eq!(exit, 0, "{told}");
    assert_eq!(ledger.amounts().await, [""; 0]);
    assert_eq!(ledger.quarantined("transactions").await.len(), 1);
    ledger.run().await.whole();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_entity_or_one_without_rows_cannot_be_rebuilt() {
    let ledger = Ledger::new().await;
    ledger.take(Load::Full, &["A,P1,2024-09-01,100,,,2024-09-01"]).await.whole();
    let (told, exit) = ledger.command(&["rebuild", "claim"]).await;
    assert!(exit == 2 && told.contains("'claim'") && told.contains("'claims'"), "{told}");
    let (told, exit) = ledger.command(&["rebuild", "claims"]).await;
    assert!(exit == 0 && told.contains("nothing to make anew"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_with_rows_of_a_source_that_is_no_longer_configured_is_not_rebuilt_without_them() {
    let ledger = Ledger::with_claims().await;
    ledger.take(Load::Full, &["A,P1,2024-09-01,100,,,2024-09-01"]).await.whole();
    ledger.tables(&["patients"], Load::Full);
    let (told, exit) = ledger.command(&["rebuild", "transactions"]).await;
    assert!(exit == 1 && told.contains("loads of `hosx/transactions`") && told.contains("load_config.csv"), "{told}");
    assert_eq!(ledger.amounts().await, ["A|100.00"]);
}
