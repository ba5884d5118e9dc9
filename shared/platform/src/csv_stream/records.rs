//! The reading thread: from bytes to batches.

use std::io::{self, Read};
use std::mem;

use arrow_array::RecordBatch;
use csv::{ByteRecord, ErrorKind, Reader, ReaderBuilder};
use tokio::sync::mpsc::Sender;

use super::batch::BatchBuilder;
use super::metered_reader::{MeteredReader, RECORD_LIMIT, RecordTooLong, SEAL};
use super::watermark::{Watermarks, WatermarksFound};
use super::{Csv, CsvSummary, READ_BYTES, Wanted, header, kind, stray};
use crate::error::{Result, StageError};

/// Sends the wanted records of a file, an empty batch with its columns first.
pub(super) fn read(file: &Csv, bytes: impl Read, wanted: Wanted, batches: &Sender<RecordBatch>) -> Result<CsvSummary> {
    let mut records = Records::start(file, bytes)?;
    let columns = records.header(&wanted)?;
    let mut watermarks = wanted.newer.and_then(|newer| Watermarks::of(newer, &columns));
    let mut builder = BatchBuilder::new(&columns);
    send(&mut builder, batches)?;
    let (mut position, mut rows, mut malformed) = (0, 0, 0);
    while let Some(next) = records.next()? {
        if let Some(lines) = next.lines_of_stray_quote(columns.len(), file.dialect.delimiter()) {
            for line in lines {
                position += 1;
                builder.push_malformed(position, &line);
                malformed += 1;
                rows += 1;
            }
            if builder.is_full() {
                send(&mut builder, batches)?;
            }
            continue;
        }
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
    let WatermarksFound { high, ahead, late, per_day } = watermarks.map(Watermarks::found).unwrap_or_default();
    Ok(CsvSummary { content_hash, columns, rows, malformed, high, ahead, late, per_day })
}

/// The names in the header of a file.
pub(super) fn columns(file: &Csv, bytes: impl Read) -> Result<Vec<String>> {
    Records::start(file, bytes)?.header(&Wanted::default())
}

fn send(builder: &mut BatchBuilder, batches: &Sender<RecordBatch>) -> Result<()> {
    let batch = builder.finish().map_err(|error| StageError::corrupt_lake(format!("building a batch: {error}")))?;
    // The writer's own error goes before this one.
    batches.blocking_send(batch).map_err(|_| StageError::storage("the writer stopped".to_owned()))
}

/// The records of a file, the header too, without the seal.
struct Records<'a, R> {
    file: &'a Csv,
    reader: Reader<MeteredReader<R>>,
    /// Records that the reader gave, of which `ahead` is the last one.
    read: u64,
    current: Record,
    ahead: ByteRecord,
    ahead_has_lines: bool,
}

/// One record, and whether its last quote is closed.
#[derive(Debug, Default)]
struct Record {
    fields: ByteRecord,
    is_closed: bool,
    /// Whether it goes over several lines of the file, blank ones before it counted.
    has_lines: bool,
}

impl Record {
    /// The lines of a record that a stray quote has put together, each as a JSON list of its fields.
    fn lines_of_stray_quote(&self, columns: usize, delimiter: u8) -> Option<Vec<String>> {
        if !self.has_lines && self.is_closed {
            return None;
        }
        let fields: Vec<&[u8]> = written(self).collect();
        let lines = stray::lines(&fields, columns, delimiter, self.is_closed)?;
        Some(lines.iter().map(|line| json(line.split(|&byte| byte == delimiter))).collect())
    }
}

impl<'a, R: Read> Records<'a, R> {
    /// Reads the first record as the header.
    fn header(&mut self, wanted: &Wanted) -> Result<Vec<String>> {
        let file = self.file;
        let Some(first) = self.next()? else { return Err(file.broken("is empty")) };
        if !first.is_closed {
            return Err(file.broken("has a quote in its header that is not closed"));
        }
        header::names(&first.fields, wanted, file.dialect).map_err(|reason| file.broken(&reason))
    }

    fn start(file: &'a Csv, bytes: R) -> Result<Self> {
        let tally = MeteredReader::start(bytes, file.dialect.decoder()).map_err(|error| file.unreadable(&error))?;
        if let Some(reason) = kind::of_other(tally.head()) {
            return Err(file.broken(reason));
        }
        if tally.is_utf16() && !file.dialect.is_utf16() {
            return Err(file.broken("is UTF-16: save it as UTF-8, or set `encoding = \"utf-16\"`"));
        }
        let mut builder = ReaderBuilder::new();
        builder.delimiter(file.dialect.delimiter());
        let reader = builder.has_headers(false).flexible(true).buffer_capacity(READ_BYTES).from_reader(tally);
        let mut records = Self {
            file,
            reader,
            read: 0,
            current: Record::default(),
            ahead: ByteRecord::new(),
            ahead_has_lines: false,
        };
        records.read_ahead()?;
        Ok(records)
    }

    fn next(&mut self) -> Result<Option<&Record>> {
        if self.ahead.is_empty() {
            return Ok(None);
        }
        mem::swap(&mut self.current.fields, &mut self.ahead);
        self.current.has_lines = self.ahead_has_lines;
        self.current.is_closed = self.read_ahead()?;
        let is_seal = !self.current.is_closed && self.current.fields.as_slice() == SEAL.trim_ascii();
        Ok((!is_seal).then_some(&self.current))
    }

    /// Whether there was another record.
    fn read_ahead(&mut self) -> Result<bool> {
        let is_there = self.reader.read_byte_record(&mut self.ahead).map_err(|error| self.explain(error))?;
        self.read += u64::from(is_there);
        let first_line = self.ahead.position().map_or(0, csv::Position::line);
        self.ahead_has_lines = self.reader.position().line() > first_line + 1;
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
        let broken = |place: &str| {
            self.file.broken(&format!("has more than {RECORD_LIMIT} bytes in {place}: is a quote left open?"))
        };
        match record {
            0 | 1 => broken("its header"),
            _ => broken(&format!("record {}", record - 1)).at_row(record - 1),
        }
    }

    fn content_hash(self) -> String {
        self.reader.into_inner().content_hash()
    }
}

/// The fields of a record that fits the header.
fn fields(record: &Record, columns: usize) -> Option<Vec<&str>> {
    if !record.is_closed || record.fields.len() != columns {
        return None;
    }
    // One look at all of them; where a field begins or ends within a letter, its bytes are no text.
    let text = std::str::from_utf8(record.fields.as_slice()).ok()?;
    (0..columns).map(|column| text.get(record.fields.range(column)?)).collect()
}

fn to_json(record: &Record) -> String {
    json(written(record))
}

/// The fields of a record without the seal that an open quote has taken in.
fn written(record: &Record) -> impl Iterator<Item = &[u8]> {
    record.fields.iter().enumerate().map(|(index, field)| {
        let is_open = !record.is_closed && index + 1 == record.fields.len();
        if is_open { field.strip_suffix(SEAL).unwrap_or(field) } else { field }
    })
}

fn json<'a>(fields: impl Iterator<Item = &'a [u8]>) -> String {
    let texts = fields.map(|field| match std::str::from_utf8(field) {
        Ok(text) => text.to_owned(),
        Err(_) => field.iter().copied().map(char::from).collect(),
    });
    texts.collect::<serde_json::Value>().to_string()
}
