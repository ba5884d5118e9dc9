//! The Parquet file of a load.

#[cfg(test)]
pub(crate) mod tests;
mod upload;

use std::future::Future;

use arrow_array::RecordBatch;
use parquet::arrow::AsyncArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use tokio::sync::mpsc::Receiver;

use self::upload::Upload;
use crate::error::{Result, StageError};
use crate::lake::Lake;
use crate::storage_error;

const ROW_GROUP_ROWS: usize = 128 * 1024;
/// Encoded size at which a row group ends early: it is what a writer holds in memory.
const ROW_GROUP_BYTES: usize = 64 * 1024 * 1024;

/// Writes batches as one Parquet file under `key`, if `verdict` says afterwards that all of them
/// came. The first batch tells the schema and may be empty. After a failure no manifest may name
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
        return Err(StageError::SourceUnavailable("the source ended before its first batch".to_owned()));
    };
    let upload = Upload::new(lake, key);
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

fn properties() -> Result<WriterProperties> {
    let level = ZstdLevel::try_new(1).map_err(|error| failed(&error))?;
    Ok(WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_statistics_enabled(EnabledStatistics::None)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .build())
}

fn failed(error: &ParquetError) -> StageError {
    storage_error::of(format!("writing a Parquet file: {error}"), error)
}
