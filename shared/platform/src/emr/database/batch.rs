//! From rows to batches of bronze, and their hash.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arrow_array::builder::{
    BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder, Float64Builder, Int32Builder, Int64Builder,
    StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use chrono::{DateTime, NaiveDate, SecondsFormat, TimeDelta};
use xxhash_rust::xxh3::xxh3_128;

use super::{BronzeType, Column};
use crate::bronze::{MALFORMED, POSITION};
use crate::error::{Result, StageError};

const MAX_ROWS: usize = 8192;
/// Values of one batch, in bytes: long rows make short batches.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// A value of a row, as bronze keeps it.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::emr) enum Cell<'a> {
    Null,
    Boolean(bool),
    Int32(i32),
    Int64(i64),
    Float32(f32),
    Float64(f64),
    /// Digits; the column says how many of them are after the point.
    Decimal(i128),
    /// Days since 1970.
    Date(i32),
    /// Microseconds since 1970, on the column's clock.
    Timestamp(i64),
    Text(Cow<'a, str>),
    /// A value that the column's type in bronze has no place for, as the database prints it. The row is malformed.
    Unfit(Cow<'a, str>),
}

/// Returns bytes as bronze keeps them, as a text: `0x01AB`.
pub(in crate::emr) fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 + bytes.len() * 2);
    text.push_str("0x");
    for byte in bytes {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02X}");
    }
    text
}

/// Rows on their way into a batch: the table's columns, then position and malformed fields.
pub(super) struct BatchBuilder {
    schema: SchemaRef,
    columns: Vec<Builder>,
    kinds: Vec<BronzeType>,
    malformed: StringBuilder,
    /// The row that is being added, as it is hashed.
    row: Vec<u8>,
    rows: usize,
    bytes: usize,
}

/// What became of a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Added {
    pub(super) hash: u128,
    /// It is in the batch as a list of its fields.
    pub(super) is_malformed: bool,
}

/// A value is not of its column's type.
struct WrongType;

enum Builder {
    Boolean(BooleanBuilder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Decimal(Decimal128Builder),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
    Text(StringBuilder),
}

/// The schema of a table's load.
pub(super) fn schema<T>(columns: &[Column<T>]) -> SchemaRef {
    let mut fields: Vec<Field> = columns.iter().map(Column::field).collect();
    fields.push(Field::new(POSITION, DataType::Int64, false));
    fields.push(Field::new(MALFORMED, DataType::Utf8, true));
    Arc::new(Schema::new(fields))
}

impl BatchBuilder {
    pub(super) fn new<T>(columns: &[Column<T>], schema: SchemaRef) -> Self {
        Self {
            schema,
            columns: columns.iter().map(|column| Builder::new(column.bronze)).collect(),
            kinds: columns.iter().map(|column| column.bronze).collect(),
            malformed: StringBuilder::new(),
            row: Vec::new(),
            rows: 0,
            bytes: 0,
        }
    }

    /// Adds a row. One with a value that is unfit has nulls in all columns and its fields as a JSON list of texts in
    /// [`MALFORMED`], as a record of a file that does not fit its header.
    ///
    /// # Errors
    /// A value is not of its column's type.
    pub(super) fn push(&mut self, cells: &[Cell<'_>]) -> Result<Added> {
        self.row.clear();
        if cells.len() != self.columns.len() {
            return Err(StageError::broken_contract("the table's columns changed while it was read".to_owned()));
        }
        let is_malformed = cells.iter().any(|cell| matches!(cell, Cell::Unfit(_)));
        if is_malformed {
            self.push_malformed(cells);
        } else {
            self.push_fitting(cells)?;
        }
        self.rows += 1;
        self.bytes += self.row.len();
        Ok(Added { hash: xxh3_128(&self.row), is_malformed })
    }

    fn push_fitting(&mut self, cells: &[Cell<'_>]) -> Result<()> {
        for ((builder, cell), index) in self.columns.iter_mut().zip(cells).zip(0_usize..) {
            let start = self.row.len();
            self.row.push(0);
            if builder.append(cell, &mut self.row).is_err() {
                let name = self.schema.field(index).name();
                let message = format!("column {} (`{name}`) changed its type while it was read", index + 1);
                return Err(StageError::broken_contract(message));
            }
            if self.row.len() > start + 1 {
                self.row[start] = 1;
            }
        }
        self.malformed.append_null();
        Ok(())
    }

    fn push_malformed(&mut self, cells: &[Cell<'_>]) {
        self.columns.iter_mut().for_each(Builder::append_null);
        let fields: Vec<Cow<'_, str>> = cells.iter().zip(&self.kinds).map(|(cell, kind)| cell.text(*kind)).collect();
        let fields = serde_json::Value::from(fields).to_string();
        self.row.push(2);
        self.row.extend(fields.as_bytes());
        self.malformed.append_value(fields);
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows >= MAX_ROWS || self.bytes >= MAX_BYTES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The rows since the last call, with the next positions of the load.
    pub(super) fn finish(&mut self, positions: &AtomicI64) -> Result<RecordBatch> {
        let rows = self.rows as i64;
        let before = positions.fetch_add(rows, Ordering::Relaxed);
        let mut arrays: Vec<ArrayRef> = self.columns.iter_mut().map(Builder::finish).collect();
        arrays.push(Arc::new(Int64Array::from_iter_values(before + 1..=before + rows)));
        arrays.push(Arc::new(self.malformed.finish()));
        (self.rows, self.bytes) = (0, 0);
        RecordBatch::try_new(Arc::clone(&self.schema), arrays).map_err(|error| unbuildable(&error))
    }
}

impl Cell<'_> {
    /// The value as text, for a malformed row; nothing where it is null.
    fn text(&self, kind: BronzeType) -> Cow<'_, str> {
        let text = match self {
            Self::Null => String::new(),
            Self::Boolean(value) => value.to_string(),
            Self::Int32(value) => value.to_string(),
            Self::Int64(value) => value.to_string(),
            Self::Float32(value) => value.to_string(),
            Self::Float64(value) => value.to_string(),
            Self::Decimal(digits) => decimal_text(*digits, kind),
            Self::Date(days) => {
                let date = NaiveDate::default().checked_add_signed(TimeDelta::days((*days).into()));
                date.map(|date| date.to_string()).unwrap_or_default()
            }
            Self::Timestamp(micros) => {
                let moment = DateTime::from_timestamp_micros(*micros).unwrap_or_default();
                match kind {
                    BronzeType::TimestampUtc => moment.to_rfc3339_opts(SecondsFormat::AutoSi, true),
                    _ => moment.format("%Y-%m-%dT%H:%M:%S%.f").to_string(),
                }
            }
            Self::Text(text) | Self::Unfit(text) => return Cow::Borrowed(text),
        };
        Cow::Owned(text)
    }
}

fn decimal_text(digits: i128, kind: BronzeType) -> String {
    let BronzeType::Decimal(_, scale @ 1..) = kind else { return digits.to_string() };
    let scale = usize::from(scale.unsigned_abs());
    let all = format!("{:0width$}", digits.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = all.split_at(all.len() - scale);
    format!("{}{whole}.{fraction}", if digits < 0 { "-" } else { "" })
}

impl Builder {
    fn new(kind: BronzeType) -> Self {
        match kind {
            BronzeType::Boolean => Self::Boolean(BooleanBuilder::new()),
            BronzeType::Int32 => Self::Int32(Int32Builder::new()),
            BronzeType::Int64 => Self::Int64(Int64Builder::new()),
            BronzeType::Float32 => Self::Float32(Float32Builder::new()),
            BronzeType::Float64 => Self::Float64(Float64Builder::new()),
            BronzeType::Decimal(precision, scale) => {
                let kind = DataType::Decimal128(precision, scale);
                Self::Decimal(Decimal128Builder::new().with_data_type(kind))
            }
            BronzeType::Date => Self::Date(Date32Builder::new()),
            BronzeType::Timestamp => Self::Timestamp(TimestampMicrosecondBuilder::new()),
            BronzeType::TimestampUtc => Self::Timestamp(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
            BronzeType::Text => Self::Text(StringBuilder::new()),
        }
    }

    /// Adds a value, here and to the bytes of its row. A null adds nothing to the bytes.
    fn append(&mut self, cell: &Cell<'_>, row: &mut Vec<u8>) -> std::result::Result<(), WrongType> {
        match (self, cell) {
            (builder, Cell::Null) => builder.append_null(),
            (Self::Boolean(builder), Cell::Boolean(value)) => {
                builder.append_value(*value);
                row.push(u8::from(*value));
            }
            (Self::Int32(builder), Cell::Int32(value)) => {
                builder.append_value(*value);
                row.extend(value.to_le_bytes());
            }
            (Self::Int64(builder), Cell::Int64(value)) => {
                builder.append_value(*value);
                row.extend(value.to_le_bytes());
            }
            (Self::Float32(builder), Cell::Float32(value)) => {
                builder.append_value(*value);
                row.extend(value.to_le_bytes());
            }
            (Self::Float64(builder), Cell::Float64(value)) => {
                builder.append_value(*value);
                row.extend(value.to_le_bytes());
            }
            (Self::Decimal(builder), Cell::Decimal(digits)) => {
                builder.append_value(*digits);
                row.extend(digits.to_le_bytes());
            }
            (Self::Date(builder), Cell::Date(days)) => {
                builder.append_value(*days);
                row.extend(days.to_le_bytes());
            }
            (Self::Timestamp(builder), Cell::Timestamp(micros)) => {
                builder.append_value(*micros);
                row.extend(micros.to_le_bytes());
            }
            (Self::Text(builder), Cell::Text(text)) => {
                builder.append_value(text);
                row.extend((text.len() as u64).to_le_bytes());
                row.extend(text.as_bytes());
            }
            _ => return Err(WrongType),
        }
        Ok(())
    }

    fn append_null(&mut self) {
        match self {
            Self::Boolean(builder) => builder.append_null(),
            Self::Int32(builder) => builder.append_null(),
            Self::Int64(builder) => builder.append_null(),
            Self::Float32(builder) => builder.append_null(),
            Self::Float64(builder) => builder.append_null(),
            Self::Decimal(builder) => builder.append_null(),
            Self::Date(builder) => builder.append_null(),
            Self::Timestamp(builder) => builder.append_null(),
            Self::Text(builder) => builder.append_null(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Boolean(builder) => Arc::new(builder.finish()),
            Self::Int32(builder) => Arc::new(builder.finish()),
            Self::Int64(builder) => Arc::new(builder.finish()),
            Self::Float32(builder) => Arc::new(builder.finish()),
            Self::Float64(builder) => Arc::new(builder.finish()),
            Self::Decimal(builder) => Arc::new(builder.finish()),
            Self::Date(builder) => Arc::new(builder.finish()),
            Self::Timestamp(builder) => Arc::new(builder.finish()),
            Self::Text(builder) => Arc::new(builder.finish()),
        }
    }
}

fn unbuildable(error: &ArrowError) -> StageError {
    StageError::corrupt_lake(format!("building a batch: {error}"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(-1_234, BronzeType::Decimal(9, 2), "-12.34")]
    #[case(5, BronzeType::Decimal(9, 3), "0.005")]
    #[case(-5, BronzeType::Decimal(9, 1), "-0.5")]
    #[case(1_200, BronzeType::Decimal(9, 0), "1200")]
    fn a_decimal_is_printed_with_its_scale(#[case] digits: i128, #[case] kind: BronzeType, #[case] expected: &str) {
        assert_eq!(Cell::Decimal(digits).text(kind), expected);
    }

    #[rstest]
    #[case(BronzeType::Timestamp, "2024-11-07T06:30:00.123")]
    #[case(BronzeType::TimestampUtc, "2024-11-07T06:30:00.123Z")]
    fn a_timestamp_is_printed_with_its_zone(#[case] kind: BronzeType, #[case] expected: &str) {
        assert_eq!(Cell::Timestamp(1_730_961_000_123_000).text(kind), expected);
    }
}
