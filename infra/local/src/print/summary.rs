//! Prints what a run did, as tables.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use rcm_model::event::{LoadCounts, Outcome, Severity, StageReport};

use super::figures::{count, count_or_blank, duration};
use super::table::{list, sections, table};

/// Prefixes of the names of silver stages and gold stages.
const SILVER: &str = "silver-";
const GOLD: &str = "gold-";

/// Something that a run did not load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOver {
    /// A folder below `landing/`, a path on this machine, or a number of files.
    pub name: String,
    pub reason: &'static str,
}

/// Returns the summary of a run from the reports of its stages: sources, rows per silver table, gold tables, failed
/// rules, failures, notes, and the commands in `next`.
#[must_use]
pub fn summary(reports: &[StageReport], next: &[String]) -> String {
    sections(&[
        sources(reports),
        entities(reports),
        gold(reports),
        rules(reports),
        list("Failed", &failures(reports)),
        list("Notes", &notes(reports)),
        list("Next", next),
    ])
}

/// Returns what maintenance did, as text.
#[must_use]
pub fn maintenance(report: &StageReport) -> String {
    if report.notes.is_empty() {
        return "There was nothing to do.\n".to_owned();
    }
    sections(&[list("Done", &report.notes)])
}

/// Returns what a run did not load, and why, as text. Empty if there is nothing.
#[must_use]
pub fn passed_over(passed_over: &[PassedOver]) -> String {
    let lines = passed_over.iter().map(|PassedOver { name, reason }| format!("{name}: {reason}"));
    list("Passed over", &lines.collect::<Vec<_>>())
}

/// Returns the word for an outcome.
pub(super) fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::NothingNew => "nothing new",
        Outcome::LeftForNextRun => "left for the next run",
        Outcome::Skipped => "skipped",
        Outcome::Failed => "FAILED",
    }
}

fn time(report: &StageReport) -> TimeDelta {
    report.finished_at - report.started_at
}

/// Returns one line per stream or file.
fn sources(reports: &[StageReport]) -> String {
    let others = [SILVER, GOLD, "plan", "audit"];
    let of_sources = reports.iter().filter(|report| !others.iter().any(|other| report.stage.starts_with(other)));
    let rows = of_sources.map(|report| {
        let read: u64 = report.loads.iter().map(|load| load.read).sum();
        let outcome = outcome(report.outcome).to_owned();
        vec![report.subject.clone(), outcome, count_or_blank(read), duration(time(report))]
    });
    table("Sources", &["source", "outcome", "rows", "time"], 2, rows.collect())
}

/// Returns one line per silver table, and their sum.
fn entities(reports: &[StageReport]) -> String {
    let mut entities: BTreeMap<&str, (LoadCounts, TimeDelta)> = BTreeMap::new();
    let mut all = (LoadCounts::default(), TimeDelta::zero());
    for report in reports.iter().filter(|report| report.stage.starts_with(SILVER)) {
        let (counts, stage_time) = entities.entry(&report.subject).or_default();
        *stage_time += time(report);
        all.1 += time(report);
        for load in &report.loads {
            add(counts, load);
            add(&mut all.0, load);
        }
    }
    let mut rows: Vec<_> = entities.iter().map(|(entity, (counts, time))| entity_row(entity, counts, *time)).collect();
    if rows.len() > 1 {
        rows.push(entity_row("all", &all.0, all.1));
    }
    let header = ["silver", "read", "new", "changed", "unchanged", "superseded", "quarantined", "deleted", "time"];
    table("Tables", &header, 1, rows)
}

fn entity_row(entity: &str, counts: &LoadCounts, time: TimeDelta) -> Vec<String> {
    let figures = [counts.new, counts.changed, counts.unchanged, counts.superseded, counts.quarantined, counts.deleted];
    let mut row = vec![entity.to_owned(), count(counts.read)];
    row.extend(figures.map(count_or_blank));
    row.push(duration(time));
    row
}

fn add(sum: &mut LoadCounts, load: &LoadCounts) {
    sum.read += load.read;
    sum.new += load.new;
    sum.changed += load.changed;
    sum.unchanged += load.unchanged;
    sum.superseded += load.superseded;
    sum.quarantined += load.quarantined;
    sum.deleted += load.deleted;
}

/// Returns one line per committed gold table.
fn gold(reports: &[StageReport]) -> String {
    let commits = reports.iter().filter(|report| report.stage.starts_with(GOLD)).flat_map(|report| &report.commits);
    let rows = commits.map(|commit| vec![commit.table.clone(), commit.version.to_string(), count(commit.rows)]);
    table("Gold", &["table", "version", "rows"], 1, rows.collect())
}

/// Returns one line per rule that a row failed.
fn rules(reports: &[StageReport]) -> String {
    let mut failed: BTreeMap<(Severity, &str, &str), (u64, u64)> = BTreeMap::new();
    for rule in reports.iter().flat_map(|report| &report.rules) {
        let (failures, checked) = failed.entry((rule.severity, &rule.entity, &rule.rule)).or_default();
        *failures += rule.failed;
        *checked += rule.checked;
    }
    failed.retain(|_, (failures, _)| *failures > 0);
    let rows = failed.into_iter().map(|((severity, entity, rule), (failures, checked))| {
        vec![severity.as_str().to_owned(), entity.to_owned(), rule.to_owned(), count(failures), count(checked)]
    });
    table("Rules that rows failed", &["severity", "entity", "rule", "failed", "of"], 3, rows.collect())
}

fn failures(reports: &[StageReport]) -> Vec<String> {
    let errors = reports.iter().filter_map(|report| {
        let error = report.error.as_ref()?;
        Some(format!("{} {}: {}: {}", report.stage, report.subject, error.name, error.message))
    });
    let checks = reports.iter().flat_map(|report| &report.checks).filter(|check| !check.passed);
    let checks = checks
        .map(|check| format!("{}: {}: expected {}, found {}", check.table, check.check, check.expected, check.actual));
    let names: BTreeSet<&str> =
        reports.iter().filter_map(|report| report.error.as_ref()).map(|error| error.name.as_str()).collect();
    let hints = names.into_iter().map(|name| format!("hint: rcm explain {name}"));
    errors.chain(checks).chain(hints).collect()
}

/// Returns the notes of the stages that did something. Stages without new data or configuration are left out.
fn notes(reports: &[StageReport]) -> Vec<String> {
    let is_quiet = |outcome| matches!(outcome, Outcome::NothingNew | Outcome::Skipped);
    let active = reports.iter().filter(|report| !is_quiet(report.outcome));
    active.flat_map(|report| report.notes.iter().map(|note| format!("{}: {note}", report.subject))).collect()
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use rcm_model::event::{ControlCheck, Dimension, ErrorContext, RuleCount, StageFailure, StageTimes, TableCommit};

    use super::*;

    fn report(stage: &str, subject: &str, milliseconds: i64) -> StageReport {
        let started_at = DateTime::<Utc>::UNIX_EPOCH;
        let finished_at = started_at + TimeDelta::milliseconds(milliseconds);
        StageReport::new("run", stage, subject, StageTimes { started_at, finished_at })
    }

    fn load(read: u64, new: u64, changed: u64, quarantined: u64) -> LoadCounts {
        LoadCounts {
            read,
            new,
            changed,
            quarantined,
            unchanged: read - new - changed - quarantined,
            ..Default::default()
        }
    }

    #[test]
    fn a_run_is_told_from_its_sources_to_what_to_look_at_next() {
        let extract = StageReport { loads: vec![load(5_000, 0, 0, 0)], ..report("emr-extract", "hosa/patients", 120) };
        let unknown = StageReport {
            outcome: Outcome::Failed,
            error: Some(StageFailure {
                name: "BrokenContract".to_owned(),
                message: "no hospital has such files".to_owned(),
                context: ErrorContext::default(),
            }),
            ..report("landing-to-bronze", "landing/claims/hospital9.csv", 3)
        };
        let patients = StageReport {
            loads: vec![load(5_000, 4_000, 985, 15), load(20, 0, 20, 0)],
            rules: vec![RuleCount {
                entity: "patients".to_owned(),
                rule: "first_name_literal_null".to_owned(),
                severity: Severity::Error,
                dimension: Dimension::default(),
                load_id: "l".to_owned(),
                checked: 5_000,
                failed: 15,
            }],
            notes: vec!["column `Shoe` is new in hosa/patients".to_owned()],
            ..report("silver-patients", "patients", 480)
        };
        let departments = StageReport {
            loads: vec![LoadCounts { deleted: 1, ..load(19, 0, 0, 0) }],
            ..report("silver-departments", "departments", 90)
        };
        let facts = StageReport {
            commits: vec![TableCommit { table: "gold/fact_claims".to_owned(), version: 3, rows: 20_000 }],
            checks: vec![ControlCheck::equal("gold/fact_claims", "amount", &"1.00", &"1.01")],
            ..report("gold-facts", "facts", 700)
        };
        let next = ["rcm status --lake demo/lake".to_owned()];
        insta::assert_snapshot!(summary(&[extract, unknown, patients, departments, facts], &next), @r"
        Sources
          source                         outcome    rows     time
        ──────────────────────────────────────────────────────────
          hosa/patients                  done      5,000   120 ms
          landing/claims/hospital9.csv   FAILED              3 ms

        Tables
          silver         read     new   changed   unchanged   superseded   quarantined   deleted     time
        ──────────────────────────────────────────────────────────────────────────────────────────────────
          departments      19                            19                                    1    90 ms
          patients      5,020   4,000     1,005                                     15             480 ms
          all           5,039   4,000     1,005          19                         15         1   570 ms

        Gold
          table              version     rows
        ──────────────────────────────────────
          gold/fact_claims         3   20,000

        Rules that rows failed
          severity   entity     rule                      failed      of
        ─────────────────────────────────────────────────────────────────
          error      patients   first_name_literal_null       15   5,000

        Failed
          landing-to-bronze landing/claims/hospital9.csv: BrokenContract: no hospital has such files
          gold/fact_claims: amount: expected 1.00, found 1.01
          hint: rcm explain BrokenContract

        Notes
          patients: column `Shoe` is new in hosa/patients

        Next
          rcm status --lake demo/lake
        ");
    }

    #[test]
    fn what_nobody_takes_is_named_with_the_reason() {
        let link = PassedOver { name: "drop/a.csv".to_owned(), reason: "a link, which is not followed" };
        insta::assert_snapshot!(passed_over(&[link]), @r"
        Passed over
          drop/a.csv: a link, which is not followed
        ");
        assert_eq!(passed_over(&[]), "");
    }

    #[test]
    fn what_there_is_none_of_is_not_mentioned() {
        insta::assert_snapshot!(summary(&[report("silver-claims", "claims", 5)], &[]), @r"
        Tables
          silver   read   new   changed   unchanged   superseded   quarantined   deleted   time
        ────────────────────────────────────────────────────────────────────────────────────────
          claims      0                                                                    5 ms
        ");
    }
}
