use std::io::{self, ErrorKind, Read};

use encoding_rs::{Decoder, DecoderResult};
use sha2::{Digest, Sha256};

/// Longest record that is read, in bytes: a quote that is left open would otherwise take the rest
/// of the file into memory.
pub(super) const RECORD_LIMIT: usize = 1024 * 1024;
/// Follows the file's last byte. It comes back as a record of its own unless a quote is still open
/// there.
pub(super) const SEAL: &[u8] = b"\n\x1aend of file\x1a\n";

/// Bytes at a file's start that tell what it is.
const HEAD_BYTES: usize = 4096;
/// Bytes that are decoded at once.
const DECODE_BYTES: usize = 64 * 1024;
/// Stands for bytes that the file's encoding does not have: it is not UTF-8, so its record is malformed.
const UNREADABLE: u8 = 0xFF;

const UTF8_BOM: &[u8] = &[0xEF, 0xBB, 0xBF];
const UTF16_BOMS: [&[u8]; 2] = [&[0xFF, 0xFE], &[0xFE, 0xFF]];

/// A file's bytes on their way to the parser: hashed, decoded, without a byte order mark, with a [`SEAL`] at
/// their end, and stopped where a record grows too long.
pub(super) struct MeteredReader<R> {
    source: R,
    hash: Sha256,
    /// Bytes that go before the source's next ones.
    pending: Vec<u8>,
    is_sealed: bool,
    is_utf16: bool,
    decoder: Option<Decoder>,
    head: Vec<u8>,
    since_record: usize,
}

/// The error of a record that is longer than [`RECORD_LIMIT`].
#[derive(Debug, thiserror::Error)]
#[error("a record is too long")]
pub(super) struct RecordTooLong;

impl<R: Read> MeteredReader<R> {
    pub(super) fn start(mut source: R, decoder: Option<Decoder>) -> io::Result<Self> {
        let mut pending = Vec::with_capacity(HEAD_BYTES);
        source.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut pending)?;
        let hash = Sha256::new_with_prefix(&pending);
        let is_utf16 = UTF16_BOMS.iter().any(|bom| pending.starts_with(bom));
        let head = pending.clone();
        let mut tally = Self { source, hash, pending, is_sealed: false, is_utf16, decoder, head, since_record: 0 };
        if tally.decoder.is_some() {
            tally.pending.clear();
            let head = tally.head.clone();
            tally.decode(&head, false);
        } else if tally.pending.starts_with(UTF8_BOM) {
            tally.pending.drain(..UTF8_BOM.len());
        }
        Ok(tally)
    }

    /// The file's first bytes, as they are.
    pub(super) fn head(&self) -> &[u8] {
        &self.head
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

    /// Adds bytes of the source to the pending ones, as UTF-8.
    fn decode(&mut self, mut bytes: &[u8], is_last: bool) {
        let Some(decoder) = &mut self.decoder else { return };
        let mut text = [0; 4096];
        loop {
            let (result, read, written) = decoder.decode_to_utf8_without_replacement(bytes, &mut text, is_last);
            self.pending.extend_from_slice(&text[..written]);
            bytes = &bytes[read..];
            match result {
                DecoderResult::InputEmpty => return,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => self.pending.push(UNREADABLE),
            }
        }
    }

    /// Decodes the source's next bytes, until there is something to give or the source ends.
    fn read_decoded(&mut self) -> io::Result<()> {
        let mut bytes = vec![0; DECODE_BYTES];
        while self.pending.is_empty() && !self.is_sealed {
            let read = self.read_source(&mut bytes)?;
            self.hash.update(&bytes[..read]);
            self.decode(&bytes[..read], read == 0);
            if read == 0 {
                self.is_sealed = true;
                self.pending.extend_from_slice(SEAL);
            }
        }
        Ok(())
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

impl<R: Read> Read for MeteredReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.since_record > RECORD_LIMIT {
            return Err(io::Error::other(RecordTooLong));
        }
        let mut read = 0;
        if self.decoder.is_some() {
            self.read_decoded()?;
        } else if self.pending.is_empty() && !self.is_sealed {
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
