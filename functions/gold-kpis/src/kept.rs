//! Sums of buckets that are kept for the next run, which reads them in place of the silver files of a bucket that has not
//! changed.
//!
//! One object per bucket, written over the last one: a line of JSON that says what the sums were made from, then a Parquet
//! file per KPI, then the rows that are summed up with those of other buckets.

use std::io::Cursor;

use polars::prelude::*;
use rcm_domain::kpi::parts::Sums;
use rcm_domain::kpi::{Kpi, LeftOut};
use rcm_model::cdm::Entity;
use rcm_platform::StageError;
use rcm_platform::lake::Lake;
use rcm_tables::frames::blocking;
use rcm_tables::gold::Bucket;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// What a bucket says: the sums of its rows, and the rows that are summed up with those of other buckets.
#[derive(Debug, Clone)]
pub(crate) struct OfBucket {
    pub sums: Vec<Sums>,
    pub apart: DataFrame,
}

/// The first line of an object.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    /// What the sums were made from.
    fingerprint: u64,
    /// Hash of the bytes after this line.
    hash: u64,
    kpis: Vec<KeptKpi>,
}

/// The sums of one KPI.
#[derive(Debug, Serialize, Deserialize)]
struct KeptKpi {
    table: String,
    /// Cents, as texts: a number of JSON is too narrow.
    straight: Vec<String>,
    left_out: LeftOut,
    /// Length of its Parquet file.
    bytes: usize,
}

/// Where the sums of a bucket are kept.
pub(crate) struct Kept<'a> {
    lake: &'a Lake,
    key: String,
    fingerprint: u64,
}

impl<'a> Kept<'a> {
    /// Those of a bucket of an entity; `fingerprint` says what they are made from.
    pub(crate) fn new(lake: &'a Lake, entity: &Entity, bucket: &Bucket, fingerprint: u64) -> Self {
        let key = format!("gold/kpi_sums/{}/{}", entity.name, bucket.name.as_deref().unwrap_or("none"));
        Self { lake, key, fingerprint }
    }

    /// Returns the sums of some KPIs if those that are kept were made from the same; none if they were not, if a KPI is not
    /// among them, or if the object is damaged.
    ///
    /// # Errors
    /// The store fails.
    pub(crate) async fn read(&self, kpis: &[&'static Kpi]) -> Result<Option<OfBucket>, StageError> {
        let Some(bytes) = self.lake.get_if_exists(&self.key).await? else { return Ok(None) };
        let (fingerprint, kpis) = (self.fingerprint, kpis.to_vec());
        blocking(move || Ok(decoded(&bytes, fingerprint, &kpis))).await
    }

    /// Keeps the sums of some KPIs.
    ///
    /// # Errors
    /// The store fails.
    pub(crate) async fn write(&self, kpis: &[&'static Kpi], of_bucket: &OfBucket) -> Result<(), StageError> {
        let (fingerprint, kpis, of_bucket) = (self.fingerprint, kpis.to_vec(), of_bucket.clone());
        let bytes = blocking(move || encoded(fingerprint, &kpis, &of_bucket)).await?;
        self.lake.put(&self.key, bytes).await
    }
}

fn encoded(fingerprint: u64, kpis: &[&'static Kpi], of_bucket: &OfBucket) -> Result<Vec<u8>, StageError> {
    let (mut kept, mut files) = (Vec::new(), Vec::new());
    for (kpi, sums) in kpis.iter().zip(&of_bucket.sums) {
        let frame = sums.frame().ok_or_else(|| StageError::internal("sums of several parts are not kept"))?;
        let before = files.len();
        ParquetWriter::new(&mut files).finish(&mut frame.clone())?;
        kept.push(KeptKpi {
            table: kpi.table.to_owned(),
            straight: sums.straight().iter().map(ToString::to_string).collect(),
            left_out: sums.left_out,
            bytes: files.len() - before,
        });
    }
    ParquetWriter::new(&mut files).finish(&mut of_bucket.apart.clone())?;
    let header = Header { fingerprint, hash: xxh3_64(&files), kpis: kept };
    let header = serde_json::to_vec(&header).map_err(|_| StageError::internal("sums cannot be written as JSON"))?;
    Ok([header, b"\n".to_vec(), files].concat())
}

fn decoded(bytes: &[u8], fingerprint: u64, kpis: &[&'static Kpi]) -> Option<OfBucket> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let header: Header = serde_json::from_slice(&bytes[..end]).ok()?;
    let mut rest = &bytes[end + 1..];
    if header.fingerprint != fingerprint || header.hash != xxh3_64(rest) {
        return None;
    }
    let mut kept = Vec::new();
    for kpi in header.kpis {
        let (file, after) = rest.split_at_checked(kpi.bytes)?;
        rest = after;
        if !kpis.iter().any(|wanted| wanted.table == kpi.table) {
            continue;
        }
        let straight = kpi.straight.iter().map(|cents| cents.parse().ok()).collect::<Option<Vec<i128>>>()?;
        kept.push((kpi.table, Sums::new(frame(file)?, straight, kpi.left_out)));
    }
    let of_kpi = |kpi: &&'static Kpi| {
        let place = kept.iter().position(|(table, _)| table == kpi.table)?;
        Some(kept[place].1.clone())
    };
    Some(OfBucket { sums: kpis.iter().map(of_kpi).collect::<Option<_>>()?, apart: frame(rest)? })
}

fn frame(file: &[u8]) -> Option<DataFrame> {
    ParquetReader::new(Cursor::new(file)).finish().ok()
}
