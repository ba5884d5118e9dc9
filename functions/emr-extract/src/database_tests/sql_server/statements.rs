//! The statements that SQL Server gets, and the seventh digit of a second that only it has.

use rcm_model::event::Outcome;
use tds_server::{Column, Type, Value};

use crate::database_tests::hospital::{
    Kind, department_columns, departments, hospital, in_hospital, patient, patient_columns,
};

#[tokio::test]
async fn a_column_of_our_own_may_cut_the_ranges() {
    let hospital = hospital().await;
    hospital.set_stream("hosa/departments", "shards = 2\nshard_column = \"Name\"");
    hospital.create("departments", &department_columns()).await;
    hospital.insert("departments", departments(10)).await;
    hospital.full("departments").await.unwrap();
    let statements = hospital.server().statements();
    let ranges: Vec<&String> = statements.iter().filter(|s| s.starts_with("SELECT [DeptID], [Name]")).collect();
    assert_eq!(ranges.len(), 2);
    assert!(ranges.iter().any(|s| s.ends_with("WHERE [Name] > CAST(@P1 AS varchar(8000))")), "{ranges:?}");
    assert_eq!(hospital.last_load("hosa/departments").await.rows, 10);
}

#[tokio::test]
async fn a_row_that_is_newer_than_the_high_mark_is_left_for_the_next_load() {
    let hospital = hospital().await;
    hospital.without_overlap();
    hospital.create("patients", &patient_columns()).await;
    hospital.insert("patients", vec![patient("P1", Some("2024-10-01 08:00:00"))]).await;
    hospital.incremental("patients").await.unwrap();
    let statements = hospital.server().statements();
    let rows = statements.iter().find(|statement| statement.starts_with("SELECT [PatientID]")).unwrap();
    let condition = "([ModifiedDate] <= @P1) OR [ModifiedDate] IS NULL OR [ModifiedDate] > @P2";
    assert!(rows.ends_with(&format!("WHERE ({condition})")), "{rows}");

    hospital.insert("patients", vec![patient("P2", Some("2024-10-02 08:00:00"))]).await;
    hospital.incremental("patients").await.unwrap();
    let rows = hospital.server().statements().pop().unwrap();
    let condition =
        "([ModifiedDate] > @P1 AND [ModifiedDate] <= @P2) OR [ModifiedDate] IS NULL OR [ModifiedDate] > @P3";
    assert!(rows.ends_with(&format!("WHERE ({condition})")), "{rows}");
}

#[tokio::test]
async fn a_watermark_is_followed_to_the_seventh_digit() {
    in_hospital(Kind::SqlServer, async |hospital| {
        hospital.without_overlap();
        let mut columns = patient_columns();
        columns.pop();
        columns.push(Column::new("ModifiedDate", Type::DateTime2(7)));
        hospital.create("patients", &columns).await;
        let with = |id: &str, modified: &str| {
            let mut row = patient(id, None);
            row.pop();
            row.push(Value::moment(modified));
            row
        };
        hospital.insert("patients", vec![with("P1", "2024-10-01 08:00:00.1234567")]).await;
        hospital.incremental("patients").await.unwrap();
        assert_eq!(hospital.incremental("patients").await.unwrap().outcome, Outcome::NothingNew);
        let later = [with("P2", "2024-10-01 08:00:00.1234568"), with("P3", "2024-10-01 08:00:00.1234567")];
        hospital.insert("patients", later.to_vec()).await;
        hospital.incremental("patients").await.unwrap();
        assert_eq!(hospital.column(&hospital.last_load("hosa/patients").await, "PatientID"), ["P2"]);
    })
    .await;
}
