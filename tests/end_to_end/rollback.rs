//! Restoring an earlier version of a table, and rebuilding a table, as in docs/operations.md.

use std::fs;
use std::path::Path;
use std::process::Command;

use rcm::demo;
use rcm::run::Run;
use rcm_model::event::Outcome;
use serde_json::Value;

use crate::readers::TOOLS;
use crate::scratch::{Scratch, SmallHospital, as_of};

/// Makes a lake with both deliveries of the small hospital.
struct TwoDeliveries {
    scratch: Scratch,
    hospital: SmallHospital,
    /// The rows of silver claims and their fact after the first delivery.
    first: [String; 2],
}

impl TwoDeliveries {
    async fn taken() -> Self {
        let scratch = Scratch::new().await;
        let hospital = SmallHospital::write(&scratch);
        take(&scratch, &hospital, 0).await;
        let first = claims(&scratch).await;
        take(&scratch, &hospital, 1).await;
        for (before, after) in first.iter().zip(claims(&scratch).await) {
            assert_ne!(*before, after, "the second delivery changes both tables");
        }
        scratch.set_clock(demo::EXTRACTED_AT[2]);
        Self { scratch, hospital, first }
    }
}

async fn take(scratch: &Scratch, hospital: &SmallHospital, delivery: usize) {
    scratch.set_clock(demo::EXTRACTED_AT[delivery]);
    scratch.land(&hospital.landing[delivery]).await;
    run(scratch, &hospital.emr[delivery]).await;
}

async fn run(scratch: &Scratch, emr: &Path) -> Run {
    let run = scratch.run(emr, as_of()).await;
    assert!(run.is_complete(), "{:?}", run.failures);
    run
}

/// Returns the rows of silver claims and their fact.
async fn claims(scratch: &Scratch) -> [String; 2] {
    let mut content = scratch.content().await;
    ["silver/claims", "gold/fact_claims"].map(|table| content.remove(table).unwrap())
}

/// Lands a file with one more claim, and runs.
async fn take_another_claim(scratch: &Scratch, hospital: &SmallHospital) {
    let given = hospital.landing[1].join("claims/hospital1_delivery_1.csv");
    let claim = fs::read_to_string(given).unwrap().replace("CLAIM000001", "CLAIM000002");
    let folder = scratch.beside("another");
    fs::create_dir_all(folder.join("claims")).unwrap();
    fs::write(folder.join("claims/hospital1_another.csv"), claim).unwrap();
    scratch.land(&folder).await;
    run(scratch, &hospital.emr[1]).await;
}

/// Restores a version of a table with another writer, Python's deltalake.
fn restore(scratch: &Scratch, table: &str, version: u32) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("readers/restore.py");
    let mut python = Command::new(Path::new(TOOLS).join("python"));
    let output = python.arg(script).arg(scratch.path(table)).arg(version.to_string()).output().unwrap();
    assert!(output.status.success(), "{table}: {}", String::from_utf8_lossy(&output.stderr));
    let history: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(history[0], "RESTORE", "{table}: {history}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_gold_table_stays_until_one_of_its_inputs_changes() {
    let TwoDeliveries { scratch, hospital, first: [_, first_fact] } = TwoDeliveries::taken().await;
    let undisturbed = scratch.copy();

    restore(&scratch, "gold/fact_claims", 0);
    run(&scratch, &hospital.emr[1]).await;
    let content = scratch.content().await;
    for (table, rows) in &undisturbed.content().await {
        match table.as_str() {
            "gold/fact_claims" => assert_eq!(content[table], first_fact),
            _ => assert_eq!(&content[table], rows, "{table}"),
        }
    }

    for lake in [&scratch, &undisturbed] {
        take_another_claim(lake, &hospital).await;
    }
    let content = scratch.content().await;
    for (table, rows) in &undisturbed.content().await {
        assert_eq!(&content[table], rows, "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_silver_table_does_not_ingest_the_load_again_and_gold_is_updated() {
    let TwoDeliveries { scratch, hospital, first } = TwoDeliveries::taken().await;

    restore(&scratch, "silver/claims", 0);
    let after = run(&scratch, &hospital.emr[1]).await;
    let silver = after.stages.iter().find(|report| report.stage == "silver-claims").unwrap();
    assert_eq!(silver.outcome, Outcome::NothingNew);
    assert_eq!(claims(&scratch).await, first);

    take_another_claim(&scratch, &hospital).await;
    for (before, after) in first.iter().zip(claims(&scratch).await) {
        let (kept, new): (Vec<&str>, Vec<&str>) = after.lines().partition(|row| before.lines().any(|old| old == *row));
        assert_eq!(kept, before.lines().collect::<Vec<_>>());
        assert!(matches!(new[..], [row] if row.contains("CLAIM000002")), "{new:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silver_table_that_was_deleted_with_its_quarantine_is_built_again_with_the_same_rows() {
    let TwoDeliveries { scratch, hospital, .. } = TwoDeliveries::taken().await;
    let expected = scratch.content().await;
    assert!(expected.contains_key("quarantine/patients") && expected.contains_key("quarantine/transactions"));
    for entity in ["patients", "departments", "transactions", "claims", "cpt_codes"] {
        let lake = scratch.copy();
        fs::remove_dir_all(lake.path(&format!("silver/{entity}"))).unwrap();
        let quarantine = lake.path(&format!("quarantine/{entity}"));
        if quarantine.exists() {
            fs::remove_dir_all(quarantine).unwrap();
        }
        run(&lake, &hospital.emr[1]).await;
        let content = lake.content().await;
        for (table, rows) in &expected {
            assert_eq!(Some(rows), content.get(table), "{table}, after {entity} was removed");
        }
    }
}
