//! What silver makes of a database's rows.

use rcm_model::event::{Outcome, StageInput};
use rcm_model::load_config::LoadType;
use rstest::rstest;
use tds_server::{Column, Type, Value};

use super::hospital::{Kind, in_hospital, patient, patient_columns};

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn silver_takes_the_rows_of_a_database(#[values(Kind::SqlServer, Kind::Postgres)] kind: Kind) {
    in_hospital(kind, async |hospital| {
        hospital.create("patients", &patient_columns()).await;
        let rows = (1..=50).map(|id| patient(&format!("P{id:03}"), Some("2024-10-01 08:00:00.123"))).collect();
        hospital.insert("patients", rows).await;
        hospital.incremental("patients").await.unwrap();
        let input = StageInput { run_id: "run-1".to_owned(), ..StageInput::default() };
        let report = silver_patients::handle(hospital.context().await, input).await.unwrap();
        let counts = &report.loads[0];
        assert_eq!((report.outcome, counts.new, counts.quarantined), (Outcome::Done, 50, 0), "{:?}", report.rules);
    })
    .await;
}

/// A transactions table whose columns are of the types that databases have for them.
fn transaction_columns() -> Vec<Column> {
    let text = |name: &str| Column::new(name, Type::VarChar(50));
    let mut columns = vec![Column::required("TransactionID", Type::BigInt)];
    columns.extend(["EncounterID", "PatientID", "ProviderID", "DeptID"].map(text));
    columns.extend([
        Column::new("VisitDate", Type::Date),
        Column::new("ServiceDate", Type::DateTimeOffset(0)),
        Column::new("PaidDate", Type::SmallDateTime),
        text("VisitType"),
        Column::new("Amount", Type::Money),
        text("AmountType"),
        Column::new("PaidAmount", Type::Float),
    ]);
    columns.extend(["ClaimID", "PayorID"].map(text));
    columns.push(Column::new("ProcedureCode", Type::Int));
    columns.extend(["ICDCode", "LineOfBusiness", "MedicaidID", "MedicareID"].map(text));
    columns.extend(["InsertDate", "ModifiedDate"].map(|name| Column::new(name, Type::DateTime2(3))));
    columns
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn amounts_and_dates_of_every_type_pass_through_silver(#[values(Kind::SqlServer, Kind::Postgres)] kind: Kind) {
    in_hospital(kind, async |hospital| {
        hospital.create("transactions", &transaction_columns()).await;
        let row = vec![
            1.into(),
            "E1".into(),
            "P1".into(),
            "H1".into(),
            "D1".into(),
            Value::date("2024-10-01"),
            Value::offset("2024-10-01T23:00:00-05:00"),
            Value::moment("2024-10-05 08:00:00"),
            "Routine".into(),
            Value::decimal("988.3750"),
            "Co-pay".into(),
            Value::Float(988.369_995_117_187_5),
            "C1".into(),
            "PAY1".into(),
            99_213.into(),
            "I10".into(),
            "Commercial".into(),
            Value::Null,
            Value::Null,
            Value::moment("2024-10-01 08:00:00"),
            Value::moment("2024-10-02 08:00:00.001"),
        ];
        hospital.insert("transactions", vec![row]).await;
        hospital.extract(hospital.row("transactions", LoadType::Incremental)).await.unwrap();
        let input = StageInput { run_id: "run-1".to_owned(), ..StageInput::default() };
        let report = silver_transactions::handle(hospital.context().await, input).await.unwrap();
        assert_eq!((report.loads[0].new, report.loads[0].quarantined), (1, 0), "{:?}", report.rules);
    })
    .await;
}
