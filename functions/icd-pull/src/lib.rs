//! A release of ICD-10 → bronze, walked node by node.
//!
//! A walk of the whole release is a snapshot: codes that it does not find are gone. A walk of some
//! chapters is an upsert, since it says nothing of the others; so is one on which the API had no node for
//! a code that it names itself, since it says nothing of what is below that.
//!
//! [`handle`] finds out what is due; `walk.rs` walks, and goes on where a walk broke off.

#[cfg(test)]
mod tests;
mod walk;

use chrono::TimeDelta;
use futures::future::BoxFuture;
use rcm_model::cdm::ICD_CODES;
use rcm_model::event::{Outcome, PullInput, StageReport};
use rcm_platform::bronze::Manifest;
use rcm_platform::bronze_rows::{self, Row};
use rcm_platform::config::{Icd, LoadKind};
use rcm_platform::http::icd::{Node, NodeKind, Release};
use rcm_platform::load::{self, Subject};
use rcm_platform::stage::{self, Failure, Work};
use rcm_platform::{Context, StageError, voids};

use self::walk::Walked;

/// Datasource of the API's loads: the mapping in `configs/cdm`.
const DATASOURCE: &str = rcm_platform::config::ICD_DATASOURCE;
/// Codes without a node that a note names.
const MISSING_TOLD: usize = 20;
const COLUMNS: [&str; 5] = ["code", "title", "is_leaf", "parent", "release"];

/// Walks the configured chapters of the configured release and makes their codes one load. A walk
/// that breaks is resumed by the next call; one that ended lately is not made again.
///
/// # Errors
/// The API does not answer (`SourceUnavailable`, `Timeout`, `Throttled`), refuses the credentials
/// (`BadConfig`), or is not what it should be (`BrokenContract`); a walk of the whole release lost too
/// many codes and is not forced (`ThresholdExceeded`).
pub async fn handle(context: Context, input: PullInput) -> Result<StageReport, StageError> {
    let work: BoxFuture<'_, _> = Box::pin(pull(&context, &input));
    stage::report(&context, "icd-pull", &input.run_id, ICD_CODES.name, work).await
}

async fn pull(context: &Context, input: &PullInput) -> Result<Work, Failure> {
    let Some(options) = &context.settings.sources.icd else {
        let notes = vec!["configs/sources.toml has no [icd]: the ICD API was not asked".to_owned()];
        return Ok(Work { outcome: Some(Outcome::Skipped), notes, ..Work::default() });
    };
    let loads = voids::valid_loads(&context.lake, ICD_CODES.name).await?;
    let last = loads.iter().rev().find(|load| load.datasource == DATASOURCE);
    let source_name = source_name(options);
    if let Some(last) = last.filter(|last| is_recent(context, options, last, &source_name)) {
        return Ok(load::nothing_new(format!("{source_name}: walked lately, for load {}", last.sequence)));
    }
    let release = Release::new(context, options).await?;
    let progress = walk::progress_folder(options, last.map_or(0, |last| last.sequence));
    let walked = walk::walk(context, options, &release, &progress).await?;
    let rows = rows(options, &walked.nodes);
    if rows.is_empty() {
        return Err(StageError::broken_contract(format!("{source_name}: the walk found no code")).into());
    }
    let subject = Subject {
        run_id: &input.run_id,
        stream: ICD_CODES.name,
        entity: ICD_CODES.name,
        datasource: DATASOURCE,
        kind: kind(options, &walked),
        started_at: context.now(),
        landed_at: None,
    };
    let mut work = bronze_rows::load(context, &subject, source_name, &COLUMNS, &rows, input.force).await?;
    work.notes.extend(notes(&walked));
    walk::forget(context, &progress).await;
    Ok(work)
}

fn is_recent(context: &Context, options: &Icd, last: &Manifest, source_name: &str) -> bool {
    let age = context.now() - last.extracted_at;
    last.source.name == source_name && age < TimeDelta::days(options.max_age_days.into())
}

/// What the manifest of a walk's load says it was read from.
fn source_name(options: &Icd) -> String {
    let chapters = if options.chapters.is_empty() { "all chapters".to_owned() } else { options.chapters.join(", ") };
    format!("ICD API: ICD-10 {} ({}), {chapters}", options.release, options.language)
}

/// What the load of a walk says of codes that it does not hold.
fn kind(options: &Icd, walked: &Walked) -> LoadKind {
    if options.chapters.is_empty() && walked.missing.is_empty() { LoadKind::Snapshot } else { LoadKind::Upsert }
}

/// What a person should know of a walk.
fn notes(walked: &Walked) -> Vec<String> {
    let mut notes = Vec::new();
    if walked.resumed > 0 {
        notes.push(format!("{} nodes were known from a walk that broke", walked.resumed));
    }
    if !walked.missing.is_empty() {
        let some: Vec<String> = walked.missing.iter().take(MISSING_TOLD).map(|code| load::printable(code)).collect();
        let (count, some) = (walked.missing.len(), some.join(", "));
        notes.push(format!("the API has no node for {count} codes that it names, so that nothing is deleted: {some}"));
    }
    notes
}

/// Rows of [`COLUMNS`]: the codes among the nodes. The parent of a three-character code is its block.
fn rows(options: &Icd, nodes: &[Node]) -> Vec<Row> {
    let codes = nodes.iter().filter(|node| node.kind == NodeKind::Code);
    let row = |node: &Node| {
        Row::Fields(vec![
            Some(node.code.clone()),
            node.title.clone(),
            Some(node.children.is_empty().to_string()),
            node.parent.clone(),
            Some(options.release.clone()),
        ])
    };
    codes.map(row).collect()
}
