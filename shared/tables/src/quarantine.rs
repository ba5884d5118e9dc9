//! Quarantine tables: rows that failed an error rule, kept once, with every reason.

use polars::prelude::*;
use rcm_domain::cdm::timestamp;
use rcm_model::cdm::Entity;
use rcm_model::event::TableCommit;
use rcm_platform::bronze::{MALFORMED, Manifest, POSITION};
use rcm_platform::context::Context;
use rcm_platform::error::{Result, StageError};
use rcm_platform::lake;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::delta::{self, COMMIT_TRIES, Change, Table};
use crate::frames::blocking;

/// Schema of every quarantine table: one row per entity, key and payload.
#[must_use]
pub fn schema() -> Schema {
    let text = ["fingerprint", "datasource", "key", "reasons", "raw", "load_id", "stream"];
    let mut schema: Schema = text.map(|name| Field::new(name.into(), DataType::String)).into_iter().collect();
    schema.with_column("sequence".into(), DataType::Int64);
    schema.with_column("position".into(), DataType::Int64);
    schema.with_column("status".into(), DataType::String);
    schema.with_column("quarantined_at".into(), timestamp());
    schema.with_column("updated_at".into(), timestamp());
    schema
}

/// Rows of one load for the quarantine table.
///
/// `raw` has the rows as bronze has them, all columns; `keys` and `reasons` belong to them row by
/// row.
///
/// # Errors
/// A column of bronze is missing.
pub fn entries(
    raw: &DataFrame,
    keys: &StringChunked,
    reasons: &StringChunked,
    load: &Manifest,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<DataFrame> {
    let raws = raw_values(raw)?;
    let fingerprints: Vec<String> = raws
        .iter()
        .zip(keys.iter())
        .map(|(raw, key)| fingerprint(&[&load.entity, &load.datasource, key.unwrap_or(""), raw]))
        .collect();
    let moment = || lit(now.timestamp_micros()).cast(timestamp());
    let columns: Vec<Expr> = schema().iter_names().map(|name| col(name.clone())).collect();
    let frame = df!(
        "fingerprint" => fingerprints,
        "key" => keys.clone().into_series(),
        "reasons" => reasons.clone().into_series(),
        "raw" => raws,
        "position" => raw.column(POSITION)?.as_materialized_series().clone(),
    )?;
    Ok(frame
        .lazy()
        .with_columns([
            lit(load.datasource.clone()).alias("datasource"),
            lit(load.load_id.clone()).alias("load_id"),
            lit(load.stream.clone()).alias("stream"),
            lit(load.sequence as i64).cast(DataType::Int64).alias("sequence"),
            lit("open").alias("status"),
            moment().alias("quarantined_at"),
            moment().alias("updated_at"),
        ])
        .select(columns)
        .collect()?)
}

/// Adds the entries that the entity's table does not have yet, in one commit; none if it has all.
///
/// # Errors
/// The store fails, or other runs kept committing.
pub async fn add(context: &Context, entity: &Entity, run_id: &str, entries: DataFrame) -> Result<Option<TableCommit>> {
    let path = lake::quarantine(entity.name);
    let entries = entries.unique_stable(Some(&["fingerprint".to_owned()]), UniqueKeepStrategy::First, None)?;
    for _ in 0..COMMIT_TRIES {
        let table = Table::open(&context.lake, &path).await?;
        let new = match &table {
            None => entries.clone(),
            Some(table) => {
                let known = table.scan(table.files()).await?.select([col("fingerprint")]);
                let (entries, id) = (entries.clone(), [col("fingerprint")]);
                blocking(move || {
                    Ok(entries.lazy().join(known, id.clone(), id, JoinArgs::new(JoinType::Anti)).collect()?)
                })
                .await?
            }
        };
        if new.height() == 0 {
            return Ok(None);
        }
        let file = delta::write(context, &path, &new, &[]).await?;
        let schema = schema();
        let rows = file.rows;
        let change = Change {
            schema: &schema,
            partition_by: &[],
            properties: &[],
            add: vec![file],
            remove: Vec::new(),
            transactions: Vec::new(),
            run_id,
        };
        match delta::commit(&context.lake, &path, table.as_ref(), change).await {
            Err(StageError::CommitConflict(_)) => {}
            Err(error) => return Err(error),
            Ok(committed) => return Ok(Some(TableCommit { table: path, version: committed.version, rows })),
        }
    }
    Err(StageError::CommitConflict(format!("table `{path}` was committed to {COMMIT_TRIES} times by other runs")))
}

/// The source's values of every row: a JSON object by column, or the list of fields of a record
/// that does not fit its header.
fn raw_values(raw: &DataFrame) -> Result<Vec<String>> {
    let malformed = raw.column(MALFORMED)?.str()?.clone();
    let mut columns = Vec::new();
    for column in raw.columns().iter().filter(|column| ![POSITION, MALFORMED].contains(&column.name().as_str())) {
        columns.push((column.name().to_string(), column.cast(&DataType::String)?.str()?.clone()));
    }
    let mut values = Vec::with_capacity(raw.height());
    for row in 0..raw.height() {
        if let Some(fields) = malformed.get(row) {
            values.push(fields.to_owned());
            continue;
        }
        let object: Map<String, Value> = columns
            .iter()
            .map(|(name, column)| (name.clone(), column.get(row).map_or(Value::Null, Value::from)))
            .collect();
        values.push(Value::Object(object).to_string());
    }
    Ok(values)
}

fn fingerprint(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    format!("{:x}", hash.finalize())
}
