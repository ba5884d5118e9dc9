//! The one look of all tables: a line below the header, columns apart by blanks.

use comfy_table::{CellAlignment, Table};

const PRESET: &str = "     ──            ";

/// A table with a title, a header and its first `left` columns to the left, the others, which are
/// figures, to the right. Nothing where there are no rows.
pub(super) fn table(title: &str, header: &[&str], left: usize, rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut table = Table::new();
    table.load_preset(PRESET).set_header(header).add_rows(rows);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((if index == 0 { 2 } else { 1 }, 1));
        if index >= left {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let body: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    format!("{title}\n{}\n\n", body.join("\n"))
}

/// A title and a line for each item. Nothing where there are none.
pub(super) fn list(title: &str, items: &[String]) -> String {
    if items.is_empty() {
        return String::new();
    }
    format!("{title}\n  {}\n\n", items.join("\n  "))
}

/// Sections one after the other, without a blank line at the end.
pub(super) fn sections(sections: &[String]) -> String {
    format!("{}\n", sections.concat().trim_end())
}
