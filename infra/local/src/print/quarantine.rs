//! Prints the rows in quarantine.

use super::figures::{NONE, count, count_or_blank, moment};
use super::table::{sections, table};
use crate::quarantine::{Entry, RuleLine, Shown, Standing};

/// Returns the rows in quarantine by rule, and how many of them are missing from the lake.
#[must_use]
pub fn quarantine(entries: &[Entry], lines: &[RuleLine]) -> String {
    if entries.is_empty() {
        return "no row is in quarantine\n".to_owned();
    }
    let of = |standing: Standing| entries.iter().filter(|entry| entry.standing == standing).count() as u64;
    let (missing, older, overtaken) = (of(Standing::Missing), of(Standing::OlderVersion), of(Standing::Overtaken));
    let mut parts = vec![format!("{} are missing from the lake", count(missing))];
    if older > 0 {
        parts.push(format!("of {} an older good version stands", count(older)));
    }
    if overtaken > 0 {
        parts.push(format!("{} were overtaken by a later good version", count(overtaken)));
    }
    let title = format!("{} rows in quarantine: {}\n\n", count(entries.len() as u64), parts.join(", "));
    let rows = lines.iter().map(|line| {
        vec![
            line.rule.clone(),
            line.table.clone(),
            line.hospital.clone(),
            count(line.rows),
            count_or_blank(line.missing),
            line.amount_missing.clone().unwrap_or_default(),
            count_or_blank(line.overtaken),
            moment(line.since),
            line.last_load.to_string(),
        ]
    });
    let header = ["rule", "table", "hospital", "rows", "missing", "amount missing", "overtaken", "since", "last load"];
    let body = table("By rule", &header, 3, rows.collect());
    let next = entries.first().map(|entry| {
        format!(
            "To look at one of them, and to see which pass the rules of today:\n  rcm quarantine show {}:{}:{}\n  rcm \
             quarantine replay --dry-run\n",
            entry.stream, entry.sequence, entry.position
        )
    });
    title + &sections(&[body, next.unwrap_or_default()])
}

/// Returns a row in quarantine, column by column.
#[must_use]
pub fn quarantined(shown: &Shown) -> String {
    let Entry { stream, sequence, position, rules, status, since, standing, fingerprint, .. } = &shown.entry;
    let lake = match standing {
        Standing::Missing => "the lake has no version of its key",
        Standing::OlderVersion => "an older good version of its key stands",
        Standing::Overtaken => "a good version of its key came later",
    };
    let title = format!(
        "{stream} load {sequence} row {position}: {status} since {}; {lake}\n  failed: {}\n  fingerprint: {fingerprint}\n\n",
        moment(*since),
        rules.join(", ")
    );
    let rows = shown.columns.iter().map(|(source, shape, model)| {
        let model = if model.is_empty() { NONE.to_owned() } else { model.clone() };
        vec![source.clone(), shape.clone(), model]
    });
    let (title_of_values, value) = if shown.has_values {
        ("Values", "value")
    } else {
        ("Values are shown as shapes: --values --why TEXT", "shape")
    };
    let body = table(title_of_values, &["source column", value, "model"], 3, rows.collect());
    title + &sections(&[body])
}
