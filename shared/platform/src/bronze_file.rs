//! The Parquet file of a load.

use std::future::Future;

use arrow_array::RecordBatch;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use parquet::arrow::AsyncArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use tokio::sync::mpsc::Receiver;

use crate::error::{Result, StageError};
use crate::lake::Lake;
use crate::storage_error;

const ROW_GROUP_ROWS: usize = 128 * 1024;
/// Encoded size at which a row group ends early: it is what a writer holds in memory.
const ROW_GROUP_BYTES: usize = 64 * 1024 * 1024;

/// Writes batches as one Parquet file under `key`, if `verdict` says afterwards that all of them
/// came. The first batch tells the schema and may be empty. A failure leaves nothing under `key`
/// that a manifest could name.
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
    let mut upload = BufWriter::new(lake.store(), Path::from(key));
    let mut writer =
        AsyncArrowWriter::try_new(&mut upload, first.schema(), Some(properties()?)).map_err(|error| failed(&error))?;
    let filled = async {
        writer.write(&first).await.map_err(|error| failed(&error))?;
        while let Some(batch) = batches.recv().await {
            writer.write(&batch).await.map_err(|error| failed(&error))?;
        }
        verdict.await
    };
    match filled.await {
        Ok(found) => {
            writer.close().await.map_err(|error| failed(&error))?;
            Ok(found)
        }
        Err(error) => {
            drop(writer);
            // What cannot be aborted is no more than a part that nothing refers to.
            let _ = upload.abort().await;
            Err(error)
        }
    }
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
