//! Prints the rows of a query.

use polars::prelude::DataFrame;
use rcm_platform::StageError;

use super::figures::{NONE, count};
use super::table::{aligned, sections};
use crate::output::text_of;

/// Characters of a cell at most.
const LONGEST: usize = 60;

/// Returns rows as a table, and says if there are more.
///
/// # Errors
/// A value cannot be read.
pub fn rows(rows: &DataFrame, is_cut: bool) -> Result<String, StageError> {
    if rows.height() == 0 {
        return Ok("no rows\n".to_owned());
    }
    let header: Vec<&str> = rows.get_column_names().iter().map(|name| name.as_str()).collect();
    let is_number: Vec<bool> = rows.columns().iter().map(|column| column.dtype().is_numeric()).collect();
    let mut lines = Vec::with_capacity(rows.height());
    for row in 0..rows.height() {
        let cells =
            rows.columns().iter().map(|column| Ok(text_of(&column.get(row)?).map_or_else(|| NONE.to_owned(), short)));
        lines.push(cells.collect::<Result<Vec<_>, StageError>>()?);
    }
    let title = match (rows.height(), is_cut) {
        (shown, true) => {
            format!("The first {} rows; there are more. hint: --limit N, or --out FILE", count(shown as u64))
        }
        (1, false) => "1 row".to_owned(),
        (all, false) => format!("{} rows", count(all as u64)),
    };
    Ok(sections(&[aligned(&title, &header, &is_number, lines)]))
}

fn short(text: String) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use polars::prelude::df;

    use super::*;

    #[test]
    fn rows_are_a_table_that_says_whether_it_was_cut() {
        let answer = df!("payor_id" => [Some("PAY1"), None], "claims" => [12_i64, 7]).unwrap();
        insta::assert_snapshot!(rows(&answer, false).unwrap(), @r"
        2 rows
          payor_id   claims
        ────────────────────
          PAY1           12
          –               7
        ");
        assert!(rows(&answer, true).unwrap().starts_with("The first 2 rows; there are more."));
        assert_eq!(rows(&answer.head(Some(0)), false).unwrap(), "no rows\n");
    }
}
