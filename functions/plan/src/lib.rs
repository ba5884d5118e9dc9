//! What a run has to do before silver: the tables to extract and the landed files to load.

mod freshness;
mod landing;
#[cfg(test)]
mod tests;

use rcm_model::event::{ExtractInput, LandedFileInput, PlanInput, PlannedExtract, WorkPlan};
use rcm_platform::telemetry::metrics;
use rcm_platform::{Context, StageError, stage};
use tracing::{info, warn};

/// Reads the table of sources and the landing folders and answers the work list: every active row
/// of `load_config.csv`, and every landed file, oldest first, that no load holds and that is not
/// refused under the present mappings. A key that keeps a feed's folder from being listed is on it
/// as a file, which `landing-to-bronze` refuses.
///
/// # Errors
/// The lake cannot be read.
pub async fn handle(context: Context, input: PlanInput) -> Result<WorkPlan, StageError> {
    let now = context.now();
    let run_id = input.run_id.unwrap_or_else(|| stage::new_id(now));
    let active = context.settings.load_config.iter().filter(|row| row.is_active);
    let extracts = active.map(|row| PlannedExtract {
        stream: row.stream(),
        input: ExtractInput { run_id: run_id.clone(), row: row.clone(), force: input.force },
    });
    let files = landing::new_files(&context).await?;
    let files = files.into_iter().map(|key| LandedFileInput { run_id: run_id.clone(), key, force: input.force });
    let plan = WorkPlan {
        as_of: input.as_of.unwrap_or_else(|| now.date_naive()),
        force: input.force,
        concurrency: context.settings.sources.run.concurrency.max(1),
        extracts: extracts.collect(),
        files: files.collect(),
        run_id,
    };
    if context.environment.in_lambda {
        match freshness::load_ages(&context, now).await {
            Ok(ages) => metrics::tell_figures(&context.environment, "plan", &plan.run_id, now, &ages),
            Err(error) => warn!(error = error.name(), message = %error, "the loads' ages are not known"),
        }
    }
    info!(run_id = plan.run_id, extracts = plan.extracts.len(), files = plan.files.len(), "run planned");
    Ok(plan)
}
