//! The Parquet file of a load.

#[cfg(test)]
pub(crate) mod tests;

use std::future::Future;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType};
use bytes::Bytes;
use futures::TryStreamExt;
use futures::future::BoxFuture;
use object_store::ObjectStoreExt;
use object_store::buffered::BufReader;
use object_store::path::Path;
use parquet::arrow::async_writer::AsyncFileWriter;
use parquet::arrow::{AsyncArrowWriter, ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use rcm_model::cdm::SourceColumn;
use tokio::sync::mpsc::Receiver;

use crate::error::{Result, StageError};
use crate::lake::{Lake, Upload};
use crate::storage_error;

const ROW_GROUP_ROWS: usize = 128 * 1024;
/// Encoded size at which a row group ends early: it is what a writer holds in memory.
const ROW_GROUP_BYTES: usize = 64 * 1024 * 1024;
/// Size of the distinct values of a column in a row group from which on they are no longer looked for: ids that never
/// come twice would cost more time than all else.
const DICTIONARY_BYTES: usize = 128 * 1024;

/// Writes batches as one Parquet file under `key`, if `verdict` says afterwards that all of them
/// came. The first batch gives the schema and may be empty. After a failure no manifest may name
/// `key`, and what was sent of the file is given up.
///
/// # Errors
/// The verdict's own; or the store fails.
pub async fn write<T>(
    lake: &Lake,
    key: &str,
    mut batches: Receiver<RecordBatch>,
    verdict: impl Future<Output = Result<T>>,
) -> Result<T> {
    let Some(first) = batches.recv().await else {
        verdict.await?;
        return Err(StageError::source_unavailable("the source ended before its first batch".to_owned()));
    };
    let upload = lake.upload(key);
    let mut writer =
        AsyncArrowWriter::try_new(upload, first.schema(), Some(properties()?)).map_err(|error| failed(&error))?;
    let written = async {
        writer.write(&first).await.map_err(|error| failed(&error))?;
        while let Some(batch) = batches.recv().await {
            writer.write(&batch).await.map_err(|error| failed(&error))?;
        }
        let found = verdict.await?;
        writer.finish().await.map_err(|error| failed(&error))?;
        Ok(found)
    };
    let written = written.await;
    if written.is_err() {
        writer.into_inner().abort().await;
    }
    written
}

/// Calls `found` with every value of one column of a file, as text; never if the file does not have the
/// column. A database's values may be numbers: as text they are what a file says of them.
///
/// # Errors
/// The file cannot be read.
pub async fn for_each_text(lake: &Lake, key: &str, column: &SourceColumn, mut found: impl FnMut(&str)) -> Result<()> {
    let texts = |texts: &[&str]| texts.iter().for_each(|text| found(text));
    for_each_row_of(lake, key, std::slice::from_ref(column), texts).await.map(|_| ())
}

/// Calls `found` with the values of some columns of a file as text, row by row, but not for a row in which one is null.
/// Returns whether the file has all of the columns: if not, `found` is never called.
///
/// # Errors
/// The file cannot be read.
pub async fn for_each_row(lake: &Lake, key: &str, columns: &[&str], found: impl FnMut(&[&str])) -> Result<bool> {
    let columns: Vec<SourceColumn> = columns.iter().copied().map(SourceColumn::from).collect();
    for_each_row_of(lake, key, &columns, found).await
}

/// Like [`for_each_row`], with each column under the first of its names that the file has.
///
/// # Errors
/// The file cannot be read.
pub async fn for_each_row_of(
    lake: &Lake,
    key: &str,
    columns: &[SourceColumn],
    mut found: impl FnMut(&[&str]),
) -> Result<bool> {
    let failed = |error: ParquetError| storage_error::of(format!("reading `{key}`: {error}"), &error);
    let meta = lake.store().head(&Path::from(key)).await?;
    let reader = BufReader::new(lake.store(), &meta);
    let mut builder = ParquetRecordBatchStreamBuilder::new(reader).await.map_err(failed)?;
    let schema = Arc::clone(builder.schema());
    let columns = columns.iter().map(|column| column.found(|name| schema.index_of(name).is_ok()));
    let Some(columns) = columns.collect::<Option<Vec<&str>>>() else { return Ok(false) };
    let indexes = columns.iter().map(|column| schema.index_of(column));
    let Ok(indexes) = indexes.collect::<std::result::Result<Vec<usize>, _>>() else { return Ok(false) };
    let only_columns = ProjectionMask::roots(builder.parquet_schema(), indexes);
    builder = builder.with_projection(only_columns);
    let mut batches = builder.build().map_err(failed)?;
    while let Some(batch) = batches.try_next().await.map_err(failed)? {
        let texts = columns.iter().map(|column| as_text(batch.column_by_name(column)?).ok());
        let Some(texts) = texts.collect::<Option<Vec<_>>>() else { return Ok(false) };
        let texts = texts.iter().map(|texts| texts.as_string_opt::<i32>());
        let Some(texts) = texts.collect::<Option<Vec<_>>>() else { return Ok(false) };
        for row in 0..batch.num_rows() {
            let values: Vec<&str> =
                texts.iter().filter(|texts| texts.is_valid(row)).map(|texts| texts.value(row)).collect();
            if values.len() == columns.len() {
                found(&values);
            }
        }
    }
    Ok(true)
}

/// Values as text. A zone is named by its offset: not every build of the reader knows zones by their names.
fn as_text(values: &ArrayRef) -> std::result::Result<ArrayRef, ArrowError> {
    let by_offset = match values.data_type() {
        DataType::Timestamp(unit, Some(zone)) if zone.as_ref() == "UTC" => {
            arrow_cast::cast(values, &DataType::Timestamp(*unit, Some("+00:00".into())))?
        }
        _ => Arc::clone(values),
    };
    arrow_cast::cast(&by_offset, &DataType::Utf8)
}

impl AsyncFileWriter for Upload {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, std::result::Result<(), ParquetError>> {
        Box::pin(async move { self.add(&bytes).await.map_err(external) })
    }

    fn complete(&mut self) -> BoxFuture<'_, std::result::Result<(), ParquetError>> {
        Box::pin(async move { self.end().await.map_err(external) })
    }
}

fn external(error: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

fn properties() -> Result<WriterProperties> {
    let level = ZstdLevel::try_new(1).map_err(|error| failed(&error))?;
    Ok(WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_statistics_enabled(EnabledStatistics::None)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .build())
}

fn failed(error: &ParquetError) -> StageError {
    storage_error::of(format!("writing a Parquet file: {error}"), error)
}
