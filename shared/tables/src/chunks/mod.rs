//! Parquet files as column chunks: read by ranges, and put together into new files without being decoded.
//!
//! A version that ends changes in a few small columns. So a stored file is written anew from its own column chunks,
//! byte for byte, and from new chunks of the columns that changed. Every file of the lake's tables notes a checksum of each of
//! its chunks, which is compared when the chunk is copied.

mod bytes_of;
mod checksums;
mod compose;
mod file;
mod statistics;

pub(crate) use self::compose::Group;
pub(crate) use self::file::{ParquetFile, ROW_GROUP, encode, encode_for_now, file_of, file_of_groups, stacked};
