//! `rcm rebuild`: a silver table made anew from bronze.

use std::process::ExitCode;

use rcm_model::cdm::{self, ENTITIES};
use rcm_model::event::StageInput;
use rcm_platform::{Context, StageError, stage};
use serde_json::json;

use super::{CommandOutput, SOME_FAILED};
use crate::{functions, print};

/// Makes an entity's silver table anew; with `force` without the rows of sources that are no longer configured.
///
/// # Errors
/// There is no such entity.
pub(super) async fn rebuild(context: Context, entity: &str, force: bool) -> Result<CommandOutput, StageError> {
    let Some(known) = cdm::entity(entity) else {
        let names = ENTITIES.map(|entity| entity.name).join(", ");
        return Err(StageError::bad_config(format!("there is no entity `{entity}`; there are {names}")));
    };
    let function = format!("silver-{}", known.name.replace('_', "-"));
    let input = StageInput { run_id: stage::new_id(context.now()), rebuild: true, force, ..StageInput::default() };
    match functions::call(&function, context, json!(input)).await {
        Ok(report) => {
            let next = "`rcm run` brings gold up to it\n";
            Ok(CommandOutput { text: format!("{}{next}", print::maintenance(&report)), exit: ExitCode::SUCCESS })
        }
        Err(error) => {
            let again = if error.is_retryable() { ": run it again, and it goes on where it came to" } else { "" };
            let what_now = format!("The table is as it was{again}.\n");
            Ok(CommandOutput {
                text: format!("{}: {error}\n{what_now}", error.name()),
                exit: ExitCode::from(SOME_FAILED),
            })
        }
    }
}
