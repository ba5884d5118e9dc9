//! One Delta table.

use rcm_model::event::TableCommit;
use rcm_platform::error::ErrorKind;
use rcm_platform::stage::Work;
use rcm_platform::{Context, StageError};
use rcm_tables::delta::{self, Table, retry_on_conflict};

/// Compacts a table, sums up its log, and removes what is past the table's retentions. What was done
/// is in the notes; a folder that is no table has none.
pub(crate) async fn maintain(context: &Context, path: &str, run_id: &str) -> Result<Work, StageError> {
    let mut work = compact(context, path, run_id).await?;
    work.commits.extend(record_data_version(context, path, run_id).await?);
    let Some(table) = Table::open(&context.lake, path).await? else { return Ok(work) };
    if let Some(version) = delta::checkpoint(&context.lake, &table).await? {
        work.notes.push(format!("{path}: checkpoint of version {version}"));
    }
    let files = delta::vacuum(context, &table).await?;
    if files > 0 {
        work.notes.push(format!("{path}: data files removed: {files}"));
    }
    let entries = delta::clean_log(context, &table).await?;
    if entries > 0 {
        work.notes.push(format!("{path}: log files removed: {entries}"));
    }
    Ok(work)
}

/// Compacts a table. If other runs keep committing to it, the next maintenance does.
async fn compact(context: &Context, path: &str, run_id: &str) -> Result<Work, StageError> {
    let compacted = retry_on_conflict(|| async {
        let Some(table) = Table::open(&context.lake, path).await? else { return Ok(None) };
        delta::compact(context, &table, run_id).await
    });
    match compacted.await {
        Ok(Some(done)) => {
            let commit = TableCommit { table: path.to_owned(), version: done.version, rows: done.rows };
            let note = format!("{path}: {} small files became {}", done.files_before, done.files_after);
            Ok(Work { commits: vec![commit], notes: vec![note], ..Work::default() })
        }
        Ok(None) => Ok(Work::default()),
        Err(error) if error.kind() == ErrorKind::CommitConflict => Ok(Work::default()),
        Err(error) => Err(error),
    }
}

/// Records the last version that changed a row in a table of an older version of the product, before its log is
/// cleaned: what is made from the table is made anew if that is no longer known.
async fn record_data_version(context: &Context, path: &str, run_id: &str) -> Result<Option<TableCommit>, StageError> {
    let recorded = retry_on_conflict(|| async {
        let Some(table) = Table::open(&context.lake, path).await? else { return Ok(None) };
        delta::record_data_version(&context.lake, &table, run_id).await
    });
    Ok(recorded.await?.map(|committed| TableCommit { table: path.to_owned(), version: committed.version, rows: 0 }))
}
