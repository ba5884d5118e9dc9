//! The guard of full extracts: a table that is suddenly half as long is a broken extract more
//! often than a hospital without patients.

use std::collections::HashSet;

use arrow_array::cast::AsArray;
use arrow_schema::DataType;
use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use object_store::buffered::BufReader;
use object_store::path::Path;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::errors::ParquetError;
use xxhash_rust::xxh3::xxh3_64;

use crate::bronze::Manifest;
use crate::error::{Result, StageError};
use crate::lake::Lake;
use crate::storage_error;

/// Checks that the rows under `data_key` have enough of the last load's distinct keys.
///
/// # Errors
/// `ThresholdExceeded` if more than `max_share` of them are missing.
pub(crate) async fn check(
    lake: &Lake,
    last: &Manifest,
    data_key: &str,
    key_column: &str,
    max_share: f64,
) -> Result<()> {
    let mut missing = HashSet::new();
    for file in &last.data_files {
        for_each_key(lake, file, key_column, |key| _ = missing.insert(key)).await?;
    }
    let known = missing.len();
    for_each_key(lake, data_key, key_column, |key| _ = missing.remove(&key)).await?;
    if missing.len() as f64 <= known as f64 * max_share {
        return Ok(());
    }
    Err(StageError::ThresholdExceeded(format!(
        "`{}` lacks {} of the {known} keys of load {}, more than the {} % that max_lost_share allows; \
         if they are gone for good, run again with force, or allow more for this stream",
        last.stream,
        missing.len(),
        last.sequence,
        max_share * 100.0,
    )))
}

/// Hands out the 64-bit hash of every key of a file; none where the file does not have the column.
async fn for_each_key(lake: &Lake, file: &str, column: &str, mut found: impl FnMut(u64)) -> Result<()> {
    let meta = lake.store().head(&Path::from(file)).await?;
    let reader = BufReader::new(lake.store(), &meta);
    let mut builder = ParquetRecordBatchStreamBuilder::new(reader).await.map_err(|error| failed(file, &error))?;
    let Ok(index) = builder.schema().index_of(column) else { return Ok(()) };
    let only_key = ProjectionMask::roots(builder.parquet_schema(), [index]);
    builder = builder.with_projection(only_key);
    let mut batches = builder.build().map_err(|error| failed(file, &error))?;
    while let Some(batch) = batches.try_next().await.map_err(|error| failed(file, &error))? {
        // A database's keys may be numbers; as text they are what a file says of them.
        let Ok(texts) = arrow_cast::cast(batch.column(0), &DataType::Utf8) else { return Ok(()) };
        let Some(keys) = texts.as_string_opt::<i32>() else { return Ok(()) };
        keys.iter().flatten().for_each(|key| found(xxh3_64(key.trim().as_bytes())));
    }
    Ok(())
}

fn failed(file: &str, error: &ParquetError) -> StageError {
    storage_error::of(format!("reading `{file}`: {error}"), error)
}
