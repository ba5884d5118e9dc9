//! `rcm load list`, `void` and `unvoid`: the loads of bronze, and decisions about them.

use std::process::ExitCode;

use chrono::{DateTime, Utc};
use rcm_model::cdm::{ENTITIES, Entity};
use rcm_platform::bronze::LoadLog;
use rcm_platform::load::printable;
use rcm_platform::voids::{self, Decision, VoidMark};
use rcm_platform::{Context, StageError, streams};
use rcm_tables::silver;
use serde::Serialize;
use serde_json::json;

use super::CommandOutput;
use super::reason::Reason;
use crate::{hint, print};

/// A load of bronze, as a person is shown it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoadLine {
    pub sequence: u64,
    pub made_at: DateTime<Utc>,
    pub source: String,
    pub rows: u64,
    /// Whether the silver table has taken it in.
    pub in_silver: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voided: Option<VoidMark>,
}

/// A stream and its loads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamLoads {
    pub stream: String,
    pub loads: Vec<LoadLine>,
}

/// What is decided about which load.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) stream: String,
    pub(super) sequence: u64,
    pub(super) decision: Decision,
    pub(super) reason: Reason,
}

/// Shows the loads of a stream, or of all streams.
///
/// # Errors
/// There is no such stream, or a log cannot be read.
pub(super) async fn list(context: &Context, stream: Option<&str>, json: bool) -> Result<CommandOutput, StageError> {
    let mut found = Vec::new();
    for known in all_streams(context).await? {
        if stream.is_none_or(|stream| stream == known.name) {
            found.push(loads_of(context, known).await?);
        }
    }
    if let (Some(stream), true) = (stream, found.is_empty()) {
        return Err(no_such_stream(stream, &all_streams(context).await?));
    }
    Ok(CommandOutput::of(json, &json!({ "streams": found }), || print::loads(&found), ExitCode::SUCCESS))
}

/// Writes down a decision about a load. The next run carries it out.
///
/// # Errors
/// There is no such load, or the store fails.
pub(super) async fn decide(context: &Context, request: Request) -> Result<CommandOutput, StageError> {
    let Request { stream, sequence, decision, reason: Reason { who, why } } = request;
    let known = all_streams(context).await?;
    if !known.iter().any(|known| known.name == stream) {
        return Err(no_such_stream(&stream, &known));
    }
    let mark = VoidMark { sequence, decision, who, why, at: context.now() };
    let changed = voids::decide(&context.lake, &stream, &mark).await?;
    let stream = printable(&stream);
    let text = match (decision, changed) {
        (Decision::Void, true) => format!(
            "load {sequence} of `{stream}` is voided: the next run leaves it out, and takes back what it brought\n"
        ),
        (Decision::Unvoid, true) => format!("load {sequence} of `{stream}` counts again: the next run takes it in\n"),
        (Decision::Void, false) => format!("load {sequence} of `{stream}` was voided before: nothing changes\n"),
        (Decision::Unvoid, false) => format!("load {sequence} of `{stream}` is not voided: nothing changes\n"),
    };
    Ok(CommandOutput { text, exit: ExitCode::SUCCESS })
}

/// A stream, and the entities whose tables are made from it.
struct ReadStream {
    name: String,
    entities: Vec<&'static Entity>,
}

/// Every stream that a table is made from, be it configured or only in the lake, each once.
async fn all_streams(context: &Context) -> Result<Vec<ReadStream>, StageError> {
    let mut all: Vec<ReadStream> = Vec::new();
    for entity in ENTITIES {
        for name in streams::of_entity(context, entity).await? {
            match all.iter_mut().find(|known| known.name == name) {
                Some(known) => known.entities.push(entity),
                None => all.push(ReadStream { name, entities: vec![entity] }),
            }
        }
    }
    Ok(all)
}

async fn loads_of(context: &Context, stream: ReadStream) -> Result<StreamLoads, StageError> {
    let ReadStream { name: stream, entities } = stream;
    // A load is in silver once every table that is made from it has it.
    let mut taken = u64::MAX;
    for entity in entities {
        taken = taken.min(silver::taken(context, entity, &stream).await?);
    }
    let mut voided = voids::voided(&context.lake, &stream).await?;
    let loads = LoadLog::new(&context.lake, &stream).after(0).await?;
    let own = loads.into_iter().filter(|load| !load.was_moved());
    let lines = own.map(|load| {
        let voided = voided.remove(&load.sequence);
        let corrects = load.correction.as_ref().map(|correction| format!(", corrects load {}", correction.sequence));
        LoadLine {
            sequence: load.sequence,
            made_at: load.finished_at,
            source: printable(&load.source.name) + &corrects.unwrap_or_default(),
            rows: load.rows,
            in_silver: load.sequence <= taken && voided.is_none(),
            voided,
        }
    });
    Ok(StreamLoads { loads: lines.collect(), stream })
}

fn no_such_stream(stream: &str, known: &[ReadStream]) -> StageError {
    let known = known.iter().map(|known| known.name.as_str());
    hint::unknown("stream", stream, known, "`rcm load list` shows all of them")
}
