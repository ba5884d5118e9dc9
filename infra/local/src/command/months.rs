//! `rcm close` and `rcm reopen`: the figures of a month's end are published, or taken back.

use std::process::ExitCode;

use rcm_model::event::{CloseMonth, ReopenMonth, StageInput};
use rcm_model::month::Month;
use rcm_platform::error::ErrorKind;
use rcm_platform::{Context, StageError, stage};
use serde_json::json;

use super::reason::{Reason, ReasonArguments, Who};
use super::{CommandOutput, GOLD_KPIS, existing, failed};
use crate::functions;

#[derive(Debug, clap::Args)]
pub(super) struct CloseArguments {
    /// Month, such as `2024-09`. It must have ended.
    month: Month,
    #[command(flatten)]
    who: Who,
    /// Folder or URL (`file:///…`, `s3://bucket/prefix`) of the lake.
    #[arg(long, env = "LAKE_URL")]
    lake: String,
    /// Print one JSON document and nothing else.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct ReopenArguments {
    /// Month, such as `2024-09`.
    month: Month,
    #[command(flatten)]
    reason: ReasonArguments,
    /// Folder or URL (`file:///…`, `s3://bucket/prefix`) of the lake.
    #[arg(long, env = "LAKE_URL")]
    lake: String,
    /// Print one JSON document and nothing else.
    #[arg(long)]
    json: bool,
}

/// Closes a month.
///
/// # Errors
/// `BadConfig` if it has not ended, is closed already, or nothing was served up to its end.
pub(super) async fn close(arguments: CloseArguments) -> Result<CommandOutput, StageError> {
    let CloseArguments { month, who, lake, json } = arguments;
    let close = Some(CloseMonth { month, by: who.name() });
    decide(existing(&lake).await?, StageInput { close, ..StageInput::default() }, json).await
}

/// Opens a closed month again.
///
/// # Errors
/// `BadConfig` if it is not closed, or the reason is empty.
pub(super) async fn reopen(arguments: ReopenArguments) -> Result<CommandOutput, StageError> {
    let ReopenArguments { month, reason, lake, json } = arguments;
    let Reason { who, why } = reason.check()?;
    let reopen = Some(ReopenMonth { month, by: who, why });
    decide(existing(&lake).await?, StageInput { reopen, ..StageInput::default() }, json).await
}

async fn decide(context: Context, input: StageInput, as_json: bool) -> Result<CommandOutput, StageError> {
    let input = StageInput { run_id: stage::new_id(context.now()), ..input };
    match functions::call(GOLD_KPIS, context, json!(input)).await {
        Ok(report) => {
            let text = || report.notes.join("\n") + "\n";
            Ok(CommandOutput::of(as_json, &report, text, ExitCode::SUCCESS))
        }
        Err(error) if error.kind() == ErrorKind::BadConfig => Err(error),
        Err(error) => Ok(failed(&error, "", as_json)),
    }
}
