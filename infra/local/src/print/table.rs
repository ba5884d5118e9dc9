//! Formats all tables: a line below the header, columns separated by blanks.

use comfy_table::{CellAlignment, Table};
use rcm_platform::load::printable;

const PRESET: &str = "     ──            ";

/// Returns a table with a title and a header. The first `left` columns are left-aligned, the others, which are numbers,
/// right-aligned. Empty if there are no rows.
pub(super) fn table(title: &str, header: &[&str], left: usize, rows: Vec<Vec<String>>) -> String {
    let is_number: Vec<bool> = (0..header.len()).map(|index| index >= left).collect();
    aligned(title, header, &is_number, rows)
}

/// Returns a table as [`table`] does, whose numbers, which are right-aligned, are in any columns.
pub(super) fn aligned(title: &str, header: &[&str], is_number: &[bool], rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let header: Vec<String> = header.iter().map(|name| printable(name)).collect();
    let rows = rows.into_iter().map(|row| row.iter().map(|cell| printable(cell)).collect::<Vec<_>>());
    let mut table = Table::new();
    table.load_preset(PRESET).set_header(header).add_rows(rows);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((if index == 0 { 2 } else { 1 }, 1));
        if is_number.get(index).is_some_and(|is_number| *is_number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let body: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    format!("{title}\n{}\n\n", body.join("\n"))
}

/// Returns a title and a line per item. Empty if there are none.
pub(super) fn list(title: &str, items: &[String]) -> String {
    if items.is_empty() {
        return String::new();
    }
    let items: Vec<String> = items.iter().map(|item| printable_lines(item)).collect();
    format!("{title}\n  {}\n\n", items.join("\n  "))
}

/// Replaces the control characters of a text except line breaks.
pub(super) fn printable_lines(text: &str) -> String {
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

/// Breaks a text at its blanks into lines of at most `width` columns; a longer word has a line of its own. Unbreakable
/// blanks become plain ones.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in printable(text).split(' ') {
        let word = word.replace('\u{a0}', " ");
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

/// Joins sections, without a blank line at the end.
pub(super) fn sections(sections: &[String]) -> String {
    format!("{}\n", sections.concat().trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_blanks_but_not_at_those_within_a_figure() {
        assert_eq!(wrapped("grew to $1\u{a0}M. Slow", 10), ["grew to", "$1 M. Slow"]);
        assert_eq!(wrapped("unbreakable a", 4), ["unbreakable", "a"]);
    }

    #[test]
    fn a_terminal_is_told_to_do_nothing() {
        let said = "a\u{1b}[2J".to_owned();
        let shown = [
            table("Values", &["column", &said], 1, vec![vec![said.clone(), "1\n2\r".to_owned()]]),
            list("Notes", &[format!("{said}\n  more")]),
        ];
        let shown = sections(&shown);
        assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
        assert!(shown.contains("1\u{fffd}2\u{fffd}"), "a cell is one line: {shown:?}");
        assert!(shown.contains("a\u{fffd}[2J\n  more"), "a note may have several: {shown:?}");
    }
}
