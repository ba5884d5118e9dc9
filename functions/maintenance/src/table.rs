//! One Delta table.

use rcm_model::event::TableCommit;
use rcm_platform::stage::Work;
use rcm_platform::{Context, StageError};
use rcm_tables::delta::{self, COMMIT_TRIES, Table};

/// Compacts a table, sums up its log, and removes what is past the table's retentions. What was done
/// is in the notes; a folder that is no table has none.
pub(crate) async fn maintain(context: &Context, path: &str, run_id: &str) -> Result<Work, StageError> {
    let mut work = compact(context, path, run_id).await?;
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

/// Tries again on what others have committed meanwhile. If they keep on, it waits for the next time.
async fn compact(context: &Context, path: &str, run_id: &str) -> Result<Work, StageError> {
    for _ in 0..COMMIT_TRIES {
        let Some(table) = Table::open(&context.lake, path).await? else { break };
        match delta::compact(context, &table, run_id).await {
            Ok(None) => break,
            Err(StageError::CommitConflict(_)) => {}
            Err(error) => return Err(error),
            Ok(Some(done)) => {
                let commit = TableCommit { table: path.to_owned(), version: done.version, rows: done.rows };
                let note = format!("{path}: {} small files became {}", done.files_before, done.files_after);
                return Ok(Work { commits: vec![commit], notes: vec![note], ..Work::default() });
            }
        }
    }
    Ok(Work::default())
}
