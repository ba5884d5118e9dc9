//! From rows of the driver to batches of bronze, and their hash.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arrow_array::builder::{
    BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder, Float64Builder, Int32Builder, Int64Builder,
    StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use tiberius::time::{DateTime2, Time};
use tiberius::{ColumnData, Row};
use xxhash_rust::xxh3::xxh3_128;

use super::column::{Column, SqlType};
use super::moment::{UNIX_DAYS, UNIX_DAYS_OF_DATETIME, time_nanos};
use crate::bronze::{MALFORMED, POSITION};
use crate::error::{Result, StageError};

const MAX_ROWS: usize = 8192;
/// Values of one batch, in bytes: long rows make short batches.
const MAX_BYTES: usize = 8 * 1024 * 1024;
const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Rows on their way into a batch: the table's columns, then position and malformed fields.
pub(super) struct BatchBuilder {
    schema: SchemaRef,
    columns: Vec<Builder>,
    /// The row that is being added, as it is hashed.
    row: Vec<u8>,
    rows: usize,
    bytes: usize,
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
pub(super) fn schema(columns: &[Column]) -> SchemaRef {
    let mut fields: Vec<Field> = columns.iter().map(Column::field).collect();
    fields.push(Field::new(POSITION, DataType::Int64, false));
    fields.push(Field::new(MALFORMED, DataType::Utf8, true));
    Arc::new(Schema::new(fields))
}

impl BatchBuilder {
    pub(super) fn new(columns: &[Column], schema: SchemaRef) -> Self {
        let builders = columns.iter().map(|column| Builder::new(column.kind));
        Self { schema, columns: builders.collect(), row: Vec::new(), rows: 0, bytes: 0 }
    }

    /// Adds a row and tells its hash.
    ///
    /// # Errors
    /// A value is not of its column's type.
    pub(super) fn push(&mut self, row: &Row) -> Result<u128> {
        self.row.clear();
        if row.len() != self.columns.len() {
            return Err(StageError::broken_contract("the table's columns changed while it was read".to_owned()));
        }
        for ((builder, (column, value)), index) in self.columns.iter_mut().zip(row.cells()).zip(0_u32..) {
            let start = self.row.len();
            self.row.push(0);
            if builder.append(value, &mut self.row).is_err() {
                let message = format!("column {} (`{}`) changed its type while it was read", index + 1, column.name());
                return Err(StageError::broken_contract(message));
            }
            if self.row.len() > start + 1 {
                self.row[start] = 1;
            }
        }
        self.rows += 1;
        self.bytes += self.row.len();
        Ok(xxh3_128(&self.row))
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
        arrays.push(Arc::new(StringArray::new_null(self.rows)));
        (self.rows, self.bytes) = (0, 0);
        RecordBatch::try_new(Arc::clone(&self.schema), arrays).map_err(|error| unbuildable(&error))
    }
}

impl Builder {
    fn new(kind: SqlType) -> Self {
        match kind {
            SqlType::Boolean => Self::Boolean(BooleanBuilder::new()),
            SqlType::Int32 => Self::Int32(Int32Builder::new()),
            SqlType::Int64 => Self::Int64(Int64Builder::new()),
            SqlType::Float32 => Self::Float32(Float32Builder::new()),
            SqlType::Float64 => Self::Float64(Float64Builder::new()),
            SqlType::Decimal(precision, scale) => {
                let kind = DataType::Decimal128(precision, scale);
                Self::Decimal(Decimal128Builder::new().with_data_type(kind))
            }
            SqlType::Date => Self::Date(Date32Builder::new()),
            SqlType::Timestamp => Self::Timestamp(TimestampMicrosecondBuilder::new()),
            SqlType::TimestampUtc => Self::Timestamp(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
            SqlType::Text => Self::Text(StringBuilder::new()),
        }
    }

    /// Adds a value, here and to the bytes of its row. A null adds nothing to the bytes.
    fn append(&mut self, value: &ColumnData<'_>, row: &mut Vec<u8>) -> std::result::Result<(), WrongType> {
        match (self, value) {
            (Self::Text(builder), value) => return append_text(builder, value, row),
            (Self::Boolean(builder), ColumnData::Bit(value)) => {
                builder.append_option(*value);
                row.extend(value.map(u8::from));
            }
            (Self::Int32(builder), value) => {
                let value = int32(value)?;
                builder.append_option(value);
                row.extend(value.map(i32::to_le_bytes).into_iter().flatten());
            }
            (Self::Int64(builder), ColumnData::I64(value)) => {
                builder.append_option(*value);
                row.extend(value.map(i64::to_le_bytes).into_iter().flatten());
            }
            (Self::Float32(builder), ColumnData::F32(value)) => {
                builder.append_option(*value);
                row.extend(value.map(f32::to_le_bytes).into_iter().flatten());
            }
            (Self::Float64(builder), ColumnData::F64(value)) => {
                builder.append_option(*value);
                row.extend(value.map(f64::to_le_bytes).into_iter().flatten());
            }
            (Self::Decimal(builder), ColumnData::Numeric(value)) => {
                let digits = value.map(tiberius::numeric::Numeric::value);
                builder.append_option(digits);
                row.extend(digits.map(i128::to_le_bytes).into_iter().flatten());
            }
            (Self::Date(builder), ColumnData::Date(value)) => {
                let days = value.map(|date| (i64::from(date.days()) - UNIX_DAYS) as i32);
                builder.append_option(days);
                row.extend(days.map(i32::to_le_bytes).into_iter().flatten());
            }
            (Self::Timestamp(builder), value) => {
                let micros = micros(value)?;
                builder.append_option(micros);
                row.extend(micros.map(i64::to_le_bytes).into_iter().flatten());
            }
            _ => return Err(WrongType),
        }
        Ok(())
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

/// Adds a value of a type that is text in bronze.
fn append_text(
    builder: &mut StringBuilder,
    value: &ColumnData<'_>,
    row: &mut Vec<u8>,
) -> std::result::Result<(), WrongType> {
    let own;
    let text = match value {
        ColumnData::String(text) => text.as_deref(),
        ColumnData::Xml(xml) => {
            own = xml.as_ref().map(ToString::to_string);
            own.as_deref()
        }
        ColumnData::Guid(guid) => {
            own = guid.map(|guid| format!("{guid:X}"));
            own.as_deref()
        }
        ColumnData::Binary(bytes) => {
            own = bytes.as_deref().map(hexadecimal);
            own.as_deref()
        }
        ColumnData::Time(time) => {
            own = time.map(clock_time);
            own.as_deref()
        }
        // A column that has nothing but nulls has no type of its own.
        ColumnData::I32(None) => None,
        _ => return Err(WrongType),
    };
    builder.append_option(text);
    if let Some(text) = text {
        row.extend((text.len() as u64).to_le_bytes());
        row.extend(text.as_bytes());
    }
    Ok(())
}

fn int32(value: &ColumnData<'_>) -> std::result::Result<Option<i32>, WrongType> {
    match value {
        ColumnData::U8(value) => Ok(value.map(i32::from)),
        ColumnData::I16(value) => Ok(value.map(i32::from)),
        ColumnData::I32(value) => Ok(*value),
        _ => Err(WrongType),
    }
}

/// Microseconds since 1970, on the column's clock.
fn micros(value: &ColumnData<'_>) -> std::result::Result<Option<i64>, WrongType> {
    match value {
        ColumnData::SmallDateTime(value) => Ok(value.map(|moment| {
            let days = i64::from(moment.days()) - UNIX_DAYS_OF_DATETIME;
            days * MICROS_PER_DAY + i64::from(moment.seconds_fragments()) * 60_000_000
        })),
        ColumnData::DateTime(value) => Ok(value.map(|moment| {
            let days = i64::from(moment.days()) - UNIX_DAYS_OF_DATETIME;
            // To the millisecond, as SQL Server prints it: 3, 7 or 0 at the end.
            let millis = (i64::from(moment.seconds_fragments()) * 10 + 1) / 3;
            days * MICROS_PER_DAY + millis * 1000
        })),
        ColumnData::DateTime2(value) => Ok(value.map(datetime2_micros)),
        ColumnData::DateTimeOffset(value) => Ok(value.map(|moment| datetime2_micros(moment.datetime2()))),
        _ => Err(WrongType),
    }
}

fn datetime2_micros(moment: DateTime2) -> i64 {
    (i64::from(moment.date().days()) - UNIX_DAYS) * MICROS_PER_DAY + time_nanos(moment.time()) / 1000
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 + bytes.len() * 2);
    text.push_str("0x");
    for byte in bytes {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02X}");
    }
    text
}

/// `06:30:00.1234567`, with the digits that the column has.
fn clock_time(time: Time) -> String {
    let nanos = time_nanos(time);
    let (seconds, scale) = (nanos / 1_000_000_000, usize::from(time.scale()));
    let text = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if scale == 0 {
        return text;
    }
    format!("{text}.{}", &format!("{:09}", nanos % 1_000_000_000)[..scale.min(9)])
}

fn unbuildable(error: &ArrowError) -> StageError {
    StageError::corrupt_lake(format!("building a batch: {error}"))
}
