//! Prints what the lake holds and how fresh it is.

use chrono::{DateTime, Utc};
use rcm_model::event::ControlCheck;
use rcm_model::standstill::Standstill;
use serde::Serialize;

use super::figures::{NONE, age, count, count_or_blank, moment};
use super::standstills;
use super::table::{list, sections, table};

/// The state of a lake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Root of the lake.
    pub lake: String,
    /// The time that ages are computed for.
    pub now: DateTime<Utc>,
    pub streams: Vec<StreamStatus>,
    pub tables: Vec<TableStatus>,
    pub quarantine: Vec<QuarantineStatus>,
    /// The failed control checks of the last run that had any.
    pub failed_checks: Vec<ControlCheck>,
    /// What waits for a person.
    pub standstills: Vec<Standstill>,
}

/// A bronze stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamStatus {
    pub stream: String,
    pub loads: u64,
    /// Number of rows of all loads.
    pub rows: u64,
    /// Time of the last load; `None` if there is none.
    pub last_load: Option<DateTime<Utc>>,
    /// Watermark of the incremental loads, in UTC; the next one starts earlier by the stream's overlap.
    pub watermark: Option<String>,
}

/// A Delta table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableStatus {
    /// Path below the lake's root, such as `silver/patients`.
    pub table: String,
    pub version: i64,
    pub rows: u64,
    /// Number of current rows; `None` for tables without history.
    pub current_rows: Option<u64>,
    pub changed_at: Option<DateTime<Utc>>,
}

/// Number of open quarantine entries of an entity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QuarantineStatus {
    pub entity: String,
    pub open: u64,
}

/// Returns the state of a lake as tables.
#[must_use]
pub fn status(status: &Status) -> String {
    let title = format!("Lake {}\n\n", status.lake);
    if status.streams.is_empty() && status.tables.is_empty() && status.standstills.is_empty() {
        return format!("{title}  is empty; hint: `rcm run` fills it\n");
    }
    let checks = status
        .failed_checks
        .iter()
        .map(|check| format!("{}: {}: expected {}, found {}", check.table, check.check, check.expected, check.actual));
    title
        + &sections(&[
            streams(status),
            tables(status),
            quarantine(status),
            standstills::section(&status.standstills),
            list("Failed control checks", &checks.collect::<Vec<_>>()),
        ])
}

fn streams(status: &Status) -> String {
    let lines = status.streams.iter().map(|stream| {
        vec![
            stream.stream.clone(),
            stream.last_load.map_or_else(|| "never loaded".to_owned(), moment),
            stream.last_load.map_or_else(|| NONE.to_owned(), |last| age(status.now - last)),
            stream.watermark.clone().unwrap_or_default(),
            count(stream.loads),
            count(stream.rows),
        ]
    });
    table("Bronze", &["stream", "last load (UTC)", "age", "watermark (UTC)", "loads", "rows"], 4, lines.collect())
}

fn tables(status: &Status) -> String {
    let lines = status.tables.iter().map(|table| {
        vec![
            table.table.clone(),
            table.changed_at.map_or_else(|| NONE.to_owned(), |changed| age(status.now - changed)),
            table.version.to_string(),
            count(table.rows),
            table.current_rows.map(count).unwrap_or_default(),
        ]
    });
    table("Tables", &["table", "age", "version", "rows", "current"], 2, lines.collect())
}

fn quarantine(status: &Status) -> String {
    let lines = status.quarantine.iter().filter(|entity| entity.open > 0);
    let lines = lines.map(|entity| vec![entity.entity.clone(), count_or_blank(entity.open)]);
    table("Quarantine", &["entity", "open"], 1, lines.collect())
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use rcm_model::standstill::StandstillKind;

    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_730_944_800, 0).unwrap()
    }

    #[test]
    fn a_lake_is_told_by_its_streams_tables_and_open_questions() {
        let sample = Status {
            lake: "file:///lake".to_owned(),
            now: now(),
            streams: vec![
                StreamStatus {
                    stream: "hosa/patients".to_owned(),
                    loads: 3,
                    rows: 5_120,
                    last_load: Some(now() - TimeDelta::minutes(90)),
                    watermark: Some("2024-11-06".to_owned()),
                },
                StreamStatus {
                    stream: "hosb/patients".to_owned(),
                    loads: 0,
                    rows: 0,
                    last_load: None,
                    watermark: None,
                },
            ],
            tables: vec![
                TableStatus {
                    table: "silver/patients".to_owned(),
                    version: 2,
                    rows: 5_100,
                    current_rows: Some(5_000),
                    changed_at: Some(now() - TimeDelta::days(3)),
                },
                TableStatus {
                    table: "gold/kpi_ar_aging".to_owned(),
                    version: 0,
                    rows: 40,
                    current_rows: None,
                    changed_at: None,
                },
            ],
            quarantine: vec![
                QuarantineStatus { entity: "patients".to_owned(), open: 15 },
                QuarantineStatus { entity: "claims".to_owned(), open: 0 },
            ],
            failed_checks: vec![ControlCheck::equal("gold/fact_claims", "rows", &3, &4)],
            standstills: vec![Standstill {
                kind: StandstillKind::FileRefused,
                subject: "landing/claims/a.csv".to_owned(),
                since: Some(now() - TimeDelta::days(2)),
                because: "no mapping claims it".to_owned(),
                hint: "rename it".to_owned(),
            }],
        };
        insta::assert_snapshot!(status(&sample), @r"
        Lake file:///lake

        Bronze
          stream          last load (UTC)       age   watermark (UTC)   loads    rows
        ──────────────────────────────────────────────────────────────────────────────
          hosa/patients   2024-11-07 00:30:00   1 h   2024-11-06            3   5,120
          hosb/patients   never loaded          –                           0       0

        Tables
          table               age   version    rows   current
        ──────────────────────────────────────────────────────
          silver/patients     3 d         2   5,100     5,000
          gold/kpi_ar_aging   –           0      40

        Quarantine
          entity     open
        ──────────────────
          patients     15

        Waits for a person
          landing/claims/a.csv
              file refused since 2024-11-05 02:00:00 UTC: no mapping claims it
              hint: rename it

        Failed control checks
          gold/fact_claims: rows: expected 3, found 4
        ");
    }

    #[test]
    fn an_empty_lake_says_how_it_is_filled() {
        let empty = Status {
            lake: "file:///lake".to_owned(),
            now: now(),
            streams: Vec::new(),
            tables: Vec::new(),
            quarantine: Vec::new(),
            failed_checks: Vec::new(),
            standstills: Vec::new(),
        };
        assert!(status(&empty).contains("rcm run"));
    }
}
