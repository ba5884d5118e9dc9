//! Some bytes of a file, each at its place.

use bytes::Bytes;
use bytes::buf::{Buf, Reader};
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

/// Ranges of a file that were read; other bytes of it are not at hand.
#[derive(Debug, Clone)]
pub(crate) struct FileBytes {
    size: u64,
    /// Offset and bytes, by offset.
    ranges: Vec<(u64, Bytes)>,
}

impl FileBytes {
    /// The ranges of a file of `size` bytes.
    pub(super) fn of_ranges(size: u64, mut ranges: Vec<(u64, Bytes)>) -> Self {
        ranges.sort_by_key(|(offset, _)| *offset);
        Self { size, ranges }
    }

    /// A whole file.
    pub(super) fn whole(bytes: Bytes) -> Self {
        Self { size: bytes.len() as u64, ranges: vec![(0, bytes)] }
    }

    /// Whether all bytes of the file are at hand.
    pub(super) fn is_whole(&self) -> bool {
        matches!(&self.ranges[..], [(0, bytes)] if bytes.len() as u64 == self.size)
    }

    /// Returns bytes of the file.
    ///
    /// # Errors
    /// They were not read.
    pub(super) fn slice(&self, start: u64, length: usize) -> Result<Bytes> {
        let rest = self.from(start)?;
        if rest.len() < length {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} were not read")));
        }
        Ok(rest.slice(..length))
    }

    fn from(&self, start: u64) -> Result<Bytes> {
        let next = self.ranges.partition_point(|(offset, _)| *offset <= start);
        let range = next.checked_sub(1).and_then(|index| self.ranges.get(index));
        let found = range.and_then(|(offset, bytes)| {
            let skipped = usize::try_from(start - offset).ok()?;
            (skipped <= bytes.len()).then(|| bytes.slice(skipped..))
        });
        found.ok_or_else(|| ParquetError::EOF(format!("the byte at {start} was not read")))
    }
}

impl Length for FileBytes {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for FileBytes {
    type T = Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        self.slice(start, length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_found_at_their_places_and_those_that_were_not_read_are_an_error() {
        let ranges = vec![(10, Bytes::from_static(b"klm")), (2, Bytes::from_static(b"cde"))];
        let file = FileBytes::of_ranges(20, ranges);
        assert_eq!(file.slice(2, 3).unwrap(), "cde");
        assert_eq!(file.slice(11, 2).unwrap(), "lm");
        for (start, length) in [(0, 1), (3, 3), (7, 1), (12, 2), (19, 1)] {
            assert!(file.slice(start, length).is_err(), "{start} {length}");
        }
    }
}
