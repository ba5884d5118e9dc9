//! What a run has to do before silver: the tables to extract and the landed files to load.
//!
//! [`handle`] answers a [`rcm_model::event::WorkPlan`], which the state machine works off.

mod freshness;
mod landing;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use rcm_model::event::{ExtractInput, LandedFileInput, PlanInput, PlannedExtract, WorkPlan};
use rcm_platform::bronze::LoadLog;
use rcm_platform::error::LONGEST_MESSAGE;
use rcm_platform::telemetry::metrics;
use rcm_platform::{Context, StageError, stage, streams};
use serde::Serialize;
use tracing::{info, warn};

/// Bytes at most of a work list and of what its items may come to: a state machine hands on 256 KiB. What is
/// left is for the failures of the steps after it.
const LONGEST_PLAN: usize = 240_000;
/// Bytes that a failure adds, beside naming its item: the step, the error's name and its message.
const LONGEST_FAILURE: usize = LONGEST_MESSAGE + 200;

/// Reads the table of sources and the landing folders and answers the work list: every active row
/// of `load_config.csv`, and every landed file, oldest first, that no load holds, that is neither refused under the
/// present mappings nor dismissed, and that nobody has seen to make no load. A key that keeps a feed's folder from
/// being listed is on it as a file, which `landing-to-bronze` refuses. Where more files wait than a list may have, the oldest
/// are on it; the next run takes the others.
///
/// # Errors
/// The lake cannot be read.
pub async fn handle(context: Context, input: PlanInput) -> Result<WorkPlan, StageError> {
    let entities: BTreeSet<&str> = context.settings.sources.feeds.iter().map(|feed| feed.entity.as_str()).collect();
    streams::split_shared(&context.lake, entities).await?;
    write_checkpoints(&context).await?;
    let now = context.now();
    let plan = work_list(&context, input).await?;
    if context.environment.in_lambda {
        match freshness::load_ages(&context, now).await {
            Ok(ages) => metrics::emit_metrics(&context.environment, "plan", &plan.run_id, now, &ages),
            Err(error) => warn!(error = error.name(), message = %error, "the loads' ages are not known"),
        }
    }
    let (extracts, files) = (plan.extracts.len(), plan.files.len());
    info!(run_id = plan.run_id, extracts, files, files_left = plan.files_left, "run planned");
    Ok(plan)
}

/// Returns the work list that [`handle`] answers, and writes nothing to the lake.
///
/// # Errors
/// As [`handle`].
pub async fn work_list(context: &Context, input: PlanInput) -> Result<WorkPlan, StageError> {
    let now = context.now();
    let run_id = input.run_id.unwrap_or_else(|| stage::new_id(now));
    let day = || context.day_of(input.scheduled_at.unwrap_or(now));
    let as_of = input.as_of.map_or_else(day, Ok)?;
    let active = context.settings.load_config.iter().filter(|row| row.is_active);
    let extracts = active.map(|row| PlannedExtract {
        stream: row.stream(),
        input: ExtractInput { run_id: run_id.clone(), row: row.clone(), force: input.force },
    });
    let extracts: Vec<PlannedExtract> = extracts.collect();
    let files = landing::new_files(context).await?;
    let files = files.into_iter().map(|key| LandedFileInput { run_id: run_id.clone(), key, force: input.force });
    let mut files: Vec<LandedFileInput> = files.collect();
    let room = LONGEST_PLAN.saturating_sub(length(&extracts) + extracts.len() * LONGEST_FAILURE);
    let files_left = files.split_off(fitting(&files, room)).len();
    Ok(WorkPlan {
        as_of,
        force: input.force,
        concurrency: context.settings.sources.run.concurrency.max(1),
        extracts,
        files,
        files_left,
        run_id,
    })
}

/// Writes checkpoints of the load logs that have grown since the last ones, so that no function reads a whole log.
async fn write_checkpoints(context: &Context) -> Result<(), StageError> {
    for stream in context.settings.streams.iter() {
        LoadLog::new(&context.lake, &stream.name).checkpoint_if_due().await?;
    }
    Ok(())
}

/// How many of the first files have room in a work list, one at least.
fn fitting(files: &[LandedFileInput], room: usize) -> usize {
    let mut taken = 0;
    let fitting = files.iter().take_while(|file| {
        taken += 2 * length(file) + LONGEST_FAILURE;
        taken <= room
    });
    fitting.count().max(1).min(files.len())
}

/// Bytes of a value in JSON.
fn length<T: Serialize>(value: &T) -> usize {
    serde_json::to_vec(value).map_or(0, |json| json.len())
}
