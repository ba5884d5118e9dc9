//! `rcm quarantine`: the rows that failed a rule.

use std::process::ExitCode;

use rcm_platform::load::printable;
use rcm_platform::{Context, StageError};
use serde_json::json;

use super::{CommandOutput, SOME_FAILED};
use crate::print;
use crate::quarantine::{self, Wanted};

/// Lists rows by rule. The exit code is 1 if there are any.
///
/// # Errors
/// There is no such entity, or a table cannot be read.
pub(super) async fn list(context: &Context, wanted: &Wanted, json: bool) -> Result<CommandOutput, StageError> {
    let entries = quarantine::entries(context, wanted).await?;
    let lines = quarantine::by_rule(&entries);
    let text = if json {
        format!("{:#}\n", json!({ "rows": entries.len(), "rules": lines }))
    } else {
        print::quarantine(&entries, &lines)
    };
    let exit = if entries.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(SOME_FAILED) };
    Ok(CommandOutput { text, exit })
}

/// Shows a row as shapes.
///
/// # Errors
/// Several rows are meant, or a table cannot be read.
pub(super) async fn show(context: &Context, which: &str) -> Result<CommandOutput, StageError> {
    let Some(shown) = quarantine::show(context, which).await? else {
        let which = printable(which);
        let text = format!(
            "no row in quarantine is `{which}`; hint: places are <stream>:<load>:<row>, such as hosb/patients:1:402, and \
             fingerprints have at least eight digits\n"
        );
        return Ok(CommandOutput { text, exit: ExitCode::from(SOME_FAILED) });
    };
    Ok(CommandOutput { text: print::quarantined(&shown), exit: ExitCode::SUCCESS })
}
