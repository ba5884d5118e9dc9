//! The datasource of a stream never changes: under another name all its keys would be new ones, beside the old.

use rcm_model::load_config::LoadRow;

use crate::bronze::{LoadLog, Manifest};
use crate::context::Context;
use crate::error::{Result, StageError};

/// Checks that a table is loaded under the datasource that it was always loaded under: that its stream holds, and
/// if it begins with the next load, that of a stream of the same database and table which is no longer loaded. A
/// stream of the same datasource may begin anew at any time: the hospital has changed its system. One table may
/// also be that of several datasources, each with its part of the rows, as long as all are loaded.
///
/// # Errors
/// `BadConfig` if the datasource has been renamed; or the store fails.
pub async fn check_datasource(context: &Context, row: &LoadRow, last: Option<&Manifest>) -> Result<()> {
    if let Some(last) = last {
        let is_same = last.datasource == row.datasource && last.entity == row.entity();
        return if is_same { Ok(()) } else { Err(renamed(row, last)) };
    }
    let table = table_of(row);
    for folder in context.lake.folders("bronze").await? {
        let stream = format!("{folder}/{}", row.entity());
        if folder == row.targetpath || is_loaded(context, &stream) {
            continue;
        }
        let Some(last) = LoadLog::new(&context.lake, &stream).last().await? else { continue };
        let is_of_table = last.table.as_deref().unwrap_or(&last.source.name).eq_ignore_ascii_case(&table);
        if is_of_table && last.datasource != row.datasource {
            return Err(renamed(row, &last));
        }
    }
    Ok(())
}

/// Database and table of a line of `load_config.csv`.
pub(super) fn table_of(row: &LoadRow) -> String {
    format!("{}.{}", row.database, row.tablename)
}

fn is_loaded(context: &Context, stream: &str) -> bool {
    context.settings.load_config.iter().any(|row| row.is_active && row.stream() == stream)
}

fn renamed(row: &LoadRow, last: &Manifest) -> StageError {
    let (old, new, table) = (&last.datasource, &row.datasource, table_of(row));
    if last.entity != row.entity() {
        let (stream, before, now) = (&last.stream, &last.entity, row.entity());
        let message = format!("stream `{stream}` holds loads of `{before}`, and load_config.csv has it load `{now}`");
        return StageError::bad_config(format!("{message}; hint: give the table another targetpath"));
    }
    StageError::bad_config(format!(
        "load_config.csv loads `{table}` as datasource `{new}`, but stream `{}` holds it as `{old}`: a datasource \
         cannot be renamed, since all its keys end in its name and every row would count twice; hint: put `{old}` \
         back into load_config.csv, and its mapping back to configs/cdm/{old}.toml, and show another name where \
         gold is read; or build a new lake, in which everything is `{new}`",
        last.stream
    ))
}
