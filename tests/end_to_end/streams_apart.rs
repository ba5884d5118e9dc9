//! Each stream is checked by itself: it does not stop other streams, and its gaps delete nothing.

use std::fs;

use polars::prelude::*;
use rcm::{demo, functions};
use rcm_model::event::StageReport;
use rcm_platform::{Context, StageError};
use serde_json::{Value, json};

use crate::scratch::{Scratch, SmallHospital, as_of};

/// Disables the limit on lost keys of extracts.
fn any_share_may_be_lost(scratch: &Scratch) {
    scratch.edit("configs/sources.toml", "max_lost_share = 0.2", "max_lost_share = 1.0");
}

async fn texts(scratch: &Scratch, table: &str, filter: Expr, column: &str) -> Vec<String> {
    let rows = scratch.rows(table).await.unwrap().lazy().filter(filter).sort([column], SortMultipleOptions::default());
    let rows = rows.collect().unwrap();
    rows.column(column).unwrap().str().unwrap().iter().flatten().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_does_not_fit_the_header_of_a_full_extract_deletes_no_key_that_it_names() {
    let scratch = Scratch::new().await;
    let hospital = SmallHospital::write(&scratch);
    any_share_may_be_lost(&scratch);
    assert!(scratch.run(&hospital.emr[0], as_of()).await.is_complete());

    let departments = hospital.emr[0].join("hos-a/departments.csv");
    fs::write(&departments, "DeptID,Name\nDEPT001,Cardiology, invasive\n").unwrap();
    scratch.set_clock(demo::EXTRACTED_AT[1]);
    let run = scratch.run(&hospital.emr[0], as_of()).await;
    assert!(run.is_complete(), "{:?}", run.failures);
    let current = texts(&scratch, "silver/departments", col("is_current"), "src_dept_id").await;
    assert_eq!(current, ["DEPT001"], "it names this one; the other one is gone");
    assert_eq!(scratch.rows("quarantine/departments").await.unwrap().height(), 1);
    let silver = run.stages.iter().find(|report| report.stage == "silver-departments").unwrap();
    let check = silver.checks.iter().find(|check| check.check.starts_with("current keys of hos-a")).unwrap();
    assert_eq!((check.expected.as_str(), check.actual.as_str()), ("1", "1"));

    fs::write(&departments, "DeptID,Name\nDEPT001,Cardiology\n").unwrap();
    scratch.set_clock(demo::EXTRACTED_AT[2]);
    assert!(scratch.run(&hospital.emr[0], as_of()).await.is_complete());
    let current = texts(&scratch, "silver/departments", col("is_current"), "src_dept_id").await;
    assert_eq!(current, ["DEPT001"], "a whole extract without such a row does");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_becomes_incremental_keeps_the_gaps_of_earlier_full_extracts() {
    let scratch = Scratch::new().await;
    let hospital = SmallHospital::write(&scratch);
    any_share_may_be_lost(&scratch);
    let load_config = "configs/emr/load_config.csv";
    scratch.edit(load_config, "dbo.patients,Incremental,ModifiedDate", "dbo.patients,Full,");
    let patients = hospital.emr[0].join("hos-a/patients.csv");
    let whole = fs::read_to_string(&patients).unwrap();
    assert!(scratch.run(&hospital.emr[0], as_of()).await.is_complete());

    let without: Vec<&str> = whole.lines().filter(|row| !row.contains("HOSP1-000002")).collect();
    fs::write(&patients, without.join("\n") + "\n").unwrap();
    scratch.set_clock(demo::EXTRACTED_AT[1]);
    assert!(scratch.run(&hospital.emr[0], as_of()).await.is_complete());

    scratch.edit(load_config, "dbo.patients,Full,", "dbo.patients,Incremental,ModifiedDate");
    let back = demo::EXTRACTED_AT[2].date_naive().to_string();
    fs::write(&patients, whole.replace("2024-08-02", &back)).unwrap();
    scratch.set_clock(demo::EXTRACTED_AT[2]);
    assert!(scratch.run(&hospital.emr[0], as_of()).await.is_complete());
    let of_patient = col("src_patient_id").eq(lit("HOSP1-000002"));
    let versions = scratch.rows("silver/patients").await.unwrap().lazy().filter(of_patient);
    let versions = versions.sort(["effective_from"], SortMultipleOptions::default()).collect().unwrap();
    let flags = |name: &str| versions.column(name).unwrap().bool().unwrap().iter().flatten().collect::<Vec<_>>();
    assert_eq!((flags("is_deleted"), flags("is_current")), (vec![true, false], vec![false, true]), "{versions}");
}

async fn call(context: &Context, function: &str, input: Value) -> Result<StageReport, StageError> {
    functions::call(function, context.clone(), input).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_no_longer_fits_its_mapping_stops_no_other_hospital() {
    let scratch = Scratch::new().await;
    let files = demo::write(&scratch.beside("sources"), demo::SEED).unwrap();
    let emr = &files.deliveries[0].emr;
    for (targetpath, datasource, watermark) in [("hosa", "hos-a", "ModifiedDate"), ("hosb", "hos-b", "Updated_Date")] {
        let table = json!({
            "run_id": "run", "database": datasource, "datasource": datasource, "tablename": "dbo.patients",
            "loadtype": "Incremental", "watermark": watermark, "is_active": true, "targetpath": targetpath, "force": false,
        });
        call(&scratch.context(emr).await, "emr-extract", table).await.unwrap();
    }
    // Every load is a portion of its own, and the first one is refused.
    scratch.edit("configs/sources.toml", "rows_at_once = 20000000", "rows_at_once = 1");
    let (mapping, input) = ("configs/cdm/hos-a.toml", json!({"run_id": "run", "as_of": "2024-11-07"}));
    scratch.edit(mapping, "\"FirstName\"", "\"Given_Name\"");
    let refused = call(&scratch.context(emr).await, "silver-patients", input.clone()).await.unwrap_err();
    assert_eq!(refused.name(), "BrokenContract");
    assert!(refused.to_string().contains("load 1 of `hosa/patients` has no column `Given_Name`"), "{refused}");
    let datasources = |rows: DataFrame| rows.column("datasource").unwrap().n_unique().unwrap();
    assert_eq!(datasources(scratch.rows("silver/patients").await.unwrap()), 1);

    scratch.edit(mapping, "\"Given_Name\"", "\"FirstName\"");
    call(&scratch.context(emr).await, "silver-patients", input).await.unwrap();
    assert_eq!(datasources(scratch.rows("silver/patients").await.unwrap()), 2);
}
