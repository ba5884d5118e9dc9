//! The open rows in quarantine that are meant by conditions.

use chrono::NaiveTime;
use polars::prelude::*;
use rcm_domain::cdm::timestamp;
use rcm_model::cdm::Entity;
use rcm_model::event::Replay;
use rcm_platform::context::Context;
use rcm_platform::error::Result;
use rcm_platform::lake;

use crate::delta::Table;
use crate::frames::blocking;
use crate::quarantine::{OPEN, schema};

/// A row in quarantine that nobody has decided about, without its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenRow {
    pub fingerprint: String,
    pub datasource: String,
    pub key: Option<String>,
    /// The rules that it failed, separated by `; `.
    pub reasons: String,
    /// Its place in bronze.
    pub stream: String,
    pub sequence: u64,
    pub position: i64,
}

/// Returns the open rows of an entity, and beside each whether the conditions mean it.
///
/// # Errors
/// The store fails, or the table cannot be read.
pub async fn open_rows(context: &Context, entity: &Entity, wanted: &Replay) -> Result<Vec<(OpenRow, bool)>> {
    let Some(table) = Table::open_with(&context.lake, &lake::quarantine(entity.name), &schema()).await? else {
        return Ok(Vec::new());
    };
    let since = wanted.since.map(|day| day.and_time(NaiveTime::MIN).and_utc().timestamp_micros());
    let is_late = since.map_or_else(
        || lit(true),
        |since| col("quarantined_at").gt_eq(lit(since).cast(timestamp())).fill_null(lit(false)),
    );
    let rows = table.scan(table.files()).await?.filter(col("status").eq(lit(OPEN))).with_column(is_late.alias("late"));
    let names = ["fingerprint", "datasource", "key", "reasons", "stream", "sequence", "position", "late"];
    let rows = rows.select(names.map(col)).sort(["stream", "sequence", "position"], SortMultipleOptions::default());
    let rows = blocking(move || Ok(rows.collect()?)).await?;
    let [fingerprints, datasources, keys, reasons, streams] =
        ["fingerprint", "datasource", "key", "reasons", "stream"].map(|name| rows.column(name)?.str().cloned());
    let (fingerprints, datasources, keys, reasons, streams) = (fingerprints?, datasources?, keys?, reasons?, streams?);
    let (sequences, positions) = (rows.column("sequence")?.i64()?, rows.column("position")?.i64()?);
    let late = rows.column("late")?.bool()?;
    let of = |column: &StringChunked, row: usize| column.get(row).unwrap_or_default().to_owned();
    let row = |row: usize| {
        let open = OpenRow {
            fingerprint: of(&fingerprints, row),
            datasource: of(&datasources, row),
            key: keys.get(row).map(str::to_owned),
            reasons: of(&reasons, row),
            stream: of(&streams, row),
            sequence: sequences.get(row).unwrap_or_default().unsigned_abs(),
            position: positions.get(row).unwrap_or_default(),
        };
        let is_meant = late.get(row).unwrap_or(false) && open.is_meant_by(wanted);
        (open, is_meant)
    };
    Ok((0..rows.height()).map(row).collect())
}

impl OpenRow {
    /// The rules that it failed, in their order.
    pub fn rules(&self) -> impl Iterator<Item = &str> {
        rules_of(&self.reasons)
    }

    fn is_meant_by(&self, wanted: &Replay) -> bool {
        wanted.rule.as_ref().is_none_or(|rule| self.rules().any(|failed| failed == rule))
            && wanted.hospital.as_ref().is_none_or(|hospital| *hospital == self.datasource)
            && (wanted.fingerprints.is_empty()
                || wanted.fingerprints.iter().any(|beginning| self.fingerprint.starts_with(beginning)))
    }
}

/// The rules that the reasons of a row name, in their order: `unparseable_value` of `unparseable_value: amount`.
pub fn rules_of(reasons: &str) -> impl Iterator<Item = &str> {
    reasons.split("; ").map(|reason| reason.split_once(": ").map_or(reason, |(rule, _)| rule))
}
