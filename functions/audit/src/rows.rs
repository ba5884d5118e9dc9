//! Rows of the audit tables.

use chrono::{DateTime, Utc};
use polars::prelude::*;
use rcm_domain::cdm::timestamp;
use rcm_model::event::{ControlCheck, LoadCounts, RuleCount, StageReport};

/// A counter of a load.
type Counter = (&'static str, fn(&LoadCounts) -> u64);

const COUNTERS: [Counter; 8] = [
    ("sequence", |load| load.sequence),
    ("rows_read", |load| load.read),
    ("rows_new", |load| load.new),
    ("rows_changed", |load| load.changed),
    ("rows_unchanged", |load| load.unchanged),
    ("rows_superseded", |load| load.superseded),
    ("rows_quarantined", |load| load.quarantined),
    ("keys_deleted", |load| load.deleted),
];

/// Rows for an audit table.
pub(super) struct AuditRows {
    /// Name of the table.
    pub table: &'static str,
    /// Column with the time that a row is of.
    pub moment: &'static str,
    pub rows: DataFrame,
}

/// Returns the rows that reports become, table by table.
pub(super) fn of(reports: &[StageReport]) -> PolarsResult<[AuditRows; 3]> {
    Ok([
        AuditRows { table: "load_logs", moment: "finished_at", rows: load_logs(reports)? },
        AuditRows { table: "quality_metrics", moment: "measured_at", rows: quality_metrics(reports)? },
        AuditRows { table: "control_checks", moment: "checked_at", rows: control_checks(reports)? },
    ])
}

/// `audit/load_logs`: one row per stage and load; one per stage that had none.
fn load_logs(reports: &[StageReport]) -> PolarsResult<DataFrame> {
    let mut rows: Vec<(&StageReport, Option<&LoadCounts>)> = Vec::new();
    for report in reports {
        if report.loads.is_empty() {
            rows.push((report, None));
        }
        rows.extend(report.loads.iter().map(|load| (report, Some(load))));
    }
    let reports: Vec<&StageReport> = rows.iter().map(|(report, _)| *report).collect();
    let of_load = |name: &str, value: fn(&LoadCounts) -> &str| -> Column {
        let values: Vec<Option<&str>> = rows.iter().map(|(_, load)| load.map(value)).collect();
        Column::new(name.into(), values)
    };
    let mut columns = vec![
        texts("run_id", &reports, |report| Some(report.run_id.clone())),
        texts("stage", &reports, |report| Some(report.stage.clone())),
        texts("subject", &reports, |report| Some(report.subject.clone())),
        texts("outcome", &reports, |report| {
            serde_json::to_value(report.outcome).ok().and_then(|outcome| outcome.as_str().map(str::to_owned))
        }),
        of_load("load_id", |load| &load.load_id),
        of_load("stream", |load| &load.stream),
    ];
    for (name, counter) in COUNTERS {
        let values: Vec<Option<i64>> = rows.iter().map(|(_, load)| load.map(|load| counter(load) as i64)).collect();
        columns.push(Column::new(name.into(), values));
    }
    columns.push(texts("error_name", &reports, |report| report.error.as_ref().map(|error| error.name.clone())));
    columns.push(texts("error_message", &reports, |report| report.error.as_ref().map(|error| error.message.clone())));
    columns.push(texts("notes", &reports, |report| (!report.notes.is_empty()).then(|| report.notes.join("\n"))));
    columns.push(moments("started_at", &reports, |report| report.started_at)?);
    columns.push(moments("finished_at", &reports, |report| report.finished_at)?);
    DataFrame::new_infer_height(columns)
}

/// `audit/quality_metrics`: one row per rule and load.
fn quality_metrics(reports: &[StageReport]) -> PolarsResult<DataFrame> {
    let rows: Vec<(&StageReport, &RuleCount)> =
        reports.iter().flat_map(|report| report.rules.iter().map(move |rule| (report, rule))).collect();
    let reports: Vec<&StageReport> = rows.iter().map(|(report, _)| *report).collect();
    let text = |name: &str, value: fn(&RuleCount) -> &str| -> Column {
        Column::new(name.into(), rows.iter().map(|(_, rule)| value(rule)).collect::<Vec<_>>())
    };
    let count = |name: &str, value: fn(&RuleCount) -> u64| -> Column {
        Column::new(name.into(), rows.iter().map(|(_, rule)| value(rule) as i64).collect::<Vec<_>>())
    };
    DataFrame::new_infer_height(vec![
        texts("run_id", &reports, |report| Some(report.run_id.clone())),
        text("entity", |rule| &rule.entity),
        text("rule", |rule| &rule.rule),
        text("severity", |rule| rule.severity.as_str()),
        text("load_id", |rule| &rule.load_id),
        count("rows_checked", |rule| rule.checked),
        count("rows_failed", |rule| rule.failed),
        moments("measured_at", &reports, |report| report.finished_at)?,
    ])
}

/// `audit/control_checks`: one row per check and run.
fn control_checks(reports: &[StageReport]) -> PolarsResult<DataFrame> {
    let rows: Vec<(&StageReport, &ControlCheck)> =
        reports.iter().flat_map(|report| report.checks.iter().map(move |check| (report, check))).collect();
    let reports: Vec<&StageReport> = rows.iter().map(|(report, _)| *report).collect();
    let text = |name: &str, value: fn(&ControlCheck) -> &str| -> Column {
        Column::new(name.into(), rows.iter().map(|(_, check)| value(check)).collect::<Vec<_>>())
    };
    DataFrame::new_infer_height(vec![
        texts("run_id", &reports, |report| Some(report.run_id.clone())),
        text("table", |check| &check.table),
        text("check", |check| &check.check),
        text("expected", |check| &check.expected),
        text("actual", |check| &check.actual),
        Column::new("passed".into(), rows.iter().map(|(_, check)| check.passed).collect::<Vec<_>>()),
        moments("checked_at", &reports, |report| report.finished_at)?,
    ])
}

fn texts(name: &str, reports: &[&StageReport], value: fn(&StageReport) -> Option<String>) -> Column {
    Column::new(name.into(), reports.iter().map(|report| value(report)).collect::<Vec<_>>())
}

fn moments(name: &str, reports: &[&StageReport], value: fn(&StageReport) -> DateTime<Utc>) -> PolarsResult<Column> {
    let micros: Vec<i64> = reports.iter().map(|report| value(report).timestamp_micros()).collect();
    Column::new(name.into(), micros).cast(&timestamp())
}
