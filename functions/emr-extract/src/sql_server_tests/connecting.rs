//! Secrets, logins, TLS.

use rcm_model::event::{ExtractInput, Outcome};
use rcm_model::load_config::LoadType;
use rstest::rstest;
use serde_json::{Value as Json, json};
use tds_server::{Fault, PASSWORD, SqlError, USER};

use super::hospital::{Hospital, department_columns, departments, encrypted_hospital, hospital};

async fn with_departments(hospital: Hospital) -> Hospital {
    hospital.create("departments", &department_columns()).await;
    hospital.insert("departments", departments(3)).await;
    hospital
}

fn full(hospital: &Hospital) -> ExtractInput {
    ExtractInput { run_id: "run-1".to_owned(), row: hospital.row("departments", LoadType::Full), force: false }
}

fn set_secret(hospital: &Hospital, changes: &[(&str, Json)]) {
    let mut secrets: Json = serde_json::from_str(&hospital.lake.read("secrets.json")).unwrap();
    for (field, value) in changes {
        secrets["db-a"][*field] = value.clone();
    }
    hospital.lake.write("secrets.json", secrets.to_string());
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
    set_secret(&hospital, &[("dbname", json!("trendytech"))]);
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
async fn a_password_that_was_changed_is_read_again_once() {
    let hospital = with_departments(hospital().await).await;
    hospital.full("departments").await.unwrap();
    hospital.server().set_password("new horse");
    set_secret(&hospital, &[("password", json!("new horse"))]);
    assert_eq!(hospital.full("departments").await.unwrap().outcome, Outcome::NothingNew);
    let passwords: Vec<String> = hospital.server().logins().into_iter().map(|login| login.password).collect();
    assert_eq!(passwords, [PASSWORD, PASSWORD, "new horse"]);
}

#[tokio::test]
async fn a_wrong_password_is_not_tried_again_and_not_told() {
    let hospital = with_departments(hospital().await).await;
    set_secret(&hospital, &[("password", json!("wrong horse"))]);
    let error = hospital.full("departments").await.unwrap_err();
    assert_eq!(error.name(), "BadConfig");
    assert!(error.to_string().contains("the login is refused (SQL Server error 18456"), "{error}");
    assert!(!error.to_string().contains("horse"), "{error}");
    assert_eq!(hospital.server().logins().len(), 1);
    let reports = hospital.lake.files("audit/_reports/run-1");
    assert!(!hospital.lake.read(&reports[0]).contains("horse"));
}

#[rstest]
#[case::no_host(&[("host", Json::Null)], "no `host`")]
#[case::no_password(&[("password", Json::Null)], "no `password`")]
#[case::a_port_that_is_none(&[("port", json!("hunter2"))], "`port` is no port")]
#[case::a_password_that_is_a_number(&[("password", json!(987_654))], "`password` is no text")]
#[tokio::test]
async fn a_secret_that_cannot_be_used_is_named_without_its_values(
    #[case] changes: &[(&str, Json)],
    #[case] expected: &str,
) {
    let hospital = with_departments(hospital().await).await;
    set_secret(&hospital, changes);
    let error = hospital.full("departments").await.unwrap_err();
    assert_eq!(error.name(), "BadConfig");
    assert!(error.to_string().contains("secret `db-a`") && error.to_string().contains(expected), "{error}");
    assert!(!error.to_string().contains("hunter2") && !error.to_string().contains("987654"), "{error}");
}

#[tokio::test]
async fn a_secret_may_have_a_name_of_its_own() {
    let hospital = with_departments(hospital().await).await;
    let secrets = hospital.lake.read("secrets.json").replace("db-a", "rcm/hospital-a");
    hospital.lake.write("secrets.json", secrets);
    hospital.set("[emr.sql_server.databases.db-a]", "[emr.sql_server.databases.db-a]\nsecret = \"rcm/hospital-a\"");
    assert_eq!(hospital.full("departments").await.unwrap().outcome, Outcome::Done);
}

#[tokio::test]
async fn the_secrets_of_databases_may_have_a_folder_of_their_own() {
    let hospital = with_departments(hospital().await).await;
    let secrets = hospital.lake.read("secrets.json").replace("db-a", "rcm/dev/emr/db-a");
    hospital.lake.write("secrets.json", secrets);
    let mut context = hospital.context().await;
    context.environment.emr_secrets = Some("rcm/dev/emr/".to_owned());
    assert_eq!(crate::handle(context, full(&hospital)).await.unwrap().outcome, Outcome::Done);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_unavailable_source() {
    let hospital = hospital().await;
    hospital.set("retry_pause_ms = 1", "retries = 0");
    set_secret(&hospital, &[("port", json!(1))]);
    let error = hospital.full("departments").await.unwrap_err();
    assert_eq!(error.name(), "SourceUnavailable");
    assert!(error.to_string().contains("connecting"), "{error}");
}

#[tokio::test]
async fn a_gateway_may_send_us_on() {
    let target = with_departments(hospital().await).await;
    let gateway = hospital().await;
    gateway.server().inject(Fault::LoginIsRouted(target.server().port()));
    assert_eq!(gateway.full("departments").await.unwrap().loads[0].read, 3);
    assert_eq!((gateway.server().logins().len(), target.server().logins().len()), (1, 1));
}

#[tokio::test]
async fn a_certificate_of_no_known_authority_is_refused() {
    let hospital = with_departments(encrypted_hospital().await).await;
    let error = hospital.full("departments").await.unwrap_err();
    assert_eq!(error.name(), "BadConfig");
    assert!(error.to_string().contains("logging in: TLS:"), "{error}");
    assert_eq!(hospital.server().logins(), [], "no password went to a stranger");
}

#[tokio::test]
async fn a_certificate_of_the_secrets_authority_is_taken() {
    let hospital = with_departments(encrypted_hospital().await).await;
    set_secret(&hospital, &[("ca", json!(hospital.server().certificate().unwrap()))]);
    assert_eq!(hospital.full("departments").await.unwrap().loads[0].read, 3);
    assert!(hospital.server().logins()[0].is_encrypted);
}

#[tokio::test]
async fn a_certificate_of_another_host_is_refused() {
    let hospital = with_departments(encrypted_hospital().await).await;
    let certificate = hospital.server().certificate().unwrap().to_owned();
    set_secret(&hospital, &[("ca", json!(certificate)), ("host", json!("127.0.0.1"))]);
    assert_eq!(hospital.full("departments").await.unwrap_err().name(), "BadConfig");
    set_secret(&hospital, &[("host_in_certificate", json!("localhost"))]);
    let other = "[emr.sql_server.databases.db-a]\nsecret = \"db-b\"";
    hospital.set("[emr.sql_server.databases.db-a]", other);
    let secrets = hospital.lake.read("secrets.json").replacen("db-a", "db-b", 1);
    hospital.lake.write("secrets.json", secrets);
    assert_eq!(hospital.full("departments").await.unwrap().outcome, Outcome::Done);
}

#[tokio::test]
async fn any_certificate_is_taken_where_the_configuration_says_so() {
    let hospital = with_departments(encrypted_hospital().await).await;
    hospital.set("trust_server_certificate = false", "trust_server_certificate = true");
    assert_eq!(hospital.full("departments").await.unwrap().outcome, Outcome::Done);
}

#[tokio::test]
async fn a_server_that_does_not_encrypt_is_refused_unless_the_configuration_says_so() {
    let hospital = with_departments(hospital().await).await;
    hospital.set("encrypt = \"off\"", "encrypt = \"required\"");
    let error = hospital.full("departments").await.unwrap_err();
    assert_eq!(error.name(), "BadConfig");
    assert_eq!(hospital.server().logins(), [], "no password went in the clear");
}

#[tokio::test]
async fn a_folder_of_files_goes_before_the_database() {
    let hospital = hospital().await;
    hospital.lake.write("emr/hos-a/departments.csv", "DeptID,Name\n1,One\n");
    let mut context = hospital.context().await;
    context.environment.emr_dir = Some(hospital.lake.path("emr"));
    assert_eq!(crate::handle(context, full(&hospital)).await.unwrap().loads[0].read, 1);
}
