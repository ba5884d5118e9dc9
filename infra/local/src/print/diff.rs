//! Prints what changed between two versions of a table.

use super::figures::{count, money};
use super::table::{aligned, sections, table};
use crate::diff::{ChangedRow, ColumnDiff, Diff, VersionLine};

/// Digits of a run's identifier that are shown.
const RUN_DIGITS: usize = 13;

/// Returns what changed as text: rows, then columns with sums, then, if they were asked for, values.
#[must_use]
pub fn diff(diff: &Diff) -> String {
    let title = format!("{}: {} → {}\n\n", diff.table, version(&diff.before), version(&diff.after));
    if diff.is_empty() {
        let touched = match diff.touched {
            0 => String::new(),
            rows => format!("; {} rows have another load or time of reading", count(rows)),
        };
        return format!("{title}No difference{touched}.\n");
    }
    let counts = [diff.before.rows, diff.after.rows, diff.added, diff.removed, diff.changed].map(count);
    let header = ["before", "after", "added", "removed", "changed"];
    let rows = table("Rows", &header, 0, vec![counts.to_vec()]);
    let header = ["column", "changed", "of them", "sum before", "sum after", "difference"];
    let is_number = [false, true, false, true, true, true];
    let columns = aligned("Columns", &header, &is_number, diff.columns.iter().map(column).collect());
    title + &sections(&[rows, columns, schema(diff), values(&diff.rows), notes(diff)])
}

fn version(line: &VersionLine) -> String {
    let day = line.committed_at.map(|at| at.format("%Y-%m-%d").to_string());
    let run = line.run_id.as_ref().map(|run| format!("run {}", run.chars().take(RUN_DIGITS).collect::<String>()));
    let told: Vec<String> = day.into_iter().chain(run).collect();
    if told.is_empty() {
        format!("version {}", line.version)
    } else {
        format!("version {} ({})", line.version, told.join(", "))
    }
}

fn column(line: &ColumnDiff) -> Vec<String> {
    let mut of_them = Vec::new();
    if line.null_to_value > 0 {
        of_them.push(format!("null to a value {}", count(line.null_to_value)));
    }
    if line.value_to_null > 0 {
        of_them.push(format!("a value to null {}", count(line.value_to_null)));
    }
    let sums = match line.sums {
        Some(sums) => {
            let difference = sums.after - sums.before;
            let sign = if difference > 0 { "+" } else { "" };
            [money(sums.before), money(sums.after), format!("{sign}{}", money(difference))]
        }
        None => <[String; 3]>::default(),
    };
    [line.column.clone(), count(line.changed), of_them.join(", ")].into_iter().chain(sums).collect()
}

fn schema(diff: &Diff) -> String {
    let lines = |what: &str, names: &[String]| match names {
        [] => String::new(),
        names => format!("  {what}: {}\n", names.join(", ")),
    };
    let text = lines("new columns", &diff.columns_added) + &lines("columns that are gone", &diff.columns_removed);
    if text.is_empty() { text } else { text + "\n" }
}

fn values(rows: &[ChangedRow]) -> String {
    let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "null".to_owned());
    let lines = rows.iter().flat_map(|row| {
        row.columns
            .iter()
            .map(|value| vec![row.key.clone(), value.column.clone(), shown(&value.before), shown(&value.after)])
    });
    table(&format!("The first {} changed rows", rows.len()), &["key", "column", "before", "after"], 4, lines.collect())
}

fn notes(diff: &Diff) -> String {
    let touched = match diff.touched {
        0 => String::new(),
        rows => format!("{} more rows have another load or time of reading, and say the same.\n", count(rows)),
    };
    let values =
        if diff.changed > 0 && diff.rows.is_empty() { "Values of changed rows: --values --why TEXT\n" } else { "" };
    touched + values
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::diff::{ChangedValue, Sums};

    fn version_line(version: i64, rows: u64) -> VersionLine {
        let committed_at = DateTime::from_timestamp(1_730_332_800 + version * 604_800, 0);
        VersionLine { version, rows, committed_at, run_id: Some("01930523-3a00-7000-8000-000000000000".to_owned()) }
    }

    fn of(added: u64, changed: u64) -> Diff {
        let column = |column: &str, changed, null_to_value, sums| ColumnDiff {
            column: column.to_owned(),
            changed,
            null_to_value,
            value_to_null: 0,
            sums,
        };
        let sums = Sums { before: 31_601_044_210, after: 33_456_199_722 };
        let columns = match changed {
            0 => Vec::new(),
            _ => vec![column("paid_amount", 3_455, 3_401, Some(sums)), column("paid_date", 3_455, 3_401, None)],
        };
        Diff {
            table: "gold/fact_transactions".to_owned(),
            before: version_line(0, 112_044),
            after: version_line(1, 117_119),
            added,
            removed: 0,
            changed,
            touched: 12,
            columns,
            columns_added: Vec::new(),
            columns_removed: Vec::new(),
            rows: Vec::new(),
        }
    }

    #[test]
    fn rows_come_first_and_then_columns_with_their_sums() {
        insta::assert_snapshot!(diff(&of(5_101, 3_480)), @r"
        gold/fact_transactions: version 0 (2024-10-31, run 01930523-3a00) → version 1 (2024-11-07, run 01930523-3a00)

        Rows
           before     after   added   removed   changed
        ────────────────────────────────────────────────
          112,044   117,119   5,101         0     3,480

        Columns
          column        changed   of them                     sum before        sum after       difference
        ───────────────────────────────────────────────────────────────────────────────────────────────────
          paid_amount     3,455   null to a value 3,401   316,010,442.10   334,561,997.22   +18,551,555.12
          paid_date       3,455   null to a value 3,401

        12 more rows have another load or time of reading, and say the same.
        Values of changed rows: --values --why TEXT
        ");
    }

    #[test]
    fn two_versions_that_say_the_same_are_said_to() {
        assert!(diff(&of(0, 0)).ends_with("No difference; 12 rows have another load or time of reading.\n"));
    }

    #[test]
    fn values_are_shown_where_they_were_read() {
        let value = ChangedValue { column: "phone_number".to_owned(), before: None, after: Some("5550100".to_owned()) };
        let row = ChangedRow { key: "17".to_owned(), columns: vec![value] };
        let text = diff(&Diff { rows: vec![row], ..of(0, 1) });
        assert!(text.contains("phone_number   null     5550100"), "{text}");
        assert!(!text.contains("--values"), "{text}");
    }
}
