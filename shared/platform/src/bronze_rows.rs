//! From rows in memory to a load: responses of registries, and files that are no CSV.
//!
//! Columns of the Parquet file: the named ones, all text; [`POSITION`] and [`MALFORMED`].

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use crate::backoff::Tries;
use crate::bronze::{LoadLog, MALFORMED, Manifest, POSITION, SourceObject};
use crate::bronze_file;
use crate::context::Context;
use crate::error::{Result, StageError};
use crate::load::{self, Rows, Subject};
use crate::stage::Work;
use crate::voids;

const BATCH_ROWS: usize = 8192;

/// One row of a load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    /// A value for every column.
    Fields(Vec<Option<String>>),
    /// A record that has no values for the columns, as a JSON list of its fields.
    Malformed(String),
}

/// Writes rows as Parquet that no manifest names yet. Their hash is that of their values.
///
/// # Errors
/// A row has another number of values than there are columns, or the store fails.
pub async fn write(
    context: &Context,
    stream: &str,
    source: SourceObject,
    columns: &[&str],
    rows: &[Row],
) -> Result<Rows> {
    let schema = schema(columns);
    let mut batches = vec![RecordBatch::new_empty(Arc::clone(&schema))];
    for (index, chunk) in rows.chunks(BATCH_ROWS).enumerate() {
        batches.push(batch(&schema, index * BATCH_ROWS, chunk).map_err(|error| unbuildable(&error))?);
    }
    let (sender, receiver) = mpsc::channel(batches.len());
    for batch in batches {
        sender.try_send(batch).map_err(|_| StageError::storage("the writer stopped".to_owned()))?;
    }
    drop(sender);
    let (load_id, data_key) = load::new_file(context, stream);
    bronze_file::write(&context.lake, &data_key, receiver, async { Ok(()) }).await?;
    Ok(Rows {
        load_id,
        data_key,
        source,
        content_hash: content_hash(rows),
        rows: rows.len() as u64,
        malformed: rows.iter().filter(|row| matches!(row, Row::Malformed(_))).count() as u64,
        watermark: None,
        unmapped_columns: Vec::new(),
    })
}

/// Writes rows and makes them the stream's next load, whatever other runs load meanwhile.
///
/// # Errors
/// `ThresholdExceeded` if a snapshot lacks too many keys of the one before it and is not forced; the
/// store fails.
pub async fn load(
    context: &Context,
    subject: &Subject<'_>,
    source_name: String,
    columns: &[&str],
    rows: &[Row],
    force: bool,
) -> Result<Work> {
    let source = SourceObject { name: source_name, size: None, last_modified: None };
    let rows = write(context, subject.stream, source, columns, rows).await?;
    let log = LoadLog::new(&context.lake, subject.stream);
    let mut loads: Vec<Manifest> = Vec::new();
    let mut tries = Tries::default();
    loop {
        let known = loads.last().map_or(0, |load| load.sequence);
        loads.extend(log.after(known).await?);
        if !force {
            let voided = voids::voided(&context.lake, subject.stream).await?;
            let valid = loads.iter().filter(|load| !voided.contains_key(&load.sequence));
            let valid: Vec<Manifest> = valid.cloned().collect();
            load::check_lost_keys(context, subject, &valid, &rows).await?;
        }
        if let Some(made) = load::commit(context, subject, loads.last(), &rows).await? {
            return Ok(load::work(&made, None));
        }
        if !tries.again().await {
            break;
        }
    }
    load::discard(context, &rows).await?;
    Err(load::conflict(subject.stream))
}

fn schema(columns: &[&str]) -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let mut fields: Vec<Field> = columns.iter().map(|name| text(name)).collect();
    fields.extend([Field::new(POSITION, DataType::Int64, false), text(MALFORMED)]);
    Arc::new(Schema::new(fields))
}

fn batch(schema: &SchemaRef, before: usize, rows: &[Row]) -> std::result::Result<RecordBatch, ArrowError> {
    let mut columns: Vec<StringBuilder> = (2..schema.fields().len()).map(|_| StringBuilder::new()).collect();
    let mut malformed = StringBuilder::new();
    for row in rows {
        match row {
            Row::Fields(fields) => {
                for (column, field) in columns.iter_mut().zip(fields) {
                    column.append_option(field.as_deref());
                }
                malformed.append_null();
            }
            Row::Malformed(fields) => {
                columns.iter_mut().for_each(StringBuilder::append_null);
                malformed.append_value(fields);
            }
        }
    }
    let positions = Int64Array::from_iter_values((before + 1..=before + rows.len()).map(|position| position as i64));
    let mut arrays: Vec<ArrayRef> =
        columns.into_iter().map(|mut column| Arc::new(column.finish()) as ArrayRef).collect();
    arrays.push(Arc::new(positions));
    arrays.push(Arc::new(malformed.finish()));
    RecordBatch::try_new(Arc::clone(schema), arrays)
}

/// SHA-256 over the values of all rows, each told from nothing and from its neighbours.
fn content_hash(rows: &[Row]) -> String {
    let mut hash = Sha256::new();
    for row in rows {
        match row {
            Row::Fields(fields) => {
                for field in fields {
                    match field {
                        Some(text) => {
                            hash.update(text.len().to_le_bytes());
                            hash.update(text);
                        }
                        None => hash.update(u64::MAX.to_le_bytes()),
                    }
                }
            }
            Row::Malformed(fields) => hash.update(fields),
        }
    }
    format!("{:x}", hash.finalize())
}

fn unbuildable(error: &ArrowError) -> StageError {
    StageError::corrupt_lake(format!("building a batch: {error}"))
}
