//! What runs that ended early have left behind.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use rcm_model::cdm::ENTITIES;
use rcm_platform::bronze::LoadLog;
use rcm_platform::stage::Work;
use rcm_platform::{Context, StageError};

/// Removes old data files of bronze that no load names. A load that is named is never touched.
pub(crate) async fn of_bronze(context: &Context) -> Result<Work, StageError> {
    let streams: BTreeSet<String> =
        ENTITIES.into_iter().flat_map(|entity| context.settings.streams_of(entity)).collect();
    let mut work = Work::default();
    for stream in streams {
        let leftovers = LoadLog::new(&context.lake, &stream).leftovers(before(context)).await?;
        for key in &leftovers {
            context.lake.delete(key).await?;
        }
        if !leftovers.is_empty() {
            work.notes.push(format!("bronze/{stream}: data files of no load removed: {}", leftovers.len()));
        }
    }
    Ok(work)
}

/// Removes what is old in a folder of things that somebody was to come back for: reports that no run
/// has folded into the audit tables, walks of the ICD API that nobody went on with.
pub(crate) async fn of_folder(context: &Context, folder: &str) -> Result<Work, StageError> {
    let before = before(context);
    let mut removed = 0;
    for meta in context.lake.list(folder).await? {
        if meta.last_modified < before {
            context.lake.delete(meta.location.as_ref()).await?;
            removed += 1;
        }
    }
    let notes = if removed > 0 { vec![format!("{folder}: old files removed: {removed}")] } else { Vec::new() };
    Ok(Work { notes, ..Work::default() })
}

/// When leftovers must have been written. What is younger than a day may be a load in the making.
fn before(context: &Context) -> DateTime<Utc> {
    let days = context.settings.sources.maintenance.leftovers_after_days.max(1);
    context.now() - TimeDelta::days(days.into())
}
