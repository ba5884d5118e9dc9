//! A Delta table at one version.

use std::collections::HashMap;
use std::sync::Arc;

use deltalake::kernel::{LogicalFileView, Remove};
use deltalake::logstore::{LogStoreRef, StorageConfig, default_logstore};
use deltalake::{DeltaTable, DeltaTableError};
use futures::TryStreamExt;
use object_store::prefix::PrefixStore;
use polars::prelude::*;
use polars_buffer::Buffer;
use rcm_platform::error::{Result, StageError};
use rcm_platform::lake::Lake;
use serde_json::Value;
use url::Url;

use super::{schema, write};

/// Application transaction with the last version of a table that changed a row.
pub(super) const DATA_VERSION: &str = "rcm.data_version";

/// What the log says of the rows of a commit.
enum CommitRows {
    /// The commit records the last version that changed a row.
    Recorded(i64),
    /// It adds or removes rows.
    Changed,
    /// It leaves the rows as they are.
    Unchanged,
    /// The log does not go back that far.
    Unknown,
}

/// A Delta table of the lake, at the version that it had when it was opened.
pub struct Table {
    lake: Lake,
    path: String,
    inner: DeltaTable,
    schema: Schema,
    /// Columns that scans show as null although the table lacks them.
    lacking: Schema,
    files: Vec<DataFile>,
}

/// One active data file of a table.
#[derive(Clone)]
pub struct DataFile {
    view: LogicalFileView,
    partition_values: HashMap<String, Option<String>>,
}

impl DataFile {
    /// Path below the table's own folder.
    #[must_use]
    pub fn path(&self) -> String {
        self.view.object_store_path().to_string()
    }

    /// Value of a partition column, as the log writes it.
    #[must_use]
    pub fn partition_value(&self, column: &str) -> Option<&str> {
        self.partition_values.get(column)?.as_deref()
    }

    /// Rows, as the log counts them.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.view.num_records().unwrap_or(0) as u64
    }

    /// The latest moment of a column in microseconds, or up to a millisecond later; none where the log does
    /// not say.
    #[must_use]
    pub fn latest(&self, column: &str) -> Option<i64> {
        let statistics: Value = serde_json::from_str(&self.view.stats()?).ok()?;
        let latest = statistics.get("maxValues")?.get(column)?.as_str()?;
        // Checkpoints may keep no more than milliseconds.
        Some(chrono::DateTime::parse_from_rfc3339(latest).ok()?.timestamp_micros() + 999)
    }

    /// Nulls of a column; none where the log does not say.
    #[must_use]
    pub fn nulls(&self, column: &str) -> Option<u64> {
        let statistics: Value = serde_json::from_str(&self.view.stats()?).ok()?;
        statistics.get("nullCount")?.get(column)?.as_u64()
    }

    /// The least number of a column; none where the log does not say.
    #[must_use]
    pub fn least(&self, column: &str) -> Option<f64> {
        let statistics: Value = serde_json::from_str(&self.view.stats()?).ok()?;
        statistics.get("minValues")?.get(column)?.as_f64()
    }

    /// The mark that the file was written with; none where it was written without one.
    #[must_use]
    pub fn mark(&self) -> Option<u64> {
        write::mark_of(&self.path())
    }

    /// Bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.view.size().unsigned_abs()
    }

    pub(super) fn view(&self) -> &LogicalFileView {
        &self.view
    }

    pub(super) fn remove(&self) -> Remove {
        self.view.remove_action(true)
    }
}

impl Table {
    /// Opens a table of the lake, such as `silver/patients`; none where there is no such table yet.
    ///
    /// # Errors
    /// The log cannot be read, or has columns of a type that the lake does not use.
    pub async fn open(lake: &Lake, path: &str) -> Result<Option<Self>> {
        let mut inner = DeltaTable::new(log_store(lake, path)?);
        let failed = |error: DeltaTableError| StageError::from(error).in_table(path);
        if !inner.verify_deltatable_existence().await.map_err(failed)? {
            return Ok(None);
        }
        inner.load().await.map_err(failed)?;
        Self::of(lake, path, inner).await.map(Some)
    }

    /// The table that delta-rs has loaded.
    pub(super) async fn of(lake: &Lake, path: &str, inner: DeltaTable) -> Result<Self> {
        let failed = |error: DeltaTableError| StageError::from(error).in_table(path);
        let state = inner.snapshot().map_err(failed)?;
        let schema = schema::from_delta(state.schema().fields())?;
        let views: Vec<LogicalFileView> =
            inner.get_active_add_actions_by_partitions(&[]).try_collect().await.map_err(failed)?;
        let files =
            views.into_iter().map(|view| DataFile { partition_values: view.partition_values_map(), view }).collect();
        Ok(Self { lake: lake.clone(), path: path.to_owned(), schema, lacking: Schema::default(), files, inner })
    }

    /// Opens a table as [`Table::open`] does. Its scans have all columns of `schema`: those that the table lacks, since
    /// an older version of the product made it, are null.
    ///
    /// # Errors
    /// Those of [`Table::open`].
    pub async fn open_with(lake: &Lake, path: &str, schema: &Schema) -> Result<Option<Self>> {
        Ok(Self::open(lake, path).await?.map(|table| table.showing(schema)))
    }

    /// The table, whose scans have all columns of `schema`: those that it lacks are null.
    #[must_use]
    pub fn showing(mut self, schema: &Schema) -> Self {
        self.lacking = schema.iter_fields().filter(|field| !self.schema.contains(field.name())).collect();
        self
    }

    /// Version of the table that was opened.
    #[must_use]
    pub fn version(&self) -> i64 {
        self.inner.version().map_or(-1, |version| version as i64)
    }

    /// Returns the last version that changed a row: the one that was opened, or an earlier one if later commits only
    /// compacted files, added columns, or recorded loads that brought nothing new.
    ///
    /// Every commit of this version of the product records it, so that it is known however far
    /// back the log goes. The commits of an older version do not: they are read from the last one backwards.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn data_version(&self) -> Result<i64> {
        let mut version = self.version();
        loop {
            match self.rows_of_commit(version).await? {
                CommitRows::Recorded(changed) => return Ok(changed),
                CommitRows::Unchanged if version > 0 => version -= 1,
                CommitRows::Changed | CommitRows::Unchanged => return Ok(version),
                CommitRows::Unknown => return Ok(self.transaction(DATA_VERSION).await?.unwrap_or(version)),
            }
        }
    }

    /// Returns what the log says of the rows of a commit.
    async fn rows_of_commit(&self, version: i64) -> Result<CommitRows> {
        let commit = self.inner.log_store().read_commit_entry(version.unsigned_abs()).await;
        let commit = commit.map_err(|error| StageError::from(error).in_table(&self.path))?;
        let Some(bytes) = commit else { return Ok(CommitRows::Unknown) };
        let changes = |file: &Value| file.get("dataChange").and_then(Value::as_bool).unwrap_or(true);
        let mut rows = CommitRows::Unchanged;
        for action in bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok()) {
            let recorded =
                action.get("txn").filter(|txn| txn.get("appId").and_then(Value::as_str) == Some(DATA_VERSION));
            if let Some(recorded) = recorded.and_then(|txn| txn.get("version")?.as_i64()) {
                return Ok(CommitRows::Recorded(recorded));
            }
            if ["add", "remove"].iter().any(|kind| action.get(kind).is_some_and(changes)) {
                rows = CommitRows::Changed;
            }
        }
        Ok(rows)
    }

    /// Identifier of the table: another one if it is removed and made anew.
    #[must_use]
    pub fn id(&self) -> &str {
        self.inner.snapshot().map_or("", |state| state.metadata().id())
    }

    /// Path below the lake's root.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Columns, the partition columns at their place.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Columns that the table is partitioned by.
    pub fn partition_columns(&self) -> Result<Vec<String>> {
        Ok(self.inner.snapshot()?.metadata().partition_columns().to_vec())
    }

    /// A property that the table was made with.
    ///
    /// # Errors
    /// The table's log was not loaded.
    pub fn property(&self, name: &str) -> Result<Option<String>> {
        Ok(self.inner.snapshot()?.metadata().configuration().get(name).cloned())
    }

    /// The active data files.
    #[must_use]
    pub fn files(&self) -> &[DataFile] {
        &self.files
    }

    /// Rows of the active files.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.files.iter().map(DataFile::rows).sum()
    }

    /// The last version that an application recorded with its commits.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn transaction(&self, application: &str) -> Result<Option<i64>> {
        let state = self.inner.snapshot()?;
        Ok(state.transaction_version(self.inner.log_store().as_ref(), application).await?)
    }

    /// When the version that was opened was committed, in milliseconds since 1970.
    #[must_use]
    pub fn committed_at(&self) -> Option<i64> {
        let state = self.inner.snapshot().ok()?;
        state.version_timestamp(state.version())
    }

    /// Returns a scan of some of the table's files: all columns of the table, the partition columns after the others, and
    /// after those the columns that it lacks (see [`Table::showing`]).
    ///
    /// # Errors
    /// A file cannot be read.
    pub async fn scan(&self, files: &[DataFile]) -> Result<LazyFrame> {
        let partition_columns = self.partition_columns()?;
        let stored: Schema = self
            .schema
            .iter_fields()
            .filter(|field| !partition_columns.iter().any(|column| column == field.name().as_str()))
            .collect();
        let mut groups: Vec<(Vec<Option<String>>, Vec<&DataFile>)> = Vec::new();
        for file in files {
            let values: Vec<_> =
                partition_columns.iter().map(|column| file.partition_value(column).map(str::to_owned)).collect();
            match groups.iter_mut().find(|(known, _)| *known == values) {
                Some((_, group)) => group.push(file),
                None => groups.push((values, vec![file])),
            }
        }
        let mut scans: Vec<LazyFrame> = Vec::with_capacity(groups.len());
        for (values, group) in groups {
            let scan = self.scan_files(&group, &stored).await?;
            let values = partition_columns.iter().zip(values);
            scans.push(
                scan.with_columns(
                    values.map(|(column, value)| self.partition_literal(column, value)).collect::<Vec<_>>(),
                ),
            );
        }
        if scans.is_empty() {
            let order: Vec<Expr> = partition_columns.iter().map(|column| col(PlSmallStr::from_str(column))).collect();
            let stored_names = stored.iter_names().map(|name| col(name.clone()));
            let columns: Vec<Expr> = stored_names.chain(order).collect();
            scans.push(DataFrame::empty_with_schema(&self.schema).lazy().select(columns));
        }
        let rows = concat(scans, UnionArgs { rechunk: false, ..UnionArgs::default() })?;
        if self.lacking.is_empty() {
            return Ok(rows);
        }
        let nulls = self.lacking.iter().map(|(name, dtype)| lit(NULL).cast(dtype.clone()).alias(name.clone()));
        Ok(rows.with_columns(nulls.collect::<Vec<_>>()))
    }

    async fn scan_files(&self, files: &[&DataFile], stored: &Schema) -> Result<LazyFrame> {
        let arguments = ScanArgsParquet {
            schema: Some(Arc::new(stored.clone())),
            allow_missing_columns: true,
            ..ScanArgsParquet::default()
        };
        let keys: Vec<String> = files.iter().map(|file| format!("{}/{}", self.path, file.path())).collect();
        scan_parquet(&self.lake, &keys, arguments).await
    }

    pub(super) fn partition_literal(&self, column: &str, value: Option<String>) -> Expr {
        let dtype = self.schema.get(column).cloned().unwrap_or(DataType::String);
        let literal = match (value, &dtype) {
            (None, _) => lit(NULL),
            (Some(value), DataType::Boolean) => lit(value == "true"),
            (Some(value), DataType::Date) => lit(value)
                .str()
                .to_date(StrptimeOptions { format: Some("%Y-%m-%d".into()), ..StrptimeOptions::default() }),
            (Some(value), _) => lit(value),
        };
        literal.cast(dtype).alias(PlSmallStr::from_str(column))
    }

    pub(super) fn lake(&self) -> &Lake {
        &self.lake
    }

    pub(super) fn delta(&self) -> &DeltaTable {
        &self.inner
    }
}

/// Returns a scan of Parquet files of the lake: from the folder if the lake is one, else from memory. Keys are taken
/// literally: nothing in them is a pattern or a column.
///
/// # Errors
/// A file cannot be read.
pub async fn scan_parquet(lake: &Lake, keys: &[String], arguments: ScanArgsParquet) -> Result<LazyFrame> {
    let arguments = ScanArgsParquet { glob: false, hive_options: HiveOptions::new_disabled(), ..arguments };
    let paths: Option<Vec<_>> = keys.iter().map(|key| lake.local_path(key)).collect();
    let sources = if let Some(paths) = paths {
        let paths = paths.into_iter().map(PlRefPath::try_from_pathbuf).collect::<PolarsResult<Vec<_>>>()?;
        ScanSources::Paths(Buffer::from_iter(paths))
    } else {
        let mut buffers = Vec::with_capacity(keys.len());
        for key in keys {
            buffers.push(Buffer::from_owner(lake.get(key).await?));
        }
        ScanSources::Buffers(buffers.into())
    };
    Ok(LazyFrame::scan_parquet_sources(sources, arguments)?)
}

/// Root that delta-rs sees: the lake's own, whatever store is behind it. The scheme is one that it
/// looks up in no file system; the host is of the form of S3 directory buckets, whose listings it
/// sorts, as those of a folder must be.
const ROOT: &str = "memory://lake--x-s3";

/// The log of a table, through the lake's store.
pub(super) fn log_store(lake: &Lake, path: &str) -> Result<LogStoreRef> {
    let location = Url::parse(&format!("{ROOT}/{path}/"))
        .map_err(|error| StageError::bad_config(format!("table `{path}`: {error}")))?;
    let store = lake.store_of_logs();
    let prefixed = Arc::new(PrefixStore::new(Arc::clone(&store), path));
    Ok(default_logstore(prefixed, store, &location, &StorageConfig::default()))
}
