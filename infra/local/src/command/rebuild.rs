//! `rcm rebuild`: a silver table made anew from bronze.

use std::process::ExitCode;

use rcm_model::cdm::{self, ENTITIES};
use rcm_model::event::StageInput;
use rcm_platform::{Context, StageError, stage};
use serde_json::json;

use super::{CommandOutput, failed};
use crate::{functions, hint, print};

/// Makes an entity's silver table anew; with `force` without the rows of sources that are no longer configured.
///
/// # Errors
/// There is no such entity.
pub(super) async fn rebuild(
    context: Context,
    entity: &str,
    force: bool,
    json: bool,
) -> Result<CommandOutput, StageError> {
    let Some(known) = cdm::entity(entity) else {
        let names = ENTITIES.map(|entity| entity.name);
        return Err(hint::unknown("entity", entity, names, &format!("there are {}", names.join(", "))));
    };
    let input = StageInput { run_id: stage::new_id(context.now()), rebuild: true, force, ..StageInput::default() };
    match functions::call(&known.silver_function(), context, json!(input)).await {
        Ok(report) => {
            let text = || format!("{}`rcm run` brings gold up to it\n", print::maintenance(&report));
            Ok(CommandOutput::of(json, &report, text, ExitCode::SUCCESS))
        }
        Err(error) => {
            let again = if error.is_retryable() { ": run it again, and it goes on where it came to" } else { "" };
            Ok(failed(&error, &format!("The table is as it was{again}.\n"), json))
        }
    }
}
