//! The bronze load log: what was loaded, in which order, and where its rows are.
//!
//! A load writes its Parquet under a key of its own and then takes the stream's next sequence
//! number with a conditional put of one manifest. No manifest, no load; of two writers, one wins.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::config::LoadKind;
use crate::error::{Result, StageError};
use crate::lake::{Lake, PutOutcome};

/// Manifests that are read at the same time.
const READS_AT_ONCE: usize = 32;
/// Name of the column with a row's place in its load, counted from 1.
pub const POSITION: &str = "_position";
/// Name of the column that holds, as a JSON list, the fields of a record that does not fit the
/// file's header; null for every record that does.
pub const MALFORMED: &str = "_malformed";

/// One load: `bronze/<stream>/_loads/<20-digit sequence>.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub load_id: String,
    pub run_id: String,
    pub stream: String,
    /// Place in the stream, counted from 1 without a gap.
    pub sequence: u64,
    pub entity: String,
    pub datasource: String,
    pub kind: LoadKind,
    pub source: Source,
    /// SHA-256 of the source's bytes, or a hash over a table's rows in any order, in hexadecimal.
    pub content_hash: String,
    pub rows: u64,
    /// Records among the rows that do not fit the header.
    pub malformed: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark: Option<Watermark>,
    /// When the source was read, or its file landed; of a whole table later than the load before.
    pub extracted_at: DateTime<Utc>,
    /// Keys of the Parquet files, below the lake's root.
    pub data_files: Vec<String>,
    /// Columns of the source that the mapping does not use.
    #[serde(default)]
    pub unmapped_columns: Vec<String>,
    pub started_at: DateTime<Utc>,
    pub finished_at: DateTime<Utc>,
}

/// What a load was read from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Source {
    /// `database.table`, a file below the extract folder, or a key below `landing/`.
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<DateTime<Utc>>,
}

/// What an incremental load took: rows with `from - overlap < column <= to`, the overlap being that of the
/// stream; beside them rows whose column is ahead of the clock, null or unreadable. Without a `from`
/// it took all rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watermark {
    pub column: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<DateTime<Utc>>,
    /// The latest one that is not in the future, and never before `from`: the next load's `from`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<DateTime<Utc>>,
    /// What the next load does not look at again, if it was read from an extract file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<Settled>,
    /// Hash over the rows that the next load reads again if nothing newer comes: equal, nothing of
    /// them has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap_hash: Option<String>,
}

/// Records of an extract file from before a moment. If the next file has more of them, this one was cut
/// short or they were entered later: that file is taken whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    pub before: DateTime<Utc>,
    pub rows: u64,
}

/// A file that was refused whole: `bronze/<stream>/_refused/<content>-<file>-<configuration>.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub run_id: String,
    pub source: Source,
    pub content_hash: String,
    pub mappings_hash: String,
    pub reason: String,
    pub refused_at: DateTime<Utc>,
}

/// Of a stream's loads those that together hold what a datasource has: its last whole table and what came
/// after it; all of them if it never sent a whole one.
#[must_use]
pub fn since_last_snapshot<'a>(loads: &'a [Manifest], datasource: &str) -> Vec<&'a Manifest> {
    let of_datasource: Vec<&Manifest> = loads.iter().filter(|load| load.datasource == datasource).collect();
    let snapshot = of_datasource.iter().rposition(|load| load.kind == LoadKind::Snapshot);
    of_datasource[snapshot.unwrap_or(0)..].to_vec()
}

/// Log of one stream.
#[derive(Debug, Clone)]
pub struct LoadLog<'a> {
    lake: &'a Lake,
    stream: &'a str,
}

impl<'a> LoadLog<'a> {
    /// The log of a stream, such as `hosa/patients` or `claims`.
    #[must_use]
    pub fn new(lake: &'a Lake, stream: &'a str) -> Self {
        Self { lake, stream }
    }

    /// Key of the Parquet file of a load that is to be made.
    #[must_use]
    pub fn data_key(&self, load_id: &str) -> String {
        format!("bronze/{}/data/{load_id}.parquet", self.stream)
    }

    /// The first load, if there is one.
    pub async fn first(&self) -> Result<Option<Manifest>> {
        let key = self.key(1);
        let Some(bytes) = self.lake.get_if_exists(&key).await? else { return Ok(None) };
        Ok(Some(from_json(&key, &bytes)?))
    }

    /// The last load, if there is one.
    pub async fn last(&self) -> Result<Option<Manifest>> {
        let listed = self.lake.list(&self.folder()).await?;
        match listed.last() {
            Some(meta) => Ok(Some(self.read(meta.location.as_ref()).await?)),
            None => Ok(None),
        }
    }

    /// The loads after a sequence number, in order; all of them after 0.
    ///
    /// # Errors
    /// The store fails, or a number is missing between two loads.
    pub async fn after(&self, sequence: u64) -> Result<Vec<Manifest>> {
        let listed = self.lake.list_after(&self.folder(), &self.key(sequence)).await?;
        let reads = listed.into_iter().map(async |meta| self.read(meta.location.as_ref()).await);
        let loads: Vec<Manifest> = futures::stream::iter(reads).buffered(READS_AT_ONCE).try_collect().await?;
        for (expected, load) in (sequence + 1..).zip(&loads) {
            if load.sequence != expected {
                let message = format!("stream `{}` has no load {expected} but a later one", self.stream);
                return Err(StageError::CorruptLake(message));
            }
        }
        Ok(loads)
    }

    /// Takes the manifest's sequence number; [`PutOutcome::AlreadyThere`] if another load has it.
    pub async fn commit(&self, manifest: &Manifest) -> Result<PutOutcome> {
        let key = self.key(manifest.sequence);
        match self.lake.put_if_absent(&key, to_json(manifest)?).await? {
            PutOutcome::Created => Ok(PutOutcome::Created),
            // A store that repeats a put after a lost answer finds its own first try there.
            PutOutcome::AlreadyThere if self.read(&key).await?.load_id == manifest.load_id => Ok(PutOutcome::Created),
            PutOutcome::AlreadyThere => Ok(PutOutcome::AlreadyThere),
        }
    }

    /// Notes that a file is refused. Once is enough: the same file under the same mappings is
    /// passed over from now on.
    pub async fn refuse(&self, refusal: &Refusal) -> Result<PutOutcome> {
        let Source { name, last_modified, .. } = &refusal.source;
        let file = xxh3_64(format!("{name}\n{last_modified:?}").as_bytes());
        let name = format!("{}-{file:016x}-{}", refusal.content_hash, short(&refusal.mappings_hash));
        self.lake.put_if_absent(&format!("bronze/{}/_refused/{name}.json", self.stream), to_json(refusal)?).await
    }

    /// Files that were refused under the mappings of this hash, whenever that was.
    pub async fn refusals(&self, mappings_hash: &str) -> Result<Vec<Refusal>> {
        let ending = format!("-{}.json", short(mappings_hash));
        let listed = self.lake.list(&format!("bronze/{}/_refused", self.stream)).await?;
        let keys = listed.into_iter().map(|meta| String::from(meta.location)).filter(|key| key.ends_with(&ending));
        let reads = keys.map(async |key| from_json(&key, &self.lake.get(&key).await?));
        futures::stream::iter(reads).buffered(READS_AT_ONCE).try_collect().await
    }

    /// Keys of data files that were written before a moment and that no load names: of tries that
    /// ended early, or that another one was ahead of. The loads are only read if there are more data
    /// files than loads.
    ///
    /// # Errors
    /// The store fails, or the log cannot be read.
    pub async fn leftovers(&self, before: DateTime<Utc>) -> Result<Vec<String>> {
        let data = self.lake.list(&format!("bronze/{}/data", self.stream)).await?;
        if data.len() <= self.lake.list(&self.folder()).await?.len() {
            return Ok(Vec::new());
        }
        let loads = self.after(0).await?;
        let named: HashSet<&str> = loads.iter().flat_map(|load| &load.data_files).map(String::as_str).collect();
        let old = data.into_iter().filter(|meta| meta.last_modified < before);
        Ok(old.map(|meta| String::from(meta.location)).filter(|key| !named.contains(key.as_str())).collect())
    }

    async fn read(&self, key: &str) -> Result<Manifest> {
        from_json(key, &self.lake.get(key).await?)
    }

    fn folder(&self) -> String {
        format!("bronze/{}/_loads", self.stream)
    }

    fn key(&self, sequence: u64) -> String {
        format!("{}/{sequence:020}.json", self.folder())
    }
}

/// As much of a hash as tells configurations apart.
fn short(hash: &str) -> &str {
    hash.get(..16).unwrap_or(hash)
}

fn to_json<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(value).map_err(|error| StageError::CorruptLake(format!("writing JSON: {error}")))
}

fn from_json<T: serde::de::DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| StageError::CorruptLake(format!("`{key}`: {error}")))
}
