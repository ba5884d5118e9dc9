//! `rcm quarantine replay`: open rows, assessed anew with the mappings and rules of today.

use std::process::ExitCode;

use rcm_model::event::{Replay, ReplayCount, StageInput};
use rcm_platform::{Context, StageError, lake, stage};
use rcm_tables::desk::open_rows;
use rcm_tables::silver::replay_preview;
use serde::Serialize;
use serde_json::json;

use super::arguments::check_fingerprints;
use crate::command::{CommandOutput, SOME_FAILED};
use crate::quarantine::{Wanted, entities};
use crate::{functions, print};

/// Which rows are replayed, and who asks for it.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) fingerprints: Vec<String>,
    pub(super) rows: Wanted,
    pub(super) why: Option<String>,
    pub(super) by: Option<String>,
}

/// What became of the rows of a table, or would.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReplayedTable {
    /// Path of the silver table.
    pub table: String,
    pub outcomes: Vec<ReplayCount>,
    /// Version of the silver table that has the rows; none where nothing was committed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    /// Why the table was not gone on with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Replays rows, or tells what would become of them. The exit code is 0 if none of the rows is left, 1 if some stay open.
///
/// # Errors
/// There is no such entity, or the lake cannot be read.
pub(super) async fn replay(
    context: Context,
    request: Request,
    dry_run: bool,
    json: bool,
) -> Result<CommandOutput, StageError> {
    let Request { fingerprints, rows, why, by } = request;
    check_fingerprints(&fingerprints)?;
    let wanted = Replay {
        rule: rows.rule.clone(),
        hospital: rows.hospital.clone(),
        since: rows.since,
        fingerprints,
        who: by,
        why: why.map(|why| why.trim().to_owned()).filter(|why| !why.is_empty()),
    };
    let run_id = stage::new_id(context.now());
    let mut tables = Vec::new();
    for entity in entities(&rows)? {
        let is_meant = open_rows(&context, entity, &wanted).await?.iter().any(|(_, is_meant)| *is_meant);
        if !is_meant {
            continue;
        }
        let mut replayed =
            ReplayedTable { table: lake::silver(entity.name), outcomes: Vec::new(), version: None, error: None };
        let told = if dry_run {
            replay_preview(&context, entity, &wanted).await.map(|outcomes| replayed.outcomes = outcomes)
        } else {
            let input = StageInput { run_id: run_id.clone(), replay: Some(wanted.clone()), ..StageInput::default() };
            functions::call(&entity.silver_function(), context.clone(), json!(input)).await.map(|report| {
                replayed.version =
                    report.commits.iter().rfind(|commit| commit.table == replayed.table).map(|commit| commit.version);
                replayed.outcomes = report.replayed;
            })
        };
        replayed.error = told.err().map(|error| format!("{}: {error}", error.name()));
        tables.push(replayed);
    }
    let is_whole =
        tables.iter().all(|table| table.error.is_none() && table.outcomes.iter().all(|count| count.outcome.passes()));
    let exit = if is_whole { ExitCode::SUCCESS } else { ExitCode::from(SOME_FAILED) };
    let document = json!({ "dry_run": dry_run, "tables": tables });
    Ok(CommandOutput::of(json, &document, || print::replayed(&tables, dry_run), exit))
}
