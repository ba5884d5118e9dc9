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
//! | [`STANDSTILLS`] | things; 0 where there are none | audit, per kind of what waits for a person |
//! | [`LOADS_WAITING`] | streams whose next load waits, and all behind it; 0 where there are none | audit, per silver table |
//! | [`STAGES_FAILED`] | stages; 0 where there are none | audit, of the run |
//! | [`DAYS_IN_AR`], [`AR_BALANCE`], [`AR_OVER_90_PERCENT`] | days, amount, percent | gold-kpis, per datasource |

use std::io::Write;

use chrono::{DateTime, TimeDelta, Utc};
use rcm_model::cdm::ENTITIES;
use rcm_model::event::{Metric, StageReport};
use rcm_model::standstill::{Standstill, StandstillKind};
use serde_json::{Map, Value, json};

use crate::config::Environment;

const NAMESPACE: &str = "RcmLakehouse";
/// The stage that looks for what waits for a person.
const AUDIT: &str = "audit";
/// Share of a load's rows that do not go to silver.
pub const QUARANTINE_RATE: &str = "QuarantineRate";
/// Hours since the last load of a stream ended.
pub const LOAD_AGE_HOURS: &str = "LoadAgeHours";
/// Hours that the newest row of a stream is older than the extract.
pub const WATERMARK_LAG_HOURS: &str = "WatermarkLagHours";
/// Things of a kind that wait for a person.
pub const STANDSTILLS: &str = "Standstills";
/// Streams of a silver table whose next load waits, and all loads behind it.
pub const LOADS_WAITING: &str = "LoadsWaiting";
/// Stages of a run that failed in all their tries.
pub const STAGES_FAILED: &str = "StagesFailed";
/// Days of revenue that are still owed.
pub const DAYS_IN_AR: &str = "DaysInAr";
/// What is still owed.
pub const AR_BALANCE: &str = "ArBalance";
/// Share of the balance that is older than 90 days.
pub const AR_OVER_90_PERCENT: &str = "ArOver90Percent";

/// A time as a figure in hours; never less than none, whatever two clocks say.
#[must_use]
pub fn hours(name: &str, entity: &str, time: TimeDelta) -> Metric {
    let value = time.as_seconds_f64().max(0.0) / 3600.0;
    Metric { name: name.to_owned(), entity: entity.to_owned(), value }
}

/// Tells the metrics of a stage, if there is a CloudWatch that listens.
pub fn emit(environment: &Environment, report: &StageReport) {
    if !environment.in_lambda {
        return;
    }
    emit_metrics(environment, &report.stage, &report.run_id, report.finished_at, &figures_of(report));
}

/// Tells figures that belong to no report, if there is a CloudWatch that listens.
pub fn emit_metrics(environment: &Environment, stage: &str, run_id: &str, at: DateTime<Utc>, figures: &[Metric]) {
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
fn figures_of(report: &StageReport) -> Vec<Metric> {
    let entity = entity_of(report);
    let mut figures = Vec::new();
    let mut add =
        |name: &str, value: f64| figures.push(Metric { name: name.to_owned(), entity: entity.to_owned(), value });
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
    figures.extend(report.metrics.iter().cloned());
    if report.stage == AUDIT {
        figures.extend(waiting(&report.standstills));
    }
    figures
}

/// How many things of each kind wait for a person, and how many streams of each silver table; zero of what
/// there is none of, so that an alarm goes out again.
fn waiting(standstills: &[Standstill]) -> Vec<Metric> {
    let figure = |name: &str, entity: &str, count: usize| Metric {
        name: name.to_owned(),
        entity: entity.to_owned(),
        value: count as f64,
    };
    let of_kind = |kind: StandstillKind| standstills.iter().filter(move |each| each.kind == kind);
    let kinds = StandstillKind::ALL.map(|kind| figure(STANDSTILLS, kind.name(), of_kind(kind).count()));
    let tables = ENTITIES.map(|entity| {
        let loads = of_kind(StandstillKind::LoadWaits).filter(|each| table_of(&each.subject) == Some(entity.name));
        figure(LOADS_WAITING, entity.name, loads.count())
    });
    kinds.into_iter().chain(tables).collect()
}

/// The entity of the silver table that a load waits for: `claims` of `silver/claims: claims/hos-a`.
fn table_of(subject: &str) -> Option<&str> {
    let (table, _) = subject.split_once(": ")?;
    table.strip_prefix("silver/")
}

/// What the metrics of a report are of. The name of a landed file is chosen by a person, so its metrics name the
/// stream instead.
fn entity_of(report: &StageReport) -> &str {
    if report.stage == "landing-to-bronze" {
        return report.loads.first().map_or("landing", |load| &load.stream);
    }
    &report.subject
}

/// One line per entity.
fn lines(environment: &str, stage: &str, run_id: &str, at: DateTime<Utc>, figures: &[Metric]) -> Vec<Value> {
    let mut entities: Vec<&str> = figures.iter().map(|figure| figure.entity.as_str()).collect();
    entities.sort_unstable();
    entities.dedup();
    let line = |entity: &str| {
        let of_entity = figures.iter().filter(|figure| figure.entity == entity && figure.value.is_finite());
        let (mut values, mut metrics) = (Map::new(), Vec::new());
        for Metric { name, value, .. } in of_entity {
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
        "RowsRead"
        | "RowsNew"
        | "RowsQuarantined"
        | "ControlChecksFailed"
        | STANDSTILLS
        | LOADS_WAITING
        | STAGES_FAILED => "Count",
        _ => "None",
    }
}

#[cfg(test)]
mod tests {
    use rcm_model::event::{ControlCheck, LoadCounts, StageTimes};

    use super::*;

    fn report(stage: &str, subject: &str) -> StageReport {
        let started_at = DateTime::from_timestamp(1_730_959_200, 0).unwrap();
        let finished_at = started_at + TimeDelta::milliseconds(1500);
        StageReport::new("run", stage, subject, StageTimes { started_at, finished_at })
    }

    fn load(stream: &str, read: u64, new: u64, quarantined: u64) -> LoadCounts {
        LoadCounts { stream: stream.to_owned(), read, new, quarantined, ..LoadCounts::default() }
    }

    fn told(report: &StageReport) -> Vec<Value> {
        lines("test", &report.stage, &report.run_id, report.finished_at, &figures_of(report))
    }

    #[test]
    fn a_line_is_of_the_embedded_metric_format() {
        let report = report("plan", "plan");
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
            "Stage": "plan",
            "Entity": "plan",
            "run_id": "run",
            "StageDurationMs": 1500.0,
        });
        assert_eq!(told(&report), [expected]);
    }

    #[test]
    fn a_silver_stage_tells_its_rows_and_the_worst_of_its_portions() {
        let loads = vec![load("hosa/patients", 10, 9, 1), load("hosb/patients", 4, 2, 2)];
        let rate = |value| Metric { name: QUARANTINE_RATE.to_owned(), entity: "patients".to_owned(), value };
        let figures = vec![rate(50.0), rate(10.0)];
        let lines = told(&StageReport { loads, metrics: figures, ..report("silver-patients", "patients") });
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

    fn standstill(kind: StandstillKind, subject: &str) -> Standstill {
        Standstill {
            kind,
            subject: subject.to_owned(),
            since: None,
            because: "load 3 failed".to_owned(),
            hint: "mend it".to_owned(),
        }
    }

    /// The values of a metric, by entity.
    fn values<'a>(lines: &'a [Value], metric: &str) -> Vec<(&'a str, f64)> {
        let of_line = |line: &'a Value| Some((line["Entity"].as_str()?, line.get(metric)?.as_f64()?));
        lines.iter().filter_map(of_line).collect()
    }

    #[test]
    fn a_kind_of_what_waits_has_one_name_in_reports_and_metrics() {
        for kind in StandstillKind::ALL {
            assert_eq!(json!(kind), kind.name());
        }
    }

    #[test]
    fn what_waits_is_told_per_table_and_kind_and_zero_of_what_does_not() {
        let nothing = told(&report("audit", "audit"));
        assert_eq!(values(&nothing, LOADS_WAITING).len(), ENTITIES.len());
        assert_eq!(values(&nothing, STANDSTILLS).len(), StandstillKind::ALL.len());
        for metric in [LOADS_WAITING, STANDSTILLS] {
            assert!(values(&nothing, metric).iter().all(|(_, value)| value.abs() < f64::EPSILON), "{nothing:?}");
        }

        let standstills = vec![
            standstill(StandstillKind::LoadWaits, "silver/claims: claims/hos-a"),
            standstill(StandstillKind::LoadWaits, "silver/claims: claims/hos-b"),
            standstill(StandstillKind::LoadWaits, "silver/cpt_codes: cpt_codes"),
            standstill(StandstillKind::FileRefused, "landing/claims/a file.csv"),
        ];
        let some = told(&StageReport { standstills, ..report("audit", "audit") });
        let more_than_none = |metric| {
            let values = values(&some, metric).into_iter().filter(|(_, value)| *value > 0.0);
            values.collect::<Vec<_>>()
        };
        assert_eq!(more_than_none(LOADS_WAITING), [("claims", 2.0), ("cpt_codes", 1.0)]);
        assert_eq!(more_than_none(STANDSTILLS), [("file_refused", 1.0), ("load_waits", 3.0)]);
        assert!(!json!(some).to_string().contains("a file"), "{some:?}");
        assert!(values(&told(&report("silver-claims", "claims")), STANDSTILLS).is_empty());
    }

    #[test]
    fn every_entity_of_the_figures_has_a_line_and_what_is_no_number_is_left_out() {
        let figure =
            |name: &str, entity: &str, value| Metric { name: name.to_owned(), entity: entity.to_owned(), value };
        let figures = vec![
            figure(DAYS_IN_AR, "hos-a", 125.85),
            figure(AR_OVER_90_PERCENT, "hos-a", 71.19),
            figure(DAYS_IN_AR, "hos-b", f64::NAN),
        ];
        let lines = told(&StageReport { metrics: figures, ..report("gold-kpis", "gold") });
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
