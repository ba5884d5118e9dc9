//! Upkeep of a table: checkpoints of its log, and the removal of files that no version within its retention needs.
//!
//! None of it is a commit, so it conflicts with no run that commits at the same time.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use deltalake::checkpoints::{cleanup_expired_logs_for, create_checkpoint};
use deltalake::table::config::TablePropertiesExt;
use futures::TryStreamExt;
use object_store::ObjectMeta;
use rcm_platform::context::Context;
use rcm_platform::error::{Result, StageError};
use rcm_platform::lake::Lake;

use super::table::Table;

/// Commits after the last checkpoint from which a new one saves readers more than it costs.
const COMMITS: i64 = 10;

/// Writes a checkpoint if the log has grown enough since the last one. Returns its version.
///
/// # Errors
/// The store fails.
pub async fn checkpoint(lake: &Lake, table: &Table) -> Result<Option<i64>> {
    if table.version() - last_checkpoint(lake, table).await? < COMMITS {
        return Ok(None);
    }
    create_checkpoint(table.delta(), None).await?;
    Ok(Some(table.version()))
}

/// Version of the last checkpoint; -1 if there is none. Its files are looked for, not the hint beside them, which is
/// written later.
async fn last_checkpoint(lake: &Lake, table: &Table) -> Result<i64> {
    let log = lake.list(&format!("{}/_delta_log", table.path())).await?;
    let versions = log.iter().filter_map(|meta| {
        let (version, kind) = meta.location.filename()?.split_once('.')?;
        kind.starts_with("checkpoint").then(|| version.parse().ok())?
    });
    Ok(versions.max().unwrap_or(-1))
}

/// Removes the data files that no version of the table's retention needs: those that were removed
/// from it before, and those that no commit ever added. Returns how many.
///
/// # Errors
/// The store fails. What was removed until then was not needed either.
pub async fn vacuum(context: &Context, table: &Table) -> Result<usize> {
    let retention = table.delta().snapshot()?.table_config().deleted_file_retention_duration();
    let before = moment_before(context, retention)?;
    let folder = format!("{}/", table.path());
    let active: HashSet<String> = table.files().iter().map(|file| format!("{folder}{}", file.path())).collect();
    let removed = removed_files(table, &folder).await?;
    let unneeded: Vec<String> = context
        .lake
        .list(table.path())
        .await?
        .into_iter()
        .filter(|meta| is_data_file(meta, &folder) && is_unneeded(meta, &active, &removed, before))
        .map(|meta| meta.location.into())
        .collect();
    let count = unneeded.len();
    context.lake.delete_all(unneeded).await?;
    Ok(count)
}

/// Keys of the files that were removed from the table, and when, as far as the log goes back.
async fn removed_files(table: &Table, folder: &str) -> Result<HashMap<String, i64>> {
    let delta = table.delta();
    let log_store = delta.log_store();
    let tombstones = delta.snapshot()?.all_tombstones(log_store.as_ref());
    Ok(tombstones
        .map_ok(|file| (format!("{folder}{}", file.path()), file.deletion_timestamp().unwrap_or(0)))
        .try_collect()
        .await?)
}

/// Whether an object is one that this product writes as data: names that begin with `_` or `.` are
/// the log's, or somebody else's.
fn is_data_file(meta: &ObjectMeta, folder: &str) -> bool {
    let below = meta.location.as_ref().strip_prefix(folder).unwrap_or_default();
    below.ends_with(".parquet") && !below.split('/').any(|part| part.starts_with(['_', '.']))
}

/// Whether no version that may still be read has the file. One that the log does not know may be
/// about to be committed, so its age is what counts.
fn is_unneeded(
    meta: &ObjectMeta,
    active: &HashSet<String>,
    removed: &HashMap<String, i64>,
    before: DateTime<Utc>,
) -> bool {
    let key = meta.location.as_ref();
    let was_removed_lately = removed.get(key).is_some_and(|millis| *millis >= before.timestamp_millis());
    !active.contains(key) && !was_removed_lately && meta.last_modified < before
}

/// Removes the log files that a checkpoint covers and that are older than the table's log retention. Returns how many.
///
/// # Errors
/// The store fails.
pub async fn clean_log(context: &Context, table: &Table) -> Result<usize> {
    let delta = table.delta();
    let snapshot = delta.snapshot()?;
    let before = moment_before(context, snapshot.table_config().log_retention_duration())?;
    let log_store = delta.log_store();
    Ok(cleanup_expired_logs_for(snapshot.version(), log_store.as_ref(), before.timestamp_millis(), None).await?)
}

fn moment_before(context: &Context, retention: std::time::Duration) -> Result<DateTime<Utc>> {
    let retention = TimeDelta::from_std(retention).ok();
    retention
        .and_then(|retention| context.now().checked_sub_signed(retention))
        .ok_or_else(|| StageError::corrupt_lake("a table's retention is longer than the calendar".to_owned()))
}
