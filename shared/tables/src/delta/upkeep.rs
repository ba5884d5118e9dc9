//! What keeps a table quick to read and its folder from growing for ever: checkpoints, and the
//! removal of what no version within its retention needs.
//!
//! None of it is a commit, so nobody who writes at the same time has to start over.

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

/// Commits after the last checkpoint from which on a new one spares readers more than it costs.
const COMMITS: i64 = 10;

/// Sums up the log in a checkpoint, where it has grown since the last one. Answers the version.
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

/// Version of the last checkpoint; -1 where there is none. The files are what counts: the hint beside
/// them, which readers begin at, is written after them.
async fn last_checkpoint(lake: &Lake, table: &Table) -> Result<i64> {
    let log = lake.list(&format!("{}/_delta_log", table.path())).await?;
    let versions = log.iter().filter_map(|meta| {
        let (version, kind) = meta.location.filename()?.split_once('.')?;
        kind.starts_with("checkpoint").then(|| version.parse().ok())?
    });
    Ok(versions.max().unwrap_or(-1))
}

/// Removes the data files that no version of the table's retention needs: those that were removed
/// from it before, and those that a commit was never made of. Answers how many.
///
/// # Errors
/// The store fails. What was removed until then was not needed either.
pub async fn vacuum(context: &Context, table: &Table) -> Result<usize> {
    let retention = table.delta().snapshot()?.table_config().deleted_file_retention_duration();
    let before = moment_before(context, retention)?;
    let folder = format!("{}/", table.path());
    let active: HashSet<String> = table.files().iter().map(|file| format!("{folder}{}", file.path())).collect();
    let removed = removed_files(table, &folder).await?;
    let unneeded: Vec<ObjectMeta> = context
        .lake
        .list(table.path())
        .await?
        .into_iter()
        .filter(|meta| is_data_file(meta, &folder) && is_unneeded(meta, &active, &removed, before))
        .collect();
    for meta in &unneeded {
        context.lake.delete(meta.location.as_ref()).await?;
    }
    Ok(unneeded.len())
}

/// Keys of the files that were removed from the table, and when, as far as the log remembers.
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

/// Removes the parts of the log that a checkpoint has summed up and that are older than the table's
/// log retention. Answers how many.
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
        .ok_or_else(|| StageError::CorruptLake("a table's retention is longer than time".to_owned()))
}
