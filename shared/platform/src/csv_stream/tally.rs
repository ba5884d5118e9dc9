use std::io::{self, ErrorKind, Read};

use sha2::{Digest, Sha256};

/// Longest record that is read, in bytes: a quote that is left open would otherwise take the rest
/// of the file into memory.
pub(super) const RECORD_LIMIT: usize = 1024 * 1024;
/// Follows the file's last byte. It comes back as a record of its own unless a quote is still open
/// there.
pub(super) const SEAL: &[u8] = b"\n\x1aend of file\x1a\n";

const UTF8_BOM: &[u8] = &[0xEF, 0xBB, 0xBF];
const UTF16_BOMS: [&[u8]; 2] = [&[0xFF, 0xFE], &[0xFE, 0xFF]];

/// A file's bytes on their way to the parser: hashed, without a byte order mark, with a [`SEAL`] at
/// their end, and stopped where a record grows too long.
pub(super) struct Tally<R> {
    source: R,
    hash: Sha256,
    /// Bytes that go before the source's next ones.
    pending: Vec<u8>,
    is_sealed: bool,
    is_utf16: bool,
    since_record: usize,
}

/// The error of a record that is longer than [`RECORD_LIMIT`].
#[derive(Debug, thiserror::Error)]
#[error("a record is too long")]
pub(super) struct RecordTooLong;

impl<R: Read> Tally<R> {
    pub(super) fn start(mut source: R) -> io::Result<Self> {
        let mut pending = Vec::with_capacity(UTF8_BOM.len());
        source.by_ref().take(UTF8_BOM.len() as u64).read_to_end(&mut pending)?;
        let hash = Sha256::new_with_prefix(&pending);
        let is_utf16 = UTF16_BOMS.iter().any(|bom| pending.starts_with(bom));
        if pending == UTF8_BOM {
            pending.clear();
        }
        Ok(Self { source, hash, pending, is_sealed: false, is_utf16, since_record: 0 })
    }

    pub(super) fn is_utf16(&self) -> bool {
        self.is_utf16
    }

    /// Tells that a record is complete.
    pub(super) fn record_done(&mut self) {
        self.since_record = 0;
    }

    /// SHA-256 of all bytes of the source that were read, in hexadecimal.
    pub(super) fn content_hash(self) -> String {
        format!("{:x}", self.hash.finalize())
    }

    fn read_source(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.source.read(buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }
}

impl<R: Read> Read for Tally<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.since_record > RECORD_LIMIT {
            return Err(io::Error::other(RecordTooLong));
        }
        let mut read = 0;
        if self.pending.is_empty() && !self.is_sealed {
            read = self.read_source(buffer)?;
            self.hash.update(&buffer[..read]);
            if read == 0 {
                self.is_sealed = true;
                self.pending.extend_from_slice(SEAL);
            }
        }
        if read == 0 {
            read = self.pending.len().min(buffer.len());
            buffer[..read].copy_from_slice(&self.pending[..read]);
            self.pending.drain(..read);
        }
        self.since_record += read;
        Ok(read)
    }
}
