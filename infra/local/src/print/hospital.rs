//! Prints what was drafted of a hospital.

use rcm_platform::load::printable;

use super::figures::count;
use super::table::{list, printable_lines, sections, table};
use crate::command::AddedHospital;
use crate::hospital::{DraftedTable, Load};

/// Returns the tables that were found, what is unsure, what was written and what to do next. Of cells only shapes.
#[must_use]
pub fn hospital(added: &AddedHospital, lake: &str) -> String {
    let draft = &added.draft;
    let name = &draft.datasource;
    let rows = draft.tables.iter().map(|table| {
        let found = table.columns.len();
        vec![
            printable(&table.file),
            table.entity.to_owned(),
            load(&table.load),
            format!("{found} of {}", found + table.missing.len()),
            count(table.not_used.len() as u64),
            count(table.rows as u64),
        ]
    });
    let head = format!("{name}: {} tables, {} lines to look at (# unsure)", draft.tables.len(), draft.unsure());
    let header = ["file", "table", "load", "columns", "not used", "rows looked at"];
    let left_out: Vec<String> =
        draft.left_out.iter().map(|left| format!("{}: {}", printable(&left.file), left.why)).collect();
    let first = format!("configs/emr/load_config.csv gets {} lines", added.load_config_lines.len());
    let lines = std::iter::once(&first).chain(&added.load_config_lines).cloned().collect::<Vec<_>>().join("\n  ");
    let mut written = vec![added.mapping_key.clone(), lines];
    written.extend(
        added
            .sources
            .as_ref()
            .map(|text| format!("configs/sources.toml gets\n  {}", text.trim_end().replace('\n', "\n  "))),
    );
    let next = if added.is_written {
        vec![format!("rcm doctor --source {name} --lake {lake}"), format!("rcm run --lake {lake}")]
    } else {
        Vec::new()
    };
    let text = if added.is_written { String::new() } else { format!("{}\n", printable_lines(&added.mapping)) };
    let title = if added.is_written { "Written" } else { "Nothing was written. Without --dry-run" };
    sections(&[
        text,
        table(&head, &header, 3, rows.collect()),
        table("Unsure", &["table", "column", "of", "shape", "why"], 5, unsure(added)),
        table("Not used", &["table", "of", "shape"], 3, not_used(&draft.tables)),
        list("Left out", &left_out),
        list("To do", &added.to_do),
        list(title, &written),
        list("Next", &next),
    ])
}

fn load(load: &Load) -> String {
    match load {
        Load::Extract { incremental_by: Some(column) } => format!("Incremental by {}", printable(column)),
        Load::Extract { incremental_by: None } => "Full".to_owned(),
        Load::Landed { pattern, .. } => format!("lands as {}", printable(pattern)),
    }
}

fn unsure(added: &AddedHospital) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    if let Some(why) = &added.draft.date_formats_unsure {
        rows.push(vec![
            String::new(),
            "date_formats".to_owned(),
            added.draft.date_formats.join(", "),
            String::new(),
            why.clone(),
        ]);
    }
    for table in &added.draft.tables {
        if let Load::Landed { pattern, unsure: Some(why) } = &table.load {
            rows.push(vec![
                table.entity.to_owned(),
                "[landing]".to_owned(),
                pattern.clone(),
                String::new(),
                why.clone(),
            ]);
        }
        for column in table.columns.iter().filter(|column| column.unsure.is_some()) {
            let why = column.unsure.clone().unwrap_or_default();
            let source = &column.source;
            rows.push(vec![
                table.entity.to_owned(),
                column.column.to_owned(),
                source.source.clone(),
                source.shape.clone(),
                why,
            ]);
        }
    }
    rows
}

fn not_used(tables: &[DraftedTable]) -> Vec<Vec<String>> {
    let columns = tables.iter().flat_map(|table| table.not_used.iter().map(move |column| (table, column)));
    columns.map(|(table, column)| vec![table.entity.to_owned(), column.source.clone(), column.shape.clone()]).collect()
}
