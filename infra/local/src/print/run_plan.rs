//! Prints what a run would do.

use super::figures::{count, moment};
use super::standstills;
use super::table::{list, sections, table};
use crate::run_plan::{PlannedTable, RunPlan};
use rcm_model::load_config::LoadType;

/// Returns what a run would do, step by step, and why.
#[must_use]
pub fn run_plan(plan: &RunPlan) -> String {
    let extracts = plan.extracts.iter().map(|table| {
        let from = table.from.map(|from| format!("from {}", moment(from))).unwrap_or_default();
        vec![table.stream.clone(), what(table).to_owned(), from, table.why.clone()]
    });
    let pulls = plan.pulls.iter().map(|pull| {
        let what = if pull.is_asked { "asks" } else { "does nothing" };
        vec![pull.function.to_owned(), what.to_owned(), String::new(), pull.why.clone()]
    });
    let silver = plan.silver.iter().map(|silver| {
        let loads = match silver.loads {
            Some((first, last)) if first == last => format!("load {first}"),
            Some((first, last)) => format!("loads {first} to {last}"),
            None => String::new(),
        };
        vec![silver.table.clone(), silver.stream.clone(), loads, count(silver.rows), silver.why.clone()]
    });
    let gold = plan.gold.iter().map(|gold| vec![gold.table.clone(), gold.because.join("; ")]);
    let mut files: Vec<String> = plan.files.clone();
    if plan.files_left > 0 {
        files.push(format!("{} more, which the next run has no room for", plan.files_left));
    }
    let nothing = if plan.finds_nothing() {
        vec!["What the lake has is taken in. A run makes gold anew if the sources have something new.".to_owned()]
    } else {
        Vec::new()
    };
    sections(&[
        format!("{} as of {}; nothing is written\n\n", plan.lake, plan.as_of),
        table("Sources", &["source", "reads", "", "why"], 4, extracts.chain(pulls).collect()),
        list("Landed files to load", &files),
        table("Silver takes in", &["table", "stream", "loads", "rows", "why"], 5, silver.collect()),
        table("Gold makes anew", &["table", "because"], 2, gold.collect()),
        list("Nothing else", &nothing),
        standstills::section(&plan.standstills),
    ])
}

fn what(table: &PlannedTable) -> &'static str {
    match (table.is_read, table.load_type, table.from) {
        (false, _, _) => "nothing",
        (true, LoadType::Full, _) | (true, LoadType::Incremental, None) => "all rows",
        (true, LoadType::Incremental, Some(_)) => "newer rows",
    }
}
