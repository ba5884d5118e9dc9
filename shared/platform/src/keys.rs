//! Keys of rows in bronze: read from the columns that a mapping makes an entity's id of, compared by hash.

use std::cmp::Reverse;

use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use rcm_model::cdm::reading::IdCase;
use rcm_model::cdm::{ColumnSource, Entity, KEY_SEPARATOR, Mapping, SourceColumn, reading};
use xxhash_rust::xxh3::xxh3_64;

use crate::bronze::Manifest;
use crate::bronze_file::for_each_row_of;
use crate::csv_stream::Moments;
use crate::error::Result;
use crate::lake::Lake;

/// Data files that are read at the same time.
const READS_AT_ONCE: usize = 8;
/// Rows of loads from which on their files are large: few of them are read at the same time.
const MANY_ROWS: u64 = 4_000_000;

/// The source's columns that make the id of an entity, in the layout of a source.
pub(crate) fn id_columns<'a>(mapping: &'a Mapping, entity: &Entity, source_name: &str) -> &'a [SourceColumn] {
    let source = mapping.columns(entity.name, source_name).and_then(|columns| columns.source(entity.id()));
    source.map_or(&[], ColumnSource::parts)
}

/// How ids of a source are hashed: as silver reads them, so that two ways of writing one id have one hash.
#[derive(Debug, Clone)]
pub(crate) struct KeyHash {
    null_words: Vec<String>,
    case: Option<IdCase>,
}

impl KeyHash {
    pub(crate) fn of(mapping: &Mapping) -> Self {
        Self { null_words: mapping.null_words.clone(), case: mapping.id_case }
    }

    /// The hash of an id, given the texts of its columns.
    pub(crate) fn hash<'a>(&self, id: impl IntoIterator<Item = &'a str>) -> u64 {
        let part = |part: &'a str| reading::id(part, &self.null_words, self.case).unwrap_or_default();
        xxh3_64(id.into_iter().map(part).collect::<Vec<_>>().join(KEY_SEPARATOR).as_bytes())
    }
}

/// The latest watermark of every key that some loads hold. 16 bytes of memory per row of the loads.
#[derive(Debug)]
pub struct LoadedKeys {
    /// Columns that make the id, of the file that is held against the loads.
    id: Vec<SourceColumn>,
    hash: KeyHash,
    /// By hash of the key, in microseconds since 1970. A hash table would take twice as much.
    newest: Vec<(u64, i64)>,
}

/// What the keys and watermarks of rows are read by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyReading<'a> {
    pub(crate) mapping: &'a Mapping,
    pub(crate) entity: &'static Entity,
    /// The column of the watermarks.
    pub(crate) watermark: &'a str,
    pub(crate) moments: &'a Moments,
    /// Later watermarks are mistyped ones, and not counted.
    pub(crate) until: DateTime<Utc>,
}

impl LoadedKeys {
    /// Reads the id and watermark columns of loads, to hold the file `name` against them. A row without a
    /// readable watermark does not count, nor does a load that lacks one of the columns: what is held against
    /// them is then taken once more.
    ///
    /// # Errors
    /// A data file cannot be read.
    pub(crate) async fn read(lake: &Lake, loads: &[&Manifest], reading: KeyReading<'_>, name: &str) -> Result<Self> {
        let hash = KeyHash::of(reading.mapping);
        let rows: u64 = loads.iter().map(|load| load.rows).sum();
        let mut newest: Vec<(u64, i64)> = Vec::with_capacity(usize::try_from(rows).unwrap_or(0));
        let files = loads.iter().flat_map(|load| load.data_files.iter().map(|file| (*load, file.as_str())));
        let reads: Vec<_> = files.map(|(load, file)| watermarks(lake, load, file, reading, &hash)).collect();
        let at_once = if rows > MANY_ROWS { 2 } else { READS_AT_ONCE };
        let mut reads = stream::iter(reads).buffer_unordered(at_once);
        while let Some(watermarks) = reads.try_next().await? {
            newest.extend(watermarks);
        }
        drop(reads);
        newest.sort_unstable_by_key(|(key, watermark)| (*key, Reverse(*watermark)));
        newest.dedup_by_key(|(key, _)| *key);
        let id = id_columns(reading.mapping, reading.entity, name).to_vec();
        Ok(Self { id, hash, newest })
    }

    /// Columns that make the id of a row.
    pub(crate) fn id(&self) -> &[SourceColumn] {
        &self.id
    }

    /// Whether a load has the key with this watermark or a later one.
    pub(crate) fn has<'a>(&self, id: impl IntoIterator<Item = &'a str>, watermark: DateTime<Utc>) -> bool {
        let key = self.hash.hash(id);
        let found = self.newest.binary_search_by_key(&key, |(key, _)| *key).ok().map(|at| self.newest[at].1);
        found.is_some_and(|newest| watermark.timestamp_micros() <= newest)
    }
}

/// Hashes and watermarks of the rows of one data file, the watermarks in microseconds since 1970.
async fn watermarks(
    lake: &Lake,
    load: &Manifest,
    file: &str,
    reading: KeyReading<'_>,
    hash: &KeyHash,
) -> Result<Vec<(u64, i64)>> {
    let id = id_columns(reading.mapping, reading.entity, &load.source.name);
    let columns: Vec<SourceColumn> = id.iter().cloned().chain([reading.watermark.into()]).collect();
    let mut found = Vec::new();
    for_each_row_of(lake, file, &columns, |values| {
        let Some((watermark, id)) = values.split_last() else { return };
        if let Some(watermark) = reading.moments.read(watermark).filter(|moment| *moment <= reading.until) {
            found.push((hash.hash(id.iter().copied()), watermark.timestamp_micros()));
        }
    })
    .await?;
    Ok(found)
}
