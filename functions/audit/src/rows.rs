//! Rows of the audit tables.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use polars::prelude::*;
use rcm_domain::cdm::timestamp;
use rcm_model::event::{ControlCheck, Dimension, LoadCounts, LoadProfile, RuleCount, StageReport};

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

/// What stands in the place of a severity where no rule was asked.
pub(super) const MEASURED: &str = "measured";
/// Rows without a value in a column.
pub(super) const NULL_SHARE: &str = "null_share";
/// Hours between the latest modified time of a load and its extract.
const HOURS_BEHIND: &str = "hours_behind";

/// A row of `audit/quality_metrics`.
struct QualityMetric<'a> {
    report: &'a StageReport,
    entity: &'a str,
    rule: &'a str,
    severity: &'static str,
    load_id: &'a str,
    checked: u64,
    failed: Option<u64>,
    stream: Option<&'a str>,
    dimension: Dimension,
    column: Option<&'a str>,
    value: Option<f64>,
}

impl<'a> QualityMetric<'a> {
    fn of_report(report: &'a StageReport) -> impl Iterator<Item = Self> {
        let streams: HashMap<&str, &str> =
            report.loads.iter().map(|load| (load.load_id.as_str(), load.stream.as_str())).collect();
        let rules = report.rules.iter().map(move |count| {
            let stream = streams.get(count.load_id.as_str()).copied();
            Self { stream, ..Self::of_rule(report, count) }
        });
        rules.chain(report.profiles.iter().flat_map(|profile| Self::of_profile(report, profile)))
    }

    fn of_rule(report: &'a StageReport, count: &'a RuleCount) -> Self {
        let RuleCount { entity, rule, severity, dimension, load_id, checked, failed } = count;
        Self {
            report,
            entity,
            rule,
            severity: severity.as_str(),
            load_id,
            checked: *checked,
            failed: Some(*failed),
            stream: None,
            dimension: *dimension,
            column: None,
            value: (*checked > 0).then(|| *failed as f64 / *checked as f64),
        }
    }

    fn of_profile(report: &'a StageReport, profile: &'a LoadProfile) -> impl Iterator<Item = Self> {
        let measured = move |rule: &'static str, dimension: Dimension| Self {
            report,
            entity: &profile.entity,
            rule,
            severity: MEASURED,
            load_id: &profile.load_id,
            checked: profile.rows,
            failed: None,
            stream: Some(&profile.stream),
            dimension,
            column: None,
            value: None,
        };
        let nulls = profile.nulls.iter().map(move |(column, nulls)| Self {
            column: Some(column),
            failed: Some(*nulls),
            value: profile.null_share(column),
            ..measured(NULL_SHARE, Dimension::Completeness)
        });
        let behind = Self { value: profile.hours_behind(), ..measured(HOURS_BEHIND, Dimension::Timeliness) };
        nulls.chain([behind])
    }
}

/// `audit/quality_metrics`: one row per rule and load, one per column and load, and one per load for its age.
fn quality_metrics(reports: &[StageReport]) -> PolarsResult<DataFrame> {
    let rows: Vec<QualityMetric> = reports.iter().flat_map(QualityMetric::of_report).collect();
    let reports: Vec<&StageReport> = rows.iter().map(|row| row.report).collect();
    let text = |name: &str, value: fn(&QualityMetric) -> Option<String>| -> Column {
        Column::new(name.into(), rows.iter().map(value).collect::<Vec<_>>())
    };
    let count = |name: &str, value: fn(&QualityMetric) -> Option<u64>| -> Column {
        Column::new(name.into(), rows.iter().map(|row| value(row).map(|count| count as i64)).collect::<Vec<_>>())
    };
    DataFrame::new_infer_height(vec![
        texts("run_id", &reports, |report| Some(report.run_id.clone())),
        text("entity", |row| Some(row.entity.to_owned())),
        text("rule", |row| Some(row.rule.to_owned())),
        text("severity", |row| Some(row.severity.to_owned())),
        text("load_id", |row| Some(row.load_id.to_owned())),
        count("rows_checked", |row| Some(row.checked)),
        count("rows_failed", |row| row.failed),
        moments("measured_at", &reports, |report| report.finished_at)?,
        text("stream", |row| row.stream.map(str::to_owned)),
        text("dimension", |row| Some(row.dimension.as_str().to_owned())),
        text("column", |row| row.column.map(str::to_owned)),
        Column::new("value".into(), rows.iter().map(|row| row.value).collect::<Vec<_>>()),
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
