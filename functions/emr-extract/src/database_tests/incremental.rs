use chrono::{DateTime, TimeDelta, Utc};
use rcm_model::event::Outcome;
use rcm_platform::bronze::Watermark;
use rcm_platform::config::LoadKind;
use rstest::rstest;
use tds_server::{Column, Type, Value};

use super::hospital::{Hospital, Kind, in_hospital, patient, patient_columns};

const STREAM: &str = "hosa/patients";

fn moment(text: &str) -> DateTime<Utc> {
    format!("{}Z", text.replace(' ', "T")).parse().unwrap()
}

async fn with_patients(hospital: &Hospital, patients: &[(&str, &str)]) {
    hospital.create("patients", &patient_columns()).await;
    add(hospital, patients).await;
}

async fn add(hospital: &Hospital, patients: &[(&str, &str)]) {
    let rows = patients.iter().map(|(id, modified)| patient(id, (!modified.is_empty()).then_some(*modified)));
    hospital.insert("patients", rows.collect()).await;
}

async fn ids(hospital: &Hospital) -> Vec<String> {
    hospital.column(&hospital.last_load(STREAM).await, "PatientID")
}

async fn watermark(hospital: &Hospital) -> Watermark {
    hospital.last_load(STREAM).await.watermark.unwrap()
}

#[rstest]
#[tokio::test]
async fn the_first_load_takes_all_and_the_next_what_is_newer(#[values(Kind::SqlServer, Kind::Postgres)] kind: Kind) {
    in_hospital(kind, async |hospital| {
        hospital.without_overlap();
        with_patients(hospital, &[("P1", "2024-10-01 08:00:00"), ("P2", "2024-10-03 08:00:00"), ("P3", "")]).await;
        hospital.incremental("patients").await.unwrap();
        assert_eq!(ids(hospital).await, ["P1", "P2", "P3"]);
        assert_eq!(hospital.last_load(STREAM).await.kind, LoadKind::Upsert);
        add(hospital, &[("P4", "2024-10-03 08:00:00.010"), ("P5", "2024-10-02 08:00:00")]).await;
        hospital.incremental("patients").await.unwrap();
        assert_eq!(ids(hospital).await, ["P3", "P4"], "a row without a watermark comes with the new ones");
        let watermark = watermark(hospital).await;
        assert_eq!(watermark.from, Some(moment("2024-10-03 08:00:00")));
        assert_eq!(watermark.to, Some(moment("2024-10-03 08:00:00.010")));
    })
    .await;
}

#[rstest]
#[case::no_overlap(true)]
#[case::an_overlap_of_a_day(false)]
#[tokio::test]
async fn a_source_without_a_newer_row_makes_no_load(
    #[values(Kind::SqlServer, Kind::Postgres)] kind: Kind,
    #[case] without_overlap: bool,
) {
    in_hospital(kind, async |hospital| {
        if without_overlap {
            hospital.without_overlap();
        }
        with_patients(hospital, &[("P1", "2024-10-01 08:00:00"), ("P2", "2024-10-03 08:00:00.003"), ("P3", "")]).await;
        hospital.incremental("patients").await.unwrap();
        let bronze = hospital.lake.files("bronze");
        for _ in 0..2 {
            assert_eq!(hospital.incremental("patients").await.unwrap().outcome, Outcome::NothingNew);
        }
        assert_eq!(hospital.lake.files("bronze"), bronze);
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn an_overlap_finds_the_row_that_came_late(#[values(Kind::SqlServer, Kind::Postgres)] kind: Kind) {
    in_hospital(kind, async |hospital| {
        with_patients(hospital, &[("P1", "2024-10-01 08:00:00"), ("P2", "2024-10-03 08:00:00")]).await;
        hospital.incremental("patients").await.unwrap();
        add(hospital, &[("P3", "2024-10-03 07:00:00"), ("P4", "2024-10-02 07:00:00"), ("P5", "")]).await;
        hospital.incremental("patients").await.unwrap();
        assert_eq!(ids(hospital).await, ["P2", "P3"]);
        assert_eq!(watermark(hospital).await.to, Some(moment("2024-10-03 08:00:00")));
        assert_eq!(hospital.incremental("patients").await.unwrap().outcome, Outcome::NothingNew);
        add(hospital, &[("P6", "2024-10-03 09:00:00")]).await;
        hospital.incremental("patients").await.unwrap();
        assert_eq!(ids(hospital).await, ["P2", "P3", "P5", "P6"]);
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn a_watermark_in_the_future_does_not_hide_the_rows_after_it(
    #[values(Kind::SqlServer, Kind::Postgres)] kind: Kind,
) {
    in_hospital(kind, async |hospital| {
        hospital.without_overlap();
        with_patients(hospital, &[("P1", "2024-10-03 08:00:00"), ("P2", "2204-10-03 08:00:00")]).await;
        let report = hospital.incremental("patients").await.unwrap();
        assert!(report.notes.iter().any(|note| note.contains("in the future")), "{:?}", report.notes);
        assert_eq!(watermark(hospital).await.to, Some(moment("2024-10-03 08:00:00")));
        add(hospital, &[("P3", "2024-10-04 08:00:00")]).await;
        hospital.incremental("patients").await.unwrap();
        assert_eq!(ids(hospital).await, ["P2", "P3"]);
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn a_hospitals_clock_is_read_in_its_zone(#[values(Kind::SqlServer, Kind::Postgres)] kind: Kind) {
    in_hospital(kind, async |hospital| {
        hospital.without_overlap();
        hospital.lake.edit(
            "configs/cdm/hos-a.toml",
            "# time_zone = \"America/New_York\"",
            "time_zone = \"America/New_York\"",
        );
        with_patients(hospital, &[("P1", "2024-10-03 08:00:00")]).await;
        hospital.incremental("patients").await.unwrap();
        assert_eq!(watermark(hospital).await.to, Some(moment("2024-10-03 12:00:00")));
        add(hospital, &[("P2", "2024-10-03 08:00:01"), ("P3", "2024-10-03 07:59:59")]).await;
        hospital.incremental("patients").await.unwrap();
        assert_eq!(ids(hospital).await, ["P2"]);
    })
    .await;
}

#[rstest]
#[case(Type::Date, Value::date("2024-10-01"), Value::date("2024-10-02"))]
#[case(Type::SmallDateTime, Value::moment("2024-10-01 08:00:00"), Value::moment("2024-10-01 08:01:00"))]
#[case(Type::DateTime, Value::moment("2024-10-01 08:00:00.003"), Value::moment("2024-10-01 08:00:00.007"))]
#[case(Type::DateTime2(6), Value::moment("2024-10-01 08:00:00.123456"), Value::moment("2024-10-01 08:00:00.123457"))]
#[case(Type::DateTime2(0), Value::moment("2024-10-01 08:00:00"), Value::moment("2024-10-01 08:00:01"))]
#[case(
    Type::DateTimeOffset(3),
    Value::offset("2024-10-01T08:00:00-05:00"),
    Value::offset("2024-10-01T15:00:00.001+02:00")
)]
#[tokio::test]
async fn a_watermark_is_followed_to_its_last_digit(
    #[values(Kind::SqlServer, Kind::Postgres)] database: Kind,
    #[case] kind: Type,
    #[case] old: Value,
    #[case] new: Value,
) {
    in_hospital(database, async |hospital| {
        hospital.without_overlap();
        let mut columns = patient_columns();
        columns.pop();
        columns.push(Column::new("ModifiedDate", kind));
        hospital.create("patients", &columns).await;
        let with = |id: &str, modified: &Value| {
            let mut row = patient(id, None);
            row.pop();
            row.push(modified.clone());
            row
        };
        hospital.insert("patients", vec![with("P1", &old)]).await;
        hospital.incremental("patients").await.unwrap();
        assert_eq!(hospital.incremental("patients").await.unwrap().outcome, Outcome::NothingNew);
        hospital.insert("patients", vec![with("P2", &new), with("P3", &old)]).await;
        hospital.incremental("patients").await.unwrap();
        assert_eq!(ids(hospital).await, ["P2"]);
    })
    .await;
}

#[rstest]
#[case(Type::Int, Value::Int(1))]
#[case(Type::NVarChar(30), "2024-10-01".into())]
#[tokio::test]
async fn a_watermark_that_has_no_date_is_a_broken_contract(
    #[values(Kind::SqlServer, Kind::Postgres)] database: Kind,
    #[case] kind: Type,
    #[case] value: Value,
) {
    in_hospital(database, async |hospital| {
        let mut columns = patient_columns();
        columns.pop();
        columns.push(Column::new("ModifiedDate", kind));
        hospital.create("patients", &columns).await;
        let mut row = patient("P1", None);
        row.pop();
        row.push(value.clone());
        hospital.insert("patients", vec![row]).await;
        let error = hospital.incremental("patients").await.unwrap_err();
        assert_eq!(error.name(), "BrokenContract");
        assert!(error.to_string().contains("`ModifiedDate`"), "{error}");
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn ranges_of_keys_keep_to_the_window(#[values(Kind::SqlServer, Kind::Postgres)] kind: Kind) {
    in_hospital(kind, async |hospital| {
        hospital.without_overlap();
        hospital.set_stream(STREAM, "shards = 3");
        let patients: Vec<(String, String)> =
            (1..=30).map(|id| (format!("P{id:02}"), format!("2024-10-{id:02} 08:00:00"))).collect();
        let patients: Vec<(&str, &str)> = patients.iter().map(|(id, day)| (id.as_str(), day.as_str())).collect();
        with_patients(hospital, &patients[..20]).await;
        hospital.incremental("patients").await.unwrap();
        assert_eq!(ids(hospital).await.len(), 20);
        add(hospital, &patients[20..]).await;
        add(hospital, &[("P99", "")]).await;
        hospital.incremental("patients").await.unwrap();
        let expected: Vec<String> = (21..=30).chain([99]).map(|id| format!("P{id:02}")).collect();
        assert_eq!(ids(hospital).await, expected);
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn of_two_extracts_at_once_one_makes_the_load_and_the_other_finds_it(
    #[values(Kind::SqlServer, Kind::Postgres)] kind: Kind,
) {
    in_hospital(kind, async |hospital| {
        with_patients(hospital, &[("P1", "2024-10-01 08:00:00"), ("P2", "2024-10-03 08:00:00")]).await;
        let (one, other) = tokio::join!(hospital.incremental("patients"), hospital.incremental("patients"));
        let mut outcomes = [one.unwrap().outcome, other.unwrap().outcome];
        outcomes.sort_by_key(|outcome| *outcome == Outcome::NothingNew);
        assert_eq!(outcomes, [Outcome::Done, Outcome::NothingNew]);
        assert_eq!(hospital.data_files(STREAM).len(), 1);
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn the_future_begins_an_hour_after_our_clock(#[values(Kind::SqlServer, Kind::Postgres)] kind: Kind) {
    in_hospital(kind, async |hospital| {
        hospital.without_overlap();
        with_patients(hospital, &[("P1", "2024-11-07 06:30:00"), ("P2", "2024-11-07 07:30:00")]).await;
        hospital.incremental("patients").await.unwrap();
        assert_eq!(watermark(hospital).await.to, Some(moment("2024-11-07 06:30:00")));
        hospital.lake.wait(TimeDelta::days(1));
        hospital.incremental("patients").await.unwrap();
        assert_eq!(ids(hospital).await, ["P2"]);
    })
    .await;
}
