//! Many writers of one bronze stream and of one Delta table in S3: every load is there, once. The
//! server is SeaweedFS, whose conditional puts are atomic, as those of S3 are.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use polars::prelude::*;
use rcm::defaults;
use rcm_platform::bronze::{LoadLog, Manifest};
use rcm_platform::config::{Environment, StoreEnvironment};
use rcm_platform::context::Clock;
use rcm_platform::lake::PutOutcome;
use rcm_platform::testing::manifest;
use rcm_platform::{Context, Lake, StageError};
use rcm_tables::delta::{self, Change, Table};
use tempfile::TempDir;
use tokio::task::JoinSet;

/// Where `tests/aws/install-tools.sh stand-ins` puts the server.
const WEED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/tools/stand-ins/bin/weed");
/// How long the server may take until it takes requests.
const LONGEST_START: Duration = Duration::from_mins(3);
/// How long it may take for an answer.
const LONGEST_ANSWER: Duration = Duration::from_secs(5);
/// Times that it is started, each time on other ports.
const STARTS: usize = 3;
const BUCKET: &str = "lake";

const WRITERS: usize = 16;
const ROUNDS: usize = 50;

/// A server with one bucket, until this value goes away.
struct SeaweedFs {
    server: Child,
    port: u16,
    _folder: TempDir,
}

impl SeaweedFs {
    fn start() -> Self {
        let started = (0..STARTS).find_map(|_| Self::start_once());
        started.unwrap_or_else(|| panic!("the server has ended {STARTS} times before it took requests"))
    }

    /// A server that takes requests; none if it ends before it does, as where somebody else has taken one
    /// of its ports since they were found free.
    fn start_once() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let ports = free_ports();
        let flags =
            ["master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc"];
        let flags = flags.iter().chain(&["s3.port", "s3.port.grpc"]).zip(ports);
        let server = Command::new(WEED)
            .arg("server")
            .args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", "-s3.port.iceberg=0", "-s3.port.lance=0"])
            .args(["-master.telemetry=false", "-master.volumeSizeLimitMB=64", "-volume.max=50"])
            .arg(format!("-dir={}", folder.path().display()))
            .args(flags.map(|(flag, port)| format!("-{flag}={port}")))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{WEED}: {error}; tests/aws/install-tools.sh stand-ins installs it"));
        let mut started = Self { server, port: ports[6], _folder: folder };
        let start = Instant::now();
        while !started.has_bucket() {
            if started.server.try_wait().unwrap().is_some() {
                return None;
            }
            assert!(start.elapsed() < LONGEST_START, "the server takes no requests");
            std::thread::sleep(Duration::from_millis(100));
        }
        Some(started)
    }

    /// Makes the bucket; whether the server has it, be it by a request whose answer came too late.
    fn has_bucket(&self) -> bool {
        let Ok(mut connection) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)) else { return false };
        connection.set_read_timeout(Some(LONGEST_ANSWER)).unwrap();
        let request =
            format!("PUT /{BUCKET} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        let mut answer = String::new();
        let answered = connection.write_all(request.as_bytes()).and_then(|()| connection.read_to_string(&mut answer));
        answered.is_ok() && ["HTTP/1.1 200", "HTTP/1.1 409"].iter().any(|status| answer.starts_with(status))
    }

    /// The lake, through connections of its own, as a function has them.
    fn lake(&self) -> Lake {
        let variables = [
            ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", self.port)),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
        ];
        let aws = variables.map(|(name, value)| (name.to_owned(), value)).to_vec();
        Lake::open_with(&format!("s3://{BUCKET}"), &StoreEnvironment { aws, kms_keys: Vec::new() }).unwrap()
    }
}

impl Drop for SeaweedFs {
    fn drop(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }
}

fn free_ports() -> [u16; 8] {
    let listeners = [(); 8].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

/// Lets all writers do their work of a round at the same time, round after round.
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

/// Makes a load the next one of the stream, as often as somebody else is ahead.
async fn append_load(lake: Lake, load_id: String) {
    let log = LoadLog::new(&lake, STREAM);
    let mut last = log.last().await.unwrap().map_or(0, |load| load.sequence);
    let load = |sequence| Manifest { load_id: load_id.clone(), ..manifest(STREAM, sequence, Clock::system().now()) };
    while log.commit(&load(last + 1)).await.unwrap() == PutOutcome::AlreadyThere {
        last = log.after(last).await.unwrap().last().map_or(last, |load| load.sequence);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_writers_of_a_stream_lose_no_load_and_double_none() {
    let server = SeaweedFs::start();
    let lakes: Vec<Lake> = (0..WRITERS).map(|_| server.lake()).collect();
    race(|writer, round| append_load(lakes[writer].clone(), format!("{round}-{writer}"))).await;
    let loads = LoadLog::new(&lakes[0], STREAM).after(0).await.unwrap();
    let ids: BTreeSet<&str> = loads.iter().map(|load| load.load_id.as_str()).collect();
    assert_eq!((loads.len(), ids.len()), (WRITERS * ROUNDS, WRITERS * ROUNDS));
}

const TABLE: &str = "silver/loads";
/// Streams whose loads the writers bring into the table: four writers bring the same load.
const STREAMS: usize = 4;

fn schema() -> Schema {
    Schema::from_iter([Field::new("load_key".into(), DataType::String)])
}

/// Brings a load into the table, unless somebody else has; tries again as often as somebody else
/// commits in between.
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
            Err(StageError::CommitConflict(_)) => file = Some(written),
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_writers_of_a_table_lose_no_load_and_double_none() {
    let server = SeaweedFs::start();
    defaults::lay_in(&server.lake()).await.unwrap();
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
