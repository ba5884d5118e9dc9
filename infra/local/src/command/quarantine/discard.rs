//! `rcm quarantine discard`: open rows that stay out for good.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::ExitCode;

use rcm_model::cdm::Entity;
use rcm_platform::load::printable;
use rcm_platform::{Context, StageError, lake, stage};
use rcm_tables::desk::Action;
use rcm_tables::quarantine::{Settled, settle};
use rcm_tables::silver::finish_replay;

use super::arguments::check_fingerprints;
use super::record;
use crate::command::CommandOutput;
use crate::command::reason::Reason;
use crate::quarantine::{Entry, Wanted, entities, of_entity};

/// Which rows are discarded, and why.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) fingerprints: Vec<String>,
    pub(super) rows: Wanted,
    pub(super) reason: Reason,
}

/// Discards rows.
///
/// # Errors
/// Nothing was done: neither a fingerprint nor a condition is given, a fingerprint is of no open row or of several, or
/// no open row is meant. The store fails: some tables may be done.
pub(super) async fn discard(context: &Context, request: Request) -> Result<CommandOutput, StageError> {
    let Request { fingerprints, rows, reason } = request;
    let Wanted { entity, rule, hospital, since, .. } = &rows;
    if fingerprints.is_empty() && entity.is_none() && rule.is_none() && hospital.is_none() && since.is_none() {
        let message = "no row is named; hint: give fingerprints, or a condition such as --rule dob_missing";
        return Err(StageError::bad_config(message));
    }
    check_fingerprints(&fingerprints)?;
    let run_id = stage::new_id(context.now());
    let mut open: Vec<(&'static Entity, Entry)> = Vec::new();
    for entity in entities(&rows)? {
        finish_replay(context, entity, &run_id).await?;
        open.extend(of_entity(context, entity, &rows).await?.into_iter().map(|(entry, _)| (entity, entry)));
    }
    let meant = named(open, &fingerprints)?;
    if meant.is_empty() {
        return Err(StageError::bad_config("no open row in quarantine is meant; hint: rcm quarantine list"));
    }
    let mut text = String::new();
    for (entity, fingerprints) in meant.into_values() {
        let rows = fingerprints.len();
        let decision = record(context, entity, Action::Discard, &reason, fingerprints, true).await?;
        let (number, who) = (decision.number, printable(&decision.who));
        let settled = Settled { decision: Some(decision), ..Settled::default() };
        let path = lake::quarantine(entity.name);
        settle(context, &path, &settled, &run_id).await?;
        let (noun, they) = if rows == 1 { ("row", "It stays") } else { ("rows", "They stay") };
        _ = writeln!(text, "{rows} {noun} discarded by {who}, decision {number}. {they} in {path} with the reason.");
    }
    Ok(CommandOutput { text, exit: ExitCode::SUCCESS })
}

/// The rows that fingerprints name, by entity; all where there is none.
///
/// # Errors
/// `BadConfig` if a fingerprint names no row, or several.
pub(super) fn named(
    open: Vec<(&'static Entity, Entry)>,
    fingerprints: &[String],
) -> Result<BTreeMap<&'static str, (&'static Entity, Vec<String>)>, StageError> {
    for fingerprint in fingerprints {
        match open.iter().filter(|(_, entry)| entry.fingerprint.starts_with(fingerprint)).count() {
            1 => {}
            0 => {
                let message = format!("no open row in quarantine has fingerprint `{fingerprint}`; nothing was done");
                return Err(StageError::bad_config(message));
            }
            several => {
                let message = format!(
                    "{several} rows have a fingerprint that begins with `{fingerprint}`; hint: give more of it"
                );
                return Err(StageError::bad_config(message));
            }
        }
    }
    let mut meant: BTreeMap<&'static str, (&'static Entity, Vec<String>)> = BTreeMap::new();
    for (entity, entry) in open {
        if fingerprints.is_empty() || fingerprints.iter().any(|beginning| entry.fingerprint.starts_with(beginning)) {
            meant.entry(entity.name).or_insert((entity, Vec::new())).1.push(entry.fingerprint);
        }
    }
    Ok(meant)
}
