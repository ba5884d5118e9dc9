//! Compaction: the small files of a partition are rewritten as one. The rows stay the same.

use deltalake::kernel::transaction::CommitBuilder;
use deltalake::kernel::{Action, Add};
use deltalake::protocol::DeltaOperation;
use polars::prelude::*;
use rcm_platform::context::Context;
use rcm_platform::error::{Result, StageError};

use super::commit::{conflict_or_storage, data_version_of, properties};
use super::table::{DataFile, Table};
use super::write::{NewFile, write};
use crate::frames::blocking;

/// Bytes below which a file is small.
const SMALL: u64 = 8 * 1024 * 1024;
/// Bytes of small files that become one. All of them are in memory at once.
const TARGET: u64 = 32 * 1024 * 1024;
/// Fewest small files of a partition that are worth a compaction.
const FEWEST: usize = 4;

/// What the files that become one have in common: the values of the partition columns, and whether all versions of a
/// silver table in them have ended.
type Together = (Vec<Option<String>>, bool);

/// What a compaction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// Version of the table that has the files.
    pub version: i64,
    pub rows: u64,
    pub files_before: usize,
    pub files_after: usize,
}

/// Rewrites the small files of every partition that has enough of them, in one commit; makes
/// none if no partition has. The rows, their order within a partition and the application transactions stay the same.
///
/// # Errors
/// `CommitConflict` if another run has committed since the table was opened: vacuum removes what was written. The
/// store fails.
pub async fn compact(context: &Context, table: &Table, run_id: &str) -> Result<Option<Compacted>> {
    let columns = table.partition_columns()?;
    let groups = groups(table.files(), &columns);
    if groups.is_empty() {
        return Ok(None);
    }
    let mut actions = Vec::new();
    let (mut rows, mut files_before) = (0, 0);
    for group in &groups {
        let file = rewrite(context, table, group, &columns).await?;
        rows += file.rows;
        files_before += group.len();
        actions.push(Action::Add(Add { data_change: false, ..file.add() }));
        actions.extend(group.iter().map(|file| Action::Remove(file.view().remove_action(false))));
    }
    let operation = DeltaOperation::Optimize { predicate: None, target_size: TARGET as i64 };
    let delta = table.delta();
    let committed = CommitBuilder::from(properties(run_id, vec![data_version_of(table.data_version().await?)]))
        .with_actions(actions)
        .build(Some(delta.snapshot()?), delta.log_store(), operation)
        .await
        .map_err(|error| conflict_or_storage(table.path(), error))?;
    let version = committed.version() as i64;
    Ok(Some(Compacted { version, rows, files_before, files_after: groups.len() }))
}

/// Small files that are to become one, partition by partition.
fn groups(files: &[DataFile], columns: &[String]) -> Vec<Vec<DataFile>> {
    // Closed versions stay apart from current ones: files without a current version are not looked at by runs.
    let partition = |file: &DataFile| -> Together {
        let values = columns.iter().map(|column| file.partition_value(column).map(str::to_owned)).collect();
        (values, file.nulls("effective_to") == Some(0))
    };
    let mut small: Vec<(Together, &DataFile)> =
        files.iter().filter(|file| file.size() < SMALL).map(|file| (partition(file), file)).collect();
    // Names begin with the moment of writing: what came first stays first.
    small.sort_by_cached_key(|(partition, file)| (partition.clone(), file.path()));
    let mut groups = Vec::new();
    for of_partition in small.chunk_by(|(one, _), (other, _)| one == other) {
        if of_partition.len() < FEWEST {
            continue;
        }
        let (mut group, mut bytes) = (Vec::new(), 0);
        for (_, file) in of_partition {
            if bytes + file.size() > TARGET {
                groups.push(std::mem::take(&mut group));
                bytes = 0;
            }
            bytes += file.size();
            group.push((*file).clone());
        }
        groups.push(group);
    }
    groups.retain(|group| group.len() > 1);
    groups
}

async fn rewrite(context: &Context, table: &Table, group: &[DataFile], columns: &[String]) -> Result<NewFile> {
    let partition: Vec<(&str, Option<String>)> =
        columns.iter().map(|column| (column.as_str(), group[0].partition_value(column).map(str::to_owned))).collect();
    let rows = table.scan(group).await?;
    let stored = table.schema().iter_names().filter(|name| !columns.iter().any(|column| column == name.as_str()));
    let rows = rows.select(stored.map(|name| col(name.clone())).collect::<Vec<_>>());
    let rows = blocking(move || Ok(rows.collect()?)).await?;
    let known: u64 = group.iter().map(DataFile::rows).sum();
    if rows.height() as u64 != known {
        let message = format!("files of table `{}` have {} rows, its log says {known}", table.path(), rows.height());
        return Err(StageError::corrupt_lake(message));
    }
    write(context, table.path(), &rows, &partition).await
}
