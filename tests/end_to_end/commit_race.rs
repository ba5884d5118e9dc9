//! Many concurrent writers of one bronze stream and of one Delta table in S3: every load is there exactly once.

use std::collections::BTreeSet;

use polars::prelude::*;
use rcm::defaults;
use rcm_platform::bronze::{LoadLog, Manifest};
use rcm_platform::config::Environment;
use rcm_platform::context::Clock;
use rcm_platform::error::ErrorKind;
use rcm_platform::lake::PutOutcome;
use rcm_platform::testing::manifest;
use rcm_platform::{Context, Lake};
use rcm_tables::delta::{self, Change, Table};
use tokio::task::JoinSet;

use crate::seaweed::SeaweedFs;

const WRITERS: usize = 16;
const ROUNDS: usize = 50;

/// Starts the work of all writers at the same time, round after round.
async fn race<F>(work: impl Fn(usize, usize) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    for round in 0..ROUNDS {
        let writers: JoinSet<()> = (0..WRITERS).map(|writer| work(writer, round)).collect();
        writers.join_all().await;
    }
}

const STREAM: &str = "claims";

/// Appends a load to the stream, and retries while other writers win.
async fn append_load(lake: Lake, load_id: String) {
    let log = LoadLog::new(&lake, STREAM);
    let mut last = log.last().await.unwrap().map_or(0, |load| load.sequence);
    let load = |sequence| Manifest { load_id: load_id.clone(), ..manifest(STREAM, sequence, Clock::system().now()) };
    while log.commit(&load(last + 1)).await.unwrap() == PutOutcome::AlreadyThere {
        last = log.after(last).await.unwrap().last().map_or(last, |load| load.sequence);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_writers_of_a_stream_lose_and_repeat_no_load() {
    let server = SeaweedFs::start();
    let lakes: Vec<Lake> = (0..WRITERS).map(|_| server.lake()).collect();
    race(|writer, round| append_load(lakes[writer].clone(), format!("{round}-{writer}"))).await;
    let loads = LoadLog::new(&lakes[0], STREAM).after(0).await.unwrap();
    let ids: BTreeSet<&str> = loads.iter().map(|load| load.load_id.as_str()).collect();
    assert_eq!((loads.len(), ids.len()), (WRITERS * ROUNDS, WRITERS * ROUNDS));
}

const TABLE: &str = "silver/loads";
/// Number of streams whose loads the writers commit to the table: four writers commit the same load.
const STREAMS: usize = 4;

fn schema() -> Schema {
    Schema::from_iter([Field::new("load_key".into(), DataType::String)])
}

/// Commits a load to the table unless another writer has; retries after each commit of another writer.
async fn take_load(context: Context, stream: usize, sequence: i64) {
    let schema = schema();
    let stream = format!("stream-{stream}");
    let rows = df!("load_key" => [format!("{stream}/{sequence}")]).unwrap();
    let mut file = None;
    loop {
        let table = Table::open(&context.lake, TABLE).await.unwrap();
        let taken = match &table {
            Some(table) => table.transaction(&stream).await.unwrap().unwrap_or(0),
            None => 0,
        };
        if taken >= sequence {
            return;
        }
        let written = match file.take() {
            Some(written) => written,
            None => delta::write(&context, TABLE, &rows, &[]).await.unwrap(),
        };
        let change = Change {
            schema: &schema,
            partition_by: &[],
            // Writers read what was committed since the last checkpoint: fewer requests, sooner done.
            properties: &[("delta.checkpointInterval", "10".to_owned())],
            add: vec![written.clone()],
            remove: Vec::new(),
            transactions: vec![(stream.clone(), sequence)],
            run_id: "run",
        };
        match delta::commit(&context.lake, TABLE, table.as_ref(), change).await {
            Ok(_) => return,
            Err(error) if error.kind() == ErrorKind::CommitConflict => file = Some(written),
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_writers_of_a_table_lose_and_repeat_no_load() {
    let server = SeaweedFs::start();
    defaults::install_defaults(&server.lake()).await.unwrap();
    let mut contexts = Vec::new();
    for _ in 0..WRITERS {
        contexts.push(Context::of(server.lake(), Environment::default(), Clock::system()).await.unwrap());
    }
    race(|writer, round| take_load(contexts[writer].clone(), writer % STREAMS, round as i64 + 1)).await;

    let table = Table::open(&contexts[0].lake, TABLE).await.unwrap().unwrap();
    assert_eq!(table.version(), (STREAMS * ROUNDS) as i64 - 1, "a commit per load");
    let rows = table.scan(table.files()).await.unwrap();
    let rows = tokio::task::spawn_blocking(move || rows.collect().unwrap()).await.unwrap();
    let loads: BTreeSet<&str> = rows.column("load_key").unwrap().str().unwrap().iter().flatten().collect();
    assert_eq!((rows.height(), loads.len()), (STREAMS * ROUNDS, STREAMS * ROUNDS));
    for stream in 0..STREAMS {
        let taken = table.transaction(&format!("stream-{stream}")).await.unwrap();
        assert_eq!(taken, Some(ROUNDS as i64), "stream-{stream}");
    }
}
