//! Earlier versions of a table, and what its log says of them.

use chrono::{DateTime, Utc};
use deltalake::DeltaTable;
use futures::{StreamExt, TryStreamExt, stream};
use rcm_platform::error::{Result, StageError};
use serde_json::Value;

use super::table::{DataFile, Table, log_store};

/// Files that are looked for at the same time.
const AT_ONCE: usize = 32;

/// What the log says of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitInfo {
    pub version: i64,
    pub at: Option<DateTime<Utc>>,
    pub run_id: Option<String>,
}

impl Table {
    /// Opens the same table as it was at a version. Its log may know files that maintenance has removed since.
    ///
    /// # Errors
    /// `BadConfig` if the table has no such version, or its log no longer goes back that far.
    pub async fn at_version(&self, version: i64) -> Result<Self> {
        let path = self.path();
        if !(0..=self.version()).contains(&version) {
            let message = format!("table `{path}` has the versions 0 to {}, not {version}", self.version());
            return Err(StageError::bad_config(message).in_table(path));
        }
        let mut inner = DeltaTable::new(log_store(self.lake(), path)?);
        match inner.load_version(version.unsigned_abs()).await {
            Ok(()) => Self::of(self.lake(), path, inner).await,
            Err(error) => {
                let error = StageError::from(error).in_table(path);
                if error.is_retryable() {
                    return Err(error);
                }
                let message = format!("the log of table `{path}` no longer goes back to version {version}");
                Err(StageError::bad_config(message).in_table(path).caused_by(error))
            }
        }
    }

    /// Returns what the log says of a commit; none where it does not go back that far.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn commit_info(&self, version: i64) -> Result<Option<CommitInfo>> {
        let commit = self.delta().log_store().read_commit_entry(version.unsigned_abs()).await;
        let commit = commit.map_err(|error| StageError::from(error).in_table(self.path()))?;
        let Some(bytes) = commit else { return Ok(None) };
        let lines = bytes.split(|byte| *byte == b'\n');
        let mut actions = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
        let info = actions.find_map(|mut action| action.get_mut("commitInfo").map(Value::take)).unwrap_or_default();
        let at = info.get("timestamp").and_then(Value::as_i64).and_then(DateTime::from_timestamp_millis);
        let run_id = info.get("runId").and_then(Value::as_str).map(str::to_owned);
        Ok(Some(CommitInfo { version, at, run_id }))
    }

    /// Counts the files, of those given, that maintenance has removed since the version that was opened.
    ///
    /// # Errors
    /// The store fails.
    pub async fn removed_files(&self, files: &[DataFile]) -> Result<u64> {
        let is_gone = async |file: &DataFile| {
            let key = format!("{}/{}", self.path(), file.path());
            Ok::<_, StageError>(self.lake().head(&key).await?.is_none())
        };
        let gone = stream::iter(files).map(is_gone).buffer_unordered(AT_ONCE);
        gone.try_fold(0, async |count, is_gone| Ok(count + u64::from(is_gone))).await
    }
}
