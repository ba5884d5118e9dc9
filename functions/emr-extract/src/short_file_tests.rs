//! Extract files that were cut short, and what the files after them have of the rows that were missing.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{NaiveDate, TimeDelta};
use proptest::prelude::*;
use rcm_model::event::Outcome;
use rcm_model::load_config::LoadType;
use rcm_platform::bronze_file::for_each_row;
use rcm_platform::testing::TestLake;
use rcm_platform::voids::{Decision, VoidMark, decide};

use super::tests::{DEPARTMENTS, PATIENTS, departments, full, incremental, patients, row, run};

/// Ids and modified dates of the rows that the loads of the patients hold.
async fn in_bronze(lake: &TestLake) -> BTreeSet<(String, String)> {
    let context = lake.context().await;
    let mut rows = BTreeSet::new();
    for load in lake.loads("hosa/patients").await {
        for file in &load.data_files {
            let columns = ["PatientID", "ModifiedDate"];
            for_each_row(&context.lake, file, &columns, |row| {
                _ = rows.insert((row[0].to_owned(), row[1].to_owned()));
            })
            .await
            .unwrap();
        }
    }
    rows
}

async fn holds(lake: &TestLake, id: &str, modified: &str) -> bool {
    in_bronze(lake).await.contains(&(id.to_owned(), modified.to_owned()))
}

#[tokio::test]
async fn a_row_that_a_cut_file_lacked_is_taken_although_others_have_moved_to_a_newer_time() {
    let lake = TestLake::new();
    lake.write(PATIENTS, patients(&[("P1", "2024-09-01"), ("P2", "2024-09-05"), ("P4", "2024-10-03")]));
    incremental(&lake).await.unwrap();
    let whole = [("P1", "2024-10-04"), ("P2", "2024-09-05"), ("P3", "2024-09-02"), ("P4", "2024-10-03")];
    lake.write(PATIENTS, patients(&whole));
    let report = incremental(&lake).await.unwrap();
    assert!(holds(&lake, "P3", "2024-09-02").await);
    assert_eq!(report.loads[0].read, 3, "P1 and P3, and P4 with the overlap of a day");
    let note = "`hos-a/patients.csv` has 1 rows from before the last load that no load has: they are taken";
    assert!(report.notes.iter().any(|found| found == note), "{:?}", report.notes);
}

#[tokio::test]
async fn an_update_that_a_cut_file_lacked_is_taken_although_others_have_moved_to_a_newer_time() {
    let lake = TestLake::new();
    lake.write(PATIENTS, patients(&[("P1", "2024-09-01"), ("P2", "2024-09-01"), ("P3", "2024-09-05")]));
    incremental(&lake).await.unwrap();
    lake.write(PATIENTS, patients(&[("P2", "2024-09-01"), ("P3", "2024-09-05"), ("P4", "2024-10-03")]));
    incremental(&lake).await.unwrap();
    let whole = [("P1", "2024-09-02"), ("P2", "2024-10-04"), ("P3", "2024-09-05"), ("P4", "2024-10-03")];
    lake.write(PATIENTS, patients(&whole));
    incremental(&lake).await.unwrap();
    assert!(holds(&lake, "P1", "2024-09-02").await);
}

#[tokio::test]
async fn of_a_key_that_a_file_repeats_the_older_row_is_not_taken_again_and_again() {
    let lake = TestLake::new();
    let rows = [("P1", "2024-09-01"), ("P1", "2024-10-03"), ("P2", "2024-10-03")];
    lake.write(PATIENTS, patients(&rows));
    incremental(&lake).await.unwrap();
    for (read, modified) in [(4, "2024-10-04"), (2, "2024-10-06")] {
        lake.write(PATIENTS, patients(&[&rows[..], &[("P3", modified), ("P4", modified)]].concat()));
        let report = incremental(&lake).await.unwrap();
        assert_eq!(report.loads[0].read, read);
        assert!(!report.notes.iter().any(|note| note.contains("that no load has")), "{:?}", report.notes);
    }
}

#[tokio::test]
async fn rows_of_before_are_held_against_the_loads_that_are_not_voided() {
    let lake = TestLake::new();
    lake.write(PATIENTS, patients(&[("P1", "2024-09-05"), ("P2", "2024-10-03")]));
    incremental(&lake).await.unwrap();
    lake.write(PATIENTS, patients(&[("P1", "2024-10-03"), ("P2", "2024-10-03"), ("P3", "2024-09-01")]));
    incremental(&lake).await.unwrap();
    let void = VoidMark {
        sequence: 2,
        decision: Decision::Void,
        who: "test".to_owned(),
        why: "a test".to_owned(),
        at: lake.context().await.now(),
    };
    decide(&lake.context().await.lake, "hosa/patients", &void).await.unwrap();
    lake.write(PATIENTS, patients(&[("P1", "2024-10-03"), ("P3", "2024-09-01"), ("P5", "2024-10-04")]));
    incremental(&lake).await.unwrap();
    let context = lake.context().await;
    let load = &lake.loads("hosa/patients").await[2];
    let mut ids = Vec::new();
    for_each_row(&context.lake, &load.data_files[0], &["PatientID"], |row| ids.push(row[0].to_owned())).await.unwrap();
    assert_eq!(ids, ["P1", "P3", "P5"]);
}

#[tokio::test]
async fn a_full_extract_whose_keys_cannot_be_compared_with_those_of_before_is_refused_unless_it_is_forced() {
    let lake = TestLake::new();
    lake.write(DEPARTMENTS, departments(10));
    full(&lake).await.unwrap();
    lake.edit("configs/cdm/hos-a.toml", "\"DeptID\"", "\"DepartmentID\"");
    lake.write(DEPARTMENTS, departments(1).replace("DeptID", "DepartmentID"));
    let bronze = lake.files("bronze");
    let error = full(&lake).await.unwrap_err();
    assert_eq!(error.name(), "ThresholdExceeded");
    let told = error.to_string();
    assert!(told.contains("load 1 of `hosa/departments`") && told.contains("`DepartmentID`"), "{told}");
    assert!(told.contains("hint: ") && told.contains("force"), "{told}");
    assert_eq!(lake.files("bronze"), bronze);
    run(&lake, row("departments", LoadType::Full), true).await.unwrap();
    lake.write(DEPARTMENTS, departments(2).replace("DeptID", "DepartmentID"));
    assert_eq!(full(&lake).await.unwrap().outcome, Outcome::Done);
}

/// What happens to a table between two deliveries of its file.
#[derive(Debug, Clone)]
struct Delivery {
    /// Keys whose rows change now, and the days ago that the changes are entered under.
    changes: Vec<(u8, i64)>,
    /// Keys that this file lacks.
    lacks: Vec<u8>,
    /// Rows after which the file is cut; not at all where it has fewer.
    rows: usize,
}

fn delivery() -> impl Strategy<Value = Delivery> {
    let changes = prop::collection::vec((0..8_u8, prop_oneof![3 => 0..2_i64, 2 => 0..60_i64]), 0..5);
    let lacks = prop::collection::vec(0..8_u8, 0..3);
    let rows = prop_oneof![Just(usize::MAX), 0..8_usize];
    (changes, lacks, rows).prop_map(|(changes, lacks, rows)| Delivery { changes, lacks, rows })
}

/// The rows of a table, by key.
type Rows = BTreeMap<String, NaiveDate>;

async fn deliver(lake: &TestLake, rows: &Rows) {
    let rows: Vec<(&str, String)> = rows.iter().map(|(id, date)| (id.as_str(), date.to_string())).collect();
    let rows: Vec<(&str, &str)> = rows.iter().map(|(id, date)| (*id, date.as_str())).collect();
    lake.write(PATIENTS, patients(&rows));
    incremental(lake).await.unwrap();
}

async fn every_row_arrives(deliveries: Vec<Delivery>) {
    let lake = TestLake::new();
    let mut table = Rows::new();
    let mut today = NaiveDate::from_ymd_opt(2024, 8, 1).unwrap();
    for Delivery { changes, lacks, rows } in deliveries {
        today += TimeDelta::days(1);
        for (key, days) in changes {
            let changed = today - TimeDelta::days(days);
            let date = table.entry(format!("P{key}")).or_insert(changed);
            *date = changed.max(*date);
        }
        let file = table.iter().filter(|(id, _)| !lacks.iter().any(|key| **id == format!("P{key}")));
        let file: Rows = file.take(rows).map(|(id, date)| (id.clone(), *date)).collect();
        deliver(&lake, &file).await;
    }
    deliver(&lake, &table).await;
    let loaded = in_bronze(&lake).await;
    for (id, date) in table {
        assert!(loaded.contains(&(id.clone(), date.to_string())), "{id} of {date} is in no load: {loaded:?}");
    }
    let again = incremental(&lake).await.unwrap();
    assert_eq!(again.outcome, Outcome::NothingNew);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_row_of_a_whole_file_is_in_a_load_whatever_was_cut_moved_or_came_back_before(
        deliveries in prop::collection::vec(delivery(), 1..6)
    ) {
        tokio::runtime::Runtime::new().unwrap().block_on(every_row_arrives(deliveries));
    }
}
