//! A draft as files of configuration.

use std::fmt::Write;

use rcm_model::load_config::{LoadRow, LoadType};

use super::{Draft, DraftedTable, Load};

/// Where the hospital's tables are.
#[derive(Debug, Clone)]
pub struct Place<'a> {
    pub database: &'a str,
    pub schema: &'a str,
    /// Folder below `bronze/`.
    pub targetpath: &'a str,
}

/// Returns the text of `cdm/<datasource>.toml`. `claims_folder` is the folder of `landing/` that claims land in.
#[must_use]
pub fn mapping(draft: &Draft, claims_folder: &str) -> String {
    let mut text = format!(
        "# {name}: how its columns become the common data model. Drafted by `rcm hospital add {name}`.\n\
         # A line with `# unsure` is a guess, and says why. Left is the model's name, right the hospital's.\n\
         # All keys: docs/pipeline-config.md.\n\n\
         # Suffix of every durable key: never change it.\n\
         datasource = {quoted}\n\n",
        name = draft.datasource,
        quoted = quoted(&draft.datasource),
    );
    if draft.date_formats.is_empty() {
        text += "# Its dates are in ISO 8601, which is always read.\n";
    } else {
        let formats: Vec<String> = draft.date_formats.iter().map(|format| quoted(format)).collect();
        let _ = writeln!(text, "date_formats = [{}]{}", formats.join(", "), mark(draft.date_formats_unsure.as_deref()));
    }
    if draft.has_times {
        text += "# Its times are read as UTC. If they are local:\n# time_zone = \"America/New_York\"\n";
    }
    let others: Vec<&DraftedTable> = draft.tables.iter().filter(|table| is_read_otherwise(table)).collect();
    if !others.is_empty() {
        text += "\n# Tables that are not called as the entity is.\n[read_from]\n";
        for table in others {
            let _ = writeln!(text, "{} = {}", table.entity, quoted(&table.table));
        }
    }
    if !draft.id_prefixes.is_empty() {
        text += "\n# Prefixes that some of its tables put before an id and others do not.\n[id_prefixes]\n";
        for (entity, prefixes) in &draft.id_prefixes {
            let prefixes: Vec<String> = prefixes.iter().map(|prefix| quoted(prefix)).collect();
            let _ = writeln!(text, "{entity} = [{}]", prefixes.join(", "));
        }
    }
    for table in &draft.tables {
        if let Load::Landed { pattern, unsure } = &table.load {
            text += "\n# Names of the files that land.\n[landing]\n";
            let _ = writeln!(text, "{claims_folder} = [{}]{}", quoted(pattern), mark(unsure.as_deref()));
        }
    }
    for table in &draft.tables {
        text += &entity(table);
    }
    text
}

fn entity(table: &DraftedTable) -> String {
    let mut text = format!("\n[entities.{}]\n", table.entity);
    for column in &table.columns {
        let _ =
            writeln!(text, "{} = {}{}", column.column, quoted(&column.source.source), mark(column.unsure.as_deref()));
    }
    if !table.missing.is_empty() {
        let _ = writeln!(text, "# Nothing was found for: {}", table.missing.join(", "));
    }
    if !table.not_used.is_empty() {
        let names: Vec<String> = table.not_used.iter().map(|column| quoted(&column.source)).collect();
        let _ = writeln!(text, "# Not used: {}", names.join(", "));
    }
    text
}

/// Whether a table that is extracted has another name than its entity.
fn is_read_otherwise(table: &DraftedTable) -> bool {
    table.load.load_type().is_some() && table.table != table.entity
}

/// Returns the lines of `load_config.csv`: one for each table that is extracted.
#[must_use]
pub fn load_rows(draft: &Draft, place: &Place<'_>) -> Vec<LoadRow> {
    let rows = draft.tables.iter().filter_map(|table| {
        let loadtype = table.load.load_type()?;
        let watermark = match &table.load {
            Load::Extract { incremental_by: Some(column) } => column.clone(),
            _ => String::new(),
        };
        Some(LoadRow {
            database: place.database.to_owned(),
            datasource: draft.datasource.clone(),
            tablename: format!("{}.{}", place.schema, table.table),
            loadtype,
            watermark,
            is_active: true,
            targetpath: place.targetpath.to_owned(),
        })
    });
    rows.collect()
}

/// Returns a line of `load_config.csv`, without its end.
#[must_use]
pub fn line(row: &LoadRow) -> String {
    let loadtype = match row.loadtype {
        LoadType::Full => "Full",
        LoadType::Incremental => "Incremental",
    };
    let is_active = if row.is_active { "1" } else { "0" };
    let LoadRow { database, datasource, tablename, watermark, targetpath, .. } = row;
    let fields: [&str; 7] = [database, datasource, tablename, loadtype, watermark, is_active, targetpath];
    fields.map(field).join(",")
}

/// A field of CSV: in quotes where it must be.
fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

/// A text as TOML has it.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// The comment of a line that is a guess.
fn mark(unsure: Option<&str>) -> String {
    unsure.map(|why| format!("  # unsure: {}", rcm_platform::load::printable(why))).unwrap_or_default()
}
