//! Sessions of PostgreSQL: the snapshot, names, rights.

use rcm_model::load_config::{LoadRow, LoadType};
use rstest::rstest;
use serde_json::json;
use tds_server::{Column, Type};

use crate::database_tests::hospital::{Hospital, Kind, department_columns, departments};

async fn with_departments() -> Hospital {
    let hospital = Hospital::start(Kind::Postgres).await;
    hospital.create("departments", &department_columns()).await;
    hospital.insert("departments", departments(100)).await;
    hospital
}

/// A view of departments of which a column says something of the session.
async fn with_view_of(expression: &str) -> Hospital {
    let hospital = with_departments().await;
    let view = format!(
        "ALTER TABLE rcm.departments RENAME TO stored; \
         CREATE VIEW rcm.departments AS SELECT \"DeptID\", ({expression})::text AS \"Name\" FROM rcm.stored; \
         GRANT SELECT ON rcm.departments TO rcm_reader"
    );
    hospital.postgres().server.execute(&view).await;
    hospital
}

async fn names(hospital: &Hospital) -> Vec<String> {
    let mut names = hospital.column(&hospital.last_load("hosa/departments").await, "Name");
    names.dedup();
    names
}

#[rstest]
#[case("current_setting('transaction_isolation')", "repeatable read")]
#[case("current_setting('transaction_read_only')", "on")]
#[case("current_setting('application_name')", "rcm emr-extract")]
#[case("ARRAY[DATE '2024-11-07']", "{2024-11-07}")]
#[tokio::test]
async fn a_session_reads_one_snapshot_and_says_who_it_is(#[case] expression: &str, #[case] expected: &str) {
    let hospital = with_view_of(expression).await;
    hospital.postgres().server.execute("ALTER ROLE rcm_reader SET DateStyle = 'German'").await;
    hospital.full("departments").await.unwrap();
    assert_eq!(names(&hospital).await, [expected]);
}

#[tokio::test]
async fn ranges_are_read_in_one_snapshot_although_the_table_changes_meanwhile() {
    let hospital = with_view_of("pg_current_snapshot()").await;
    hospital.set_stream("hosa/departments", "shards = 4");
    let database = hospital.postgres();
    let owner = database.server.owner();
    database.proxy.before_connections(move |number| {
        let owner = owner.clone();
        async move {
            // A range is opened after the first connection has begun to read.
            if number > 1 {
                owner
                    .execute("UPDATE rcm.stored SET \"Name\" = \"Name\"; INSERT INTO rcm.stored VALUES (1, 'x')")
                    .await;
            }
        }
    });
    assert_eq!(hospital.full("departments").await.unwrap().loads[0].read, 100);
    assert_eq!((hospital.connections(), names(&hospital).await.len()), (4, 1));
}

#[tokio::test]
async fn names_are_taken_as_they_are_written() {
    let hospital = Hospital::start(Kind::Postgres).await;
    let table = "\"My \"\"Own\"\" Schema\".\"patients\"";
    hospital
        .postgres()
        .server
        .execute(&format!(
            "CREATE SCHEMA \"My \"\"Own\"\" Schema\"; GRANT USAGE ON SCHEMA \"My \"\"Own\"\" Schema\" TO rcm_reader; \
             CREATE TABLE {table} (\"PatientID\" text, \"FirstName\" text, \"LastName\" text, \"MiddleName\" text, \
             \"SSN\" text, \"PhoneNumber\" text, \"Gender\" text, \"DOB\" date, \"Address\" text, \
             \"ModifiedDate\" timestamp, \"When, \"\"exactly\"\"\" timestamptz, \"SELECT\" integer); \
             INSERT INTO {table} (\"PatientID\", \"When, \"\"exactly\"\"\", \"SELECT\") \
             VALUES ('P1', '2024-10-01 08:00+02', 7), ('P2', '2024-10-02 08:00+02', 8); \
             GRANT SELECT ON {table} TO rcm_reader"
        ))
        .await;
    let row = LoadRow {
        tablename: table.to_owned(),
        watermark: "\"When, \"\"exactly\"\"\"".to_owned(),
        ..hospital.row("patients", LoadType::Incremental)
    };
    hospital.extract(row).await.unwrap();
    let load = hospital.last_load("hosa/patients").await;
    assert_eq!(
        hospital.values(&load, &["PatientID", "When, \"exactly\"", "SELECT"]),
        [["P1", "2024-10-01T06:00:00Z", "7"], ["P2", "2024-10-02T06:00:00Z", "8"]]
    );
    assert_eq!(load.watermark.unwrap().to.unwrap().to_rfc3339(), "2024-10-02T06:00:00+00:00");
}

#[rstest]
#[case::of_the_table("REVOKE SELECT ON rcm.departments FROM rcm_reader", "42501")]
#[case::of_the_schema("REVOKE USAGE ON SCHEMA rcm FROM rcm_reader", "42501")]
#[case::to_connect("REVOKE CONNECT ON DATABASE hospital FROM PUBLIC", "42501")]
#[case::to_log_in("ALTER ROLE rcm_reader NOLOGIN", "28000")]
#[tokio::test]
async fn a_right_that_is_missing_is_named_and_not_tried_again(#[case] statement: &str, #[case] code: &str) {
    let hospital = with_departments().await;
    hospital.postgres().server.execute(statement).await;
    let error = hospital.full("departments").await.unwrap_err();
    assert_eq!(error.name(), "BadConfig");
    assert!(error.to_string().contains(&format!("(PostgreSQL error {code})")), "{error}");
    assert_eq!(hospital.connections(), 1);
}

#[tokio::test]
async fn a_database_that_is_not_there_is_a_matter_of_the_configuration() {
    let hospital = with_departments().await;
    hospital.set_secret(&[("dbname", json!("another"))]);
    let error = hospital.full("departments").await.unwrap_err();
    assert_eq!(error.name(), "BadConfig");
    assert!(error.to_string().contains("there is no such database (PostgreSQL error 3D000)"), "{error}");
}

#[tokio::test]
async fn capitals_in_a_name_count() {
    let hospital = with_departments().await;
    let row = LoadRow { tablename: "RCM.departments".to_owned(), ..hospital.row("departments", LoadType::Full) };
    let error = hospital.extract(row).await.unwrap_err();
    assert_eq!(error.name(), "BrokenContract");
    assert!(error.to_string().contains("it is not there; capitals in its name count"), "{error}");
}

#[tokio::test]
async fn a_column_of_our_own_may_cut_the_ranges() {
    let hospital = Hospital::start(Kind::Postgres).await;
    hospital.set_stream("hosa/departments", "shards = 3\nshard_column = \"Name\"");
    hospital.create("departments", &[Column::new("DeptID", Type::Int), Column::new("Name", Type::Char(12))]).await;
    hospital.insert("departments", departments(10)).await;
    hospital.full("departments").await.unwrap();
    assert_eq!((hospital.last_load("hosa/departments").await.rows, hospital.connections()), (10, 3));
}
