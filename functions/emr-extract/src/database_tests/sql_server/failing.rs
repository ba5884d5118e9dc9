//! Errors of SQL Server on request.

use std::time::Duration;

use rcm_model::event::Outcome;
use rstest::rstest;
use tds_server::{Fault, SqlError};

use crate::database_tests::hospital::{Hospital, department_columns, departments, hospital};

const STREAM: &str = "hosa/departments";
const ROWS: i64 = 20_000;

async fn with_departments() -> Hospital {
    let hospital = hospital().await;
    hospital.create("departments", &department_columns()).await;
    hospital.insert("departments", departments(ROWS)).await;
    hospital
}

fn error(number: u32, class: u8) -> SqlError {
    SqlError::new(number, class, "secret words of a row")
}

#[rstest]
#[case::connection_lost(Fault::ConnectionBreaks(15_000))]
#[case::connection_lost_before_the_first_row(Fault::ConnectionBreaks(0))]
#[case::deadlock(Fault::RowsFail(15_000, error(1205, 13)))]
#[case::failover(Fault::RowsFail(100, error(40613, 20)))]
#[case::throttled(Fault::StatementFails("SELECT [DeptID]", error(49918, 16)))]
#[case::busy_before_the_columns(Fault::StatementFails("TOP 0", error(10928, 16)))]
#[case::not_open_yet(Fault::LoginFails(error(4060, 11)))]
#[case::reconfigured(Fault::LoginFails(error(40197, 16)))]
#[tokio::test]
async fn what_passes_is_tried_again_from_the_first_row(#[case] fault: Fault) {
    let hospital = with_departments().await;
    hospital.server().inject(fault);
    let report = hospital.full("departments").await.unwrap();
    assert_eq!(report.loads[0].read, ROWS as u64);
    let load = hospital.last_load(STREAM).await;
    assert_eq!(hospital.data_files(STREAM), load.data_files);
    assert_eq!(hospital.column(&load, "DeptID").len(), ROWS as usize);
}

#[rstest]
#[case::connection_lost(Fault::ConnectionBreaks(15_000), "SourceUnavailable")]
#[case::deadlock(Fault::RowsFail(15_000, error(1205, 13)), "SourceUnavailable")]
#[case::throttled(Fault::RowsFail(15_000, error(40501, 20)), "Throttled")]
#[case::failed_for_good(Fault::RowsFail(15_000, error(8115, 16)), "BrokenContract")]
#[tokio::test]
async fn a_loss_in_the_middle_leaves_no_half_load(#[case] fault: Fault, #[case] expected: &str) {
    let hospital = with_departments().await;
    hospital.set("retry_pause_ms = 1", "retries = 0");
    hospital.server().inject(fault);
    let failed = hospital.full("departments").await.unwrap_err();
    assert_eq!(failed.name(), expected);
    assert_eq!(hospital.lake.files("bronze"), [""; 0]);
    assert_eq!(hospital.full("departments").await.unwrap().outcome, Outcome::Done);
}

#[tokio::test]
async fn a_source_that_stays_away_is_given_up() {
    let hospital = with_departments().await;
    for _ in 0..5 {
        hospital.server().inject(Fault::StatementFails("SELECT [DeptID]", error(1205, 13)));
    }
    let failed = hospital.full("departments").await.unwrap_err();
    assert_eq!(failed.name(), "SourceUnavailable");
    assert_eq!(hospital.server().logins().len(), 5);
}

#[tokio::test]
async fn what_stays_wrong_is_not_tried_again() {
    let hospital = with_departments().await;
    hospital.server().inject(Fault::StatementFails("SELECT [DeptID]", error(229, 14)));
    let failed = hospital.full("departments").await.unwrap_err();
    assert_eq!(failed.name(), "BadConfig");
    assert_eq!(hospital.server().logins().len(), 1);
}

#[tokio::test]
async fn a_statement_that_waits_too_long_is_a_timeout() {
    let hospital = with_departments().await;
    hospital.set("statement_timeout_seconds = 20", "statement_timeout_seconds = 3");
    hospital.server().inject(Fault::StatementWaits("SELECT [DeptID]", Duration::from_mins(1)));
    let failed = hospital.full("departments").await.unwrap_err();
    assert_eq!(failed.name(), "Timeout");
    assert!(failed.to_string().contains("table `dbo.departments`: reading the rows: no answer in time"), "{failed}");
    assert_eq!(hospital.server().logins().len(), 1, "it would take too long again");
}

#[tokio::test]
async fn a_statement_that_is_slow_but_answers_is_waited_for() {
    let hospital = with_departments().await;
    hospital.server().inject(Fault::StatementWaits("SELECT [DeptID]", Duration::from_millis(300)));
    assert_eq!(hospital.full("departments").await.unwrap().outcome, Outcome::Done);
}

#[rstest]
#[case::while_reading(Fault::RowsFail(10, error(8115, 16)), "reading the rows")]
#[case::while_reading_columns(Fault::StatementFails("TOP 0", error(8115, 16)), "reading the columns")]
#[case::while_logging_in(Fault::LoginFails(error(40615, 14)), "logging in")]
#[tokio::test]
async fn an_error_names_database_table_and_step_and_no_word_of_the_server(#[case] fault: Fault, #[case] step: &str) {
    let hospital = with_departments().await;
    hospital.server().inject(fault);
    let failed = hospital.full("departments").await.unwrap_err().to_string();
    assert!(failed.contains("database `db-a`, table `dbo.departments`") && failed.contains(step), "{failed}");
    assert!(!failed.contains("secret words"), "{failed}");
}
