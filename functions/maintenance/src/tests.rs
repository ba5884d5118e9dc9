use std::fs;

use chrono::{DateTime, TimeDelta, Utc};
use polars::prelude::*;
use rcm_model::event::{MaintenanceInput, Outcome, StageReport};
use rcm_platform::Context;
use rcm_platform::bronze::{LoadLog, Manifest};
use rcm_platform::error::ErrorKind;
use rcm_platform::lake::ICD_WALKS;
use rcm_platform::stage;
use rcm_platform::testing::{TestLake, manifest};
use rcm_tables::delta::{self, Change, Table};
use rcm_tables::gold::Tables;
use rstest::rstest;

use crate::handle;

const PATH: &str = "silver/things";

fn schema() -> Schema {
    Schema::from_iter([Field::new("thing_key".into(), DataType::String), Field::new("half".into(), DataType::Int32)])
}

/// Adds a row to one half of the table, in a file and a commit of its own.
async fn add(context: &Context, number: i64) {
    let table = Table::open(&context.lake, PATH).await.unwrap();
    let rows = df!("thing_key" => [format!("T{number}")]).unwrap();
    let file = delta::write(context, PATH, &rows, &[("half", Some((number % 2).to_string()))]).await.unwrap();
    let change = Change {
        schema: &schema(),
        partition_by: &["half"],
        properties: &[],
        add: vec![file],
        remove: Vec::new(),
        transactions: vec![("stream".to_owned(), number)],
        run_id: "run",
    };
    delta::commit(&context.lake, PATH, table.as_ref(), change).await.unwrap();
}

async fn table(context: &Context) -> Table {
    Table::open(&context.lake, PATH).await.unwrap().unwrap()
}

/// Keys and halves of all rows.
async fn rows(context: &Context) -> Vec<String> {
    let table = table(context).await;
    let rows = table.scan(table.files()).await.unwrap();
    let sorted = rows.sort(["thing_key"], SortMultipleOptions::default());
    let rows = tokio::task::spawn_blocking(move || sorted.collect().unwrap()).await.unwrap();
    let (keys, halves) = (rows.column("thing_key").unwrap().clone(), rows.column("half").unwrap().clone());
    let of_row =
        |row: usize| format!("{} {}", keys.str().unwrap().get(row).unwrap(), halves.i32().unwrap().get(row).unwrap());
    (0..rows.height()).map(of_row).collect()
}

async fn maintain(context: &Context) -> StageReport {
    handle(context.clone(), MaintenanceInput::default()).await.unwrap()
}

/// Turns the clock to some days after the files were written, which have the machine's time.
fn wait_from_now(lake: &TestLake, days: i64) {
    lake.write("now", "");
    let written = fs::metadata(lake.path("now")).unwrap().modified().unwrap();
    let start: DateTime<Utc> = rcm_platform::testing::START.parse().unwrap();
    lake.wait(DateTime::<Utc>::from(written) - start + TimeDelta::days(days));
}

/// A table of six files in each of its two halves.
async fn lake_with_small_files() -> (TestLake, Context) {
    let lake = TestLake::new();
    let context = lake.context().await;
    for number in 0..12 {
        add(&context, number).await;
    }
    (lake, context)
}

fn data_files(lake: &TestLake) -> usize {
    lake.files(PATH).iter().filter(|key| key.ends_with(".zstd.parquet")).count()
}

#[tokio::test]
async fn small_files_of_a_partition_become_one_and_the_rows_stay() {
    let (_lake, context) = lake_with_small_files().await;
    let before = rows(&context).await;
    let report = maintain(&context).await;
    assert_eq!((report.outcome, report.commits[0].rows), (Outcome::Done, 12));
    let after = table(&context).await;
    let halves: Vec<_> =
        after.files().iter().map(|file| (file.partition_value("half").unwrap().to_owned(), file.rows())).collect();
    assert_eq!(after.files().len(), 2, "{halves:?}");
    assert!(halves.iter().all(|(_, rows)| *rows == 6));
    assert_eq!(rows(&context).await, before);
}

#[tokio::test]
async fn a_second_time_there_is_nothing_to_do() {
    let (lake, context) = lake_with_small_files().await;
    maintain(&context).await;
    let files = lake.files("silver");
    let report = maintain(&context).await;
    assert_eq!((report.outcome, report.notes, report.commits), (Outcome::NothingNew, vec![], vec![]));
    assert_eq!(lake.files("silver"), files);
}

#[tokio::test]
async fn a_few_small_files_are_left_as_they_are() {
    let lake = TestLake::new();
    let context = lake.context().await;
    for number in 0..6 {
        add(&context, number).await;
    }
    assert_eq!(maintain(&context).await.outcome, Outcome::NothingNew);
    assert_eq!(table(&context).await.files().len(), 6);
}

#[tokio::test]
async fn what_was_taken_in_is_known_after_compaction_checkpoint_and_cleaning_of_the_log() {
    let (lake, context) = lake_with_small_files().await;
    let before = rows(&context).await;
    maintain(&context).await;
    wait_from_now(&lake, 91);
    let report = maintain(&context).await;
    assert!(report.notes.iter().any(|note| note.contains("log files removed: 12")), "{:?}", report.notes);
    assert_eq!(table(&context).await.transaction("stream").await.unwrap(), Some(11));
    assert_eq!(rows(&context).await, before);
    add(&context, 12).await;
    assert_eq!(rows(&context).await.len(), 13);
}

#[tokio::test]
async fn a_compacted_table_is_no_new_one_to_what_is_made_from_it() {
    let (_lake, context) = lake_with_small_files().await;
    let version = async || table(&context).await.data_version().await.unwrap();
    let (before, made_from) = (version().await, made_from(&context).await);
    maintain(&context).await;
    assert_eq!((version().await, table(&context).await.version()), (before, before + 1));
    assert_eq!(self::made_from(&context).await, made_from);
    add(&context, 12).await;
    assert_eq!(version().await, before + 2);
    assert_ne!(self::made_from(&context).await, made_from);
}

/// What a commit records that is made from the table.
async fn made_from(context: &Context) -> (String, i64) {
    Tables::open(&context.lake, [PATH.to_owned()]).await.unwrap().made_from(PATH)
}

/// Commits that a load was taken in which brought nothing new.
async fn take_note(context: &Context, number: i64) {
    let table = table(context).await;
    let change = Change {
        schema: &schema(),
        partition_by: &["half"],
        properties: &[],
        add: Vec::new(),
        remove: Vec::new(),
        transactions: vec![("stream".to_owned(), number)],
        run_id: "run",
    };
    delta::commit(&context.lake, PATH, Some(&table), change).await.unwrap();
}

/// Takes what every commit records of the rows out of a table's log, as an older version of the product wrote it.
fn as_an_older_version_wrote_it(lake: &TestLake) {
    for key in lake.files(&format!("{PATH}/_delta_log")) {
        let commit = lake.read(&key);
        let known: Vec<&str> = commit.lines().filter(|line| !line.contains("rcm.data_version")).collect();
        lake.write(&key, known.join("\n"));
    }
}

#[rstest]
#[case::of_this_version(false)]
#[case::of_an_older_version(true)]
#[tokio::test]
async fn a_table_whose_log_of_empty_commits_was_cleaned_is_no_new_one_to_what_is_made_from_it(#[case] is_old: bool) {
    let lake = TestLake::new();
    let context = lake.context().await;
    add(&context, 0).await;
    add(&context, 1).await;
    for number in 2..14 {
        take_note(&context, number).await;
    }
    if is_old {
        as_an_older_version_wrote_it(&lake);
    }
    let (before, version) = (made_from(&context).await, table(&context).await.data_version().await.unwrap());
    assert_eq!(version, 1);
    maintain(&context).await;
    wait_from_now(&lake, 91);
    for number in 14..30 {
        take_note(&context, number).await;
    }
    let report = maintain(&context).await;
    assert!(report.notes.iter().any(|note| note.contains("log files removed")), "{:?}", report.notes);
    assert!(!lake.files(PATH).iter().any(|key| key.ends_with("00000000000000000001.json")));
    assert_eq!((made_from(&context).await, table(&context).await.data_version().await.unwrap()), (before, version));
}

#[tokio::test]
async fn somebody_elses_commit_is_not_undone_by_a_compaction() {
    let (_lake, context) = lake_with_small_files().await;
    let stale = table(&context).await;
    add(&context, 12).await;
    let refused = delta::compact(&context, &stale, "run").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::CommitConflict, "{refused}");
    assert_eq!(rows(&context).await.len(), 13);
}

#[tokio::test]
async fn removed_files_stay_for_the_tables_retention_and_go_after_it() {
    let (lake, context) = lake_with_small_files().await;
    maintain(&context).await;
    assert_eq!(data_files(&lake), 14);
    wait_from_now(&lake, 29);
    maintain(&context).await;
    assert_eq!(data_files(&lake), 14);
    lake.wait(TimeDelta::days(2));
    let report = maintain(&context).await;
    assert!(report.notes.contains(&format!("{PATH}: data files removed: 12")), "{:?}", report.notes);
    assert_eq!((data_files(&lake), rows(&context).await.len()), (2, 12));
    let again = maintain(&context).await;
    assert!(!again.notes.iter().any(|note| note.contains(PATH)), "{:?}", again.notes);
}

#[tokio::test]
async fn a_file_that_the_log_does_not_know_goes_only_when_it_is_old() {
    let lake = TestLake::new();
    let context = lake.context().await;
    add(&context, 0).await;
    lake.write("silver/things/half=0/part-lost.zstd.parquet", "x");
    lake.write("silver/things/_somebody/else.parquet", "x");
    wait_from_now(&lake, 29);
    maintain(&context).await;
    assert_eq!(data_files(&lake), 2);
    lake.wait(TimeDelta::days(2));
    maintain(&context).await;
    assert_eq!((data_files(&lake), rows(&context).await.len()), (1, 1));
    assert!(lake.path("silver/things/_somebody/else.parquet").exists());
}

#[tokio::test]
async fn a_table_that_cannot_be_read_does_not_stop_the_others() {
    let (lake, context) = lake_with_small_files().await;
    lake.write("gold/broken/_delta_log/00000000000000000000.json", "no JSON");
    handle(context.clone(), MaintenanceInput::default()).await.unwrap_err();
    assert_eq!(table(&context).await.files().len(), 2);
}

async fn load(context: &Context, sequence: u64, data_key: &str) {
    let made = manifest("claims/hos-a", sequence, context.now());
    let manifest = Manifest { data_files: vec![data_key.to_owned()], ..made };
    LoadLog::new(&context.lake, "claims/hos-a").commit(&manifest).await.unwrap();
}

#[tokio::test]
async fn data_of_bronze_that_no_load_names_goes_when_it_is_old_and_a_loads_own_never() {
    let lake = TestLake::new();
    let context = lake.context().await;
    for name in ["named", "lost"] {
        lake.write(&format!("bronze/claims/hos-a/data/{name}.parquet"), "x");
    }
    load(&context, 1, "bronze/claims/hos-a/data/named.parquet").await;
    lake.write("bronze/claims/_seen/0123456789abcdef.json", "{}");
    wait_from_now(&lake, 29);
    assert_eq!(maintain(&context).await.outcome, Outcome::NothingNew);
    lake.wait(TimeDelta::days(2));
    let notes = maintain(&context).await.notes;
    assert!(notes.contains(&"bronze/claims/hos-a: data files of no load removed: 1".to_owned()), "{notes:?}");
    assert_eq!(lake.files("bronze/claims/hos-a/data"), ["bronze/claims/hos-a/data/named.parquet"]);
    assert_eq!(lake.files("bronze/claims/_seen").len(), 1, "what was seen to make no load stays");
}

#[tokio::test]
async fn of_the_checkpoints_of_a_load_log_the_last_two_stay() {
    let lake = TestLake::new();
    let context = lake.context().await;
    for sequence in 1..=300 {
        load(&context, sequence, "bronze/claims/hos-a/data/named.parquet").await;
    }
    maintain(&context).await;
    let left = [200, 300].map(|sequence| format!("bronze/claims/hos-a/_checkpoints/{sequence:020}.json"));
    assert_eq!(lake.files("bronze/claims/hos-a/_checkpoints"), left);
}

#[tokio::test]
async fn reports_that_nobody_folded_go_when_they_are_old() {
    let lake = TestLake::new();
    let context = lake.context().await;
    lake.write(&format!("{}/run/plan--a.json", stage::REPORTS), "{}");
    maintain(&context).await;
    // The old one, and the report of the call above.
    assert_eq!(lake.files(stage::REPORTS).len(), 2);
    wait_from_now(&lake, 31);
    assert_eq!(maintain(&context).await.notes, ["audit/_reports: old files removed: 2"]);
}

#[tokio::test]
async fn walks_that_nobody_went_on_with_go_when_they_are_old() {
    let lake = TestLake::new();
    lake.write(&format!("{ICD_WALKS}/1/part.json"), "[]");
    let context = lake.context().await;
    wait_from_now(&lake, 29);
    maintain(&context).await;
    assert_eq!(lake.files(ICD_WALKS).len(), 1);
    lake.wait(TimeDelta::days(2));
    maintain(&context).await;
    assert_eq!(lake.files(ICD_WALKS), [""; 0]);
}

#[tokio::test]
async fn rows_of_a_batch_that_was_not_committed_go_when_they_are_old() {
    let lake = TestLake::new();
    lake.write("silver/claims/_incoming/1/0.parquet", "");
    let context = lake.context().await;
    wait_from_now(&lake, 29);
    maintain(&context).await;
    assert_eq!(lake.files("silver/claims/_incoming").len(), 1);
    lake.wait(TimeDelta::days(2));
    assert!(maintain(&context).await.notes.contains(&"silver/claims/_incoming: old files removed: 1".to_owned()));
}

#[tokio::test]
async fn an_empty_lake_needs_nothing() {
    assert_eq!(maintain(&TestLake::new().context().await).await.outcome, Outcome::NothingNew);
}
