//! What goes wrong on the way leaves a whole load or none.

use rcm_model::event::Outcome;
use rstest::rstest;
use tds_server::{Column, Type};

use super::hospital::{Hospital, Kind, department_columns, departments, patient, patient_columns};

const STREAM: &str = "hosa/departments";
const ROWS: i64 = 20_000;
/// A part of the answer with so many rows, and with as many bytes.
const PART: (u64, usize) = (15_000, 300_000);

async fn with_departments(kind: Kind) -> Hospital {
    let hospital = Hospital::start(kind).await;
    hospital.create("departments", &department_columns()).await;
    hospital.insert("departments", departments(ROWS)).await;
    hospital
}

#[rstest]
#[case::in_the_middle(PART)]
#[case::before_the_first_row((0, 0))]
#[tokio::test]
async fn a_lost_connection_is_tried_again_from_the_first_row(
    #[values(Kind::SqlServer, Kind::Postgres)] kind: Kind,
    #[case] (rows, bytes): (u64, usize),
) {
    let hospital = with_departments(kind).await;
    hospital.lose_connection(rows, bytes);
    let report = hospital.full("departments").await.unwrap();
    assert_eq!((report.loads[0].read, hospital.connections()), (ROWS as u64, 2));
    let load = hospital.last_load(STREAM).await;
    assert_eq!(hospital.data_files(STREAM), load.data_files);
    assert_eq!(hospital.column(&load, "DeptID").len(), ROWS as usize);
}

#[rstest]
#[tokio::test]
async fn a_loss_in_the_middle_leaves_no_half_load(#[values(Kind::SqlServer, Kind::Postgres)] kind: Kind) {
    let hospital = with_departments(kind).await;
    hospital.set("retry_pause_ms = 1", "retries = 0");
    hospital.lose_connection(PART.0, PART.1);
    let failed = hospital.full("departments").await.unwrap_err();
    assert_eq!(failed.name(), "SourceUnavailable");
    assert!(failed.to_string().contains("reading the rows"), "{failed}");
    assert_eq!(hospital.lake.files("bronze"), [""; 0]);
    assert_eq!(hospital.full("departments").await.unwrap().outcome, Outcome::Done);
}

#[rstest]
#[tokio::test]
async fn one_range_that_fails_ends_them_all(#[values(Kind::SqlServer, Kind::Postgres)] kind: Kind) {
    let hospital = with_departments(kind).await;
    hospital.set_stream(STREAM, "shards = 4");
    hospital.lose_connection(2_000, 50_000);
    assert_eq!(hospital.full("departments").await.unwrap().loads[0].read, ROWS as u64);
    assert_eq!((hospital.data_files(STREAM).len(), hospital.connections()), (1, 8));
}

#[rstest]
#[tokio::test]
async fn the_rows_of_a_failed_try_are_not_counted_as_the_first_load(
    #[values(Kind::SqlServer, Kind::Postgres)] kind: Kind,
) {
    let hospital = Hospital::start(kind).await;
    hospital.create("patients", &patient_columns()).await;
    let patients = |ids: std::ops::Range<u32>| ids.map(|id| patient(&format!("P{id:05}"), Some("2024-10-01 08:00:00")));
    hospital.insert("patients", patients(0..10_000).collect()).await;
    hospital.set("retry_pause_ms = 1", "retries = 0");
    hospital.lose_connection(9_000, 500_000);
    hospital.incremental("patients").await.unwrap_err();
    hospital.insert("patients", patients(10_000..10_001).collect()).await;
    assert_eq!(hospital.incremental("patients").await.unwrap().loads[0].read, 10_001);
}

#[rstest]
#[tokio::test]
async fn long_rows_make_short_batches(#[values(Kind::SqlServer, Kind::Postgres)] kind: Kind) {
    let hospital = Hospital::start(kind).await;
    let columns = [department_columns(), vec![Column::new("Notes", Type::NVarCharMax)]].concat();
    hospital.create("departments", &columns).await;
    let note = "x".repeat(1_000_000);
    let rows = (1..=40).map(|id: i64| vec![id.into(), "Name".into(), note.as_str().into()]);
    hospital.insert("departments", rows.collect()).await;
    hospital.full("departments").await.unwrap();
    let notes = hospital.column(&hospital.last_load(STREAM).await, "Notes");
    assert!(notes.len() == 40 && notes.iter().all(|read| *read == note));
}
