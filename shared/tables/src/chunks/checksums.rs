//! Checksums of column chunks, in the key-value metadata of their file.

use std::fmt::Write;

use parquet::file::metadata::{ColumnChunkMetaData, KeyValue, ParquetMetaData};
use rcm_platform::error::{Result, StageError};
use xxhash_rust::xxh3::xxh3_64;

use super::bytes_of::FileBytes;

/// Key of the checksums: 16 hexadecimal digits per column chunk, in the order of the chunks.
const KEY: &str = "rcm.chunks";
const DIGITS: usize = 16;

/// The checksum of a chunk's bytes.
pub(super) fn of(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

/// The checksums of all chunks of a file as an entry of its metadata.
pub(super) fn entry(checksums: &[u64]) -> KeyValue {
    let mut digits = String::with_capacity(checksums.len() * DIGITS);
    for checksum in checksums {
        _ = write!(digits, "{checksum:0DIGITS$x}");
    }
    KeyValue::new(KEY.to_owned(), digits)
}

pub(super) fn is_entry(entry: &KeyValue) -> bool {
    entry.key == KEY
}

/// Returns the noted checksum of a chunk; none where the file notes none, as one of an older version does not.
pub(super) fn noted(metadata: &ParquetMetaData, row_group: usize, leaf: usize) -> Option<u64> {
    let entries = metadata.file_metadata().key_value_metadata()?;
    let digits = entries.iter().find(|entry| is_entry(entry))?.value.as_deref()?;
    let start = (row_group * metadata.file_metadata().schema_descr().num_columns() + leaf) * DIGITS;
    u64::from_str_radix(digits.get(start..start + DIGITS)?, 16).ok()
}

/// Returns the bytes of a chunk.
///
/// # Errors
/// They were not read, or differ from those that were written.
pub(super) fn verified(
    bytes: &FileBytes,
    chunk: &ColumnChunkMetaData,
    noted: Option<u64>,
) -> Result<(bytes::Bytes, u64)> {
    let (start, length) = chunk.byte_range();
    let bytes = bytes.slice(start, usize::try_from(length).unwrap_or(usize::MAX))?;
    let checksum = of(&bytes);
    if noted.is_some_and(|noted| noted != checksum) {
        let column = chunk.column_path().string();
        return Err(StageError::corrupt_lake(format!("bytes of column `{column}` are not those that were written")));
    }
    Ok((bytes, checksum))
}
