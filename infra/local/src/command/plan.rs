//! `rcm plan`: what a run would do, and why.

use std::process::ExitCode;

use chrono::NaiveDate;
use rcm_platform::{Context, StageError};

use super::{CommandOutput, SOME_FAILED};
use crate::{print, run_plan};

/// Shows what a run would do. The exit code is 1 if something waits for a person.
///
/// # Errors
/// The configuration cannot be used, or a log cannot be read.
pub(super) async fn plan(context: &Context, as_of: Option<NaiveDate>, json: bool) -> Result<CommandOutput, StageError> {
    let plan = run_plan::read(context, as_of).await?;
    let exit = if plan.standstills.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(SOME_FAILED) };
    Ok(CommandOutput::of(json, &plan, || print::run_plan(&plan), exit))
}
