use rcm_domain::event::{LoadCounts, StageInput};
use rcm_platform::delta::Table;
use rcm_platform::stage::{self, Failure, Work};
use rcm_platform::testing::TestLake;
use rcm_platform::{Context, StageError};

use crate::handle;

async fn report(context: &Context, run_id: &str, subject: &str, work: Result<Work, Failure>) {
    stage::report(context, "emr-extract", run_id, subject, async { work }).await.ok();
}

fn some_work() -> Work {
    Work { loads: vec![LoadCounts { load_id: "l".to_owned(), read: 3, ..LoadCounts::default() }], ..Work::default() }
}

async fn rows_of(context: &Context, table: &str) -> Option<u64> {
    Table::open(&context.lake, table).await.unwrap().map(|table| table.rows())
}

fn input(run_id: &str) -> StageInput {
    StageInput { run_id: run_id.to_owned(), as_of: None }
}

#[tokio::test]
async fn a_report_becomes_a_row_once() {
    let lake = TestLake::new();
    let context = lake.context().await;
    let run_id = stage::new_id(context.now());
    report(&context, &run_id, "hosa/patients", Ok(some_work())).await;
    report(&context, &run_id, "hosa/providers", Err(StageError::Timeout("slow".to_owned()).into())).await;
    handle(context.clone(), input(&run_id)).await.unwrap();
    assert_eq!(rows_of(&context, "audit/load_logs").await, Some(2));
    assert!(lake.files("audit/_reports").is_empty());

    report(&context, &run_id, "hosa/patients", Ok(some_work())).await;
    handle(context.clone(), input(&run_id)).await.unwrap();
    assert_eq!(rows_of(&context, "audit/load_logs").await, Some(2), "the run is folded already");
}

#[tokio::test]
async fn a_run_that_found_nothing_new_commits_nothing() {
    let lake = TestLake::new();
    let context = lake.context().await;
    let run_id = stage::new_id(context.now());
    report(&context, &run_id, "hosa/patients", Ok(Work::nothing_new())).await;
    let folded = handle(context.clone(), input(&run_id)).await.unwrap();
    assert!(folded.commits.is_empty());
    assert_eq!(rows_of(&context, "audit/load_logs").await, None);
    assert!(lake.read("audit/last_run.json").contains(&run_id));
}

#[tokio::test]
async fn reports_of_another_run_wait_for_it_for_a_day() {
    let lake = TestLake::new();
    let context = lake.context().await;
    let (other, own) = (stage::new_id(context.now()), stage::new_id(context.now()));
    report(&context, &other, "hosa/patients", Ok(some_work())).await;
    handle(context.clone(), input(&own)).await.unwrap();
    assert_eq!(rows_of(&context, "audit/load_logs").await, None);
    lake.wait(chrono::TimeDelta::hours(25));
    handle(context.clone(), input(&own)).await.unwrap();
    assert_eq!(rows_of(&context, "audit/load_logs").await, Some(1));
}
