//! What stages measure, as CloudWatch metrics: lines of JSON in the embedded metric format
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>)
//! on standard output, which Lambda carries to the log that CloudWatch reads them from.
//!
//! Dimensions: `Environment` alone, for alarms; `Environment`, `Stage` and `Entity`, for the
//! dashboard. An entity is a bronze stream, a table's entity or a datasource, never a file's name.
//!
//! | metric | unit | of |
//! |---|---|---|
//! | `StageDurationMs` | milliseconds | every stage |
//! | `RowsRead`, `RowsNew`, `RowsQuarantined` | rows | stages with loads |
//! | [`QUARANTINE_RATE`] | percent, 0–100 | silver: of the load with the greatest share, refused ones too |
//! | `ControlChecksFailed` | checks; 0 where all passed | silver and gold |
//! | [`LOAD_AGE_HOURS`] | hours | plan, per stream |
//! | [`WATERMARK_LAG_HOURS`] | hours | emr-extract, per stream |
//! | [`DAYS_IN_AR`], [`AR_BALANCE`], [`AR_OVER_90_PERCENT`] | days, amount, percent | gold-kpis, per datasource |

use std::io::Write;

use chrono::{DateTime, TimeDelta, Utc};
use rcm_model::event::{Figure, StageReport};
use serde_json::{Map, Value, json};

use crate::config::Environment;

const NAMESPACE: &str = "RcmLakehouse";
/// Share of a load's rows that do not go to silver.
pub const QUARANTINE_RATE: &str = "QuarantineRate";
/// Hours since the last load of a stream ended.
pub const LOAD_AGE_HOURS: &str = "LoadAgeHours";
/// Hours that the newest row of a stream is older than the extract.
pub const WATERMARK_LAG_HOURS: &str = "WatermarkLagHours";
/// Days of revenue that are still owed.
pub const DAYS_IN_AR: &str = "DaysInAr";
/// What is still owed.
pub const AR_BALANCE: &str = "ArBalance";
/// Share of the balance that is older than 90 days.
pub const AR_OVER_90_PERCENT: &str = "ArOver90Percent";

/// A time as a figure in hours; never less than none, whatever two clocks say.
#[must_use]
pub fn hours(name: &str, entity: &str, time: TimeDelta) -> Figure {
    let value = time.as_seconds_f64().max(0.0) / 3600.0;
    Figure { name: name.to_owned(), entity: entity.to_owned(), value }
}

/// Tells the metrics of a stage, if there is a CloudWatch that listens.
pub fn tell(environment: &Environment, report: &StageReport) {
    if !environment.in_lambda {
        return;
    }
    tell_figures(environment, &report.stage, &report.run_id, report.finished_at, &figures_of(report));
}

/// Tells figures that belong to no report, if there is a CloudWatch that listens.
pub fn tell_figures(environment: &Environment, stage: &str, run_id: &str, at: DateTime<Utc>, figures: &[Figure]) {
    if !environment.in_lambda {
        return;
    }
    let mut text = String::new();
    for line in lines(&environment.name, stage, run_id, at, figures) {
        text.push_str(&line.to_string());
        text.push('\n');
    }
    // A metric that is lost is no reason to fail what it measures.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Everything that a report says in figures.
fn figures_of(report: &StageReport) -> Vec<Figure> {
    let entity = entity_of(report);
    let mut figures = Vec::new();
    let mut add =
        |name: &str, value: f64| figures.push(Figure { name: name.to_owned(), entity: entity.to_owned(), value });
    add("StageDurationMs", (report.finished_at - report.started_at).as_seconds_f64() * 1000.0);
    if !report.loads.is_empty() {
        let read: u64 = report.loads.iter().map(|load| load.read).sum();
        let new: u64 = report.loads.iter().map(|load| load.new).sum();
        let quarantined: u64 = report.loads.iter().map(|load| load.quarantined).sum();
        add("RowsRead", read as f64);
        add("RowsNew", new as f64);
        add("RowsQuarantined", quarantined as f64);
    }
    if report.stage.starts_with("gold-") || report.stage.starts_with("silver-") {
        let failed = report.checks.iter().filter(|check| !check.passed).count();
        add("ControlChecksFailed", failed as f64);
    }
    figures.extend(report.figures.iter().cloned());
    figures
}

/// What the metrics of a report are of. Whoever drops a file gives it its name, so that of a landed
/// file the stream is told.
fn entity_of(report: &StageReport) -> &str {
    if report.stage == "landing-to-bronze" {
        return report.loads.first().map_or("landing", |load| &load.stream);
    }
    &report.subject
}

/// One line per entity.
fn lines(environment: &str, stage: &str, run_id: &str, at: DateTime<Utc>, figures: &[Figure]) -> Vec<Value> {
    let mut entities: Vec<&str> = figures.iter().map(|figure| figure.entity.as_str()).collect();
    entities.sort_unstable();
    entities.dedup();
    let line = |entity: &str| {
        let of_entity = figures.iter().filter(|figure| figure.entity == entity && figure.value.is_finite());
        let (mut values, mut metrics) = (Map::new(), Vec::new());
        for Figure { name, value, .. } in of_entity {
            let so_far = values.get(name).and_then(Value::as_f64);
            if so_far.is_none() {
                metrics.push(json!({"Name": name, "Unit": unit(name)}));
            }
            // Of a figure that was measured several times, such as once per portion, the highest counts.
            values.insert(name.clone(), json!(so_far.map_or(*value, |so_far| so_far.max(*value))));
        }
        let dimensions = json!([["Environment"], ["Environment", "Stage", "Entity"]]);
        let directive = json!({"Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": metrics});
        values.insert("_aws".to_owned(), json!({"Timestamp": at.timestamp_millis(), "CloudWatchMetrics": [directive]}));
        for (name, value) in [("Environment", environment), ("Stage", stage), ("Entity", entity), ("run_id", run_id)] {
            values.insert(name.to_owned(), json!(value));
        }
        Value::Object(values)
    };
    entities.into_iter().map(line).collect()
}

/// Unit of a metric. CloudWatch has none for hours, days or amounts.
fn unit(name: &str) -> &'static str {
    match name {
        "StageDurationMs" => "Milliseconds",
        QUARANTINE_RATE | AR_OVER_90_PERCENT => "Percent",
        "RowsRead" | "RowsNew" | "RowsQuarantined" | "ControlChecksFailed" => "Count",
        _ => "None",
    }
}

#[cfg(test)]
mod tests {
    use rcm_model::event::{ControlCheck, LoadCounts};

    use super::*;

    fn report(stage: &str, subject: &str) -> StageReport {
        let started_at = DateTime::from_timestamp(1_730_959_200, 0).unwrap();
        StageReport::new("run", stage, subject, (started_at, started_at + TimeDelta::milliseconds(1500)))
    }

    fn load(stream: &str, read: u64, new: u64, quarantined: u64) -> LoadCounts {
        LoadCounts { stream: stream.to_owned(), read, new, quarantined, ..LoadCounts::default() }
    }

    fn told(report: &StageReport) -> Vec<Value> {
        lines("test", &report.stage, &report.run_id, report.finished_at, &figures_of(report))
    }

    #[test]
    fn a_line_is_of_the_embedded_metric_format() {
        let report = report("audit", "audit");
        let expected = json!({
            "_aws": {
                "Timestamp": 1_730_959_201_500_i64,
                "CloudWatchMetrics": [{
                    "Namespace": "RcmLakehouse",
                    "Dimensions": [["Environment"], ["Environment", "Stage", "Entity"]],
                    "Metrics": [{"Name": "StageDurationMs", "Unit": "Milliseconds"}],
                }],
            },
            "Environment": "test",
            "Stage": "audit",
            "Entity": "audit",
            "run_id": "run",
            "StageDurationMs": 1500.0,
        });
        assert_eq!(told(&report), [expected]);
    }

    #[test]
    fn a_silver_stage_tells_its_rows_and_the_worst_of_its_portions() {
        let loads = vec![load("hosa/patients", 10, 9, 1), load("hosb/patients", 4, 2, 2)];
        let rate = |value| Figure { name: QUARANTINE_RATE.to_owned(), entity: "patients".to_owned(), value };
        let figures = vec![rate(50.0), rate(10.0)];
        let lines = told(&StageReport { loads, figures, ..report("silver-patients", "patients") });
        let line = &lines[0];
        assert_eq!(
            (&line["RowsRead"], &line["RowsNew"], &line["RowsQuarantined"]),
            (&json!(14.0), &json!(11.0), &json!(3.0))
        );
        assert_eq!((&line["QuarantineRate"], &line["Entity"]), (&json!(50.0), &json!("patients")));
        let metrics = line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap();
        assert_eq!(metrics.iter().filter(|metric| metric["Name"] == "QuarantineRate").count(), 1);
    }

    #[test]
    fn a_bronze_stage_judges_no_row() {
        let loads = vec![load("claims", 10, 0, 0)];
        let lines = told(&StageReport { loads, ..report("landing-to-bronze", "landing/claims/a file.csv") });
        assert_eq!((&lines[0]["RowsRead"], &lines[0]["Entity"]), (&json!(10.0), &json!("claims")));
        assert_eq!(lines[0].get("QuarantineRate"), None);
    }

    #[test]
    fn the_name_of_a_landed_file_is_in_no_metric() {
        let lines = told(&report("landing-to-bronze", "landing/claims/a file.csv"));
        assert!(!json!(lines).to_string().contains("a file"), "{lines:?}");
    }

    #[test]
    fn a_stage_with_checks_tells_that_none_failed_too() {
        for stage in ["silver-claims", "gold-facts"] {
            assert_eq!(told(&report(stage, "x"))[0]["ControlChecksFailed"], json!(0.0));
            let checks = vec![ControlCheck::equal("a", "rows", &1, &2), ControlCheck::equal("a", "sum", &1, &1)];
            let failed = StageReport { checks, ..report(stage, "x") };
            assert_eq!(told(&failed)[0]["ControlChecksFailed"], json!(1.0));
        }
        assert_eq!(told(&report("plan", "x"))[0].get("ControlChecksFailed"), None);
    }

    #[test]
    fn every_entity_of_the_figures_has_a_line_and_what_is_no_number_is_left_out() {
        let figure =
            |name: &str, entity: &str, value| Figure { name: name.to_owned(), entity: entity.to_owned(), value };
        let figures = vec![
            figure(DAYS_IN_AR, "hos-a", 125.85),
            figure(AR_OVER_90_PERCENT, "hos-a", 71.19),
            figure(DAYS_IN_AR, "hos-b", f64::NAN),
        ];
        let lines = told(&StageReport { figures, ..report("gold-kpis", "gold") });
        let entities: Vec<&Value> = lines.iter().map(|line| &line["Entity"]).collect();
        assert_eq!(entities, ["gold", "hos-a", "hos-b"]);
        assert_eq!((&lines[1][DAYS_IN_AR], &lines[1][AR_OVER_90_PERCENT]), (&json!(125.85), &json!(71.19)));
        assert_eq!(lines[2].get(DAYS_IN_AR), None);
    }

    #[test]
    fn a_lag_is_never_negative() {
        assert!(hours(LOAD_AGE_HOURS, "claims", TimeDelta::minutes(-5)).value.abs() < f64::EPSILON);
        assert!((hours(LOAD_AGE_HOURS, "claims", TimeDelta::minutes(90)).value - 1.5).abs() < f64::EPSILON);
    }
}
