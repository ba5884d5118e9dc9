//! Some tables of the lake, opened together.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use polars::prelude::LazyFrame;
use rcm_platform::error::Result;
use rcm_platform::lake::Lake;

use crate::delta::{DataFile, Table};

/// Version that stands for a table that is not there.
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

    /// The version of the table at a path, as a commit that is made from it records it. A table that
    /// was only compacted since is the same to it; one that was removed and made anew is another.
    #[must_use]
    pub fn made_from(&self, path: &str) -> (String, i64) {
        match self.0.get(path) {
            Some(Opened { table: Some(table), data_version }) => (format!("{path}@{}", table.id()), *data_version),
            _ => (path.to_owned(), NO_TABLE),
        }
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
        Ok(Some(table.scan(&current_files(table)).await?))
    }

    /// The files with current versions of the silver table at a path, bucket by bucket: a key is
    /// in one bucket.
    #[must_use]
    pub fn current_buckets(&self, path: &str) -> Vec<Vec<DataFile>> {
        let mut buckets: BTreeMap<Option<String>, Vec<DataFile>> = BTreeMap::new();
        for file in self.get(path).map(current_files).unwrap_or_default() {
            buckets.entry(file.partition_value("bucket").map(str::to_owned)).or_default().push(file);
        }
        buckets.into_values().collect()
    }
}

async fn open(lake: &Lake, path: &str) -> Result<Opened> {
    let table = Table::open(lake, path).await?;
    let data_version = match &table {
        Some(table) => table.data_version().await?,
        None => NO_TABLE,
    };
    Ok(Opened { table, data_version })
}

fn current_files(table: &Table) -> Vec<DataFile> {
    table.files().iter().filter(|file| file.partition_value("is_current") == Some("true")).cloned().collect()
}
