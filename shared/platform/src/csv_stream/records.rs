//! The reading thread: from bytes to batches.

use std::io::{self, Read};
use std::mem;

use arrow_array::RecordBatch;
use csv::{ByteRecord, ErrorKind, Reader, ReaderBuilder};
use tokio::sync::mpsc::Sender;

use super::batch::BatchBuilder;
use super::tally::{RECORD_LIMIT, RecordTooLong, SEAL, Tally};
use super::watermark::Watermarks;
use super::{Csv, Found, READ_BYTES, Wanted, header};
use crate::error::{Result, StageError};

/// Sends the wanted records of a file, an empty batch with its columns first.
pub(super) fn read(file: &Csv, bytes: impl Read, wanted: Wanted, batches: &Sender<RecordBatch>) -> Result<Found> {
    let mut records = Records::start(file, bytes)?;
    let Some(first) = records.next()? else { return Err(file.broken("is empty")) };
    if !first.is_closed {
        return Err(file.broken("has a quote in its header that is not closed"));
    }
    let columns = header::names(&first.record, &wanted.columns).map_err(|reason| file.broken(&reason))?;
    let mut watermarks = wanted.newer.and_then(|newer| Watermarks::of(newer, &columns));
    let mut builder = BatchBuilder::new(&columns);
    send(&mut builder, batches)?;
    let (mut position, mut rows, mut malformed) = (0, 0, 0);
    while let Some(next) = records.next()? {
        position += 1;
        match fields(next, columns.len()) {
            Some(fields) if watermarks.as_mut().is_none_or(|watermarks| watermarks.take(&fields)) => {
                builder.push(position, &fields);
            }
            Some(_) => continue,
            None => {
                builder.push_malformed(position, &to_json(next));
                malformed += 1;
            }
        }
        rows += 1;
        if builder.is_full() {
            send(&mut builder, batches)?;
        }
    }
    if !builder.is_empty() {
        send(&mut builder, batches)?;
    }
    let content_hash = records.content_hash();
    let (high, ahead, per_day) = watermarks.map(Watermarks::found).unwrap_or_default();
    Ok(Found { content_hash, columns, rows, malformed, high, ahead, per_day })
}

fn send(builder: &mut BatchBuilder, batches: &Sender<RecordBatch>) -> Result<()> {
    let batch = builder.finish().map_err(|error| StageError::CorruptLake(format!("building a batch: {error}")))?;
    // The writer's own error goes before this one.
    batches.blocking_send(batch).map_err(|_| StageError::Storage("the writer stopped".to_owned()))
}

/// The records of a file, the header too, without the seal.
struct Records<'a, R> {
    file: &'a Csv,
    reader: Reader<Tally<R>>,
    /// Records that the reader gave, of which `ahead` is the last one.
    read: u64,
    current: Record,
    ahead: ByteRecord,
}

/// One record, and whether its last quote is closed.
#[derive(Debug, Default)]
struct Record {
    record: ByteRecord,
    is_closed: bool,
}

impl<'a, R: Read> Records<'a, R> {
    fn start(file: &'a Csv, bytes: R) -> Result<Self> {
        let tally = Tally::start(bytes).map_err(|error| file.unreadable(&error))?;
        if tally.is_utf16() {
            return Err(file.broken("is UTF-16: save it as UTF-8"));
        }
        let mut builder = ReaderBuilder::new();
        let reader = builder.has_headers(false).flexible(true).buffer_capacity(READ_BYTES).from_reader(tally);
        let mut records = Self { file, reader, read: 0, current: Record::default(), ahead: ByteRecord::new() };
        records.read_ahead()?;
        Ok(records)
    }

    fn next(&mut self) -> Result<Option<&Record>> {
        if self.ahead.is_empty() {
            return Ok(None);
        }
        mem::swap(&mut self.current.record, &mut self.ahead);
        self.current.is_closed = self.read_ahead()?;
        let is_seal = !self.current.is_closed && self.current.record.as_slice() == SEAL.trim_ascii();
        Ok((!is_seal).then_some(&self.current))
    }

    /// Whether there was another record.
    fn read_ahead(&mut self) -> Result<bool> {
        let is_there = self.reader.read_byte_record(&mut self.ahead).map_err(|error| self.explain(error))?;
        self.read += u64::from(is_there);
        if self.ahead.as_slice().len() > RECORD_LIMIT {
            return Err(self.too_long(self.read));
        }
        self.reader.get_mut().record_done();
        Ok(is_there)
    }

    fn explain(&self, error: csv::Error) -> StageError {
        let is_too_long =
            |error: &io::Error| error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<RecordTooLong>);
        match error.into_kind() {
            ErrorKind::Io(error) if is_too_long(&error) => self.too_long(self.read + 1),
            ErrorKind::Io(error) => self.file.unreadable(&error),
            _ => self.file.broken("is no CSV file"),
        }
    }

    /// The first record is the header, so the second one is record 1.
    fn too_long(&self, record: u64) -> StageError {
        let place = if record <= 1 { "its header".to_owned() } else { format!("record {}", record - 1) };
        self.file.broken(&format!("has more than {RECORD_LIMIT} bytes in {place}: is a quote left open?"))
    }

    fn content_hash(self) -> String {
        self.reader.into_inner().content_hash()
    }
}

/// The fields of a record that fits the header.
fn fields(record: &Record, columns: usize) -> Option<Vec<&str>> {
    if !record.is_closed || record.record.len() != columns {
        return None;
    }
    record.record.iter().map(|field| std::str::from_utf8(field).ok()).collect()
}

fn to_json(record: &Record) -> String {
    let fields = record.record.iter().enumerate().map(|(index, field)| {
        let is_open = !record.is_closed && index + 1 == record.record.len();
        let field = if is_open { field.strip_suffix(SEAL).unwrap_or(field) } else { field };
        match std::str::from_utf8(field) {
            Ok(text) => text.to_owned(),
            Err(_) => field.iter().copied().map(char::from).collect(),
        }
    });
    fields.collect::<serde_json::Value>().to_string()
}
