//! Maintenance may be interrupted anywhere: the rows of the table stay the same, and the next maintenance completes
//! the work.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use polars::prelude::*;
use rcm::functions;
use rcm_model::event::{Outcome, StageReport};
use rcm_platform::{Context, StageError};
use rcm_tables::delta::{self, Change, Table};
use serde_json::json;

use crate::crash::{Fault, Faulty};
use crate::scratch::Scratch;

const TABLE: &str = "gold/things";
/// Number of rows of the table, each in its own file and commit: enough for compaction and a checkpoint.
const ROWS: i64 = 12;
/// Maximum number of writes of maintenance.
const MOST_WRITES: i64 = 20;

async fn context(scratch: &Scratch) -> Context {
    scratch.context(Path::new("/nowhere")).await
}

async fn add(context: &Context, number: i64) {
    let table = Table::open(&context.lake, TABLE).await.unwrap();
    let rows = df!("number" => [number]).unwrap();
    let file = delta::write(context, TABLE, &rows, &[]).await.unwrap();
    let change = Change {
        schema: rows.schema(),
        partition_by: &[],
        properties: &[],
        add: vec![file],
        remove: Vec::new(),
        transactions: vec![("numbers".to_owned(), number)],
        run_id: "run",
    };
    delta::commit(&context.lake, TABLE, table.as_ref(), change).await.unwrap();
}

async fn maintain(scratch: &Scratch) -> Result<StageReport, StageError> {
    functions::call("maintenance", context(scratch).await, json!({})).await
}

/// Returns the numbers in the table, sorted, and the last one that it has recorded.
async fn content(scratch: &Scratch) -> (Vec<i64>, Option<i64>) {
    let rows = scratch.rows(TABLE).await.unwrap();
    let mut numbers: Vec<i64> = rows.column("number").unwrap().i64().unwrap().iter().flatten().collect();
    numbers.sort_unstable();
    let table = Table::open(&scratch.lake(), TABLE).await.unwrap().unwrap();
    (numbers, table.transaction("numbers").await.unwrap())
}

/// Lets one write of maintenance fail and checks the lake; returns whether maintenance reached that write.
async fn survives(fault: Fault, write: i64) -> bool {
    let mut scratch = Scratch::new().await;
    let healthy = context(&scratch).await;
    for number in 1..=ROWS {
        add(&healthy, number).await;
    }
    let expected = content(&scratch).await;
    assert_eq!(expected, ((1..=ROWS).collect(), Some(ROWS)));

    let left = Arc::new(AtomicI64::new(write));
    scratch.through(Some(Arc::new(Faulty { inner: scratch.lake().store(), fault, left: Arc::clone(&left) })));
    let broken = maintain(&scratch).await;
    let reached = left.load(Ordering::SeqCst) < 0;
    assert_eq!(broken.is_err(), reached, "write {write} ({fault:?})");
    assert_eq!(content(&scratch).await, expected, "write {write} ({fault:?})");

    scratch.through(None);
    maintain(&scratch).await.unwrap();
    assert_eq!(content(&scratch).await, expected, "after write {write} ({fault:?})");
    let table = Table::open(&scratch.lake(), TABLE).await.unwrap().unwrap();
    assert_eq!((table.files().len(), table.version()), (1, ROWS), "after write {write} ({fault:?})");
    let again = maintain(&scratch).await.unwrap();
    assert_eq!(again.outcome, Outcome::NothingNew, "after write {write} ({fault:?}): {:?}", again.notes);
    reached
}

#[tokio::test(flavor = "multi_thread")]
async fn maintenance_whose_write_fails_is_completed_by_the_next() {
    for fault in [Fault::NotDone, Fault::DoneButReported] {
        let mut write = 0;
        while survives(fault, write).await {
            write += 1;
            assert!(write < MOST_WRITES);
        }
        assert!(write >= 5, "a data file, a commit, a checkpoint, its hint and a report: {write}");
    }
}
