//! `rcm quarantine correct`: an exported file, mended, as loads that take the place of the rows.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rcm_model::cdm::Entity;
use rcm_model::event::{ReplayCount, StageInput};
use rcm_platform::bronze::Correction;
use rcm_platform::bronze_rows::Row;
use rcm_platform::corrections::{self, MendedLoad};
use rcm_platform::{Context, StageError, lake, stage};
use rcm_tables::desk::Action;
use rcm_tables::silver::{Mended, assess_mended, corrected_load, finish_replay};
use serde_json::{Value, json};

use super::export::{FAILED, FINGERPRINT, PLACE, RECORD, text_of};
use super::{ReplayedTable, record};
use crate::command::reason::Reason;
use crate::command::{CommandOutput, SOME_FAILED};
use crate::quarantine::{Entry, Wanted, entities, of_entity};
use crate::{functions, print};

/// The mended file, and why it counts.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) file: PathBuf,
    pub(super) reason: Reason,
    pub(super) dry_run: bool,
    pub(super) json: bool,
}

/// Loads mended rows in the place of those in quarantine. Rows of the file that were not mended, or that a call before has
/// loaded, are passed over; rows that fail a rule stay open and are not loaded.
///
/// # Errors
/// Nothing was done: the file cannot be read, is not one that `export` wrote, or names a row that there is not.
pub(super) async fn correct(context: &Context, request: Request) -> Result<CommandOutput, StageError> {
    let Request { file, reason, dry_run, json: as_json } = request;
    let run_id = stage::new_id(context.now());
    let sheet = Sheet::read(&file)?;
    let Found { entity, mended, passed_over } = find(context, &sheet, !dry_run, &run_id).await?;
    let Some(entity) = entity else {
        let text = format!("{} has no rows: nothing to correct\n", file.display());
        return Ok(CommandOutput { text, exit: ExitCode::SUCCESS }.into_message(as_json));
    };
    let outcomes = assess_mended(context, entity, &mended).await?;
    let mut table = ReplayedTable {
        table: lake::silver(entity.name),
        outcomes: ReplayCount::of(outcomes.iter().map(|told| (told.outcome, told.rule.clone()))),
        version: None,
        error: None,
    };
    let passing: BTreeSet<&str> =
        outcomes.iter().filter(|told| told.outcome.passes()).map(|told| told.fingerprint.as_str()).collect();
    if !dry_run {
        load(context, entity, &mended, &passing, &reason, &run_id).await?;
        // Also where nothing is left to load: a call that was cut off may have left a load that waits.
        let input = StageInput { run_id, ..StageInput::default() };
        match functions::call(&entity.silver_function(), context.clone(), json!(input)).await {
            Ok(report) => {
                let commits = report.commits.iter().rfind(|made| made.table == table.table);
                table.version = commits.map(|made| made.version);
            }
            Err(error) => table.error = Some(format!("{}: {error}", error.name())),
        }
    }
    let is_whole = table.error.is_none() && table.outcomes.iter().all(|count| count.outcome.passes());
    let exit = if is_whole { ExitCode::SUCCESS } else { ExitCode::from(SOME_FAILED) };
    let document = json!({ "dry_run": dry_run, "tables": [&table], "passed_over": passed_over });
    let text = || {
        let mut text = print::replayed(std::slice::from_ref(&table), dry_run);
        if passed_over > 0 {
            _ = writeln!(
                text,
                "Rows of the file that were passed over, not mended or not open any more: {passed_over}"
            );
        }
        text
    };
    Ok(CommandOutput::of(as_json, &document, text, exit))
}

/// Writes the rows that pass to bronze: a load for each load that has some of them.
async fn load(
    context: &Context,
    entity: &'static Entity,
    mended: &[Mended],
    passing: &BTreeSet<&str>,
    reason: &Reason,
    run_id: &str,
) -> Result<(), StageError> {
    if passing.is_empty() {
        return Ok(());
    }
    let fingerprints = passing.iter().map(|fingerprint| (*fingerprint).to_owned()).collect();
    let decision = record(context, entity, Action::Correct, reason, fingerprints, true).await?;
    for Mended { stream, sequence, columns, rows } in mended {
        let rows: Vec<_> = rows.iter().filter(|(fingerprint, _)| passing.contains(fingerprint.as_str())).collect();
        let Some(root) = corrected_load(context, entity, stream, *sequence).await?.filter(|_| !rows.is_empty()) else {
            continue;
        };
        let correction = Correction {
            sequence: root.sequence,
            kind: root.kind,
            fingerprints: rows.iter().map(|(fingerprint, _)| fingerprint.clone()).collect(),
            decision: decision.number,
            who: decision.who.clone(),
            why: decision.why.clone().unwrap_or_default(),
        };
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        let rows: Vec<Row> = rows.into_iter().map(|(_, values)| Row::Fields(values.clone())).collect();
        let mended = MendedLoad { run_id, corrected: &root, columns: &columns, rows: &rows, correction: &correction };
        corrections::load(context, mended).await?;
    }
    Ok(())
}

/// The rows of a file.
struct Sheet {
    /// Source columns.
    columns: Vec<String>,
    /// By line: fingerprint and values of the source columns.
    rows: Vec<(usize, String, Vec<String>)>,
}

impl Sheet {
    /// Reads a file that `export` wrote.
    fn read(path: &Path) -> Result<Self, StageError> {
        let refuse = |reason: &str| StageError::bad_config(format!("{}: {reason}", path.display()));
        let mut reader = csv::Reader::from_path(path).map_err(|_| refuse("the file cannot be read"))?;
        let header = reader.headers().map_err(|_| refuse("the header cannot be read"))?.clone();
        let header: Vec<&str> = header.iter().map(|name| name.trim_start_matches('\u{feff}')).collect();
        let place = header.iter().position(|name| *name == FINGERPRINT);
        let Some(place) = place else {
            return Err(refuse(
                "it has no column rcm_fingerprint; hint: give a file that `rcm quarantine export` wrote without --masked",
            ));
        };
        let own = [FINGERPRINT, PLACE, FAILED, RECORD];
        let sources: Vec<usize> = (0..header.len()).filter(|column| !own.contains(&header[*column])).collect();
        let mut rows = Vec::new();
        for (line, record) in (2..).zip(reader.records()) {
            let record = record.map_err(|_| refuse(&format!("line {line} does not fit the header")))?;
            let text = |column: usize| record.get(column).unwrap_or_default().to_owned();
            rows.push((line, text(place), sources.iter().map(|column| text(*column)).collect()));
        }
        let mut seen = BTreeSet::new();
        if let Some((line, ..)) = rows.iter().find(|(_, fingerprint, _)| !seen.insert(fingerprint)) {
            return Err(refuse(&format!("line {line} has the fingerprint of a line before")));
        }
        Ok(Self { columns: sources.into_iter().map(|column| header[column].to_owned()).collect(), rows })
    }
}

/// The rows of a file that are mended.
struct Found {
    /// The table that they are of; none of a file without rows.
    entity: Option<&'static Entity>,
    /// By the load that has them.
    mended: Vec<Mended>,
    /// Rows that were not mended, or are not open any more.
    passed_over: usize,
}

/// Finds the rows of a file in quarantine.
async fn find(context: &Context, sheet: &Sheet, finish: bool, run_id: &str) -> Result<Found, StageError> {
    let all = Wanted { status: Some("all".to_owned()), ..Wanted::default() };
    let mut known: HashMap<String, (&'static Entity, Entry, Value)> = HashMap::new();
    let wanted: BTreeSet<&str> = sheet.rows.iter().map(|(_, fingerprint, _)| fingerprint.as_str()).collect();
    for entity in entities(&all)? {
        if finish {
            finish_replay(context, entity, run_id).await?;
        }
        let rows = of_entity(context, entity, &all).await?;
        let rows = rows.into_iter().filter(|(entry, _)| wanted.contains(entry.fingerprint.as_str()));
        known.extend(rows.map(|(entry, raw)| (entry.fingerprint.clone(), (entity, entry, raw))));
    }
    let mut found = Found { entity: None, mended: Vec::new(), passed_over: 0 };
    let mut by_load: BTreeMap<(String, u64), Mended> = BTreeMap::new();
    for (line, fingerprint, cells) in &sheet.rows {
        let Some((entity, entry, raw)) = known.get(fingerprint) else {
            let message = format!("line {line}: no row in quarantine has this fingerprint; nothing was done");
            return Err(StageError::bad_config(message));
        };
        if found.entity.is_some_and(|known| known.name != entity.name) {
            return Err(StageError::bad_config(format!("line {line} is of another table; nothing was done")));
        }
        found.entity = Some(entity);
        let values = values(&sheet.columns, cells, raw).ok_or_else(|| {
            StageError::bad_config(format!("line {line}: the file lacks columns that the row has; nothing was done"))
        })?;
        let Some(values) = values.filter(|_| entry.status == "open") else {
            found.passed_over += 1;
            continue;
        };
        let sequence = entry.sequence.unsigned_abs();
        let of_load = by_load.entry((entry.stream.clone(), sequence)).or_insert_with(|| Mended {
            stream: entry.stream.clone(),
            sequence,
            columns: sheet.columns.clone(),
            rows: Vec::new(),
        });
        of_load.rows.push((fingerprint.clone(), values));
    }
    found.mended = by_load.into_values().collect();
    Ok(found)
}

/// The values of a mended row, in the order of the columns: none within where nothing was mended. A cell that says what the
/// row said is what it was, nothing or an empty text; any other empty cell is nothing. None where the row has a column that
/// the file lacks.
#[expect(clippy::option_option, reason = "the outer one is the contract of the file, the inner one of the row")]
fn values(columns: &[String], cells: &[String], raw: &Value) -> Option<Option<Vec<Option<String>>>> {
    let before = raw.as_object();
    if before.is_some_and(|before| before.keys().any(|column| !columns.contains(column))) {
        return None;
    }
    let mut is_mended = false;
    let value = |(column, cell): (&String, &String)| {
        let before = before.and_then(|before| before.get(column));
        if before.is_some_and(|before| text_of(before) == *cell) {
            return before.and_then(Value::as_str).map(str::to_owned);
        }
        let value = (!cell.is_empty()).then(|| cell.clone());
        is_mended |= before.is_some() || value.is_some();
        value
    };
    let values: Vec<Option<String>> = columns.iter().zip(cells).map(value).collect();
    Some(is_mended.then_some(values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_that_was_not_mended_is_what_it_was_and_a_row_without_a_mended_cell_is_passed_over() {
        let columns = ["A", "B", "C"].map(str::to_owned);
        let raw = json!({ "A": "1", "B": "", "C": null });
        let of = |cells: [&str; 3]| values(&columns, &cells.map(str::to_owned), &raw);
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(of(["1", "", ""]), Some(None));
        assert_eq!(of(["2", "", ""]), Some(Some(vec![some("2"), some(""), None])));
        assert_eq!(of(["", "", "3"]), Some(Some(vec![None, some(""), some("3")])));
        assert_eq!(values(&columns[..2], &["1", ""].map(str::to_owned), &raw), None);
        let record = json!(["1", "2"]);
        assert_eq!(values(&columns, &["", "", ""].map(str::to_owned), &record), Some(None));
        assert_eq!(
            values(&columns, &["1", "", ""].map(str::to_owned), &record),
            Some(Some(vec![some("1"), None, None]))
        );
    }
}
