//! Readings of values that identify a patient: each is recorded before it is made (HIPAA, 45 CFR 164.312(b)).

use chrono::{DateTime, Utc};
use rcm_platform::{Context, StageError, bronze, stage};
use serde::Serialize;

/// Folder of the records, one object each; they are never changed.
pub const FOLDER: &str = "audit/readings";

/// Who read which values, and why.
#[derive(Debug, Clone, Serialize)]
pub struct Reading<'a> {
    pub who: &'a str,
    pub why: &'a str,
    /// Command of `rcm`, such as `sql`.
    pub command: &'static str,
    /// Tables, or what else was read. No value of a patient.
    pub what: &'a str,
}

#[derive(Serialize)]
struct Record<'a> {
    at: DateTime<Utc>,
    #[serde(flatten)]
    reading: &'a Reading<'a>,
}

/// Records a reading in the lake.
///
/// # Errors
/// The store fails; then nothing may be shown.
pub async fn record_reading(context: &Context, reading: &Reading<'_>) -> Result<(), StageError> {
    let at = context.now();
    let key = format!("{FOLDER}/{}.json", stage::new_id(at));
    context.lake.put_if_absent(&key, bronze::to_json(&Record { at, reading })?).await?;
    Ok(())
}
