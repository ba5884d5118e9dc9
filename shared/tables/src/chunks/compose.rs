//! New files from column chunks of others.

use std::sync::Arc;

use parquet::column::writer::ColumnCloseResult;
use parquet::file::metadata::{ColumnChunkMetaData, KeyValue};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::TypePtr;
use rcm_platform::error::Result;

use super::bytes_of::FileBytes;
use super::checksums;

/// A column chunk of a file whose bytes were read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunk<'a> {
    pub bytes: &'a FileBytes,
    pub metadata: &'a ColumnChunkMetaData,
    /// Checksum that its file notes of it.
    pub noted: Option<u64>,
}

/// A row group: one chunk per leaf column, in the order of the schema.
#[derive(Debug, Default)]
pub(crate) struct Group<'a> {
    pub(super) rows: u64,
    pub(super) chunks: Vec<Chunk<'a>>,
}

/// Puts a file together from chunks. `entries` is its key-value metadata, to which the checksums are added.
///
/// # Errors
/// `CorruptLake` if the bytes of a chunk differ from what its file notes, or a chunk is of another column than the
/// schema's.
pub(super) fn compose(schema: &TypePtr, entries: &[KeyValue], groups: &[Group<'_>]) -> Result<Vec<u8>> {
    let properties = WriterProperties::builder().set_offset_index_disabled(true).build();
    let chunks = groups.iter().flat_map(|group| &group.chunks);
    let size: i64 = chunks.map(|chunk| chunk.metadata.compressed_size()).sum();
    let file = Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 64 * 1024);
    let mut writer = SerializedFileWriter::new(file, Arc::clone(schema), Arc::new(properties))?;
    let mut sums = Vec::new();
    for group in groups {
        let mut row_group = writer.next_row_group()?;
        for chunk in &group.chunks {
            let (bytes, checksum) = checksums::verified(chunk.bytes, chunk.metadata, chunk.noted)?;
            sums.push(checksum);
            let start = chunk.metadata.byte_range().0;
            let bytes = FileBytes::of_ranges(start + bytes.len() as u64, vec![(start, bytes)]);
            let close = ColumnCloseResult {
                bytes_written: chunk.metadata.compressed_size().unsigned_abs(),
                rows_written: group.rows,
                metadata: chunk.metadata.clone(),
                bloom_filter: None,
                column_index: None,
                offset_index: None,
            };
            row_group.append_column(&bytes, close)?;
        }
        row_group.close()?;
    }
    for entry in entries.iter().filter(|entry| !checksums::is_entry(entry)) {
        writer.append_key_value_metadata(entry.clone());
    }
    writer.append_key_value_metadata(checksums::entry(&sums));
    Ok(writer.into_inner()?)
}
