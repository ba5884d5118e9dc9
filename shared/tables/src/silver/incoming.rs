//! The good rows of a batch, by bucket: in memory, and beyond a size in the lake until the batch is committed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use futures::future::try_join_all;
use polars::prelude::*;
use rcm_domain::scd2::LOAD_ID;
use rcm_platform::context::Context;
use rcm_platform::error::{Result, StageError};
use rcm_platform::stage::new_id;
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::chunks::{ParquetFile, encode_for_now, stacked};
use crate::frames::{self, blocking};

/// Folder below a silver table with rows of batches that are being ingested. Readers and vacuum pass over names that begin
/// like this one.
pub const FOLDER: &str = "_incoming";
/// Parts in which rows are encoded at the same time when they are put down.
const AT_ONCE: usize = 2;

/// Rows in the order of their buckets.
#[derive(Debug, Clone)]
pub(super) struct ByBucket {
    rows: DataFrame,
    /// First row and number of rows, by bucket.
    places: BTreeMap<i32, (usize, usize)>,
}

impl ByBucket {
    /// Puts rows in the order of their column `bucket`; those of one bucket stay in their order.
    ///
    /// # Errors
    /// A row has no bucket.
    pub(super) fn of(rows: &DataFrame) -> Result<Self> {
        let buckets = rows.column("bucket")?.i32()?;
        let mut places: BTreeMap<i32, (usize, usize)> = BTreeMap::new();
        for bucket in buckets.iter() {
            let bucket = bucket.ok_or_else(|| StageError::internal("a row has no bucket"))?;
            places.entry(bucket).or_default().1 += 1;
        }
        if places.len() < 2 {
            return Ok(Self { rows: rows.clone(), places });
        }
        let (mut next, mut first) = (BTreeMap::new(), 0);
        for (bucket, place) in &mut places {
            place.0 = first;
            next.insert(*bucket, first);
            first += place.1;
        }
        let mut order = vec![0 as IdxSize; rows.height()];
        for (row, bucket) in (0..).zip(buckets.iter()) {
            let Some(at) = bucket.and_then(|bucket| next.get_mut(&bucket)) else { continue };
            order[*at] = row;
            *at += 1;
        }
        Ok(Self { rows: rows.take(&IdxCa::from_vec("row".into(), order))?, places })
    }

    /// All rows.
    pub(super) fn into_rows(self) -> DataFrame {
        self.rows
    }

    fn of_bucket(&self, bucket: i32) -> Option<DataFrame> {
        self.places.get(&bucket).map(|(first, rows)| self.rows.slice(*first as i64, *rows))
    }
}

/// Rows that were put down in the lake: an object with a row group for each bucket.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct PutDown {
    key: String,
    /// Of the object, in bytes.
    size: u64,
    /// Of the rows in memory, in bytes.
    in_memory: u64,
    /// Bucket of each row group.
    buckets: Vec<i32>,
}

/// The good rows of a batch.
pub(super) struct Incoming {
    /// Folder in the lake.
    folder: String,
    /// Bytes of rows that are kept in memory.
    most_bytes: usize,
    put_down: Vec<PutDown>,
    /// Of each object that was put down.
    footers: Vec<ParquetFile>,
    held: Vec<ByBucket>,
    held_bytes: usize,
    /// Loads whose rows are left out.
    refused: BTreeSet<String>,
    /// No rows, with the columns of all.
    none: Option<DataFrame>,
}

impl Incoming {
    /// No rows yet. `path` is that of the silver table.
    pub(super) fn new(context: &Context, path: &str) -> Self {
        let most_bytes = context.settings.sources.silver.memory_mb as usize * 1024 * 1024;
        let folder = format!("{path}/{FOLDER}/{}", new_id(context.now()));
        Self {
            folder,
            most_bytes,
            put_down: Vec::new(),
            footers: Vec::new(),
            held: Vec::new(),
            held_bytes: 0,
            refused: BTreeSet::new(),
            none: None,
        }
    }

    /// The rows that were put down in a folder.
    ///
    /// # Errors
    /// The store fails.
    pub(super) async fn of_put_down(
        context: &Context,
        folder: &str,
        put_down: Vec<PutDown>,
        refused: BTreeSet<String>,
    ) -> Result<Self> {
        let mut incoming = Self { folder: folder.to_owned(), refused, ..Self::new(context, "") };
        for PutDown { key, size, .. } in &put_down {
            incoming.footers.push(ParquetFile::footer(&context.lake, key, *size).await?.without_bytes());
        }
        if let Some(first) = incoming.footers.first() {
            incoming.none = Some(first.decode_all(0..0)?);
        }
        incoming.put_down = put_down;
        Ok(incoming)
    }

    /// Folder in the lake for what is put down.
    pub(super) fn folder(&self) -> &str {
        &self.folder
    }

    /// What was put down.
    pub(super) fn put_down(&self) -> &[PutDown] {
        &self.put_down
    }

    /// Loads whose rows are left out.
    pub(super) fn refused(&self) -> &BTreeSet<String> {
        &self.refused
    }

    /// Bytes of all rows in memory.
    pub(super) fn bytes(&self) -> u64 {
        self.held_bytes as u64 + self.put_down.iter().map(|rows| rows.in_memory).sum::<u64>()
    }

    /// Puts all rows down in the lake that were not.
    ///
    /// # Errors
    /// The store fails.
    pub(super) async fn put_all_down(&mut self, context: &Context) -> Result<()> {
        if self.held.is_empty() { Ok(()) } else { self.put_held_down(context).await }
    }

    /// Ends the taking of rows: if some were put down, so are the others. The memory is for the buckets then.
    ///
    /// # Errors
    /// The store fails.
    pub(super) async fn end(&mut self, context: &Context) -> Result<()> {
        if self.put_down.is_empty() { Ok(()) } else { self.put_all_down(context).await }
    }

    /// Takes rows of the next load, or more rows of the last one.
    ///
    /// # Errors
    /// The store fails.
    pub(super) async fn push(&mut self, context: &Context, rows: ByBucket) -> Result<()> {
        self.none.get_or_insert_with(|| rows.rows.clear());
        if rows.rows.height() == 0 {
            return Ok(());
        }
        self.held_bytes += rows.rows.estimated_size();
        self.held.push(rows);
        if self.held_bytes > self.most_bytes { self.put_held_down(context).await } else { Ok(()) }
    }

    /// Leaves out the rows of a load that was refused.
    pub(super) fn refuse(&mut self, load_id: &str) {
        self.refused.insert(load_id.to_owned());
    }

    /// The buckets that rows belong to.
    pub(super) fn buckets(&self) -> BTreeSet<i32> {
        let held = self.held.iter().flat_map(|rows| rows.places.keys());
        held.chain(self.put_down.iter().flat_map(|rows| &rows.buckets)).copied().collect()
    }

    /// The rows of a bucket, in the order of the loads and of the rows in them.
    ///
    /// # Errors
    /// The store fails.
    pub(super) async fn of_bucket(&self, context: &Context, bucket: i32) -> Result<DataFrame> {
        let mut found = self.none.clone().into_iter().collect::<Vec<_>>();
        for (PutDown { key, buckets, .. }, footer) in self.put_down.iter().zip(&self.footers) {
            let Some(group) = buckets.iter().position(|other| *other == bucket) else { continue };
            let file = footer.clone().with_groups(group..group + 1, &context.lake, key).await?;
            found.push(blocking(move || file.decode_all(group..group + 1)).await?);
        }
        found.extend(self.held.iter().filter_map(|rows| rows.of_bucket(bucket)));
        let refused = self.refused.clone();
        blocking(move || {
            let mut rows = frames::stacked(found)?;
            if !refused.is_empty() {
                rows = without(&rows, &refused)?;
            }
            rows.rechunk_mut();
            Ok(rows)
        })
        .await
    }

    /// Puts the rows that are in memory down in the lake.
    async fn put_held_down(&mut self, context: &Context) -> Result<()> {
        let held = Arc::new(std::mem::take(&mut self.held));
        let in_memory = std::mem::take(&mut self.held_bytes) as u64;
        let key = format!("{}/{}.parquet", self.folder, self.put_down.len());
        let all: BTreeSet<i32> = held.iter().flat_map(|rows| rows.places.keys().copied()).collect();
        let parts = (0..AT_ONCE).map(|part| {
            let (held, buckets) = (Arc::clone(&held), all.iter().copied().skip(part).step_by(AT_ONCE).collect());
            blocking(move || groups_of(&held, buckets))
        });
        let mut groups: Vec<(i32, ParquetFile)> = try_join_all(parts).await?.into_iter().flatten().collect();
        drop(held);
        groups.sort_by_key(|(bucket, _)| *bucket);
        let (buckets, groups): (Vec<i32>, Vec<ParquetFile>) = groups.into_iter().unzip();
        let bytes = blocking(move || stacked(&groups)).await?;
        let size = bytes.len() as u64;
        let bytes = Bytes::from(bytes);
        let footer = ParquetFile::whole(bytes.clone())?.without_bytes();
        context.lake.put(&key, bytes).await?;
        self.put_down.push(PutDown { key, size, in_memory, buckets });
        self.footers.push(footer);
        Ok(())
    }

    /// Removes what was put down. What cannot be removed is left to maintenance.
    pub(super) async fn discard(&self, context: &Context) {
        let keys: Vec<String> = self.put_down.iter().map(|rows| rows.key.clone()).collect();
        if keys.is_empty() {
            return;
        }
        if let Err(error) = context.lake.delete_all(keys).await {
            warn!(error = error.name(), message = %error, "rows of a batch that were put down are not removed");
        }
    }
}

/// The rows of some buckets, as a file with one row group for each.
fn groups_of(held: &[ByBucket], buckets: Vec<i32>) -> Result<Vec<(i32, ParquetFile)>> {
    let group = |bucket: i32| {
        let mut rows = frames::stacked(held.iter().filter_map(|rows| rows.of_bucket(bucket)))?;
        rows.rechunk_mut();
        Ok((bucket, ParquetFile::whole(encode_for_now(&rows)?.into())?))
    };
    buckets.into_iter().map(group).collect()
}

/// The rows that are not of some loads.
fn without(rows: &DataFrame, refused: &BTreeSet<String>) -> Result<DataFrame> {
    let loads = rows.column(LOAD_ID)?.str()?;
    let stays: BooleanChunked = loads.iter().map(|load| load.is_none_or(|load| !refused.contains(load))).collect();
    Ok(rows.filter(&stays)?)
}
