//! Secrets, logins, TLS.

use rcm_model::event::Outcome;
use rstest::rstest;
use serde_json::json;
use tds_server::{Fault, PASSWORD, SqlError, USER};

use crate::database_tests::hospital::{Hospital, department_columns, departments, hospital};

async fn with_departments(hospital: Hospital) -> Hospital {
    hospital.create("departments", &department_columns()).await;
    hospital.insert("departments", departments(3)).await;
    hospital
}

#[tokio::test]
async fn a_login_says_who_reads_what_and_that_it_only_reads() {
    let hospital = with_departments(hospital().await).await;
    hospital.full("departments").await.unwrap();
    let login = hospital.server().logins().remove(0);
    assert_eq!((login.user.as_str(), login.password.as_str(), login.database.as_str()), (USER, PASSWORD, "db-a"));
    assert!(login.is_read_only && login.application.contains("emr-extract"), "{login:?}");
}

#[tokio::test]
async fn a_connection_may_stay_on_the_primary() {
    let hospital = with_departments(hospital().await).await;
    hospital.set("retry_pause_ms = 1", "application_intent = \"read_write\"");
    hospital.set_secret(&[("dbname", json!("trendytech"))]);
    hospital.full("departments").await.unwrap();
    let login = hospital.server().logins().remove(0);
    assert!(!login.is_read_only && login.database == "trendytech", "{login:?}");
}

#[rstest]
#[case::allowed(true, "SNAPSHOT")]
#[case::not_allowed(false, "READ COMMITTED")]
#[tokio::test]
async fn rows_are_read_as_of_one_moment_where_the_database_keeps_versions(#[case] allowed: bool, #[case] level: &str) {
    let hospital = with_departments(hospital().await).await;
    if allowed {
        hospital.server().allow_snapshots();
    }
    hospital.full("departments").await.unwrap();
    assert!(hospital.server().statements().contains(&format!("SET TRANSACTION ISOLATION LEVEL {level}")));
}

#[tokio::test]
async fn a_database_that_does_not_know_of_versions_is_read_all_the_same() {
    let hospital = with_departments(hospital().await).await;
    hospital.server().inject(Fault::StatementFails("sys", SqlError::new(33_557_097, 16, "not supported")));
    assert_eq!(hospital.full("departments").await.unwrap().outcome, Outcome::Done);
}

#[tokio::test]
async fn a_gateway_may_send_us_on() {
    let target = with_departments(hospital().await).await;
    let gateway = hospital().await;
    gateway.server().inject(Fault::LoginIsRouted(target.server().port()));
    assert_eq!(gateway.full("departments").await.unwrap().loads[0].read, 3);
    assert_eq!((gateway.server().logins().len(), target.server().logins().len()), (1, 1));
}
