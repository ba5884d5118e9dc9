//! Values that bronze has no place for: their rows are malformed, and none is read as another value.

use rcm_model::event::StageInput;
use rcm_model::load_config::LoadType;
use rstest::rstest;
use tds_server::{Column, Type};

use crate::database_tests::hospital::{Hospital, Kind, NULL, patient, patient_columns};

async fn with_departments(kind: &str, value: &str) -> Hospital {
    let hospital = Hospital::start(Kind::Postgres).await;
    let statements = format!(
        "CREATE TABLE rcm.departments (\"DeptID\" integer, \"Name\" text, \"Extra\" {kind}); \
         INSERT INTO rcm.departments VALUES (1, 'One', NULL), (2, 'Two \"2\"', {value}), (3, NULL, {value}); \
         GRANT SELECT ON rcm.departments TO rcm_reader"
    );
    hospital.postgres().server.execute(&statements).await;
    hospital
}

#[rstest]
#[case("numeric(9,2)", "'NaN'", "NaN")]
#[case("real", "'NaN'", "NaN")]
#[case("double precision", "'NaN'", "NaN")]
#[case("double precision", "'-Infinity'", "-Infinity")]
#[case("real", "'Infinity'", "Infinity")]
#[case("date", "'infinity'", "infinity")]
#[case("date", "'-infinity'", "-infinity")]
#[case("date", "'10000-01-01'", "+10000-01-01")]
#[case("date", "'5874897-12-31'", "out of range")]
#[case("date", "'0044-03-15 BC'", "-0043-03-15")]
#[case("timestamp", "'infinity'", "infinity")]
#[case("timestamptz", "'-infinity'", "-infinity")]
#[case("timestamp", "'294276-12-31 23:59:59.999999'", "out of range")]
#[case("timestamp", "'10000-01-01 00:00'", "+10000-01-01 00:00:00")]
#[tokio::test]
async fn a_row_with_a_value_that_bronze_has_no_place_for_is_malformed(
    #[case] kind: &str,
    #[case] value: &str,
    #[case] told: &str,
) {
    let hospital = with_departments(kind, value).await;
    hospital.full("departments").await.unwrap();
    let load = hospital.last_load("hosa/departments").await;
    assert_eq!((load.rows, load.malformed), (3, 2));
    let rows = hospital.values(&load, &["_position", "DeptID", "Name", "Extra", "_malformed"]);
    let malformed = [format!("[\"2\",\"Two \\\"2\\\"\",\"{told}\"]"), format!("[\"3\",\"\",\"{told}\"]")];
    assert_eq!(rows[0], ["1", "1", "One", NULL, NULL]);
    assert_eq!(rows[1], ["2", NULL, NULL, NULL, malformed[0].as_str()]);
    assert_eq!(rows[2], ["3", NULL, NULL, NULL, malformed[1].as_str()]);
    assert_eq!(hospital.full("departments").await.unwrap().loads.len(), 0, "nothing new");
}

#[tokio::test(flavor = "multi_thread")]
async fn silver_quarantines_a_row_with_an_amount_that_is_no_number() {
    let hospital = Hospital::start(Kind::Postgres).await;
    let texts = ["EncounterID", "PatientID", "ProviderID", "DeptID", "VisitType", "AmountType", "ClaimID", "PayorID"];
    let more = ["ProcedureCode", "ICDCode", "LineOfBusiness", "MedicaidID", "MedicareID"];
    let mut columns = vec![Column::new("TransactionID", Type::BigInt)];
    columns.extend(texts.iter().chain(&more).map(|name| Column::new(name, Type::VarChar(50))));
    columns.extend(["VisitDate", "ServiceDate", "PaidDate"].map(|name| Column::new(name, Type::Date)));
    columns.extend(["Amount", "PaidAmount"].map(|name| Column::new(name, Type::Float)));
    columns.extend(["InsertDate", "ModifiedDate"].map(|name| Column::new(name, Type::DateTime2(6))));
    hospital.create("transactions", &columns).await;
    let insert = |id: i64, amount: &str| {
        format!(
            "INSERT INTO rcm.transactions (\"TransactionID\", \"EncounterID\", \"PatientID\", \"ProviderID\", \"DeptID\", \
             \"VisitDate\", \"ServiceDate\", \"PaidDate\", \"Amount\", \"PaidAmount\", \"ModifiedDate\") VALUES \
             ({id}, 'E1', 'P1', 'H1', 'D1', '2024-10-01', '2024-10-01', '2024-10-05', {amount}, 1.5, \
             '2024-10-02 08:00:00.123456')"
        )
    };
    for (id, amount) in [(1, "10.25"), (2, "'NaN'"), (3, "'Infinity'")] {
        hospital.postgres().server.execute(&insert(id, amount)).await;
    }
    hospital.extract(hospital.row("transactions", LoadType::Incremental)).await.unwrap();
    let input = StageInput { run_id: "run-1".to_owned(), ..StageInput::default() };
    let report = silver_transactions::handle(hospital.context().await, input).await.unwrap();
    assert_eq!((report.loads[0].new, report.loads[0].quarantined), (1, 2), "{:?}", report.rules);
}

#[rstest]
#[case::later_than_all("'infinity'")]
#[case::far_away("'200000-01-01'")]
#[tokio::test]
async fn a_watermark_without_an_end_does_not_hide_the_rows_after_it(#[case] value: &str) {
    let hospital = Hospital::start(Kind::Postgres).await;
    hospital.without_overlap();
    hospital.create("patients", &patient_columns()).await;
    hospital.insert("patients", vec![patient("P1", Some("2024-10-03 08:00:00")), patient("P2", None)]).await;
    let update = format!("UPDATE rcm.patients SET \"ModifiedDate\" = {value} WHERE \"PatientID\" = 'P2'");
    hospital.postgres().server.execute(&update).await;
    let report = hospital.incremental("patients").await.unwrap();
    assert!(report.notes.iter().any(|note| note.contains("in the future")), "{:?}", report.notes);
    let load = hospital.last_load("hosa/patients").await;
    assert_eq!((load.rows, load.malformed), (2, 1));
    assert_eq!(load.watermark.unwrap().to.unwrap().to_rfc3339(), "2024-10-03T08:00:00+00:00");
    hospital.insert("patients", vec![patient("P3", Some("2024-10-04 08:00:00"))]).await;
    hospital.incremental("patients").await.unwrap();
    assert_eq!(hospital.column(&hospital.last_load("hosa/patients").await, "PatientID"), [NULL, "P3"]);
}

#[tokio::test]
async fn rows_that_were_changed_before_all_time_are_in_the_first_load() {
    let hospital = Hospital::start(Kind::Postgres).await;
    hospital.create("patients", &patient_columns()).await;
    hospital.insert("patients", vec![patient("P1", None)]).await;
    hospital.postgres().server.execute("UPDATE rcm.patients SET \"ModifiedDate\" = '-infinity'").await;
    assert_eq!(hospital.incremental("patients").await.unwrap().loads[0].read, 1);
    hospital.insert("patients", vec![patient("P2", Some("2024-10-04 08:00:00"))]).await;
    assert_eq!(hospital.incremental("patients").await.unwrap().loads[0].read, 1);
    assert_eq!(hospital.column(&hospital.last_load("hosa/patients").await, "PatientID"), ["P2"]);
}
