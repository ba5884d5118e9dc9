//! Some tables of the lake, opened together.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use polars::prelude::{LazyFrame, col};
use rcm_domain::cdm::silver_schema;
use rcm_model::cdm;
use rcm_platform::error::Result;
use rcm_platform::lake::Lake;
use xxhash_rust::xxh3::xxh3_64;

use super::buckets::Bucket;
use crate::delta::{DataFile, Table};
use crate::silver::is_open;

/// Stands for a table that is not there.
const NO_TABLE: i64 = -1;

/// Some tables of the lake by their paths, each as it was when it was opened.
pub struct Tables(BTreeMap<String, Opened>);

struct Opened {
    table: Option<Table>,
    data_version: i64,
}

impl Tables {
    /// Opens the tables at once; one that is not there is no error.
    ///
    /// # Errors
    /// A log cannot be read.
    pub async fn open(lake: &Lake, paths: impl IntoIterator<Item = String>) -> Result<Self> {
        let paths: BTreeSet<String> = paths.into_iter().collect();
        let tables = try_join_all(paths.iter().map(|path| open(lake, path))).await?;
        Ok(Self(paths.into_iter().zip(tables).collect()))
    }

    /// The table at a path; none where it is not there or was not asked for.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Table> {
        self.0.get(path)?.table.as_ref()
    }

    /// Returns what a commit that is made from the table at a path records of it, as an application transaction: its
    /// path, and a hash of its identifier and of the last version that changed a row. A table that was only compacted
    /// since has the same hash; one that was removed and made anew has another.
    #[must_use]
    pub fn made_from(&self, path: &str) -> (String, i64) {
        let hash = match self.0.get(path) {
            Some(Opened { table: Some(table), data_version }) => {
                xxh3_64(format!("{} {data_version}", table.id()).as_bytes()).cast_signed()
            }
            _ => NO_TABLE,
        };
        (path.to_owned(), hash)
    }

    /// A scan of the table at a path; none where it is not there.
    ///
    /// # Errors
    /// A file cannot be read.
    pub async fn scan(&self, path: &str) -> Result<Option<LazyFrame>> {
        match self.get(path) {
            Some(table) => Ok(Some(table.scan(table.files()).await?)),
            None => Ok(None),
        }
    }

    /// A scan of the current versions in the silver table at a path; none where it is not there.
    ///
    /// # Errors
    /// A file cannot be read.
    pub async fn scan_current(&self, path: &str) -> Result<Option<LazyFrame>> {
        let Some(table) = self.get(path) else { return Ok(None) };
        Ok(Some(table.scan(&current_files(table)).await?.filter(col("is_current"))))
    }

    /// The files of the silver table at a path that have current versions, among closed ones, bucket by bucket: a key
    /// is in one bucket.
    #[must_use]
    pub fn current_buckets(&self, path: &str) -> Vec<Bucket> {
        by_bucket(self.get(path).map(current_files).unwrap_or_default())
    }

    /// All files of the silver table at a path, bucket by bucket.
    #[must_use]
    pub fn buckets(&self, path: &str) -> Vec<Bucket> {
        by_bucket(self.get(path).map(|table| table.files().to_vec()).unwrap_or_default())
    }
}

fn by_bucket(files: Vec<DataFile>) -> Vec<Bucket> {
    let mut buckets: BTreeMap<Option<String>, Vec<DataFile>> = BTreeMap::new();
    for file in files {
        buckets.entry(file.partition_value("bucket").map(str::to_owned)).or_default().push(file);
    }
    buckets.into_iter().map(|(name, files)| Bucket { name, files }).collect()
}

/// Opens a table. A silver table of an older version of the product is read as if it had all columns of its entity.
async fn open(lake: &Lake, path: &str) -> Result<Opened> {
    let entity = path.strip_prefix("silver/").and_then(cdm::entity);
    let table = match entity {
        Some(entity) => Table::open_with(lake, path, &silver_schema(entity)).await?,
        None => Table::open(lake, path).await?,
    };
    let data_version = match &table {
        Some(table) => table.data_version().await?,
        None => NO_TABLE,
    };
    Ok(Opened { table, data_version })
}

/// The files that may have current versions.
fn current_files(table: &Table) -> Vec<DataFile> {
    table.files().iter().filter(|file| is_open(file)).cloned().collect()
}
