//! `rcm quarantine`: the rows that failed a rule, and what becomes of them.

mod arguments;
mod correct;
mod discard;
mod export;
mod replay;

use std::process::ExitCode;

use rcm_model::cdm::{self, Entity};
use rcm_platform::load::printable;
use rcm_platform::{Context, StageError};
use rcm_tables::desk::{Action, Decision, Decisions, NewDecision};
use rcm_tables::rulebooks::Rulebooks;
use serde_json::json;

pub(super) use self::arguments::QuarantineCommand;
pub use self::replay::ReplayedTable;
use super::reason::Reason;
use super::{CommandOutput, SOME_FAILED, existing};
use crate::print;
use crate::quarantine::{self, Wanted};

/// Executes one of the commands.
///
/// # Errors
/// Nothing was done: something is asked for that there is not, or the lake cannot be read.
pub(super) async fn carry_out(command: QuarantineCommand) -> Result<CommandOutput, StageError> {
    match command {
        QuarantineCommand::List { rows, status, lake, json } => {
            list(&existing(&lake).await?, &Wanted { status, ..rows.wanted() }, json).await
        }
        QuarantineCommand::Show { which, values, lake, json } => {
            show(&existing(&lake).await?, &which, values.check()?, json).await
        }
        QuarantineCommand::Replay { fingerprints, rows, dry_run, why, by, lake, json } => {
            let request = replay::Request { fingerprints, rows: rows.wanted(), why, by };
            replay::replay(existing(&lake).await?, request, dry_run, json).await
        }
        QuarantineCommand::Discard { fingerprints, rows, reason, lake, json } => {
            let request = discard::Request { fingerprints, rows: rows.wanted(), reason: reason.check()? };
            Ok(discard::discard(&existing(&lake).await?, request).await?.into_message(json))
        }
        QuarantineCommand::Export { file, rows, masked, reason, lake, json } => {
            let request = export::Request { file, rows: rows.wanted(), reason: reason.check()?, masked };
            Ok(export::export(&existing(&lake).await?, request).await?.into_message(json))
        }
        QuarantineCommand::Correct { file, dry_run, reason, lake, json } => {
            let request = correct::Request { file, reason: reason.check()?, dry_run, json };
            correct::correct(&existing(&lake).await?, request).await
        }
    }
}

/// Lists rows by rule. The exit code is 1 if there are any.
///
/// # Errors
/// There is no such entity, or a table cannot be read.
async fn list(context: &Context, wanted: &Wanted, json: bool) -> Result<CommandOutput, StageError> {
    let entries = quarantine::entries(context, wanted).await?;
    let lines = quarantine::by_rule(&entries);
    let exit = if entries.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(SOME_FAILED) };
    let document = json!({ "rows": entries.len(), "rules": lines });
    Ok(CommandOutput::of(json, &document, || print::quarantine(&entries, &lines), exit))
}

/// Shows a row: as shapes, or its values where a reason is given, which is recorded before.
///
/// # Errors
/// Several rows are meant, or a table cannot be read.
async fn show(context: &Context, which: &str, reason: Option<Reason>, json: bool) -> Result<CommandOutput, StageError> {
    let Some(shown) = quarantine::show(context, which, reason.is_some()).await? else {
        let which = printable(which);
        let text = format!(
            "no row in quarantine is `{which}`; hint: places are <stream>:<load>:<row>, such as hosb/patients:1:402, and \
             fingerprints have at least eight digits\n"
        );
        return Ok(CommandOutput { text, exit: ExitCode::from(SOME_FAILED) }.into_message(json));
    };
    if let (Some(reason), Some(entity)) = (reason, cdm::entity(shown.entry.entity)) {
        record(context, entity, Action::Show, &reason, vec![shown.entry.fingerprint.clone()], false).await?;
    }
    let quarantine::Shown { entry, has_values, columns } = &shown;
    let told = if *has_values { "value" } else { "shape" };
    let columns = columns
        .iter()
        .map(|(source, text, column)| json!({ "source": printable(source), told: printable(text), "column": column }));
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

/// Writes down a decision of a person about rows of an entity. Where `once`, a decision that says the same and was not
/// carried out yet is gone on with.
///
/// # Errors
/// The rules of the lake are invalid, or the store fails.
async fn record(
    context: &Context,
    entity: &'static Entity,
    action: Action,
    reason: &Reason,
    fingerprints: Vec<String>,
    once: bool,
) -> Result<Decision, StageError> {
    let rulebook = Rulebooks::read(&context.lake).await?.of(entity);
    let run_id = rcm_platform::stage::new_id(context.now());
    let new = NewDecision {
        action,
        who: &reason.who,
        why: Some(&reason.why),
        run_id: &run_id,
        rulebook: &rulebook,
        fingerprints,
    };
    let decisions = Decisions::of(context, entity.name);
    if once { decisions.record_once(&new, 0).await } else { decisions.record(&new).await }
}
