//! A lake in a temporary folder, for tests.
#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test ends where its lake cannot be made")]

mod counting;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use chrono::{DateTime, TimeDelta, Utc};
use tempfile::TempDir;
use tracing_subscriber::fmt::MakeWriter;
use url::Url;

use crate::bronze::{LoadLog, Manifest, SourceObject};
use crate::config::{Environment, LoadKind};
use crate::context::{Clock, Context};
use crate::lake::Lake;

pub use counting::{BronzeReads, DataReads, Reads};

/// When the clock of a test lake starts. It goes on by a millisecond whenever somebody looks.
pub const START: &str = "2024-11-07T06:00:00Z";

/// A load of made-up claims of `hos-a`, as the log of `stream` has it, that was made at a moment and
/// names no data.
#[must_use]
pub fn manifest(stream: &str, sequence: u64, at: DateTime<Utc>) -> Manifest {
    Manifest {
        load_id: sequence.to_string(),
        run_id: "run-0".to_owned(),
        stream: stream.to_owned(),
        sequence,
        moved_from: None,
        entity: "claims".to_owned(),
        datasource: "hos-a".to_owned(),
        kind: LoadKind::Upsert,
        source: SourceObject { name: "landing/claims/a.csv".to_owned(), size: None, last_modified: None },
        table: None,
        content_hash: "c".to_owned(),
        rows: 1,
        malformed: 0,
        watermark: None,
        extracted_at: at,
        data_files: Vec::new(),
        unmapped_columns: Vec::new(),
        correction: None,
        started_at: at,
        finished_at: at,
    }
}

/// Keeps what is logged, for a test to read.
#[derive(Debug, Clone, Default)]
pub struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    /// What was logged until now.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Captured {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// A lake in a folder of its own that has the product's default configuration and goes away with
/// this value. `emr/` below its root is the folder of extract files.
#[derive(Debug)]
pub struct TestLake {
    folder: TempDir,
    clock: Arc<AtomicI64>,
}

impl TestLake {
    /// A lake with nothing but the default configuration.
    #[must_use]
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let defaults = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../infra/config");
        copy(&defaults, &folder.path().join("configs"));
        let start: DateTime<Utc> = START.parse().unwrap();
        Self { folder, clock: Arc::new(AtomicI64::new(start.timestamp_micros())) }
    }

    /// Writes a file below the root.
    pub fn write(&self, key: &str, content: impl AsRef<[u8]>) {
        let path = self.path(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Reads a file below the root.
    #[must_use]
    pub fn read(&self, key: &str) -> String {
        fs::read_to_string(self.path(key)).unwrap()
    }

    /// Puts other words in the place of some in a file below the root.
    pub fn edit(&self, key: &str, from: &str, to: &str) {
        let text = self.read(key);
        assert!(text.contains(from), "`{key}` does not say `{from}`");
        self.write(key, text.replace(from, to));
    }

    /// A path below the root.
    #[must_use]
    pub fn path(&self, key: &str) -> PathBuf {
        self.folder.path().join(key)
    }

    /// Keys of the files below a folder, in order; none where there is no such folder.
    #[must_use]
    pub fn files(&self, folder: &str) -> Vec<String> {
        let mut files = Vec::new();
        collect(&self.path(folder), &mut files);
        let root = self.folder.path();
        let mut keys: Vec<String> =
            files.iter().map(|path| path.strip_prefix(root).unwrap().to_string_lossy().into_owned()).collect();
        keys.sort_unstable();
        keys
    }

    /// Turns the clock.
    pub fn wait(&self, time: TimeDelta) {
        self.clock.fetch_add(time.num_microseconds().unwrap(), Ordering::Relaxed);
    }

    /// The lake, opened.
    #[must_use]
    pub fn lake(&self) -> Lake {
        Lake::open(Url::from_directory_path(self.folder.path()).unwrap().as_str()).unwrap()
    }

    /// What a stage is handed, with the configuration as it is now.
    pub async fn context(&self) -> Context {
        let clock = Arc::clone(&self.clock);
        let tick = move || DateTime::from_timestamp_micros(clock.fetch_add(1000, Ordering::Relaxed)).unwrap();
        let environment = Environment { emr_dir: Some(self.path("emr")), ..Environment::default() };
        Context::of(self.lake(), environment, Clock::from_fn(tick)).await.unwrap()
    }

    /// The loads of a stream.
    pub async fn loads(&self, stream: &str) -> Vec<Manifest> {
        LoadLog::new(&self.lake(), stream).after(0).await.unwrap()
    }
}

impl Default for TestLake {
    fn default() -> Self {
        Self::new()
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(path);
        }
    }
}
