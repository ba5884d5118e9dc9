//! Batches that are shared out give the table that one call gives.

use polars::prelude::*;
use rcm_model::cdm::DEPARTMENTS;
use rcm_model::event::{LoadCounts, Outcome, Part, SharedOut, StageInput, StageReport};
use rcm_platform::config::LoadKind;
use rcm_platform::context::Context;
use rcm_platform::error::StageError;
use rcm_platform::lake;
use rcm_platform::testing::TestLake;

use super::run;
use super::tests::{OF_A, OF_B, make_load};
use crate::delta::Table;
use crate::frames::blocking;

const EVENTS_OF_B: (&str, &str) = ("departments/hos-b", "hos-b");

async fn call(context: &Context, part: Part) -> Result<StageReport, StageError> {
    let input = StageInput { run_id: "run".to_owned(), part, ..StageInput::default() };
    run(context.clone(), &DEPARTMENTS, input).await
}

async fn prepare(context: &Context) -> SharedOut {
    call(context, Part::Prepare).await.unwrap().shared_out.expect("the batch is shared out")
}

/// A lake whose batches are shared out bucket by bucket.
fn lake() -> TestLake {
    let lake = TestLake::new();
    lake.edit("configs/sources.toml", "shard_mb = 4096", "shard_mb = 0");
    let feed = "[[landing]]\nfolder = \"departments\"\nentity = \"departments\"\nload = \"upsert\"\n\n[silver.buckets]\ndepartments = 8";
    lake.edit("configs/sources.toml", "[silver.buckets]", feed);
    lake.edit("configs/cdm/hos-b.toml", "[landing]", "[landing]\ndepartments = [\"*\"]");
    lake
}

/// Departments of two hospitals: new ones, others by another name, one without a name, and some that are gone.
async fn deliver(context: &Context, sequence: u64) {
    let name = ["First", "Second", "Third"][sequence as usize % 3];
    let departments = |first: u64| {
        (first..60).map(move |number| {
            (format!("D{number}"), (number != 7).then_some(if number % 2 == 0 { name } else { "Same" }))
        })
    };
    make_load(context, OF_A, sequence, LoadKind::Snapshot, departments(sequence * 3)).await;
    make_load(context, OF_B, sequence, LoadKind::Snapshot, departments(0)).await;
    // Events are a batch of their own.
    let events = departments(50).map(|(id, name)| (format!("E{id}"), name));
    make_load(context, EVENTS_OF_B, sequence, LoadKind::Upsert, events).await;
}

/// All versions, but for when they were written.
async fn history(context: &Context) -> DataFrame {
    let table = Table::open(&context.lake, &lake::silver(DEPARTMENTS.name)).await.unwrap().unwrap();
    let columns = ["dept_key", "name", "effective_to", "is_current", "is_deleted", "row_hash"].map(col);
    let rows = table.scan(table.files()).await.unwrap().select(columns);
    let order = SortMultipleOptions::default().with_maintain_order(true);
    blocking(move || Ok(rows.sort_by_exprs([all().as_expr()], order).collect()?)).await.unwrap()
}

async fn version(context: &Context) -> i64 {
    Table::open(&context.lake, &lake::silver(DEPARTMENTS.name)).await.unwrap().map_or(-1, |table| table.version())
}

async fn left(context: &Context) -> usize {
    context.lake.list(&format!("{}/_incoming", lake::silver(DEPARTMENTS.name))).await.unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn shards_in_any_order_and_twice_and_one_commit_give_the_table_of_one_call() {
    let (shared, alone) = (lake(), lake());
    for sequence in 1..4 {
        let (of_shared, of_alone) = (shared.context().await, alone.context().await);
        deliver(&of_shared, sequence).await;
        deliver(&of_alone, sequence).await;
        let expected = call(&of_alone, Part::All).await.unwrap();
        let mut reports = Vec::new();
        for _ in 0..2 {
            let before = version(&of_shared).await;
            let SharedOut { shards, commit } = prepare(&of_shared).await;
            assert!(shards.len() > 4, "{}", shards.len());
            let again = shards.iter().rev().chain(&shards).cloned().map(|shard| call(&of_shared, shard));
            for report in futures::future::join_all(again).await {
                report.unwrap();
            }
            assert_eq!(version(&of_shared).await, before, "no shard commits");
            reports.push(call(&of_shared, commit.clone()).await.unwrap());
            assert_eq!(version(&of_shared).await, before + 1, "one commit");
            assert_eq!(call(&of_shared, commit).await.unwrap().outcome, Outcome::NothingNew, "twice is once");
            assert_eq!(left(&of_shared).await, 0);
        }
        let nothing = call(&of_shared, Part::Prepare).await.unwrap();
        assert_eq!((nothing.outcome, nothing.shared_out.unwrap().shards), (Outcome::NothingNew, Vec::new()));
        assert_eq!(told(&reports), told(&[expected]));
        let stable = ["dept_key", "name", "is_current", "is_deleted", "row_hash"];
        let (found, wanted) = (history(&of_shared).await, history(&of_alone).await);
        assert!(found.select(stable).unwrap().equals_missing(&wanted.select(stable).unwrap()), "{found}\n{wanted}");
    }
}

/// What reports say, but for the identifiers of loads.
#[derive(Debug, PartialEq)]
struct Told {
    /// Rules: rows that were checked, and that failed.
    rules: Vec<(String, u64, u64)>,
    /// Control checks: actual values.
    checks: Vec<(String, String)>,
    /// Rows of loads by what became of them.
    loads: Vec<[u64; 7]>,
}

fn told(reports: &[StageReport]) -> Told {
    let rules = reports.iter().flat_map(|report| &report.rules);
    let rules = rules.map(|rule| (rule.rule.clone(), rule.checked, rule.failed));
    let checks = reports.iter().flat_map(|report| &report.checks);
    let checks = checks.map(|check| (check.check.clone(), check.actual.clone()));
    let loads = reports.iter().flat_map(|report| &report.loads);
    let loads = loads.map(|load| {
        let LoadCounts { read, new, changed, unchanged, superseded, quarantined, deleted, .. } = *load;
        [read, new, changed, unchanged, superseded, quarantined, deleted]
    });
    Told { rules: rules.collect(), checks: checks.collect(), loads: loads.collect() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_waits_for_every_shard_and_a_shard_that_died_is_run_again_alone() {
    let context = lake().context().await;
    deliver(&context, 1).await;
    let SharedOut { shards, commit } = prepare(&context).await;
    let (died, others) = shards.split_first().unwrap();
    for shard in others {
        call(&context, shard.clone()).await.unwrap();
    }
    let error = call(&context, commit.clone()).await.unwrap_err();
    assert!(error.to_string().contains("shard 0 of the batch was not written"), "{error}");
    assert_eq!(version(&context).await, -1);
    call(&context, died.clone()).await.unwrap();
    let report = call(&context, commit).await.unwrap();
    assert_eq!(report.loads.iter().map(|load| load.new).sum::<u64>(), 57 + 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_another_run_overtook_is_refused_and_prepared_anew() {
    let context = lake().context().await;
    deliver(&context, 1).await;
    let SharedOut { shards, commit } = prepare(&context).await;
    call(&context, shards[0].clone()).await.unwrap();
    call(&context, Part::All).await.unwrap();
    assert_eq!(call(&context, shards[1].clone()).await.unwrap_err().name(), "CommitConflict");
    assert_eq!(call(&context, commit).await.unwrap().outcome, Outcome::NothingNew, "its loads were ingested");
    assert_eq!(left(&context).await, 0);

    make_load(&context, OF_B, 2, LoadKind::Snapshot, (0..60).map(|number| (format!("D{number}"), Some("New")))).await;
    let first = prepare(&context).await;
    make_load(&context, OF_B, 3, LoadKind::Snapshot, (0..60).map(|number| (format!("D{number}"), Some("Newer")))).await;
    for part in first.shards.into_iter().chain([first.commit]) {
        call(&context, part).await.unwrap();
    }
    let second = prepare(&context).await;
    make_load(&context, OF_A, 2, LoadKind::Snapshot, (0..60).map(|number| (format!("D{number}"), Some("New")))).await;
    call(&context, Part::All).await.unwrap();
    assert_eq!(call(&context, second.commit).await.unwrap().outcome, Outcome::NothingNew);
    assert_eq!(call(&context, Part::Prepare).await.unwrap().outcome, Outcome::NothingNew);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_another_table_is_refused() {
    let context = lake().context().await;
    let part = Part::Commit("silver/providers/_incoming/x/batch.json".to_owned());
    let error = call(&context, part).await.unwrap_err();
    assert_eq!(error.name(), "BadConfig");
    assert!(error.to_string().contains("is no batch of `silver/departments`"), "{error}");
}
