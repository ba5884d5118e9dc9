//! CSV files as hospitals write them, streamed into bronze with bounded memory.
//!
//! A blocking thread reads, hashes and parses; batches go through a short channel to the Parquet
//! writer. What a record says stays text here: silver reads it.
//!
//! Columns of the answer: the header's names, trimmed, all text and never null for a record that
//! fits the header (an empty field is an empty text); [`POSITION`] and [`MALFORMED`]. A record with
//! another number of fields, with bytes that are not UTF-8, or with a quote left open at the file's
//! end has nulls in all columns of its own and its fields as a JSON list in [`MALFORMED`]. A field
//! that is not UTF-8 stands there with each byte as the character of that number (Latin-1).
//! The lines that a stray quote has put together are such records too, each of its own; its quotes
//! are left out. What another encoding than UTF-8 cannot read becomes a byte that is not UTF-8.
//!
//! [`POSITION`]: crate::bronze::POSITION
//! [`MALFORMED`]: crate::bronze::MALFORMED

mod batch;
mod dialect;
#[cfg(test)]
mod dialect_tests;
mod each;
mod header;
mod kind;
mod metered_reader;
mod records;
mod stray;
#[cfg(test)]
mod tests;
mod watermark;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{DynObjectStore, GetResultPayload, ObjectStoreExt};
use rcm_model::cdm::EntityMapping;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio_util::io::{StreamReader, SyncIoBridge};

pub use self::dialect::Dialect;
pub use self::each::{Records, each};
pub use self::watermark::{Moments, Newer};
use crate::bronze_file;
use crate::error::{Result, StageError};
use crate::lake::{Lake, resumed};
use crate::storage_error;

/// Batches that wait for the writer.
const BATCHES_AHEAD: usize = 2;
const READ_BYTES: usize = 256 * 1024;

/// A CSV file and the name it goes by in messages.
#[derive(Debug, Clone)]
pub struct Csv {
    name: String,
    place: Place,
    dialect: Dialect,
}

#[derive(Debug, Clone)]
enum Place {
    Lake(Arc<DynObjectStore>, Path),
    File(PathBuf),
}

/// What a file has to have, and which of its records are wanted.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Columns without which the file is refused, beside those of the mapping.
    pub columns: Vec<String>,
    /// A mapping whose columns the file has to have, each under one of its names.
    pub mapping: Option<EntityMapping>,
    /// Only the records that are newer than this; all where it is none.
    pub newer: Option<Newer>,
}

/// What was found in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvSummary {
    /// SHA-256 of the file's bytes, in hexadecimal.
    pub content_hash: String,
    /// Names of the header, in the file's order.
    pub columns: Vec<String>,
    /// Records that were taken.
    pub rows: u64,
    /// Those among them that do not fit the header.
    pub malformed: u64,
    /// Latest watermark among the records, taken or not, that is not in the future.
    pub high: Option<DateTime<Utc>>,
    /// Records whose watermark is in the future.
    pub ahead: u64,
    /// Records that were taken only because no load has them: their watermark is from before the last load.
    pub late: u64,
    /// Records, taken or not, by the day of their watermark, unless that is in the future.
    pub per_day: BTreeMap<NaiveDate, u64>,
}

impl CsvSummary {
    /// Records, taken or not, whose watermark is before the day of a moment.
    #[must_use]
    pub fn before_day_of(&self, moment: DateTime<Utc>) -> u64 {
        self.per_day.range(..moment.date_naive()).map(|(_, records)| records).sum()
    }
}

impl Csv {
    /// A file in the lake.
    #[must_use]
    pub fn in_lake(lake: &Lake, path: Path, name: String) -> Self {
        Self { name, place: Place::Lake(lake.store(), path), dialect: Dialect::default() }
    }

    /// A file of this machine.
    #[must_use]
    pub fn on_disk(path: PathBuf, name: String) -> Self {
        Self { name, place: Place::File(path), dialect: Dialect::default() }
    }

    /// The same file, written in a dialect.
    #[must_use]
    pub fn with_dialect(self, dialect: Dialect) -> Self {
        Self { dialect, ..self }
    }

    async fn open(&self) -> Result<Box<dyn Read + Send>> {
        match &self.place {
            Place::File(path) => {
                let path = path.clone();
                let opened = spawn_blocking(move || File::open(path)).await.map_err(|_| stopped())?;
                Ok(Box::new(opened.map_err(|error| self.unreadable(&error))?))
            }
            Place::Lake(store, path) => {
                let found = store.get(path).await?;
                match found.payload {
                    GetResultPayload::File(file, _) => Ok(Box::new(file)),
                    GetResultPayload::Stream(body) => {
                        let bytes = resumed(Arc::clone(store), path.clone(), found.meta, body);
                        Ok(Box::new(SyncIoBridge::new(StreamReader::new(bytes.map_err(io::Error::other)))))
                    }
                }
            }
        }
    }

    fn unreadable(&self, error: &io::Error) -> StageError {
        let message = format!("reading `{}`: {}", self.name, error.kind());
        match self.place {
            Place::File(_) => storage_error::of_io(message, error, StageError::source_unavailable),
            Place::Lake(..) => storage_error::of(message, error),
        }
    }

    fn broken(&self, reason: &str) -> StageError {
        StageError::broken_contract(format!("`{}` {reason}", self.name))
    }
}

/// SHA-256 of a file's bytes, in hexadecimal.
///
/// # Errors
/// The file cannot be read.
pub async fn content_hash(csv: &Csv) -> Result<String> {
    let mut bytes = csv.open().await?;
    let hashed = spawn_blocking(move || {
        let mut hash = Sha256::new();
        io::copy(&mut bytes, &mut hash).map(|_| format!("{:x}", hash.finalize()))
    });
    hashed.await.map_err(|_| stopped())?.map_err(|error| csv.unreadable(&error))
}

/// Returns the names in the header of a file.
///
/// # Errors
/// `BrokenContract` if the file is empty, is no CSV file or has a header that cannot be used; the file cannot be read.
pub async fn columns(csv: &Csv) -> Result<Vec<String>> {
    let bytes = csv.open().await?;
    let file = csv.clone();
    spawn_blocking(move || records::columns(&file, bytes)).await.map_err(|_| stopped())?
}

/// Writes the wanted records of a file as Parquet under `key`. Nothing is left there when it fails.
///
/// # Errors
/// `BrokenContract` if the file is empty, is no CSV file, has a header that cannot be used, lacks a
/// wanted column or has a record longer than 1 MiB; the file cannot be read or the
/// Parquet file cannot be written.
pub async fn to_parquet(csv: &Csv, wanted: Wanted, lake: &Lake, key: &str) -> Result<CsvSummary> {
    let bytes = csv.open().await?;
    let (sender, batches) = mpsc::channel(BATCHES_AHEAD);
    let reader = csv.clone();
    let reading = spawn_blocking(move || records::read(&reader, bytes, wanted, &sender));
    bronze_file::write(lake, key, batches, async { reading.await.map_err(|_| stopped())? }).await
}

/// Nothing of the panic that stopped the thread: its message may quote the record that was read.
fn stopped() -> StageError {
    StageError::source_unavailable("the reading thread stopped".to_owned())
}
