//! What the last run says of the data: its own reports, and the audit tables.

use std::collections::{BTreeMap, BTreeSet};

use polars::prelude::*;
use rcm_domain::report::{QuarantineLine, RunFacts};
use rcm_model::event::{ControlCheck, Severity, StageReport};
use rcm_platform::stage::REPORTS;
use rcm_platform::{Context, StageError};
use rcm_tables::audit;
use rcm_tables::frames::blocking;

/// Reads what a run has done until now, and what the runs before it did. A report of it that cannot be read is left to
/// `audit`, which says so.
///
/// # Errors
/// The store fails.
pub(crate) async fn of_run(context: &Context, run_id: &str) -> Result<RunFacts, StageError> {
    let reports = reports(context, run_id).await?;
    let mut checks: Vec<ControlCheck> = reports.iter().flat_map(|report| report.checks.clone()).collect();
    if checks.is_empty() {
        checks = audit::last_checks(&context.lake).await?;
    }
    let failed = checks.iter().filter(|check| !check.passed);
    let failed_checks = failed
        .map(|check| format!("{}: {}: expected {}, found {}", check.table, check.check, check.expected, check.actual));
    let notes: BTreeSet<String> = reports
        .iter()
        .filter(|report| report.stage.starts_with("gold-"))
        .flat_map(|report| report.notes.clone())
        .collect();
    Ok(RunFacts {
        checks: checks.len() as u64,
        failed_checks: failed_checks.collect(),
        quarantine: quarantine(context, &reports).await?,
        notes: notes.into_iter().collect(),
    })
}

async fn reports(context: &Context, run_id: &str) -> Result<Vec<StageReport>, StageError> {
    let mut reports = Vec::new();
    for meta in context.lake.list(&format!("{REPORTS}/{run_id}")).await? {
        let Some(bytes) = context.lake.get_if_exists(meta.location.as_ref()).await? else { continue };
        reports.extend(serde_json::from_slice::<StageReport>(&bytes).ok());
    }
    Ok(reports)
}

/// Rows that failed an error rule, by table and rule, of all loads: each load counts once, however often it was read.
async fn quarantine(context: &Context, reports: &[StageReport]) -> Result<Vec<QuarantineLine>, StageError> {
    let mut by_load: BTreeMap<(String, String, String), u64> = BTreeMap::new();
    if let Some(rows) = audit::scan(&context.lake, "quality_metrics").await? {
        let rows = blocking(move || {
            let failed =
                rows.filter(col("severity").eq(lit(Severity::Error.as_str())).and(col("rows_failed").gt(lit(0))));
            let of_load = failed.group_by([col("entity"), col("rule"), col("load_id")]);
            Ok(of_load.agg([col("rows_failed").max()]).collect()?)
        })
        .await?;
        let text = |name: &str| Ok::<_, StageError>(rows.column(name)?.str()?.clone());
        let (entity, rule, load) = (text("entity")?, text("rule")?, text("load_id")?);
        let failed = rows.column("rows_failed")?.i64()?.clone();
        let of = |column: &StringChunked, row: usize| column.get(row).unwrap_or_default().to_owned();
        for row in 0..rows.height() {
            let rows = failed.get(row).unwrap_or(0).unsigned_abs();
            by_load.insert((of(&entity, row), of(&rule, row), of(&load, row)), rows);
        }
    }
    for count in reports.iter().flat_map(|report| &report.rules) {
        if count.severity == Severity::Error && count.failed > 0 {
            by_load.insert((count.entity.clone(), count.rule.clone(), count.load_id.clone()), count.failed);
        }
    }
    let mut by_rule: BTreeMap<(String, String), u64> = BTreeMap::new();
    for ((entity, rule, _), rows) in by_load {
        *by_rule.entry((entity, rule)).or_default() += rows;
    }
    let mut lines: Vec<QuarantineLine> =
        by_rule.into_iter().map(|((entity, rule), rows)| QuarantineLine { entity, rule, rows }).collect();
    lines.sort_by_key(|line| std::cmp::Reverse(line.rows));
    Ok(lines)
}
