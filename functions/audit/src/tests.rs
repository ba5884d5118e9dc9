use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use chrono::{DateTime, TimeDelta, Utc};
use polars::prelude::{SortMultipleOptions, col, lit};
use rcm_model::event::{ControlCheck, Dimension, LoadCounts, LoadProfile, RuleCount, Severity, StageInput};
use rcm_platform::bronze::{LoadLog, Refusal, SourceObject};
use rcm_platform::stage::{self, Failure, REPORTS, Work};
use rcm_platform::testing::{START, TestLake};
use rcm_platform::{Context, StageError};
use rcm_tables::delta::{self, Change, Table};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::handle;

/// Step Functions names an execution that EventBridge started so.
const EXECUTION: &str = "61b7a5c3-8f0e-0c55-2f4c-d9c8f6a1b0de_1f9ad3f7-0c4b-4e8a-9a51-7d2f3c6b8e90";

async fn report(context: &Context, run_id: &str, subject: &str, work: Result<Work, Failure>) {
    stage::report(context, "emr-extract", run_id, subject, async { work }).await.ok();
}

fn some_work() -> Work {
    Work { loads: vec![LoadCounts { load_id: "l".to_owned(), read: 3, ..LoadCounts::default() }], ..Work::default() }
}

fn checked_work() -> Work {
    Work { checks: vec![ControlCheck::equal("gold/a", "rows", &1, &1)], ..some_work() }
}

async fn rows_of(context: &Context, table: &str) -> Option<u64> {
    Table::open(&context.lake, table).await.unwrap().map(|table| table.rows())
}

async fn audit(context: &Context, run_id: &str) -> Vec<String> {
    handle(context.clone(), StageInput { run_id: run_id.to_owned(), ..StageInput::default() }).await.unwrap().notes
}

fn reports(lake: &TestLake) -> BTreeMap<String, String> {
    lake.files(REPORTS).into_iter().map(|key| (key.clone(), lake.read(&key))).collect()
}

/// Turns the clock to some hours after the reports were written, which have the machine's time.
fn wait_from_now(lake: &TestLake, hours: i64) {
    lake.write("now", "");
    let written = fs::metadata(lake.path("now")).unwrap().modified().unwrap();
    let start: DateTime<Utc> = START.parse().unwrap();
    lake.wait(DateTime::<Utc>::from(written) - start + TimeDelta::hours(hours));
}

#[tokio::test]
async fn a_report_becomes_a_row_and_goes() {
    let lake = TestLake::new();
    let context = lake.context().await;
    report(&context, EXECUTION, "hosa/patients", Ok(some_work())).await;
    report(&context, EXECUTION, "hosa/providers", Err(StageError::timeout("slow".to_owned()).into())).await;
    audit(&context, EXECUTION).await;
    assert_eq!(rows_of(&context, "audit/load_logs").await, Some(2));
    assert!(reports(&lake).is_empty());
}

#[tokio::test]
async fn stages_that_failed_in_all_their_tries_are_counted_for_the_alarm_and_none_is_too() {
    let lake = TestLake::new();
    let context = lake.context().await;
    let failure = || Failure::from(StageError::timeout("slow".to_owned()));
    report(&context, "run-1", "hosa/patients", Err(failure())).await;
    lake.wait(TimeDelta::seconds(1));
    report(&context, "run-1", "hosa/patients", Ok(some_work())).await;
    report(&context, "run-1", "hosa/providers", Err(failure())).await;
    for (run_id, failed) in [("run-1", 1.0), ("run-2", 0.0)] {
        let input = StageInput { run_id: run_id.to_owned(), ..StageInput::default() };
        let figures = handle(context.clone(), input).await.unwrap().metrics;
        let figures: Vec<_> = figures.iter().map(|figure| (figure.name.as_str(), figure.value)).collect();
        assert_eq!(figures, [("StagesFailed", failed)], "{run_id}");
    }
}

#[tokio::test]
async fn every_try_of_a_stage_becomes_a_row_and_the_last_one_says_how_it_ended() {
    let lake = TestLake::new();
    let context = lake.context().await;
    let broken = Failure { error: StageError::timeout("slow".to_owned()), work: some_work() };
    report(&context, "run", "hosa/patients", Err(broken)).await;
    report(&context, "run", "hosa/patients", Ok(some_work())).await;
    audit(&context, "run").await;
    assert_eq!(rows_of(&context, "audit/load_logs").await, Some(2));
    let last_run = lake.read("audit/last_run.json");
    assert!(last_run.contains(r#""stages":1"#) && last_run.contains(r#""failed":0"#), "{last_run}");
}

#[tokio::test]
async fn reports_that_were_folded_and_are_still_there_become_no_second_row() {
    let lake = TestLake::new();
    let context = lake.context().await;
    for subject in ["hosa/patients", "hosa/providers", "hosa/departments"] {
        report(&context, "run", subject, Ok(checked_work())).await;
    }
    let folded = reports(&lake);
    audit(&context, "run").await;
    // As if it had ended while it removed them.
    for (key, content) in folded.iter().skip(1) {
        lake.write(key, content);
    }
    audit(&context, "run").await;
    assert_eq!(rows_of(&context, "audit/load_logs").await, Some(3));
    assert_eq!(rows_of(&context, "audit/control_checks").await, Some(3));
    assert!(reports(&lake).is_empty());
}

#[tokio::test]
async fn a_fold_that_ended_between_two_tables_is_finished_by_the_next() {
    let lake = TestLake::new();
    let context = lake.context().await;
    report(&context, "run", "hosa/patients", Ok(checked_work())).await;
    let folded = reports(&lake);
    audit(&context, "run").await;
    fs::remove_dir_all(lake.path("audit/control_checks")).unwrap();
    for (key, content) in &folded {
        lake.write(key, content);
    }
    audit(&context, "run").await;
    assert_eq!(rows_of(&context, "audit/load_logs").await, Some(1));
    assert_eq!(rows_of(&context, "audit/control_checks").await, Some(1));
}

#[tokio::test]
async fn a_report_that_comes_after_the_fold_of_its_run_becomes_a_row_too() {
    let lake = TestLake::new();
    let context = lake.context().await;
    report(&context, "run", "hosa/patients", Ok(some_work())).await;
    audit(&context, "run").await;
    report(&context, "run", "hosa/patients", Ok(some_work())).await;
    audit(&context, "run").await;
    assert_eq!(rows_of(&context, "audit/load_logs").await, Some(2));
}

#[tokio::test]
async fn a_run_that_found_nothing_new_commits_nothing() {
    let lake = TestLake::new();
    let context = lake.context().await;
    report(&context, "run", "hosa/patients", Ok(Work::nothing_new())).await;
    audit(&context, "run").await;
    assert_eq!(rows_of(&context, "audit/load_logs").await, None);
    assert!(lake.read("audit/last_run.json").contains(r#""run_id":"run""#));
}

#[tokio::test]
async fn reports_of_another_run_wait_for_it_for_a_day_whatever_its_name() {
    let lake = TestLake::new();
    let context = lake.context().await;
    report(&context, EXECUTION, "hosa/patients", Ok(some_work())).await;
    wait_from_now(&lake, 23);
    audit(&context, "run").await;
    assert_eq!(rows_of(&context, "audit/load_logs").await, None);
    lake.wait(TimeDelta::hours(2));
    audit(&context, "run").await;
    assert_eq!(rows_of(&context, "audit/load_logs").await, Some(1));
    assert!(lake.read("audit/last_run.json").contains(EXECUTION));
}

#[tokio::test]
async fn a_report_that_cannot_be_read_is_left_and_noted_and_keeps_no_other_back() {
    let lake = TestLake::new();
    let context = lake.context().await;
    let broken = [format!("{REPORTS}/abandoned/plan--a.json"), format!("{REPORTS}/run/plan--a.json")];
    for (run_id, key) in ["abandoned", "run"].into_iter().zip(&broken) {
        report(&context, run_id, "hosa/patients", Ok(some_work())).await;
        lake.write(key, "{\"run_id\": ");
    }
    wait_from_now(&lake, 25);
    let notes = audit(&context, "run").await;
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes.iter().zip(&broken).all(|(note, key)| note.contains(key)), "{notes:?}");
    assert_eq!(rows_of(&context, "audit/load_logs").await, Some(2));
    assert!(reports(&lake).keys().eq(&broken));
    let last_run = lake.read("audit/last_run.json");
    assert!(last_run.contains(r#""run_id":"run""#) && last_run.contains(r#""failed":1"#), "{last_run}");
    assert_eq!(audit(&context, "run").await.len(), 2, "it is noted until maintenance removes it");
}

#[tokio::test]
async fn an_abandoned_run_that_cannot_be_folded_keeps_nobody_elses_reports_back() {
    let lake = TestLake::new();
    let context = lake.context().await;
    report(&context, "abandoned", "hosa/patients", Ok(checked_work())).await;
    report(&context, "run", "hosa/patients", Ok(some_work())).await;
    // A table that the checks of the abandoned run cannot be added to.
    lake.write("audit/control_checks/_delta_log/00000000000000000000.json", "no log");
    wait_from_now(&lake, 25);
    let notes = audit(&context, "run").await;
    assert!(notes[0].contains("the abandoned run `abandoned` cannot be folded"), "{notes:?}");
    assert_eq!(rows_of(&context, "audit/load_logs").await, Some(2));
    assert!(reports(&lake).keys().all(|key| key.contains("/abandoned/")), "{:?}", reports(&lake));
}

#[tokio::test]
async fn of_much_that_waits_the_answer_tells_some_and_counts_the_others() {
    let lake = TestLake::new();
    for number in 0..120 {
        lake.write(&format!("landing/claims/{number}.csv"), "x");
    }
    let context = lake.context().await;
    let log = LoadLog::new(&context.lake, "claims");
    for meta in context.lake.list("landing").await.unwrap() {
        let refusal = Refusal {
            run_id: "run".to_owned(),
            source: SourceObject::from(&meta),
            content_hash: "c".to_owned(),
            mappings_hash: context.settings.mappings_hash.clone(),
            reason: "x".repeat(if meta.location.as_ref().contains("/1") { 10 } else { 5000 }),
            refused_at: context.now(),
        };
        log.refuse(&refusal).await.unwrap();
    }
    let report =
        handle(context.clone(), StageInput { run_id: "run".to_owned(), ..StageInput::default() }).await.unwrap();
    assert!(serde_json::to_vec(&report).unwrap().len() < 200_000);
    let told = report.standstills.len();
    assert!((1..=100).contains(&told), "{told}");
    assert_eq!(report.notes, [format!("{} more wait for a person: `rcm status` tells all of them", 120 - told)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn thirty_two_audits_at_once_all_succeed_and_merge_every_report_once() {
    let lake = TestLake::new();
    let context = lake.context().await;
    for run in 0..31 {
        report(&context, &format!("run-{run}"), "hosa/patients", Ok(checked_work())).await;
    }
    // Its event came twice.
    let runs = (0..31).chain([30]);
    let audits: JoinSet<()> = runs
        .map(|run| {
            let (context, run_id) = (context.clone(), format!("run-{run}"));
            async move {
                let input = StageInput { run_id, ..StageInput::default() };
                handle(context, input).await.unwrap();
            }
        })
        .collect();
    audits.join_all().await;
    for table in ["audit/load_logs", "audit/control_checks"] {
        assert_eq!(rows_of(&context, table).await, Some(31), "{table}");
        let data =
            lake.files(table).into_iter().filter(|key| key.ends_with(".parquet") && !key.contains("/_delta_log/"));
        assert!(data.count() <= 32, "{table}: a try that lost writes its rows again only if they have changed");
    }
    assert!(reports(&lake).is_empty());
}

/// Application identifiers in the logs of the audit tables.
fn applications(lake: &TestLake) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for key in lake.files("audit").iter().filter(|key| key.contains("/_delta_log/0")) {
        for line in lake.read(key).lines() {
            let action: Value = serde_json::from_str(line).unwrap();
            found.extend(action.get("txn").map(|transaction| transaction["appId"].to_string()));
        }
    }
    found
}

#[tokio::test]
async fn the_logs_record_no_more_applications_with_every_run() {
    let lake = TestLake::new();
    let context = lake.context().await;
    let mut recorded = Vec::new();
    for run in 0..20 {
        let run_id = format!("run-{run}");
        report(&context, &run_id, "hosa/patients", Ok(checked_work())).await;
        audit(&context, &run_id).await;
        recorded.push(applications(&lake));
    }
    assert_eq!(rows_of(&context, "audit/load_logs").await, Some(20));
    assert_eq!(recorded[0], recorded[19]);
}

#[tokio::test]
async fn a_table_that_lacks_a_column_gets_it_and_keeps_its_rows() {
    let lake = TestLake::new();
    let context = lake.context().await;
    report(&context, "run-1", "hosa/patients", Ok(checked_work())).await;
    audit(&context, "run-1").await;
    let path = "audit/control_checks";
    let whole = Table::open(&context.lake, path).await.unwrap().unwrap();
    let scan = whole.scan(whole.files()).await.unwrap();
    let old = tokio::task::spawn_blocking(move || scan.collect()).await.unwrap().unwrap().drop("actual").unwrap();
    fs::remove_dir_all(lake.path(path)).unwrap();
    let change = Change {
        schema: old.schema(),
        partition_by: &[],
        properties: &[],
        add: vec![delta::write(&context, path, &old, &[]).await.unwrap()],
        remove: Vec::new(),
        transactions: Vec::new(),
        run_id: "run-1",
    };
    delta::commit(&context.lake, path, None, change).await.unwrap();
    report(&context, "run-2", "hosa/patients", Ok(checked_work())).await;
    audit(&context, "run-2").await;
    let widened = Table::open(&context.lake, path).await.unwrap().unwrap();
    assert_eq!((widened.rows(), widened.version()), (2, 1));
    let scan = widened.scan(widened.files()).await.unwrap().sort(["run_id"], SortMultipleOptions::default());
    let rows = tokio::task::spawn_blocking(move || scan.collect()).await.unwrap().unwrap();
    let actual: Vec<Option<&str>> = rows.column("actual").unwrap().str().unwrap().iter().collect();
    assert_eq!(actual, [None, Some("1")]);
}

/// The work of a silver stage that took a load of some rows, of which some have no paid date.
fn profiled(number: u64, rows: u64, nulls: u64) -> Work {
    let (load_id, stream) = (format!("load-{number:02}"), "hosa/transactions".to_owned());
    let newest = START.parse().unwrap();
    let profile = LoadProfile {
        entity: "transactions".to_owned(),
        stream: stream.clone(),
        load_id: load_id.clone(),
        rows,
        nulls: [("paid_date".to_owned(), nulls)].into(),
        extracted_at: newest + TimeDelta::hours(6),
        newest: Some(newest),
    };
    let rule = RuleCount {
        entity: "transactions".to_owned(),
        rule: "amount_missing".to_owned(),
        severity: Severity::Error,
        dimension: Dimension::Completeness,
        load_id: load_id.clone(),
        checked: rows,
        failed: 0,
    };
    let counts = LoadCounts { load_id, stream, sequence: number, read: rows, ..LoadCounts::default() };
    Work { loads: vec![counts], profiles: vec![profile], rules: vec![rule], ..Work::default() }
}

#[tokio::test]
async fn a_load_that_is_unlike_the_loads_of_its_stream_before_it_is_noted_once() {
    let lake = TestLake::new();
    let context = lake.context().await;
    for number in 1..=5 {
        lake.wait(TimeDelta::days(1));
        let run_id = format!("run-{number}");
        report(&context, &run_id, "transactions", Ok(profiled(number, 100 + number, 10))).await;
        assert_eq!(audit(&context, &run_id).await, Vec::<String>::new(), "{number}");
    }
    lake.wait(TimeDelta::days(1));
    report(&context, "run-6", "transactions", Ok(profiled(6, 40, 20))).await;
    let expected = [
        "hosa/transactions load 6: 40 rows; the 5 loads before it had 101 at least",
        "hosa/transactions load 6: `paid_date` is null in 50 % of the rows; in the 5 loads before it in 10 % at most",
    ];
    assert_eq!(audit(&context, "run-6").await, expected);
    // A table that is made anew reads all loads again: they are no news.
    lake.wait(TimeDelta::days(1));
    for number in 1..=6 {
        report(&context, "run-7", "transactions", Ok(profiled(number, if number == 6 { 40 } else { 100 }, 10))).await;
    }
    assert_eq!(audit(&context, "run-7").await, Vec::<String>::new());
}

#[tokio::test]
async fn quality_metrics_have_the_dimensions_of_rules_and_of_loads() {
    let lake = TestLake::new();
    let context = lake.context().await;
    report(&context, "run", "transactions", Ok(profiled(1, 100, 25))).await;
    audit(&context, "run").await;
    let table = Table::open(&context.lake, "audit/quality_metrics").await.unwrap().unwrap();
    let rows = table.scan(table.files()).await.unwrap();
    let rows = rows.filter(col("stream").eq(lit("hosa/transactions"))).sort(["rule"], SortMultipleOptions::default());
    let rows = tokio::task::spawn_blocking(move || rows.collect()).await.unwrap().unwrap();
    let text = |name: &str| {
        rows.column(name).unwrap().str().unwrap().iter().map(|text| text.unwrap_or("-")).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(text("rule"), "amount_missing hours_behind null_share");
    assert_eq!(text("dimension"), "completeness timeliness completeness");
    assert_eq!(text("severity"), "error measured measured");
    assert_eq!(text("column"), "- - paid_date");
    let values: Vec<Option<f64>> = rows.column("value").unwrap().f64().unwrap().iter().collect();
    assert_eq!(values, [Some(0.0), Some(6.0), Some(0.25)]);
}
