//! CSV files: held in memory for the demo, written row by row for the benchmark.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use csv::{Terminator, Writer, WriterBuilder};

use super::Record;

/// Encoding of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Encoding {
    #[default]
    Utf8,
    /// UTF-8 with the byte order mark that spreadsheets write.
    Utf8WithMark,
    /// Little-endian UTF-16 with its byte order mark, as "Unicode text" is exported.
    Utf16,
}

/// A whole file.
#[derive(Debug, Clone, Default)]
pub(super) struct Sheet {
    pub(super) header: Record,
    pub(super) rows: Vec<Record>,
    pub(super) encoding: Encoding,
}

impl Sheet {
    pub(super) fn new(header: &[&str], rows: impl Iterator<Item = Record>) -> Self {
        let header = header.iter().map(|&name| name.to_owned()).collect();
        Self { header, rows: rows.collect(), encoding: Encoding::Utf8 }
    }

    /// Returns the text in a column of a row; empty if there is no such column.
    pub(super) fn get(&self, row: usize, column: &str) -> &str {
        self.position(column).and_then(|position| self.rows[row].get(position)).map_or("", String::as_str)
    }

    /// Replaces the text in a column of a row, if there is such a column.
    pub(super) fn set(&mut self, row: usize, column: &str, text: &str) {
        if let Some(position) = self.position(column) {
            text.clone_into(&mut self.rows[row][position]);
        }
    }

    fn position(&self, column: &str) -> Option<usize> {
        self.header.iter().position(|name| name == column)
    }

    /// Writes the file and creates its folders.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let mut text = rows_to(Vec::new());
        text.write_record(&self.header)?;
        for row in &self.rows {
            text.write_record(row)?;
        }
        let text = text.into_inner().map_err(csv::IntoInnerError::into_error)?;
        let mut file = create(path)?;
        match self.encoding {
            Encoding::Utf8 => file.write_all(&text)?,
            Encoding::Utf8WithMark => {
                file.write_all("\u{feff}".as_bytes())?;
                file.write_all(&text)?;
            }
            Encoding::Utf16 => {
                let text = String::from_utf8(text).map_err(io::Error::other)?;
                for unit in "\u{feff}".encode_utf16().chain(text.encode_utf16()) {
                    file.write_all(&unit.to_le_bytes())?;
                }
            }
        }
        file.flush()
    }
}

/// Writes a file row by row, so that memory does not grow with it. Returns the number of rows.
pub(super) fn stream(path: &Path, header: &[&str], rows: impl Iterator<Item = Record>) -> io::Result<u64> {
    let mut writer = rows_to(create(path)?);
    writer.write_record(header)?;
    let mut count = 0;
    for row in rows {
        writer.write_record(&row)?;
        count += 1;
    }
    writer.flush()?;
    Ok(count)
}

fn rows_to<W: Write>(inner: W) -> Writer<W> {
    WriterBuilder::new().terminator(Terminator::CRLF).flexible(true).from_writer(inner)
}

fn create(path: &Path) -> io::Result<BufWriter<File>> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(BufWriter::new(File::create(path)?))
}
