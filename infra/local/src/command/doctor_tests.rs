use std::process::ExitCode;

use clap::Parser;
use rcm_platform::testing::TestLake;
use serde_json::Value;

use super::{Arguments, carry_out};
use crate::doctor::{self, Wanted};

/// What `rcm doctor --json` finds, and whether it succeeds.
async fn found(lake: &TestLake, options: &[&str]) -> (Value, bool) {
    let folder = lake.path("");
    let words = ["rcm", "doctor", "--json", "--lake", folder.to_str().unwrap()];
    let output = carry_out(Arguments::parse_from(words.iter().chain(options))).await.unwrap();
    let is_well = format!("{:?}", output.exit) == format!("{:?}", ExitCode::SUCCESS);
    (serde_json::from_str(&output.text).unwrap(), is_well)
}

/// The failed checks: what was looked at, its subject and what to do.
fn failed(found: &Value) -> Vec<String> {
    let checks = found["checks"].as_array().unwrap().iter().filter(|check| check["ok"] == false);
    let text = |check: &Value| format!("{} {}: {}", check["what"], check["subject"], check["detail"]).replace('"', "");
    checks
        .map(|check| {
            assert!(check["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{check:#}");
            text(check)
        })
        .collect()
}

fn write_extracts(lake: &TestLake, hospital: &str) {
    for (table, header) in [
        ("departments", "DeptID,Name"),
        ("providers", "ProviderID,FirstName,LastName,Specialization,DeptID,NPI"),
        (
            "encounters",
            "EncounterID,PatientID,EncounterDate,EncounterType,ProviderID,DepartmentID,ProcedureCode,InsertedDate,ModifiedDate",
        ),
        ("patients", "PatientID,FirstName,LastName,MiddleName,SSN,PhoneNumber,Gender,DOB,Address,ModifiedDate"),
        (
            "transactions",
            "TransactionID,EncounterID,PatientID,ProviderID,DeptID,VisitDate,ServiceDate,PaidDate,VisitType,Amount,AmountType,\
             PaidAmount,ClaimID,PayorID,ProcedureCode,ICDCode,LineOfBusiness,MedicaidID,MedicareID,InsertDate,ModifiedDate",
        ),
    ] {
        lake.write(&format!("emr/{hospital}/{table}.csv"), format!("{header}\n"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_whose_sources_fit_is_well_and_is_left_as_it_was() {
    let lake = TestLake::new();
    write_extracts(&lake, "hos-a");
    let before = lake.lake().list("").await.unwrap().len();
    let (found, is_well) = found(&lake, &["--source", "hos-a"]).await;
    assert!(is_well && found["ok"] == true, "{found:#}");
    let looked_at: Vec<&str> =
        found["checks"].as_array().unwrap().iter().map(|check| check["what"].as_str().unwrap()).collect();
    for what in ["configuration", "table", "landing", "lake", "clock", "disk"] {
        assert!(looked_at.contains(&what), "{what}: {looked_at:?}");
    }
    assert_eq!(lake.lake().list("").await.unwrap().len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_named_with_what_to_do() {
    let lake = TestLake::new();
    write_extracts(&lake, "hos-a");
    lake.write("emr/hos-a/departments.csv", "DeptID,Title\n");
    lake.edit(
        "configs/emr/load_config.csv",
        "dbo.patients,Incremental,ModifiedDate",
        "dbo.patients,Incremental,Changed",
    );
    std::fs::remove_file(lake.path("emr/hos-a/providers.csv")).unwrap();
    lake.write("landing/claims/hospital1_new.csv", "ClaimID,Amount\n");
    let (found, is_well) = found(&lake, &["--source", "hos-a"]).await;
    assert!(!is_well);
    let mut failed = failed(&found);
    let landed = failed.pop().unwrap();
    assert!(
        landed.starts_with("landing landing/claims, hos-a: broken contract: the source lacks `ClaimAmount`, "),
        "{landed}"
    );
    insta::assert_snapshot!(failed.join("\n"), @r"
    table hosa/patients: broken contract: the source lacks the watermark `Changed` of configs/emr/load_config.csv
    table hosa/providers: broken contract: extract file `hos-a/providers.csv`: there is none
    table hosa/departments: broken contract: the source lacks `Name`
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn configuration_that_cannot_be_read_fails_and_the_lake_is_looked_at_nevertheless() {
    let lake = TestLake::new();
    lake.write("configs/cdm/hos-a.toml", "datasource = \"hos-a\"\n[entities.patients]\nshoe_size = \"S\"");
    let (found, is_well) = found(&lake, &[]).await;
    assert!(!is_well);
    let failed = failed(&found);
    assert!(failed.len() == 1 && failed[0].contains("hos-a.toml"), "{failed:?}");
    assert!(found["checks"].as_array().unwrap().iter().any(|check| check["what"] == "disk"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_refused_or_a_secret_that_is_missing_is_told_unless_nothing_is_asked() {
    let lake = TestLake::new();
    lake.edit("configs/sources.toml", "kind = \"files\"", "kind = \"sql_server\"");
    lake.write("secrets.json", "{}");
    let context = lake.context().await;
    let environment = rcm_platform::config::Environment {
        secrets_file: Some(lake.path("secrets.json")),
        emr_dir: None,
        ..context.environment.clone()
    };
    let wanted = |offline| Wanted { offline, source: Some("hos-b".to_owned()) };
    let checks = doctor::examine(&context.lake, environment.clone(), &wanted(false)).await.unwrap();
    let failed: Vec<_> = checks.iter().filter(|check| !check.ok).collect();
    assert!(failed.len() == 5 && failed.iter().all(|check| check.detail.contains("has no secret")), "{failed:?}");
    let checks = doctor::examine(&context.lake, environment, &wanted(true)).await.unwrap();
    assert!(checks.iter().all(|check| check.ok), "{checks:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_there_is_not_is_refused_with_the_one_that_is_meant() {
    let lake = TestLake::new();
    let folder = lake.path("");
    let words = ["rcm", "doctor", "--source", "hos_a", "--lake", folder.to_str().unwrap()];
    let error = carry_out(Arguments::parse_from(words)).await.unwrap_err();
    assert!(error.to_string().ends_with("hint: did you mean `hos-a`?"), "{error}");
}
