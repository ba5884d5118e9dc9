//! Prints what becomes of rows in quarantine that are assessed anew.

use rcm_model::event::{ReplayCount, ReplayOutcome};

use super::figures::count;
use super::table::{sections, table};
use crate::command::ReplayedTable;

/// Returns what became of the rows of each table, or would.
#[must_use]
pub fn replayed(tables: &[ReplayedTable], dry_run: bool) -> String {
    if tables.is_empty() {
        return "no open row in quarantine is meant: nothing to replay\n".to_owned();
    }
    let of_table = |replayed: &ReplayedTable| {
        let rows: u64 = replayed.outcomes.iter().map(|count| count.rows).sum();
        let would = if dry_run { "would be assessed" } else { "assessed" };
        let title = format!("{}: {} rows {would} with the mappings and rules of today\n", replayed.table, count(rows));
        let lines = replayed.outcomes.iter().map(|found| vec![words(found), count(found.rows)]);
        let error = replayed.error.as_ref().map(|error| format!("{}: {error}\n\n", replayed.table));
        let end = match (dry_run, replayed.version, &replayed.error) {
            (_, _, Some(_)) => String::new(),
            (true, ..) => "Nothing was written.\n\n".to_owned(),
            (false, Some(version), None) => {
                format!(
                    "Version {version} of {} has the rows that pass; the next run brings gold up to it.\n\n",
                    replayed.table
                )
            }
            (false, None, None) => format!("{} is as it was.\n\n", replayed.table),
        };
        table(&title, &["outcome", "rows"], 1, lines.collect()) + &error.unwrap_or_default() + &end
    };
    sections(&tables.iter().map(of_table).collect::<Vec<_>>())
}

fn words(found: &ReplayCount) -> String {
    let words = match found.outcome {
        ReplayOutcome::Newest => "pass, newest version of their key",
        ReplayOutcome::Older => "pass, land before later versions of their key",
        ReplayOutcome::Missing => "pass, key was missing from the lake",
        ReplayOutcome::Unchanged => "pass, the lake says the same already",
        ReplayOutcome::FailsAgain => {
            return format!("fail again: {}", found.rule.as_deref().unwrap_or("a rule"));
        }
        ReplayOutcome::WaitsForRebuild => "stay open: other rows of their key would change too (rcm rebuild)",
        ReplayOutcome::LoadLeftOut => "stay open: their load is voided, or its source is not configured",
    };
    words.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_stay_open_are_told_with_the_rule_that_they_fail() {
        let found = |outcome, rule: Option<&str>, rows| ReplayCount { outcome, rule: rule.map(str::to_owned), rows };
        let outcomes =
            vec![found(ReplayOutcome::Newest, None, 38), found(ReplayOutcome::FailsAgain, Some("dob_missing"), 6)];
        let tables = [ReplayedTable { table: "silver/patients".to_owned(), outcomes, version: None, error: None }];
        let told = replayed(&tables, true);
        assert!(told.contains("silver/patients: 44 rows would be assessed"), "{told}");
        assert!(told.contains("fail again: dob_missing") && told.contains("Nothing was written."), "{told}");
        assert!(replayed(&[], false).contains("nothing to replay"));
    }
}
