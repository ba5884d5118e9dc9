//! Prints the profile of a file or a table.

use std::fmt::Write;

use super::figures::{NONE, count, percent};
use super::table::{aligned, sections};
use crate::profile::{ColumnProfile, MOST, Profile, ROWS_FROM, Suggestion};

/// Stands for a value that is not shown.
const NOT_SHOWN: &str = "·";
/// Characters of a value at most.
const LONGEST: usize = 24;

/// Returns a profile as text: a line per column, and the rules that would hold if they were asked for.
#[must_use]
pub fn profile(profile: &Profile, with_rules: bool) -> String {
    let header = ["column", "looks like", "null", "distinct", "least", "greatest", "patterns", ""];
    let is_number = [false, false, true, true, false, false, false, false];
    let lines = profile.columns.iter().map(|column| line(column, profile.rows)).collect();
    let mut notes = String::new();
    if profile.columns.iter().any(|column| column.is_identifying) {
        let _ = writeln!(notes, "{NOT_SHOWN} is not shown: the column may identify a patient");
    }
    if profile.columns.iter().any(|column| !column.distinct_is_exact) {
        notes += "~ is an estimate\n";
    }
    let notes = if notes.is_empty() { notes } else { notes + "\n" };
    let rules = if with_rules { rules(profile) } else { String::new() };
    sections(&[aligned(&title(profile), &header, &is_number, lines), notes, rules])
}

fn title(profile: &Profile) -> String {
    let mut parts = vec![format!("{} rows", count(profile.rows)), format!("{} columns", profile.columns.len())];
    if let Some(delimiter) = profile.delimiter {
        parts.push(format!("`{}`", delimiter.escape_debug()));
    }
    if profile.malformed > 0 {
        parts.push(format!("{} records do not fit the header", count(profile.malformed)));
    }
    match &profile.entity {
        Some(entity) => parts.push(entity.clone()),
        None if profile.delimiter.is_some() => parts.push("no mapping fits its header".to_owned()),
        None => {}
    }
    format!("{}: {}", profile.name, parts.join(", "))
}

fn line(column: &ColumnProfile, rows: u64) -> Vec<String> {
    let value = |value: &Option<String>| match value {
        _ if column.is_identifying => NOT_SHOWN.to_owned(),
        Some(value) => short(value),
        None => String::new(),
    };
    let share = |part: u64| percent((rows > 0).then(|| part as f64 / rows as f64), 0);
    let shown = if column.values.is_empty() {
        column.patterns.iter().map(|(pattern, rows)| format!("{} {}", short(pattern), count(*rows))).collect::<Vec<_>>()
    } else {
        column.values.iter().map(|(value, rows)| format!("{} {}", short(value), share(*rows))).collect()
    };
    let mut remarks = Vec::new();
    if let Some(repeated) = column.repeated.filter(|repeated| *repeated > 0) {
        remarks.push(format!("{} repeated", count(repeated)));
    }
    if column.null_words > 0 {
        remarks.push(format!("the word NULL {}", count(column.null_words)));
    }
    let remarks = if remarks.is_empty() { String::new() } else { format!("← {}", remarks.join(", ")) };
    let distinct =
        if column.distinct_is_exact { count(column.distinct) } else { format!("~{}", count(column.distinct)) };
    vec![
        column.name.clone(),
        column.looks_like.clone(),
        if column.nulls == 0 { NONE.to_owned() } else { count(column.nulls) },
        distinct,
        value(&column.least),
        value(&column.greatest),
        shown.join(", "),
        remarks,
    ]
}

fn short(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn rules(profile: &Profile) -> String {
    if profile.rows < ROWS_FROM {
        return format!("No rule is suggested from fewer than {ROWS_FROM} rows.\n");
    }
    let Some(entity) = profile.entity.as_deref().and_then(|entity| entity.split(' ').next()) else {
        return "No rule is suggested, because no mapping fits; hint: --lake names the lake whose mapping does\n"
            .to_owned();
    };
    if profile.rules.is_empty() {
        return "No rule is suggested: none that is new would hold for nearly all rows.\n".to_owned();
    }
    let of = |rule: &Suggestion| {
        let fires = format!("# fires on {} of {} rows\n", count(rule.fires), count(rule.rows));
        fires + &rule.to_toml()
    };
    let rules: Vec<String> = profile.rules.iter().map(of).collect();
    format!("Suggested for configs/quality/{entity}.toml, at most {MOST} rules:\n\n{}", rules.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, looks_like: &str, is_identifying: bool) -> ColumnProfile {
        ColumnProfile {
            name: name.to_owned(),
            is_identifying,
            looks_like: looks_like.to_owned(),
            nulls: 0,
            distinct: 5_118,
            distinct_is_exact: true,
            repeated: None,
            null_words: 0,
            least: None,
            greatest: None,
            patterns: Vec::new(),
            values: Vec::new(),
        }
    }

    fn patients() -> Profile {
        let some = |text: &str| Some(text.to_owned());
        let patterns = |pattern: &str, rows| vec![(pattern.to_owned(), rows)];
        let rule = Suggestion {
            id: "gender_values".to_owned(),
            kind: "accepted_values",
            column: "gender",
            values: vec!["Female".to_owned(), "Male".to_owned()],
            fires: 0,
            rows: 5_120,
        };
        Profile {
            name: "sources/hos-c/patients.csv".to_owned(),
            rows: 5_120,
            malformed: 0,
            delimiter: Some(','),
            entity: some("patients of hos-c"),
            columns: vec![
                ColumnProfile {
                    repeated: Some(2),
                    patterns: patterns("A-99999", 5_120),
                    ..column("Patient_No", "id", true)
                },
                ColumnProfile {
                    nulls: 12,
                    null_words: 14,
                    patterns: patterns("Aaaaa", 5_094),
                    ..column("Given_Name", "name", true)
                },
                ColumnProfile {
                    distinct: 2,
                    values: vec![("Female".to_owned(), 2_611), ("Male".to_owned(), 2_509)],
                    ..column("Sex", "2 values", false)
                },
                ColumnProfile {
                    least: some("2023-11-02"),
                    greatest: some("2024-10-31"),
                    patterns: patterns("99.99.9999 99:99", 5_120),
                    ..column("Last_Change", "time", false)
                },
            ],
            rules: vec![rule],
        }
    }

    #[test]
    fn a_column_that_may_identify_a_patient_has_dots_and_shapes() {
        insta::assert_snapshot!(profile(&patients(), true), @r#"
        sources/hos-c/patients.csv: 5,120 rows, 4 columns, `,`, patients of hos-c
          column        looks like   null   distinct   least        greatest     patterns
        ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
          Patient_No    id              –      5,118   ·            ·            A-99999 5,120            ← 2 repeated
          Given_Name    name           12      5,118   ·            ·            Aaaaa 5,094              ← the word NULL 14
          Sex           2 values        –          2                             Female 51 %, Male 49 %
          Last_Change   time            –      5,118   2023-11-02   2024-10-31   99.99.9999 99:99 5,120

        · is not shown: the column may identify a patient

        Suggested for configs/quality/patients.toml, at most 5 rules:

        # fires on 0 of 5,120 rows
        [[rule]]
        id = "gender_values"
        kind = "accepted_values"
        columns = ["gender"]
        values = ["Female", "Male"]
        severity = "warn"
        description = "gender has one of the known values."
        "#);
    }

    #[test]
    fn why_no_rule_is_suggested_is_said() {
        let few = Profile { rows: 199, rules: Vec::new(), ..patients() };
        assert!(profile(&few, true).ends_with("No rule is suggested from fewer than 200 rows.\n"));
        let unknown = Profile { entity: None, rules: Vec::new(), ..patients() };
        assert!(profile(&unknown, true).contains("no mapping fits"));
        assert!(!profile(&patients(), false).contains("[[rule]]"));
    }
}
