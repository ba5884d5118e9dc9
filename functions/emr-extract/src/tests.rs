use std::fmt::Write;

use chrono::{DateTime, TimeDelta, Utc};
use rcm_model::event::Outcome;
use rcm_model::load_config::LoadRow;
use rcm_platform::testing::TestLake;
use rstest::rstest;

use super::*;

pub(crate) const PATIENTS: &str = "emr/hos-a/patients.csv";
pub(crate) const DEPARTMENTS: &str = "emr/hos-a/departments.csv";
const PATIENT_COLUMNS: &str = "PatientID,FirstName,LastName,MiddleName,SSN,PhoneNumber,Gender,DOB,Address,ModifiedDate";

/// A file of made-up patients: their ids and modified dates.
pub(crate) fn patients(rows: &[(&str, &str)]) -> String {
    rows.iter().fold(format!("{PATIENT_COLUMNS}\r\n"), |mut text, (id, modified)| {
        write!(text, "{id},Test,Person,,000-00-0000,555-0100,F,1990-01-01,\"1 Road, Town\",{modified}\r\n").unwrap();
        text
    })
}

pub(crate) fn departments(count: usize) -> String {
    (1..=count).fold("DeptID,Name\n".to_owned(), |mut text, id| {
        writeln!(text, "DEPT{id:03},Name {id}").unwrap();
        text
    })
}

pub(crate) fn row(table: &str, loadtype: LoadType) -> LoadRow {
    LoadRow {
        database: "db-a".to_owned(),
        datasource: "hos-a".to_owned(),
        tablename: format!("dbo.{table}"),
        loadtype,
        watermark: if loadtype == LoadType::Incremental { "ModifiedDate".to_owned() } else { String::new() },
        is_active: true,
        targetpath: "hosa".to_owned(),
    }
}

pub(crate) async fn run(lake: &TestLake, row: LoadRow, force: bool) -> Result<StageReport, StageError> {
    handle(lake.context().await, ExtractInput { run_id: "run-1".to_owned(), row, force }).await
}

pub(crate) async fn incremental(lake: &TestLake) -> Result<StageReport, StageError> {
    run(lake, row("patients", LoadType::Incremental), false).await
}

pub(crate) async fn full(lake: &TestLake) -> Result<StageReport, StageError> {
    run(lake, row("departments", LoadType::Full), false).await
}

fn day(text: &str) -> DateTime<Utc> {
    format!("{text}T00:00:00Z").parse().unwrap()
}

fn without_overlap(lake: &TestLake) {
    lake.edit("configs/sources.toml", "overlap_days = 1", "overlap_days = 0");
}

#[tokio::test]
async fn a_first_incremental_load_takes_all_rows_and_notes_how_far_it_came() {
    let lake = TestLake::new();
    lake.write(PATIENTS, patients(&[("P1", "2024-10-01"), ("P2", "2024-10-03"), ("P3", "2024-10-02")]));
    let report = incremental(&lake).await.unwrap();
    assert_eq!(report.outcome, Outcome::Done);
    assert_eq!(report.loads[0].read, 3);
    let loads = lake.loads("hosa/patients").await;
    assert_eq!((loads[0].sequence, loads[0].rows, loads[0].kind), (1, 3, LoadKind::Upsert));
    assert_eq!(loads[0].source.name, "hos-a/patients.csv");
    let watermark = loads[0].watermark.clone().unwrap();
    assert_eq!(
        (watermark.column.as_str(), watermark.from, watermark.to),
        ("ModifiedDate", None, Some(day("2024-10-03")))
    );
    assert_eq!(lake.files("bronze/hosa/patients/data").len(), 1);
}

#[tokio::test]
async fn an_incremental_load_takes_what_is_newer_than_the_last_one() {
    let lake = TestLake::new();
    without_overlap(&lake);
    lake.write(PATIENTS, patients(&[("P1", "2024-10-01"), ("P2", "2024-10-03")]));
    incremental(&lake).await.unwrap();
    lake.write(PATIENTS, patients(&[("P1", "2024-10-04"), ("P2", "2024-10-03"), ("P3", "2024-10-05")]));
    assert_eq!(incremental(&lake).await.unwrap().loads[0].read, 2);
    let watermark = lake.loads("hosa/patients").await[1].watermark.clone().unwrap();
    assert_eq!((watermark.from, watermark.to), (Some(day("2024-10-03")), Some(day("2024-10-05"))));
}

#[tokio::test]
async fn an_overlap_reads_the_days_before_the_last_watermark_again() {
    let lake = TestLake::new();
    lake.write(PATIENTS, patients(&[("P1", "2024-10-01"), ("P2", "2024-10-03")]));
    incremental(&lake).await.unwrap();
    lake.write(PATIENTS, patients(&[("P1", "2024-10-01"), ("P2", "2024-10-03"), ("P3", "2024-10-03")]));
    assert_eq!(incremental(&lake).await.unwrap().loads[0].read, 2);
    let watermark = lake.loads("hosa/patients").await[1].watermark.clone().unwrap();
    assert_eq!((watermark.from, watermark.to), (Some(day("2024-10-03")), Some(day("2024-10-03"))));
}

#[tokio::test]
async fn a_file_that_was_cut_short_loses_no_row() {
    let lake = TestLake::new();
    lake.write(PATIENTS, patients(&[("P1", "2024-09-01"), ("P2", "2024-10-03")]));
    incremental(&lake).await.unwrap();
    let whole = [("P1", "2024-09-01"), ("P2", "2024-10-03"), ("P3", "2024-09-02"), ("P4", "2024-10-04")];
    lake.write(PATIENTS, patients(&whole));
    let report = incremental(&lake).await.unwrap();
    assert_eq!(report.loads[0].read, 4);
    assert!(report.notes.iter().any(|note| note.contains("it is taken whole")), "{:?}", report.notes);
    lake.write(PATIENTS, patients(&[&whole[..], &[("P5", "2024-10-05")]].concat()));
    assert_eq!(incremental(&lake).await.unwrap().loads[0].read, 2, "with the overlap of a day");
}

#[tokio::test]
async fn a_full_extract_after_incremental_ones_is_held_against_all_of_them() {
    let lake = TestLake::new();
    let rows = [("P1", "2024-10-01"), ("P2", "2024-10-01"), ("P3", "2024-10-01"), ("P4", "2024-10-01")];
    lake.write(PATIENTS, patients(&rows));
    incremental(&lake).await.unwrap();
    lake.write(PATIENTS, patients(&[&rows[..], &[("P5", "2024-10-05")]].concat()));
    incremental(&lake).await.unwrap();
    lake.write(PATIENTS, patients(&[("P5", "2024-10-05")]));
    let error = run(&lake, row("patients", LoadType::Full), false).await.unwrap_err();
    assert_eq!(error.name(), "ThresholdExceeded");
    assert!(error.to_string().contains("lacks 4 of the 5 keys"), "{error}");
}

#[rstest]
#[case::incremental(row("patients", LoadType::Incremental))]
#[case::full(row("patients", LoadType::Full))]
#[tokio::test]
async fn a_source_that_has_not_changed_makes_no_load(#[case] row: LoadRow) {
    let lake = TestLake::new();
    lake.write(PATIENTS, patients(&[("P1", "2024-10-01"), ("P2", "")]));
    run(&lake, row.clone(), false).await.unwrap();
    lake.write(PATIENTS, lake.read(PATIENTS));
    let bronze = lake.files("bronze");
    let report = run(&lake, row, false).await.unwrap();
    assert_eq!((report.outcome, report.loads.len()), (Outcome::NothingNew, 0));
    assert_eq!(report.notes, ["`hos-a/patients.csv` has not changed since load 1"]);
    assert_eq!(lake.files("bronze"), bronze);
}

#[tokio::test]
async fn a_table_that_is_now_read_whole_makes_a_snapshot_of_the_same_file() {
    let lake = TestLake::new();
    lake.write(PATIENTS, patients(&[("P1", "2024-10-01")]));
    incremental(&lake).await.unwrap();
    let report = run(&lake, row("patients", LoadType::Full), false).await.unwrap();
    assert_eq!(report.outcome, Outcome::Done);
    assert_eq!(lake.loads("hosa/patients").await[1].kind, LoadKind::Snapshot);
}

#[tokio::test]
async fn a_changed_file_without_a_newer_row_makes_no_load() {
    let lake = TestLake::new();
    without_overlap(&lake);
    lake.write(PATIENTS, patients(&[("P1", "2024-10-01"), ("P2", "2024-10-03")]));
    incremental(&lake).await.unwrap();
    let bronze = lake.files("bronze");
    lake.write(PATIENTS, patients(&[("P2", "2024-10-03")]));
    assert_eq!(incremental(&lake).await.unwrap().outcome, Outcome::NothingNew);
    assert_eq!(lake.files("bronze"), bronze);
}

#[tokio::test]
async fn a_row_without_a_readable_watermark_is_always_taken() {
    let lake = TestLake::new();
    without_overlap(&lake);
    lake.write(PATIENTS, patients(&[("P1", "2024-10-03")]));
    incremental(&lake).await.unwrap();
    lake.write(PATIENTS, patients(&[("P1", "2024-10-03"), ("P2", ""), ("P3", "yesterday")]));
    assert_eq!(incremental(&lake).await.unwrap().loads[0].read, 2);
}

#[tokio::test]
async fn a_watermark_in_the_future_does_not_hide_the_rows_after_it() {
    let lake = TestLake::new();
    lake.write(PATIENTS, patients(&[("P1", "2024-10-03"), ("P2", "2204-10-03")]));
    let report = incremental(&lake).await.unwrap();
    assert!(report.notes.iter().any(|note| note.contains("in the future")), "{:?}", report.notes);
    assert_eq!(lake.loads("hosa/patients").await[0].watermark.clone().unwrap().to, Some(day("2024-10-03")));
}

#[tokio::test]
async fn a_full_load_is_a_snapshot_and_the_next_one_is_extracted_later() {
    let lake = TestLake::new();
    lake.write(DEPARTMENTS, departments(10));
    full(&lake).await.unwrap();
    lake.wait(TimeDelta::days(-1));
    lake.write(DEPARTMENTS, departments(11));
    full(&lake).await.unwrap();
    let loads = lake.loads("hosa/departments").await;
    assert!(loads.iter().all(|load| load.kind == LoadKind::Snapshot && load.watermark.is_none()));
    assert_eq!(loads[1].extracted_at, loads[0].extracted_at + TimeDelta::microseconds(1));
}

#[rstest]
#[case::a_few_less(8, true)]
#[case::too_many_less(7, false)]
#[case::none_left(0, false)]
#[tokio::test]
async fn a_full_extract_may_lose_only_so_many_keys(#[case] left: usize, #[case] is_taken: bool) {
    let lake = TestLake::new();
    lake.write(DEPARTMENTS, departments(10));
    full(&lake).await.unwrap();
    lake.write(DEPARTMENTS, departments(left));
    let bronze = lake.files("bronze");
    match full(&lake).await {
        Ok(report) => assert!(is_taken && report.outcome == Outcome::Done),
        Err(error) => {
            assert!(!is_taken && error.name() == "ThresholdExceeded" && error.to_string().contains("force"), "{error}");
            assert_eq!(lake.files("bronze"), bronze);
        }
    }
}

#[tokio::test]
async fn a_table_with_a_name_of_its_own_is_checked_as_the_entity_that_is_read_from_it() {
    let lake = TestLake::new();
    lake.edit("configs/cdm/hos-a.toml", "[landing]", "[read_from]\ndepartments = \"units\"\n\n[landing]");
    lake.write("emr/hos-a/units.csv", departments(10));
    let units = || row("units", LoadType::Full);
    run(&lake, units(), false).await.unwrap();
    lake.write("emr/hos-a/units.csv", departments(11));
    assert_eq!(run(&lake, units(), false).await.unwrap().loads[0].sequence, 2);
    lake.write("emr/hos-a/units.csv", departments(3));
    assert_eq!(run(&lake, units(), false).await.unwrap_err().name(), "ThresholdExceeded");
    lake.write("emr/hos-a/units.csv", "DeptID,Title\nDEPT001,Cardiology\n");
    let error = run(&lake, units(), false).await.unwrap_err().to_string();
    assert!(error.contains("lacks the column `Name`"), "{error}");
}

#[tokio::test]
async fn a_forced_full_extract_may_lose_all() {
    let lake = TestLake::new();
    lake.write(DEPARTMENTS, departments(10));
    full(&lake).await.unwrap();
    lake.write(DEPARTMENTS, departments(1));
    let report = run(&lake, row("departments", LoadType::Full), true).await.unwrap();
    assert_eq!((report.outcome, report.loads[0].sequence), (Outcome::Done, 2));
}

#[tokio::test]
async fn a_stream_may_have_a_share_of_its_own() {
    let lake = TestLake::new();
    let sources = lake.read("configs/sources.toml");
    lake.write(
        "configs/sources.toml",
        format!("{sources}\n[emr.streams.\"hosa/departments\"]\nmax_lost_share = 0.9\n"),
    );
    lake.write(DEPARTMENTS, departments(10));
    full(&lake).await.unwrap();
    lake.write(DEPARTMENTS, departments(1));
    assert_eq!(full(&lake).await.unwrap().outcome, Outcome::Done);
}

#[tokio::test]
async fn a_column_that_the_mapping_does_not_use_is_reported_once() {
    let lake = TestLake::new();
    lake.write(DEPARTMENTS, "DeptID,Name,Floor\nD1,One,1\n");
    let report = full(&lake).await.unwrap();
    assert!(report.notes.contains(&"drift: columns that the mapping does not use: Floor".to_owned()));
    assert_eq!(lake.loads("hosa/departments").await[0].unmapped_columns, ["Floor"]);

    lake.write(DEPARTMENTS, "DeptID,Name,Floor\nD1,One,2\n");
    assert!(!full(&lake).await.unwrap().notes.iter().any(|note| note.contains("drift")));
    lake.write(DEPARTMENTS, "DeptID,Name\nD1,One\n");
    let report = full(&lake).await.unwrap();
    assert!(report.notes.contains(&"drift: columns that are no longer there: Floor".to_owned()));
}

#[rstest]
#[case::mapped("SSN")]
#[case::watermark("ModifiedDate")]
#[tokio::test]
async fn a_missing_column_is_named(#[case] column: &str) {
    let lake = TestLake::new();
    lake.write(PATIENTS, patients(&[("P1", "2024-10-01")]).replacen(column, "Other", 1));
    let error = incremental(&lake).await.unwrap_err();
    assert_eq!(error.name(), "BrokenContract");
    assert!(error.to_string().contains(&format!("lacks the column `{column}`")), "{error}");
    assert_eq!(lake.files("bronze"), [""; 0]);
}

#[tokio::test]
async fn a_missing_file_is_named_and_not_tried_again() {
    let error = full(&TestLake::new()).await.unwrap_err();
    assert_eq!(error.name(), "BrokenContract");
    assert!(error.to_string().contains("hos-a/departments.csv"), "{error}");
}

#[rstest]
#[case(LoadRow { datasource: "../hos-a".to_owned(), ..row("departments", LoadType::Full) }, "../hos-a")]
#[case(LoadRow { tablename: "dbo./etc/passwd".to_owned(), ..row("departments", LoadType::Full) }, "/etc/passwd")]
#[case(LoadRow { datasource: "hos-x".to_owned(), ..row("departments", LoadType::Full) }, "hos-x")]
#[case(LoadRow { tablename: "dbo.invoices".to_owned(), ..row("departments", LoadType::Full) }, "invoices")]
#[tokio::test]
async fn a_row_that_cannot_be_used_is_bad_configuration(#[case] row: LoadRow, #[case] expected: &str) {
    let error = run(&TestLake::new(), row, false).await.unwrap_err();
    assert_eq!(error.name(), "BadConfig");
    assert!(error.to_string().contains(expected), "{error}");
}

#[tokio::test]
async fn of_two_extracts_at_once_one_makes_the_load_and_the_other_finds_it() {
    let lake = TestLake::new();
    lake.write(DEPARTMENTS, departments(10));
    let (one, other) = tokio::join!(full(&lake), full(&lake));
    let mut outcomes = [one.unwrap().outcome, other.unwrap().outcome];
    outcomes.sort_by_key(|outcome| *outcome == Outcome::NothingNew);
    assert_eq!(outcomes, [Outcome::Done, Outcome::NothingNew]);
    assert_eq!(lake.loads("hosa/departments").await.len(), 1);
    assert_eq!(lake.files("bronze/hosa/departments/data").len(), 1);
}

#[tokio::test]
async fn a_stage_leaves_a_report_whether_it_ends_well_or_not() {
    let lake = TestLake::new();
    full(&lake).await.unwrap_err();
    lake.write(PATIENTS, patients(&[("P1", "2024-10-01")]));
    incremental(&lake).await.unwrap();
    let reports = lake.files("audit/_reports/run-1");
    assert_eq!(reports.len(), 2);
    assert!(lake.read(&reports[0]).contains("BrokenContract"));
}

#[tokio::test]
async fn how_far_the_newest_row_lies_behind_is_told_whether_or_not_there_is_a_new_one() {
    let lake = TestLake::new();
    lake.write(PATIENTS, patients(&[("P1", "2024-11-01")]));
    let first = incremental(&lake).await.unwrap();
    lake.wait(TimeDelta::days(1));
    let second = incremental(&lake).await.unwrap();
    let lag = |report: &StageReport| {
        let figure = report.metrics.first().unwrap();
        (figure.name.clone(), figure.entity.clone(), figure.value.round())
    };
    // From midnight of the 1st to six o'clock of the 7th, and a day more.
    assert_eq!(lag(&first), ("WatermarkLagHours".to_owned(), "hosa/patients".to_owned(), 150.0));
    assert_eq!((second.outcome, lag(&second).2), (Outcome::NothingNew, 174.0));
}

#[tokio::test]
async fn a_file_that_was_written_before_the_one_taken_last_is_left_out_and_said() {
    let lake = TestLake::new();
    lake.write(DEPARTMENTS, departments(10));
    full(&lake).await.unwrap();
    let taken = std::fs::metadata(lake.path(DEPARTMENTS)).unwrap().modified().unwrap();
    lake.write(DEPARTMENTS, departments(9));
    let file = std::fs::File::options().write(true).open(lake.path(DEPARTMENTS)).unwrap();
    file.set_modified(taken - std::time::Duration::from_mins(1)).unwrap();
    let report = full(&lake).await.unwrap();
    assert_eq!(report.outcome, Outcome::NothingNew);
    assert!(report.notes[0].contains("is older than the file of load 1"), "{:?}", report.notes);
    assert_eq!(lake.loads("hosa/departments").await.len(), 1);
    file.set_modified(taken + std::time::Duration::from_mins(1)).unwrap();
    assert_eq!(full(&lake).await.unwrap().outcome, Outcome::Done);
}
