//! The bronze load log: what was loaded, in which order, and where its rows are.
//!
//! A load writes its Parquet under a key of its own and then takes the stream's next sequence
//! number with a conditional put of one manifest. No manifest, no load; of two writers, one wins.

mod cache;
mod checkpoint;
mod refused;
mod seen;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use chrono::{DateTime, NaiveDate, Utc};
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectMeta;
use serde::{Deserialize, Serialize};

use crate::config::{Feed, LoadKind};
use crate::error::{Result, StageError};
use crate::lake::{Lake, PutOutcome};
use crate::landing::LandingKey;

pub(crate) use cache::ManifestCache;
pub use checkpoint::CHECKPOINT_INTERVAL;
pub use refused::Dismissal;

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
    /// Its number in the stream that all datasources of its entity shared in version 0.1, if it comes from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_from: Option<u64>,
    pub entity: String,
    pub datasource: String,
    pub kind: LoadKind,
    pub source: SourceObject,
    /// Of an extract: database and table of its line in `load_config.csv`, such as `db-a.dbo.patients`, whatever
    /// it was read from. Older versions of the product did not write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// SHA-256 of the source's bytes, or a hash over a table's rows in any order, in hexadecimal.
    pub content_hash: String,
    pub rows: u64,
    /// Records among the rows that do not fit the header.
    pub malformed: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark: Option<Watermark>,
    /// When the source was read, or its file landed. Of a whole list that landed its own date; of any whole
    /// table later than the load before.
    pub extracted_at: DateTime<Utc>,
    /// Keys of the Parquet files, below the lake's root.
    pub data_files: Vec<String>,
    /// Columns of the source that the mapping does not use.
    #[serde(default)]
    pub unmapped_columns: Vec<String>,
    /// Of a load that corrects rows of another one. Its source is that of the other one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correction: Option<Correction>,
    pub started_at: DateTime<Utc>,
    pub finished_at: DateTime<Utc>,
}

impl Manifest {
    /// Whether the load was read from a file that landed, and not from a hospital or a registry.
    #[must_use]
    pub fn has_landed(&self) -> bool {
        LandingKey::parse(&self.source.name).is_some()
    }

    /// Whether a person has made it of mended rows of another load, and no source was read for it.
    #[must_use]
    pub fn is_correction(&self) -> bool {
        self.correction.is_some()
    }

    /// Whether it is a load of the stream that all datasources shared in version 0.1 and that is now one of its
    /// datasource's own.
    #[must_use]
    pub fn was_moved(&self) -> bool {
        self.stream == self.entity && self.has_landed()
    }
}

/// What a load corrects: a person has mended rows of an earlier load that are in quarantine. Each row takes the place of
/// the one that it corrects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Correction {
    /// Number of the load in the same stream that has the rows.
    pub sequence: u64,
    /// How that load was ingested.
    pub kind: LoadKind,
    /// Fingerprints of the rows in quarantine, in the order of the rows that correct them.
    pub fingerprints: Vec<String>,
    /// Number of the decision about the rows.
    pub decision: u64,
    pub who: String,
    pub why: String,
}

/// What a load was read from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SourceObject {
    /// `database.table`, a file below the extract folder, or a key below `landing/`.
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<DateTime<Utc>>,
}

impl SourceObject {
    /// The last part of the name.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.name.rsplit_once('/').map_or(self.name.as_str(), |(_, name)| name)
    }
}

impl From<&ObjectMeta> for SourceObject {
    fn from(meta: &ObjectMeta) -> Self {
        Self { name: meta.location.to_string(), size: Some(meta.size), last_modified: Some(meta.last_modified) }
    }
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
    pub source: SourceObject,
    pub content_hash: String,
    pub mappings_hash: String,
    pub reason: String,
    pub refused_at: DateTime<Utc>,
}

/// A file that was looked at and makes no load: `bronze/<stream>/_seen/<source>.json`. It is looked at again
/// when it changes, or when its feed's configuration finds another date in its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub run_id: String,
    pub datasource: String,
    pub source: SourceObject,
    /// The date that a whole list said of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<NaiveDate>,
    pub content_hash: String,
    pub why: SeenWhy,
    /// The same in words, for the report.
    pub note: String,
    pub seen_at: DateTime<Utc>,
}

/// Why a file makes no load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeenWhy {
    /// The load before it has the same content. Of whole lists its place counts from then on.
    SameContent,
    /// It is a whole list that is older than the last one taken.
    Older,
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
    /// The log of a stream, such as `hosa/patients` or `claims/hos-a`.
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
        self.read_if_exists(1).await
    }

    /// The load of a sequence number, if there is one.
    pub async fn read_if_exists(&self, sequence: u64) -> Result<Option<Manifest>> {
        let key = self.key(sequence);
        let Some(bytes) = self.lake.get_if_exists(&key).await? else { return Ok(None) };
        Ok(Some(from_json(&key, &bytes)?))
    }

    /// The last load, if there is one. It reads one manifest, whatever the length of the log.
    ///
    /// # Errors
    /// The store fails, or the manifest cannot be read.
    pub async fn last(&self) -> Result<Option<Manifest>> {
        let cached = self.lake.manifests().last(self.stream);
        let known = match &cached {
            Some(load) => load.sequence,
            None => self.last_checkpoint(0).await?.unwrap_or(0),
        };
        let listed = self.lake.list_after(&self.folder(), &self.key(known)).await?;
        if let Some(meta) = listed.last() {
            return Ok(Some(self.read(meta.location.as_ref()).await?));
        }
        if cached.is_some() || known == 0 {
            return Ok(cached);
        }
        if let Some(load) = self.read_if_exists(known).await? {
            return Ok(Some(load));
        }
        // The checkpoint goes further than the log.
        match self.lake.list(&self.folder()).await?.last() {
            Some(meta) => Ok(Some(self.read(meta.location.as_ref()).await?)),
            None => Ok(None),
        }
    }

    /// The loads after a sequence number, in order; all of them after 0. It reads the last checkpoint and the
    /// manifests after that, and none that this process has read before.
    ///
    /// # Errors
    /// The store fails, or a number is missing between two loads.
    pub async fn after(&self, sequence: u64) -> Result<Vec<Manifest>> {
        let mut loads = match self.lake.manifests().after(self.stream, sequence) {
            Some(known) => known,
            None => self.checkpointed(sequence).await?,
        };
        let reached = loads.last().map_or(sequence, |load| load.sequence);
        let listed = self.lake.list_after(&self.folder(), &self.key(reached)).await?;
        let reads = listed.into_iter().map(async |meta| self.read(meta.location.as_ref()).await);
        let read: Vec<Manifest> = futures::stream::iter(reads).buffered(READS_AT_ONCE).try_collect().await?;
        for (expected, load) in (reached + 1..).zip(&read) {
            if load.sequence != expected {
                let message = format!("stream `{}` has no load {expected} but a later one", self.stream);
                return Err(StageError::corrupt_lake(message));
            }
        }
        loads.extend(read);
        self.lake.manifests().keep(self.stream, &loads);
        Ok(loads)
    }

    /// Takes the manifest's sequence number; [`PutOutcome::AlreadyThere`] if another load has it. Writes a checkpoint
    /// of the log if one may be due.
    ///
    /// # Errors
    /// The store fails. That a checkpoint is not written is no error.
    pub async fn commit(&self, manifest: &Manifest) -> Result<PutOutcome> {
        let key = self.key(manifest.sequence);
        let outcome = match self.lake.put_if_absent(&key, to_json(manifest)?).await? {
            PutOutcome::Created => PutOutcome::Created,
            // A store that repeats a put after a lost answer finds its own first try there.
            PutOutcome::AlreadyThere if self.read(&key).await?.load_id == manifest.load_id => PutOutcome::Created,
            PutOutcome::AlreadyThere => PutOutcome::AlreadyThere,
        };
        if outcome == PutOutcome::Created && manifest.sequence.is_multiple_of(CHECKPOINT_INTERVAL) {
            self.try_checkpoint().await;
        }
        Ok(outcome)
    }

    /// Notes that a file is refused. Once is enough: the same file under the same mappings is
    /// passed over from now on.
    pub async fn refuse(&self, refusal: &Refusal) -> Result<PutOutcome> {
        let file = refused::file_of(&refusal.content_hash, &refusal.source);
        let key = format!("{}/{file}-{}.json", self.refused_folder(), short(&refusal.mappings_hash));
        self.lake.put_if_absent(&key, to_json(refusal)?).await
    }

    /// Files that are passed over under the mappings of this hash: those that were refused under them, whenever
    /// that was, and those that a person has dismissed.
    pub async fn refusals(&self, mappings_hash: &str) -> Result<Vec<Refusal>> {
        let mappings = short(mappings_hash);
        let listed = self.lake.list(&self.refused_folder()).await?;
        let keys = listed.into_iter().map(|meta| String::from(meta.location));
        let keys = keys.filter(|key| refused::is_passed_over(key, mappings));
        let reads = keys.map(async |key| from_json(&key, &self.lake.get(&key).await?));
        futures::stream::iter(reads).buffered(READS_AT_ONCE).try_collect().await
    }

    /// Notes that a file makes no load, so that it is not looked at again.
    pub async fn see(&self, seen: &Seen) -> Result<PutOutcome> {
        let name = seen::name_of(&seen.source, seen.release);
        self.lake.put_if_absent(&format!("{}/{name}", self.seen_folder()), to_json(seen)?).await
    }

    /// Files of a feed that make no load.
    pub async fn seen(&self, feed: &Feed) -> Result<Vec<Seen>> {
        let listed = self.lake.list(&self.seen_folder()).await?;
        let keys = listed.into_iter().map(|meta| String::from(meta.location));
        let reads = keys.map(async |key| from_json(&key, &self.lake.get(&key).await?));
        let mut seen: Vec<Seen> = futures::stream::iter(reads).buffered(READS_AT_ONCE).try_collect().await?;
        seen.retain(|seen| seen.release == feed.release_of(seen.source.file_name()));
        Ok(seen)
    }

    /// Keys of data files that were written before a moment and that no load names: of tries that
    /// ended early, or that another one was ahead of. The loads are only read if there are more data
    /// files than loads.
    ///
    /// # Errors
    /// The store fails, or the log cannot be read.
    pub async fn leftovers(&self, before: DateTime<Utc>) -> Result<Vec<String>> {
        let data = self.lake.list(&format!("bronze/{}/data", self.stream)).await?;
        if data.len() as u64 <= self.last().await?.map_or(0, |last| last.sequence) {
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

/// A value as the JSON of an object of the lake.
///
/// # Errors
/// `CorruptLake` if it is none.
pub fn to_json<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(value).map_err(|error| StageError::corrupt_lake(format!("writing JSON: {error}")))
}

/// The value of an object of the lake that is JSON.
///
/// # Errors
/// `CorruptLake` with the key if it is another value, or none.
pub fn from_json<T: serde::de::DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| StageError::corrupt_lake(format!("`{key}`: {error}")))
}
