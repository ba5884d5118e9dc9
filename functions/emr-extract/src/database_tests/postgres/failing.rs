//! Errors of PostgreSQL, which a view raises in the middle of its rows.

use rstest::rstest;

use crate::database_tests::hospital::{Hospital, Kind, department_columns, departments};

const ROWS: i64 = 20_000;

/// Departments of which the one with the number 15,000 makes the statement do something.
async fn with_departments_that(what: &str) -> Hospital {
    let hospital = Hospital::start(Kind::Postgres).await;
    hospital.create("departments", &department_columns()).await;
    hospital.insert("departments", departments(ROWS)).await;
    let view = format!(
        "ALTER TABLE rcm.departments RENAME TO stored; \
         CREATE FUNCTION rcm.act() RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN {what}; END $$; \
         CREATE VIEW rcm.departments AS SELECT \"DeptID\", \
         CASE WHEN \"DeptID\" = 15000 THEN rcm.act() ELSE \"Name\" END AS \"Name\" FROM rcm.stored; \
         GRANT SELECT ON rcm.departments TO rcm_reader"
    );
    hospital.postgres().server.execute(&view).await;
    hospital
}

#[rstest]
#[case::deadlock("40P01", "SourceUnavailable", 2)]
#[case::serialization("40001", "SourceUnavailable", 2)]
#[case::shutdown("57P01", "SourceUnavailable", 2)]
#[case::too_many_connections("53300", "Throttled", 2)]
#[case::canceled("57014", "Timeout", 1)]
#[case::locked("55P03", "Timeout", 1)]
#[case::divided_by_zero("22012", "BrokenContract", 1)]
#[case::forbidden("42501", "BadConfig", 1)]
#[tokio::test]
async fn an_error_has_its_kind_by_its_state_and_no_word_of_the_server(
    #[case] code: &str,
    #[case] expected: &str,
    #[case] tries: usize,
) {
    let raise = format!(
        "RAISE EXCEPTION 'secret words of a row' USING ERRCODE = '{code}', DETAIL = 'secret details', HINT = 'secret hint'"
    );
    let hospital = with_departments_that(&raise).await;
    hospital.set("\nretry_pause_ms = 1\n", "\nretry_pause_ms = 1\nretries = 1\n");
    let failed = hospital.full("departments").await.unwrap_err();
    assert_eq!((failed.name(), hospital.connections()), (expected, tries), "{failed}");
    let told = format!("{failed} {failed:?} {:?}", failed.causes());
    assert!(told.contains("database `db-a`, table `rcm.departments`: reading the rows"), "{told}");
    assert!(told.contains(code) && !told.contains("secret"), "{told}");
    assert_eq!(hospital.lake.files("bronze"), [""; 0]);
}

#[tokio::test]
async fn a_session_that_is_ended_is_tried_again() {
    let hospital = with_departments_that("PERFORM pg_terminate_backend(pg_backend_pid())").await;
    hospital.set("\nretry_pause_ms = 1\n", "\nretry_pause_ms = 1\nretries = 2\n");
    let failed = hospital.full("departments").await.unwrap_err();
    assert_eq!((failed.name(), hospital.connections()), ("SourceUnavailable", 3), "{failed}");
}

#[tokio::test]
async fn a_statement_that_waits_too_long_is_a_timeout_and_is_taken_back() {
    let hospital = with_departments_that("PERFORM pg_sleep(600)").await;
    hospital.set("statement_timeout_seconds = 20", "statement_timeout_seconds = 3");
    let failed = hospital.full("departments").await.unwrap_err();
    assert_eq!(failed.name(), "Timeout");
    assert!(failed.to_string().contains("reading the rows: no answer in time"), "{failed}");
    let running = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'rcm_reader' AND wait_event = 'PgSleep'";
    while hospital.postgres().server.number(running).await > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_server_that_cancels_its_statements_itself_is_a_timeout() {
    let hospital = with_departments_that("PERFORM pg_sleep(600)").await;
    hospital.postgres().server.execute("ALTER ROLE rcm_reader SET statement_timeout = '1s'").await;
    let failed = hospital.full("departments").await.unwrap_err();
    assert_eq!(failed.name(), "Timeout");
    assert!(failed.to_string().contains("PostgreSQL error 57014"), "{failed}");
}
