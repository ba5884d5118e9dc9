//! What runs that ended early have left behind.

use chrono::{DateTime, TimeDelta, Utc};
use rcm_platform::bronze::LoadLog;
use rcm_platform::stage::Work;
use rcm_platform::{Context, StageError};

/// Removes old data files of bronze that no load names, and checkpoints of load logs that later ones replace. A data
/// file that a load names is never touched.
pub(crate) async fn of_bronze(context: &Context) -> Result<Work, StageError> {
    let mut work = Work::default();
    for stream in context.settings.streams.iter().map(|stream| &stream.name) {
        let log = LoadLog::new(&context.lake, stream);
        context.lake.delete_all(log.replaced_checkpoints().await?).await?;
        let leftovers = log.leftovers(before(context)).await?;
        if !leftovers.is_empty() {
            work.notes.push(format!("bronze/{stream}: data files of no load removed: {}", leftovers.len()));
        }
        context.lake.delete_all(leftovers).await?;
    }
    Ok(work)
}

/// Removes what is old in a folder of things that somebody was to come back for: reports that no run
/// has folded into the audit tables, walks of the ICD API that nobody went on with, rows of batches that were not
/// committed.
pub(crate) async fn of_folder(context: &Context, folder: &str) -> Result<Work, StageError> {
    let before = before(context);
    let listed = context.lake.list(folder).await?.into_iter();
    let old: Vec<String> = listed.filter(|meta| meta.last_modified < before).map(|meta| meta.location.into()).collect();
    let removed = old.len();
    context.lake.delete_all(old).await?;
    let notes = if removed > 0 { vec![format!("{folder}: old files removed: {removed}")] } else { Vec::new() };
    Ok(Work { notes, ..Work::default() })
}

/// When leftovers must have been written. What is younger than a day may be a load in the making.
fn before(context: &Context) -> DateTime<Utc> {
    let days = context.settings.sources.maintenance.leftovers_after_days.max(1);
    context.now() - TimeDelta::days(days.into())
}
