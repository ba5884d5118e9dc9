//! Loads of a run that are unlike the loads of their streams before them.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use polars::prelude::*;
use rcm_domain::cdm::timestamp;
use rcm_domain::quality::drift;
use rcm_model::event::{LoadProfile, StageReport};
use rcm_platform::{Context, StageError};
use rcm_tables::audit;
use rcm_tables::frames::blocking;

use crate::rows::{MEASURED, NULL_SHARE};

/// How far back loads are compared with. Eight loads of a monthly feed are in it.
const DAYS: i64 = 400;
/// Most notes on the loads of one stream.
const MOST_NOTES: usize = 5;

/// Profiles by stream, in the order of their loads.
type Profiles = BTreeMap<String, Vec<LoadProfile>>;

/// Says which loads of some reports are unlike those before them. To be called when the reports are in the tables: the
/// table of an older version has no profiles.
///
/// # Errors
/// The table cannot be read.
pub(super) async fn notes(context: &Context, reports: &[StageReport]) -> Result<Vec<String>, StageError> {
    let mut of_run = Profiles::new();
    let mut seen = BTreeSet::new();
    for profile in reports.iter().flat_map(|report| &report.profiles) {
        // A load that was tried again is one.
        if seen.insert((&profile.entity, &profile.load_id)) {
            of_run.entry(profile.stream.clone()).or_default().push(profile.clone());
        }
    }
    if of_run.is_empty() {
        return Ok(Vec::new());
    }
    let runs = reports.iter().map(|report| report.run_id.clone()).collect();
    let before = before(context, of_run.keys().cloned().collect(), runs).await?;
    let numbers: BTreeMap<&str, u64> =
        reports.iter().flat_map(|report| &report.loads).map(|load| (load.load_id.as_str(), load.sequence)).collect();
    let number = |load: &LoadProfile| numbers.get(load.load_id.as_str()).copied();
    Ok(of_run.iter().flat_map(|(stream, loads)| of_stream(loads, before.get(stream), number)).collect())
}

fn of_stream(
    loads: &[LoadProfile],
    before: Option<&Vec<LoadProfile>>,
    number: impl Fn(&LoadProfile) -> Option<u64>,
) -> Vec<String> {
    let mut known: Vec<LoadProfile> = before.into_iter().flatten().cloned().collect();
    let mut notes = Vec::new();
    for load in loads {
        // One that was read again, for a table that is made anew, is no news.
        if known.iter().any(|known| known.load_id == load.load_id) {
            continue;
        }
        let said = drift(load, &known).into_iter();
        let name = number(load).map_or_else(|| load.load_id.clone(), |number| number.to_string());
        notes.extend(said.map(|said| format!("{} load {name}: {said}", load.stream)));
        known.push(load.clone());
    }
    notes.truncate(MOST_NOTES);
    notes
}

/// The loads of some streams that the table has from other runs than some.
async fn before(context: &Context, streams: Vec<String>, runs: BTreeSet<String>) -> Result<Profiles, StageError> {
    let since = context.now() - TimeDelta::days(DAYS);
    let Some(rows) = audit::scan(&context.lake, "quality_metrics").await? else {
        return Ok(Profiles::new());
    };
    let rows = blocking(move || {
        let streams = Series::new("streams".into(), streams);
        let runs = Series::new("runs".into(), Vec::from_iter(runs));
        let since = lit(since.timestamp_micros()).cast(timestamp());
        let is_wanted = col("measured_at")
            .gt(since)
            .and(col("severity").eq(lit(MEASURED)))
            .and(col("rule").eq(lit(NULL_SHARE)))
            .and(col("stream").is_in(lit(streams).implode(true), false))
            .and(col("run_id").is_in(lit(runs).implode(true), false).not());
        let wanted = ["entity", "stream", "load_id", "column", "rows_checked", "rows_failed", "measured_at"];
        let order = ["load_id", "measured_at"];
        Ok(rows.filter(is_wanted).select(wanted.map(col)).sort(order, SortMultipleOptions::default()).collect()?)
    })
    .await?;
    let text = |name: &str| Ok::<_, StageError>(rows.column(name)?.str()?.clone());
    let number = |name: &str| Ok::<_, StageError>(rows.column(name)?.i64()?.clone());
    let (entity, stream, load_id, column) = (text("entity")?, text("stream")?, text("load_id")?, text("column")?);
    let (checked, failed) = (number("rows_checked")?, number("rows_failed")?);
    let measured = rows.column("measured_at")?.datetime()?.physical().clone();
    let of = |column: &StringChunked, row: usize| column.get(row).unwrap_or_default().to_owned();
    let mut profiles = Profiles::new();
    for row in 0..rows.height() {
        let load_id = of(&load_id, row);
        let loads = profiles.entry(of(&stream, row)).or_default();
        if loads.last().is_none_or(|last| last.load_id != load_id) {
            loads.push(LoadProfile {
                entity: of(&entity, row),
                stream: of(&stream, row),
                load_id,
                rows: checked.get(row).unwrap_or(0).unsigned_abs(),
                nulls: BTreeMap::new(),
                extracted_at: measured
                    .get(row)
                    .and_then(DateTime::from_timestamp_micros)
                    .unwrap_or(DateTime::<Utc>::MIN_UTC),
                newest: None,
            });
        }
        if let Some(load) = loads.last_mut() {
            load.nulls.insert(of(&column, row), failed.get(row).unwrap_or(0).unsigned_abs());
        }
    }
    Ok(profiles)
}
