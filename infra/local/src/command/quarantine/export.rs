//! `rcm quarantine export`: the values of open rows, to a file that only its owner reads.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rcm_model::cdm::{Entity, EntityMapping};
use rcm_platform::load::printable;
use rcm_platform::{Context, StageError};
use rcm_tables::desk::Action;
use serde_json::Value;

use super::record;
use crate::command::CommandOutput;
use crate::command::reason::Reason;
use crate::output::private_options;
use crate::quarantine::{Entry, Wanted, entities, of_entity, shape_of};

/// Columns of the file beside those of the source.
pub(super) const FINGERPRINT: &str = "rcm_fingerprint";
pub(super) const PLACE: &str = "rcm_place";
pub(super) const FAILED: &str = "rcm_failed";
/// Fields of a record that does not fit its header, as JSON; empty for every record that does.
pub(super) const RECORD: &str = "rcm_record";
/// In place of [`FINGERPRINT`] in a file with shapes: it cannot be given back.
const MASKED: &str = "rcm_fingerprint_masked";

/// Which rows are exported, where to, and why.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) file: PathBuf,
    pub(super) rows: Wanted,
    pub(super) reason: Reason,
    /// Shapes in place of values.
    pub(super) masked: bool,
}

/// Writes the values of rows to a new file. That they were read is recorded before.
///
/// # Errors
/// Nothing was done: no row is meant, or rows of several tables or datasources are; the file is there already or cannot be
/// written.
pub(super) async fn export(context: &Context, request: Request) -> Result<CommandOutput, StageError> {
    let Request { file, rows, reason, masked } = request;
    let mut found: Vec<(&'static Entity, Entry, Value)> = Vec::new();
    for entity in entities(&rows)? {
        let of_entity = of_entity(context, entity, &rows).await?;
        found.extend(of_entity.into_iter().map(|(entry, raw)| (entity, entry, raw)));
    }
    let tables: BTreeSet<(&str, &str)> =
        found.iter().map(|(entity, entry, _)| (entity.name, entry.datasource.as_str())).collect();
    let Some((entity, ..)) = found.first() else {
        return Err(StageError::bad_config("no open row in quarantine is meant; hint: rcm quarantine list"));
    };
    if tables.len() > 1 {
        let named: Vec<String> = tables.iter().map(|(entity, hospital)| format!("{entity} of {hospital}")).collect();
        return Err(StageError::bad_config(format!(
            "a file has rows of one table and hospital, and these are of {}; hint: --entity {} --hospital {}",
            named.join(", "),
            tables.first().map_or("", |(entity, _)| entity),
            tables.first().map_or("", |(_, hospital)| hospital)
        )));
    }
    let entity = *entity;
    let rows: Vec<(Entry, Value)> = found.into_iter().map(|(_, entry, raw)| (entry, raw)).collect();
    let table = table_of(context, entity, &rows, masked);
    let created = create(&file)?;
    let fingerprints = rows.iter().map(|(entry, _)| entry.fingerprint.clone()).collect();
    let written = match record(context, entity, Action::Export, &reason, fingerprints, false).await {
        Ok(decision) => write(created, &file, &table).map(|()| decision),
        Err(error) => Err(error),
    };
    let decision = match written {
        Ok(decision) => decision,
        Err(error) => {
            // A file without all rows would pass for one with them.
            fs::remove_file(&file).ok();
            return Err(error);
        }
    };
    let rows = rows.len();
    let what = if masked { "Shapes of rows" } else { "Rows" };
    let (name, number) = (printable(&file.display().to_string()), decision.number);
    let mut text =
        format!("{what} of {} written to {name}, which you alone may read: {rows}; decision {number}\n", entity.name);
    if !masked {
        text.push_str("Mend the values, leave the columns rcm_… as they are, and give the file back:\n");
        _ = writeln!(text, "  rcm quarantine correct {name} --why TEXT");
    }
    Ok(CommandOutput { text, exit: ExitCode::SUCCESS })
}

/// The file: its header and its records.
fn table_of(context: &Context, entity: &Entity, rows: &[(Entry, Value)], masked: bool) -> Vec<Vec<String>> {
    let columns = columns_of(context, entity, rows);
    let own = [if masked { MASKED } else { FINGERPRINT }, PLACE, FAILED, RECORD].map(str::to_owned);
    let mut table = vec![own.into_iter().chain(columns.iter().cloned()).collect()];
    for (entry, raw) in rows {
        let place = format!("{}:{}:{}", entry.stream, entry.sequence, entry.position);
        let record = if raw.is_array() { cell(raw, masked) } else { String::new() };
        let mut line = vec![entry.fingerprint.clone(), place, entry.rules.join(" "), record];
        line.extend(columns.iter().map(|column| raw.get(column).map_or_else(String::new, |value| cell(value, masked))));
        table.push(line);
    }
    table
}

/// The source columns of rows: those that they have, and where a record does not fit its header those that are mapped.
fn columns_of(context: &Context, entity: &Entity, rows: &[(Entry, Value)]) -> BTreeSet<String> {
    let own = rows.iter().filter_map(|(_, raw)| raw.as_object()).flat_map(|raw| raw.keys().cloned());
    let mut columns: BTreeSet<String> = own.collect();
    if columns.is_empty()
        && let Some((entry, _)) = rows.first()
        && let Ok(mapping) = context.settings.mapping(&entry.datasource)
    {
        let mapped = mapping.columns(entity.name, "");
        columns.extend(mapped.into_iter().flat_map(EntityMapping::source_columns).map(str::to_owned));
    }
    columns
}

fn cell(value: &Value, masked: bool) -> String {
    if masked { shape_of(value) } else { text_of(value) }
}

/// A value as the file has it: nothing is an empty text.
pub(super) fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Makes a file that is not there yet, for its owner alone.
fn create(path: &Path) -> Result<File, StageError> {
    private_options().create_new(true).open(path).map_err(|error| {
        let hint = if error.kind() == std::io::ErrorKind::AlreadyExists { "; hint: name a new file" } else { "" };
        StageError::bad_config(format!("{}: {error}{hint}", path.display()))
    })
}

fn write(file: File, path: &Path, table: &[Vec<String>]) -> Result<(), StageError> {
    let failed = |error: &dyn std::fmt::Display| StageError::bad_config(format!("{}: {error}", path.display()));
    let mut writer = csv::Writer::from_writer(file);
    for record in table {
        writer.write_record(record).map_err(|error| failed(&error))?;
    }
    writer.flush().map_err(|error| failed(&error))
}
