//! The first rows of a file, as a draft looks at them.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use csv::{ReaderBuilder, Trim};

use super::dates;
use super::names::{self, Concepts};

/// Rows and bytes of a file that are looked at.
const ROWS: usize = 20_000;
const BYTES: u64 = 32 * 1024 * 1024;

/// The first rows of a CSV file.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Name of the file, and without its extension.
    pub file: String,
    pub stem: String,
    pub delimiter: char,
    pub is_utf8: bool,
    pub rows: usize,
    pub columns: Vec<SampleColumn>,
}

/// A column of a sample.
#[derive(Debug, Clone)]
pub struct SampleColumn {
    pub name: String,
    /// What its name may say.
    pub(super) readings: Vec<Concepts>,
    /// The cells that are filled. They stay in this process: nothing prints them.
    pub(super) values: Vec<String>,
    pub(super) distinct: usize,
    pub(super) form: Form,
}

/// What the cells of a column look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Nothing is filled.
    Empty,
    Date,
    /// Whole numbers.
    Digits,
    /// Numbers, of which some have digits after a point.
    Decimal,
    /// Numbers that are written with a comma before the cents, or a sign of a currency.
    OtherMoney,
    Text,
}

impl Sample {
    /// Reads the first rows of a file.
    ///
    /// # Errors
    /// Why it cannot be used, without a word of what is in it.
    pub fn read(path: &Path) -> Result<Self, String> {
        let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let mut bytes = Vec::new();
        let opened = File::open(path).and_then(|file| file.take(BYTES).read_to_end(&mut bytes));
        opened.map_err(|error| error.kind().to_string())?;
        if bytes.len() as u64 == BYTES {
            let end = bytes.iter().rposition(|byte| *byte == b'\n').unwrap_or(bytes.len());
            bytes.truncate(end);
        }
        Self::parse(&file, &bytes)
    }

    /// Reads the first rows of the bytes of a file.
    ///
    /// # Errors
    /// As [`Sample::read`].
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, String> {
        if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") || bytes.contains(&0) {
            return Err("is UTF-16 or no text: save it as CSV in UTF-8".to_owned());
        }
        let is_utf8 = std::str::from_utf8(bytes).is_ok();
        // One byte is one character in windows-1252; which one does not matter here.
        let text = if is_utf8 {
            String::from_utf8_lossy(bytes).into_owned()
        } else {
            bytes.iter().map(|byte| char::from(*byte)).collect()
        };
        let text = text.trim_start_matches('\u{feff}');
        let delimiter = delimiter(text);
        let mut reader = ReaderBuilder::new()
            .delimiter(delimiter as u8)
            .has_headers(false)
            .flexible(true)
            .trim(Trim::All)
            .from_reader(text.as_bytes());
        let mut records = reader.records().map_while(Result::ok);
        let header: Vec<String> =
            records.next().ok_or("is empty")?.iter().map(|name| name.trim_matches('\u{feff}').to_owned()).collect();
        let mut values: Vec<Vec<String>> = vec![Vec::new(); header.len()];
        let mut rows = 0;
        for record in records.take(ROWS).filter(|record| record.len() == header.len()) {
            rows += 1;
            for (column, cell) in values.iter_mut().zip(record.iter()).filter(|(_, cell)| !is_null(cell)) {
                column.push(cell.to_owned());
            }
        }
        check_header(&header, &values)?;
        let columns = header.into_iter().zip(values).map(|(name, values)| SampleColumn::of(name, values)).collect();
        let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem).to_owned();
        Ok(Self { file: file.to_owned(), stem, delimiter, is_utf8, rows, columns })
    }

    /// The names of its columns.
    pub(super) fn header(&self) -> Vec<&str> {
        self.columns.iter().map(|column| column.name.as_str()).collect()
    }
}

impl SampleColumn {
    fn of(name: String, values: Vec<String>) -> Self {
        let readings = names::readings(&name);
        let distinct = values.iter().collect::<BTreeSet<_>>().len();
        let form = form(&values, &readings);
        Self { name, readings, values, distinct, form }
    }

    /// Share of the filled cells that a test holds for; 0 where none is filled.
    pub(super) fn share(&self, is_so: impl Fn(&str) -> bool) -> f64 {
        share(&self.values, is_so)
    }

    /// Whether nearly every row has a value of its own.
    pub(super) fn is_unique(&self) -> bool {
        !self.values.is_empty() && self.distinct as f64 >= 0.98 * self.values.len() as f64
    }
}

/// The separator that the first line has most of.
fn delimiter(text: &str) -> char {
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let count = |delimiter: char| {
        let mut is_quoted = false;
        let outside = first.chars().filter(|&letter| {
            is_quoted ^= letter == '"';
            !is_quoted && letter == delimiter
        });
        outside.count()
    };
    [',', ';', '\t', '|'].into_iter().rev().max_by_key(|delimiter| count(*delimiter)).unwrap_or(',')
}

fn is_null(cell: &str) -> bool {
    cell.is_empty() || ["null", "\\n"].iter().any(|word| cell.eq_ignore_ascii_case(word))
}

/// Checks that a first record is a header. Where a file has none, that record is a patient's: it is not quoted.
fn check_header(header: &[String], values: &[Vec<String>]) -> Result<(), String> {
    if let Some(place) = header.iter().position(String::is_empty) {
        return Err(format!("has no name for column {} in its header", place + 1));
    }
    for (place, name) in header.iter().enumerate() {
        if let Some(earlier) = header[..place].iter().position(|other| other == name) {
            return Err(format!("has the same name for columns {} and {} in its header", earlier + 1, place + 1));
        }
    }
    let is_data = |(name, values): (&String, &Vec<String>)| {
        let digits = name.chars().rev().take_while(char::is_ascii_digit).count();
        let is_like_first = values.first().is_some_and(|first| shape(first) == shape(name));
        is_number(name) || dates::is_iso(name) || (digits >= 2 && is_like_first)
    };
    if header.iter().zip(values).any(is_data) {
        return Err("has no header: its first record has numbers or dates".to_owned());
    }
    if !header.iter().any(|name| names::means_something(name)) {
        return Err("has no header: no word of its first record is one that columns are named by".to_owned());
    }
    Ok(())
}

fn shape(text: &str) -> String {
    rcm_model::cdm::shape(text)
}

fn form(values: &[String], readings: &[Concepts]) -> Form {
    const MOST: f64 = 0.9;
    if values.is_empty() {
        return Form::Empty;
    }
    let says_date = names::says_date(readings);
    let has_separator = share(values, |cell| !is_number(cell)) >= MOST;
    if (says_date || has_separator) && dates::formats(values).is_some() {
        return Form::Date;
    }
    let is_whole = |cell: &str| cell.bytes().all(|byte| byte.is_ascii_digit());
    if share(values, is_whole) >= MOST {
        return Form::Digits;
    }
    if share(values, is_number) >= MOST {
        return Form::Decimal;
    }
    let has_sign = values.iter().any(|cell| cell.contains([',', '$', '€', '£', '(']));
    if has_sign && share(values, is_other_money) >= MOST {
        return Form::OtherMoney;
    }
    Form::Text
}

fn share(values: &[String], is_so: impl Fn(&str) -> bool) -> f64 {
    let count = values.iter().filter(|cell| is_so(cell)).count();
    if values.is_empty() { 0.0 } else { count as f64 / values.len() as f64 }
}

fn is_number(cell: &str) -> bool {
    rcm_domain::money::parse_cents(cell).is_some()
}

/// Whether a cell is an amount that the lake does not read, such as `1.234,50` or `$ 12.50`, or one that it reads.
fn is_other_money(cell: &str) -> bool {
    let is_part = |letter: char| letter.is_ascii_digit() || ".,()$€£ ".contains(letter);
    let unsigned = cell.strip_prefix('-').unwrap_or(cell);
    unsigned.chars().all(is_part)
        && unsigned.ends_with(|letter: char| letter.is_ascii_digit() || ")$€£".contains(letter))
        && unsigned.chars().any(|letter| letter.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_separator_is_found() {
        for (text, expected) in [("id,b\n1,2\n", ','), ("id;b\n1;2\n", ';'), ("id\tb\n", '\t'), ("\"id,b\"|c|d\n", '|')]
        {
            assert_eq!(Sample::parse("x.csv", text.as_bytes()).unwrap().delimiter, expected);
        }
    }

    #[test]
    fn a_file_without_a_header_is_refused_without_a_word_of_it() {
        for text in ["P001,Sampleton,1970-01-01\nP002,Other,1980-01-01\n", "DEPT001,Cardiology\nDEPT002,Surgery\n"] {
            let error = Sample::parse("x.csv", text.as_bytes()).unwrap_err();
            assert_eq!(error, "has no header: its first record has numbers or dates");
        }
    }

    #[test]
    fn a_file_of_names_alone_is_taken_for_one_without_a_header() {
        let error = Sample::parse("x.csv", b"Cleo,Sampleton\nNoah,Otherton\n").unwrap_err();
        assert_eq!(error, "has no header: no word of its first record is one that columns are named by");
    }

    #[test]
    fn columns_have_the_form_of_their_cells() {
        let text =
            "Day,Amt,No,Betrag,Who,Empty\n2024-11-07,1.50,7,\"1.234,50\",Sample,\n2024-11-08,2,8,\"7,00\",Other,NULL\n";
        let sample = Sample::parse("x.csv", text.as_bytes()).unwrap();
        let forms: Vec<Form> = sample.columns.iter().map(|column| column.form).collect();
        let expected = [Form::Date, Form::Decimal, Form::Digits, Form::OtherMoney, Form::Text, Form::Empty];
        assert_eq!(forms, expected);
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_read_as_windows_1252() {
        let sample = Sample::parse("x.csv", b"Stra\xdfe,No\nWeg,1\n").unwrap();
        assert_eq!((sample.is_utf8, sample.columns[0].name.as_str()), (false, "Straße"));
    }
}
