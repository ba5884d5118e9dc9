//! Steps of a silver batch that the benchmarks below `benches/` time by themselves; no part of the crate's interface.

use bytes::Bytes;
use polars::prelude::*;
use rcm_platform::error::Result;

use crate::chunks::{Group, ParquetFile, encode, file_of, file_of_groups};

/// Returns the file of some rows, as silver writes it.
///
/// # Errors
/// The rows cannot be encoded.
pub fn file(rows: &DataFrame, rows_per_group: usize) -> Result<Bytes> {
    Ok(file_of(rows, rows_per_group)?.bytes.into())
}

/// Returns columns of a file, as a batch probes them.
///
/// # Errors
/// The file cannot be decoded.
pub fn probe(file: &Bytes, columns: &[&str]) -> Result<DataFrame> {
    let file = ParquetFile::whole(file.clone())?;
    file.decode(0..file.groups(), columns)
}

/// Returns a file with other columns in the place of its own in each row group. The other chunks are copied, and compared
/// with their checksums. `changed` has the rows of a row group.
///
/// # Errors
/// A chunk is not what was written, or the columns cannot be encoded.
pub fn splice(file: &Bytes, changed: &DataFrame, schema: &Schema) -> Result<Bytes> {
    let file = ParquetFile::whole(file.clone())?;
    let mut replaced = Vec::with_capacity(file.groups());
    for _ in 0..file.groups() {
        replaced.push(ParquetFile::whole(encode(changed, usize::MAX)?.into())?);
    }
    let mut groups: Vec<Group<'_>> = Vec::with_capacity(replaced.len());
    for (group, replaced) in replaced.iter().enumerate() {
        groups.push(file.group(group, Some(replaced))?);
    }
    Ok(file_of_groups(&file, &groups, schema)?.bytes.into())
}
