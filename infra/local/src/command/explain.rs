//! `rcm explain`: what the troubleshooting guide says of an error.

use std::process::ExitCode;

use rcm_platform::StageError;
use serde_json::json;

use super::CommandOutput;
use crate::{explain, hint, print};

/// Explains the name of an error, a kind of standstill, an alarm or a message; without one it lists the names.
///
/// # Errors
/// `BadConfig` if the guide does not say anything of it.
pub(super) fn explain(what: Option<&str>, json: bool) -> Result<CommandOutput, StageError> {
    let names = explain::names();
    let Some(what) = what else {
        let text = || format!("{}\n", names.join("\n"));
        return Ok(CommandOutput::of(json, &json!({ "names": names }), text, ExitCode::SUCCESS));
    };
    let found = explain::explain(what);
    if found.is_empty() {
        let known = names.iter().map(String::as_str);
        return Err(hint::unknown(
            "error",
            what,
            known,
            "`rcm explain` lists the names; docs/troubleshooting.md has all of it",
        ));
    }
    let document = json!({ "explanations": found });
    Ok(CommandOutput::of(json, &document, || print::explanations(&found), ExitCode::SUCCESS))
}
