//! Secrets, logins, TLS.

use rcm_model::event::{ExtractInput, Outcome};
use rcm_model::load_config::LoadType;
use rstest::rstest;
use serde_json::{Value as Json, json};
use tds_server::PASSWORD;

use super::hospital::{Hospital, Kind, department_columns, departments};

async fn with_departments(hospital: Hospital) -> Hospital {
    hospital.create("departments", &department_columns()).await;
    hospital.insert("departments", departments(3)).await;
    hospital
}

fn full(hospital: &Hospital) -> ExtractInput {
    ExtractInput { run_id: "run-1".to_owned(), row: hospital.row("departments", LoadType::Full), force: false }
}

#[rstest]
#[tokio::test]
async fn a_password_that_was_changed_is_read_again_once(#[values(Kind::SqlServer, Kind::Postgres)] kind: Kind) {
    let hospital = with_departments(Hospital::start(kind).await).await;
    hospital.full("departments").await.unwrap();
    hospital.set_password("new horse").await;
    hospital.set_secret(&[("password", json!("new horse"))]);
    assert_eq!(hospital.full("departments").await.unwrap().outcome, Outcome::NothingNew);
    assert_eq!(hospital.connections(), 3);
    if let Some(server) = hospital.tds_server() {
        let passwords: Vec<String> = server.logins().into_iter().map(|login| login.password).collect();
        assert_eq!(passwords, [PASSWORD, PASSWORD, "new horse"]);
    }
}

#[rstest]
#[tokio::test]
async fn a_wrong_password_is_not_tried_again_and_not_told(#[values(Kind::SqlServer, Kind::Postgres)] kind: Kind) {
    let hospital = with_departments(Hospital::start(kind).await).await;
    hospital.set_secret(&[("password", json!("wrong horse"))]);
    let error = hospital.full("departments").await.unwrap_err();
    assert_eq!(error.name(), "BadConfig");
    let code = if kind == Kind::Postgres { "PostgreSQL error 28P01" } else { "SQL Server error 18456" };
    assert!(error.to_string().contains(&format!("the login is refused ({code}")), "{error}");
    assert!(!error.to_string().contains("horse"), "{error}");
    assert_eq!(hospital.connections(), 1);
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
    #[values(Kind::SqlServer, Kind::Postgres)] kind: Kind,
    #[case] changes: &[(&str, Json)],
    #[case] expected: &str,
) {
    let hospital = with_departments(Hospital::start(kind).await).await;
    hospital.set_secret(changes);
    let error = hospital.full("departments").await.unwrap_err();
    assert_eq!(error.name(), "BadConfig");
    assert!(error.to_string().contains("secret `db-a`") && error.to_string().contains(expected), "{error}");
    assert!(!error.to_string().contains("hunter2") && !error.to_string().contains("987654"), "{error}");
}

#[rstest]
#[tokio::test]
async fn a_secret_may_have_a_name_of_its_own(#[values(Kind::SqlServer, Kind::Postgres)] kind: Kind) {
    let hospital = with_departments(Hospital::start(kind).await).await;
    let secrets = hospital.lake.read("secrets.json").replace("db-a", "rcm/hospital-a");
    hospital.lake.write("secrets.json", secrets);
    hospital.set_database("secret = \"rcm/hospital-a\"");
    assert_eq!(hospital.full("departments").await.unwrap().outcome, Outcome::Done);
}

#[rstest]
#[tokio::test]
async fn the_secrets_of_databases_may_have_a_folder_of_their_own(
    #[values(Kind::SqlServer, Kind::Postgres)] kind: Kind,
) {
    let hospital = with_departments(Hospital::start(kind).await).await;
    let secrets = hospital.lake.read("secrets.json").replace("db-a", "rcm/dev/emr/db-a");
    hospital.lake.write("secrets.json", secrets);
    let mut context = hospital.context().await;
    context.environment.emr_secrets = Some("rcm/dev/emr/".to_owned());
    assert_eq!(crate::handle(context, full(&hospital)).await.unwrap().outcome, Outcome::Done);
}

#[rstest]
#[tokio::test]
async fn a_server_that_is_not_there_is_an_unavailable_source(#[values(Kind::SqlServer, Kind::Postgres)] kind: Kind) {
    let hospital = Hospital::start(kind).await;
    hospital.set("retry_pause_ms = 1", "retries = 0");
    hospital.set_secret(&[("port", json!(1))]);
    let error = hospital.full("departments").await.unwrap_err();
    assert_eq!(error.name(), "SourceUnavailable");
    assert!(error.to_string().contains("connecting"), "{error}");
}

#[rstest]
#[tokio::test]
async fn a_certificate_of_no_known_authority_is_refused(#[values(Kind::SqlServer, Kind::Postgres)] kind: Kind) {
    let hospital = with_departments(Hospital::start_encrypted(kind).await).await;
    let error = hospital.full("departments").await.unwrap_err();
    assert_eq!(error.name(), "BadConfig");
    assert!(error.to_string().contains("logging in: TLS:"), "{error}");
    assert_eq!(hospital.tds_server().map_or(0, |server| server.logins().len()), 0, "no password went to a stranger");
}

#[rstest]
#[tokio::test]
async fn a_certificate_of_the_secrets_authority_is_taken(#[values(Kind::SqlServer, Kind::Postgres)] kind: Kind) {
    let hospital = with_departments(Hospital::start_encrypted(kind).await).await;
    hospital.set_secret(&[("ca", json!(hospital.certificate().unwrap()))]);
    assert_eq!(hospital.full("departments").await.unwrap().loads[0].read, 3);
    assert!(hospital.tds_server().is_none_or(|server| server.logins()[0].is_encrypted));
}

#[rstest]
#[tokio::test]
async fn a_certificate_of_another_host_is_refused(#[values(Kind::SqlServer, Kind::Postgres)] kind: Kind) {
    let hospital = with_departments(Hospital::start_encrypted(kind).await).await;
    let certificate = hospital.certificate().unwrap().to_owned();
    hospital.set_secret(&[("ca", json!(certificate)), ("host", json!("127.0.0.1"))]);
    assert_eq!(hospital.full("departments").await.unwrap_err().name(), "BadConfig");
    hospital.set_secret(&[("host_in_certificate", json!("localhost"))]);
    hospital.set_database("secret = \"db-b\"");
    let secrets = hospital.lake.read("secrets.json").replacen("db-a", "db-b", 1);
    hospital.lake.write("secrets.json", secrets);
    assert_eq!(hospital.full("departments").await.unwrap().outcome, Outcome::Done);
}

#[rstest]
#[tokio::test]
async fn any_certificate_is_taken_where_the_configuration_says_so(
    #[values(Kind::SqlServer, Kind::Postgres)] kind: Kind,
) {
    let hospital = with_departments(Hospital::start_encrypted(kind).await).await;
    hospital.set("trust_server_certificate = false", "trust_server_certificate = true");
    assert_eq!(hospital.full("departments").await.unwrap().outcome, Outcome::Done);
}

#[rstest]
#[tokio::test]
async fn a_server_that_does_not_encrypt_is_refused_unless_the_configuration_says_so(
    #[values(Kind::SqlServer, Kind::Postgres)] kind: Kind,
) {
    let hospital = with_departments(Hospital::start(kind).await).await;
    hospital.set("encrypt = \"off\"", "encrypt = \"required\"");
    let error = hospital.full("departments").await.unwrap_err();
    assert_eq!(error.name(), "BadConfig");
    assert!(error.to_string().contains("the server does not encrypt"), "{error}");
    assert_eq!(hospital.tds_server().map_or(0, |server| server.logins().len()), 0, "no password went in the clear");
}

#[rstest]
#[tokio::test]
async fn a_folder_of_files_goes_before_the_database(#[values(Kind::SqlServer, Kind::Postgres)] kind: Kind) {
    let hospital = Hospital::start(kind).await;
    hospital.lake.write("emr/hos-a/departments.csv", "DeptID,Name\n1,One\n");
    let mut context = hospital.context().await;
    context.environment.emr_dir = Some(hospital.lake.path("emr"));
    assert_eq!(crate::handle(context, full(&hospital)).await.unwrap().loads[0].read, 1);
}

#[rstest]
#[tokio::test]
async fn an_authority_that_is_no_certificate_is_named(#[values(Kind::SqlServer, Kind::Postgres)] kind: Kind) {
    let hospital = with_departments(Hospital::start_encrypted(kind).await).await;
    hospital.set_secret(&[("ca", json!("hunter2"))]);
    let error = hospital.full("departments").await.unwrap_err();
    assert_eq!(error.name(), "BadConfig");
    assert!(error.to_string().contains("secret `db-a`: `ca` is no certificate"), "{error}");
    assert!(!error.to_string().contains("hunter2"), "{error}");
}
