//! From rows that lie in bronze to a load: what extracts and landed files share.

mod renamed;

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use rcm_model::cdm;
use rcm_model::event::{LoadCounts, Metric, Outcome};
use rcm_model::load_config::LoadRow;
use tracing::warn;

pub use self::renamed::check_datasource;

use crate::bronze::{self, LoadLog, Manifest, SourceObject, Watermark};
use crate::config::LoadKind;
use crate::context::Context;
use crate::error::{Result, StageError};
use crate::lake::PutOutcome;
use crate::lost_keys;
use crate::stage::{self, Work};
use crate::telemetry::metrics::{self, WATERMARK_LAG_HOURS};

/// Endings of files that a transfer has not finished.
pub const UNFINISHED: [&str; 5] = [".tmp", ".part", ".partial", ".filepart", ".crdownload"];

/// Columns that a note names, and letters of each.
const NAMES_TOLD: usize = 20;
const NAME_LENGTH: usize = 100;

/// What a load is of: known before its first row.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub run_id: &'a str,
    pub stream: &'a str,
    pub entity: &'a str,
    pub datasource: &'a str,
    pub kind: LoadKind,
    pub started_at: DateTime<Utc>,
    /// When the file landed that the rows are read from, or the own date of a whole list; none of an extract
    /// or a pull.
    pub landed_at: Option<DateTime<Utc>>,
}

/// Rows that lie in bronze and that no manifest names yet.
#[derive(Debug, Clone)]
pub struct Rows {
    pub load_id: String,
    pub data_key: String,
    pub source: SourceObject,
    pub content_hash: String,
    pub rows: u64,
    pub malformed: u64,
    pub watermark: Option<Watermark>,
    /// Columns of the source that the mapping does not use.
    pub unmapped_columns: Vec<String>,
}

/// Makes rows the stream's next load after `last`. None if another run has made one meanwhile; the
/// rows are still there then.
///
/// # Errors
/// The store fails.
pub async fn commit(
    context: &Context,
    subject: &Subject<'_>,
    last: Option<&Manifest>,
    rows: &Rows,
) -> Result<Option<Manifest>> {
    put(context, subject, None, last, extracted_at(subject, last), rows).await
}

/// As [`commit`], for rows of a hospital's table: the manifest says which line of `load_config.csv` they are of.
///
/// # Errors
/// As [`commit`].
pub async fn commit_extract(
    context: &Context,
    subject: &Subject<'_>,
    row: &LoadRow,
    last: Option<&Manifest>,
    rows: &Rows,
) -> Result<Option<Manifest>> {
    put(context, subject, Some(renamed::table_of(row)), last, extracted_at(subject, last), rows).await
}

/// As [`commit`], for rows of a file that landed: several datasources have loads in its stream, and a date
/// need only be later than that of the load before of its own.
///
/// # Errors
/// As [`commit`].
pub async fn commit_landed(
    context: &Context,
    subject: &Subject<'_>,
    loads: &[Manifest],
    rows: &Rows,
) -> Result<Option<Manifest>> {
    let before = loads.iter().rfind(|load| load.datasource == subject.datasource);
    put(context, subject, None, loads.last(), extracted_at(subject, before), rows).await
}

async fn put(
    context: &Context,
    subject: &Subject<'_>,
    table: Option<String>,
    last: Option<&Manifest>,
    extracted_at: DateTime<Utc>,
    rows: &Rows,
) -> Result<Option<Manifest>> {
    let manifest = Manifest {
        load_id: rows.load_id.clone(),
        run_id: subject.run_id.to_owned(),
        stream: subject.stream.to_owned(),
        sequence: last.map_or(1, |last| last.sequence + 1),
        moved_from: None,
        entity: subject.entity.to_owned(),
        datasource: subject.datasource.to_owned(),
        kind: subject.kind,
        source: rows.source.clone(),
        table,
        content_hash: rows.content_hash.clone(),
        rows: rows.rows,
        malformed: rows.malformed,
        watermark: rows.watermark.clone(),
        extracted_at,
        data_files: vec![rows.data_key.clone()],
        unmapped_columns: rows.unmapped_columns.clone(),
        correction: None,
        started_at: subject.started_at,
        finished_at: context.now(),
    };
    match LoadLog::new(&context.lake, subject.stream).commit(&manifest).await? {
        PutOutcome::Created => Ok(Some(manifest)),
        PutOutcome::AlreadyThere => Ok(None),
    }
}

/// What the rows are as of where they do not say it themselves: of a file that landed when it did, and of a
/// whole list its own date, though never later than the clock. Whole tables are in the order of their
/// numbers, whatever their dates.
fn extracted_at(subject: &Subject<'_>, before: Option<&Manifest>) -> DateTime<Utc> {
    let date = subject.landed_at.map_or(subject.started_at, |landed_at| landed_at.min(subject.started_at));
    match (subject.kind, subject.landed_at) {
        (LoadKind::Upsert, Some(_)) => date,
        _ => before.map_or(date, |before| date.max(before.extracted_at + TimeDelta::microseconds(1))),
    }
}

/// Removes rows that will not become a load.
///
/// # Errors
/// The store fails.
pub async fn discard(context: &Context, rows: &Rows) -> Result<()> {
    context.lake.delete(&rows.data_key).await
}

/// Checks a snapshot against what its datasource had by the loads of its stream, and discards it if it does
/// not pass. Anything else passes.
///
/// # Errors
/// `ThresholdExceeded` if it lacks more keys than the configuration allows.
pub async fn check_lost_keys(context: &Context, subject: &Subject<'_>, loads: &[Manifest], rows: &Rows) -> Result<()> {
    if subject.kind != LoadKind::Snapshot {
        return Ok(());
    }
    let mapping = context.settings.mapping(subject.datasource)?;
    let Some(entity) = cdm::entity(mapping.entity_of(subject.entity)) else { return Ok(()) };
    let max_share = context.settings.sources.emr.max_lost_share(subject.stream);
    let known = bronze::since_last_snapshot(loads, subject.datasource);
    let checked =
        lost_keys::check(&context.lake, &known, (&rows.data_key, &rows.source.name), (mapping, entity), max_share)
            .await;
    if checked.is_err()
        && let Err(error) = discard(context, rows).await
    {
        // No load names them, so that maintenance finds them.
        warn!(error = error.name(), message = %error, "rows that make no load are left behind");
    }
    checked
}

/// Returns what a stage reports of the load that it made.
#[must_use]
pub fn work(load: &Manifest, last: Option<&Manifest>) -> Work {
    let mut notes = Vec::new();
    if load.malformed > 0 {
        notes.push(format!("rows that do not fit the header, and so go to quarantine: {}", load.malformed));
    }
    notes.extend(drift(load, last));
    let counts = LoadCounts {
        load_id: load.load_id.clone(),
        stream: load.stream.clone(),
        sequence: load.sequence,
        read: load.rows,
        ..LoadCounts::default()
    };
    Work { outcome: Some(Outcome::Done), loads: vec![counts], notes, ..Work::default() }
}

/// How far the newest row that a stream holds lies behind a moment; none where no watermark is kept.
#[must_use]
pub fn watermark_lag(load: &Manifest, now: DateTime<Utc>) -> Option<Metric> {
    let newest = load.watermark.as_ref()?.to?;
    Some(metrics::hours(WATERMARK_LAG_HOURS, &load.stream, now - newest))
}

/// Returns what a stage reports if it found nothing that the lake does not hold.
#[must_use]
pub fn nothing_new(note: String) -> Work {
    Work { notes: vec![note], ..Work::nothing_new() }
}

/// Columns of a source that its mapping does not use.
pub fn unmapped<'a>(columns: &[String], mapped: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mapped: Vec<&str> = mapped.collect();
    columns.iter().filter(|column| !mapped.contains(&column.as_str())).cloned().collect()
}

/// Returns what to say of a source that lacks columns, which are named as [`EntityMapping::resolve`] does; nothing
/// where there is none.
///
/// [`EntityMapping::resolve`]: rcm_model::cdm::EntityMapping::resolve
pub(crate) fn lacks(columns: impl Iterator<Item = String>) -> Option<String> {
    let columns: BTreeSet<String> = columns.collect();
    let named = columns.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    match columns.len() {
        0 => None,
        1 => Some(format!("lacks the column {named}")),
        _ => Some(format!("lacks the columns {named}")),
    }
}

/// An identifier and a key for rows that are to be written.
#[must_use]
pub fn new_file(context: &Context, stream: &str) -> (String, String) {
    let load_id = stage::new_id(context.now());
    let data_key = LoadLog::new(&context.lake, stream).data_key(&load_id);
    (load_id, data_key)
}

/// The error of a stream that others kept loading to.
#[must_use]
pub fn conflict(stream: &str) -> StageError {
    StageError::commit_conflict(format!("other runs kept loading to `{stream}`"))
}

/// A name without control characters, which a log or a terminal might obey.
#[must_use]
pub fn printable(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Whether a landed file is there as a whole, by its name: transfers name unfinished files
/// differently.
#[must_use]
pub fn is_finished(file_name: &str) -> bool {
    let name = file_name.to_lowercase();
    !name.is_empty() && !name.starts_with('.') && !UNFINISHED.iter().any(|ending| name.ends_with(ending))
}

/// What came and went of the columns that a mapping does not use; of many the first ones, since a state
/// machine takes 256 KiB of an answer.
fn drift(load: &Manifest, last: Option<&Manifest>) -> Option<String> {
    let before = last.map_or(&[][..], |last| &last.unmapped_columns);
    let only_in = |columns: &[String], others: &[String]| {
        let names: Vec<&String> = columns.iter().filter(|column| !others.contains(column)).collect();
        let told = names.iter().take(NAMES_TOLD).map(|name| printable(name).chars().take(NAME_LENGTH).collect());
        let told: Vec<String> = told.collect();
        let more = names.len() - told.len();
        if more > 0 { format!("{} and {more} more", told.join(", ")) } else { told.join(", ") }
    };
    let came = only_in(&load.unmapped_columns, before);
    let went = only_in(before, &load.unmapped_columns);
    match (came.is_empty(), went.is_empty()) {
        (true, true) => None,
        (false, true) => Some(format!("drift: columns that the mapping does not use: {came}")),
        (true, false) => Some(format!("drift: columns that are no longer there: {went}")),
        (false, false) => {
            Some(format!("drift: columns that the mapping does not use: {came}; no longer there: {went}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bronze_file::tests::{Trouble, Unreliable};
    use crate::bronze_rows::{self, Row};
    use crate::testing::{TestLake, manifest};

    #[test]
    fn of_many_columns_that_came_a_note_names_some_and_counts_the_others() {
        let load = |columns: usize| {
            let unmapped_columns = (1..=columns).map(|column| format!("c{column}")).collect();
            Manifest { unmapped_columns, ..manifest("claims", 1, DateTime::UNIX_EPOCH) }
        };
        let some = drift(&load(2), None).unwrap();
        assert_eq!(some, "drift: columns that the mapping does not use: c1, c2");
        let many = drift(&load(5000), Some(&load(1))).unwrap();
        assert!(many.starts_with("drift: columns that the mapping does not use: c2, c3, "), "{many}");
        assert!(many.ends_with(", c21 and 4979 more"), "{many}");
    }

    #[tokio::test]
    async fn a_snapshot_that_lost_too_many_keys_is_told_so_even_if_its_rows_cannot_be_removed() {
        let context = Context { lake: Unreliable::lake(Trouble::Removal), ..TestLake::new().context().await };
        let subject = Subject {
            run_id: "run-1",
            stream: "cpt_codes",
            entity: "cpt_codes",
            datasource: "cpt",
            kind: LoadKind::Snapshot,
            started_at: context.now(),
            landed_at: None,
        };
        let row = |code: u32| Row::Fields(vec![Some(code.to_string())]);
        let load = async |codes: u32| {
            let rows: Vec<Row> = (0..codes).map(row).collect();
            bronze_rows::load(&context, &subject, "made up".to_owned(), &["CPT Codes"], &rows, false).await
        };
        load(10).await.unwrap();
        assert_eq!(load(1).await.unwrap_err().name(), "ThresholdExceeded");
    }
}
