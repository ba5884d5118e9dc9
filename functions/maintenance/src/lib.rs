//! What keeps the lake quick and small, and changes nothing that it says: compaction, checkpoints,
//! and the removal of what no retained version of a table, no load and no run needs.
//!
//! [`handle`] goes through all tables; [`rcm_tables::delta`] does the work on one.

mod leftovers;
mod table;
#[cfg(test)]
mod tests;

use rcm_model::event::{MaintenanceInput, Outcome, StageReport};
use rcm_platform::lake::ICD_WALKS;
use rcm_platform::stage::{self, Failure, REPORTS, Work};
use rcm_platform::{Context, StageError};
use rcm_tables::gold::collect_results;
use rcm_tables::silver::INCOMING;

/// What the reports of this stage are about.
const SUBJECT: &str = "lake";
/// Folders of the lake whose folders are Delta tables.
const LAYERS: [&str; 4] = ["silver", "quarantine", "gold", "audit"];

/// Looks after every table, and after what was left behind in bronze and among the reports. It may
/// end anywhere and be started again, also while the pipeline runs.
///
/// # Errors
/// That of the first table which could not be looked after; the others were.
pub async fn handle(context: Context, input: MaintenanceInput) -> Result<StageReport, StageError> {
    let run_id = input.run_id.unwrap_or_else(|| stage::new_id(context.now()));
    stage::report(&context, "maintenance", &run_id, SUBJECT, maintain(&context, &run_id)).await
}

async fn maintain(context: &Context, run_id: &str) -> Result<Work, Failure> {
    let mut done = Vec::new();
    for layer in LAYERS {
        for name in context.lake.folders(layer).await? {
            done.push(table::maintain(context, &format!("{layer}/{name}"), run_id).await);
        }
    }
    done.push(leftovers::of_bronze(context).await);
    for folder in [REPORTS, ICD_WALKS] {
        done.push(leftovers::of_folder(context, folder).await);
    }
    for table in context.lake.folders("silver").await? {
        done.push(leftovers::of_folder(context, &format!("silver/{table}/{INCOMING}")).await);
    }
    let work = collect_results(done)?;
    let is_idle = work.commits.is_empty() && work.notes.is_empty();
    Ok(Work { outcome: Some(if is_idle { Outcome::NothingNew } else { Outcome::Done }), ..work })
}
