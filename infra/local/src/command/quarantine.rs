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
    let exit = if entries.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(SOME_FAILED) };
    let document = json!({ "rows": entries.len(), "rules": lines });
    Ok(CommandOutput::of(json, &document, || print::quarantine(&entries, &lines), exit))
}

/// Shows a row as shapes.
///
/// # Errors
/// Several rows are meant, or a table cannot be read.
pub(super) async fn show(context: &Context, which: &str, json: bool) -> Result<CommandOutput, StageError> {
    let Some(shown) = quarantine::show(context, which).await? else {
        let which = printable(which);
        let text = format!(
            "no row in quarantine is `{which}`; hint: places are <stream>:<load>:<row>, such as hosb/patients:1:402, and \
             fingerprints have at least eight digits\n"
        );
        return Ok(CommandOutput { text, exit: ExitCode::from(SOME_FAILED) }.into_message(json));
    };
    let quarantine::Shown { entry, columns } = &shown;
    let columns = columns.iter().map(
        |(source, shape, column)| json!({ "source": printable(source), "shape": printable(shape), "column": column }),
    );
    let document = json!({
        "place": format!("{}:{}:{}", entry.stream, entry.sequence, entry.position),
        "entity": entry.entity,
        "fingerprint": entry.fingerprint,
        "rules": entry.rules,
        "status": entry.status,
        "since": entry.since,
        "standing": entry.standing,
        "columns": columns.collect::<Vec<_>>(),
    });
    Ok(CommandOutput::of(json, &document, || print::quarantined(&shown), ExitCode::SUCCESS))
}
