//! `rcm call`: one function with one event, as Lambda calls it.

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use rcm_platform::{Context, StageError};
use serde_json::{Value, json};

use super::{CommandOutput, SOME_FAILED};
use crate::functions;

/// The function that answers a work list, and no report.
const PLAN: &str = "plan";

/// Reads an event: of a file, or of standard input where its name is `-`; without a file it is empty.
///
/// # Errors
/// `BadConfig` if it cannot be read or is no JSON.
pub(super) fn event(file: Option<&Path>) -> Result<Value, StageError> {
    let Some(file) = file else { return Ok(json!({})) };
    let refuse = |error: &dyn std::fmt::Display| StageError::bad_config(format!("event {}: {error}", file.display()));
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).map_err(|error| refuse(&error))?;
    } else {
        text = std::fs::read_to_string(file).map_err(|error| refuse(&error))?;
    }
    serde_json::from_str(&text).map_err(|error| refuse(&error))
}

/// Calls a function.
///
/// # Errors
/// `BadConfig` if there is no such function, or its event is not as it should be.
pub(super) async fn call(context: Context, function: &str, event: Value) -> Result<CommandOutput, StageError> {
    let answer = if function == PLAN {
        let input = serde_json::from_value(event);
        let input = input.map_err(|error| StageError::bad_config(format!("input of `{PLAN}`: {error}")))?;
        plan::handle(context, input).await.map(|plan| json!(plan))
    } else {
        functions::call(function, context, event).await.map(|report| json!(report))
    };
    match answer {
        Ok(answer) => Ok(CommandOutput { text: format!("{answer:#}\n"), exit: ExitCode::SUCCESS }),
        Err(error) if error.name() == "BadConfig" => Err(error),
        Err(error) => {
            let answer = json!({ "errorType": error.name(), "errorMessage": error.to_string() });
            Ok(CommandOutput { text: format!("{answer:#}\n"), exit: ExitCode::from(SOME_FAILED) })
        }
    }
}
