//! Values of the driver, as bronze keeps them.

use std::borrow::Cow;

use tiberius::ColumnData;
use tiberius::time::{DateTime2, Time};

use super::moment::{UNIX_DAYS, UNIX_DAYS_OF_DATETIME, time_nanos};
use crate::emr::database::{BronzeType, Cell, hexadecimal};

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// What a column of a type keeps of a value; none if the value is of another type.
pub(super) fn cell<'a>(kind: BronzeType, value: &'a ColumnData<'_>) -> Option<Cell<'a>> {
    if is_null(value) {
        return Some(Cell::Null);
    }
    match (kind, value) {
        (BronzeType::Text, value) => text(value).map(Cell::Text),
        (BronzeType::Boolean, ColumnData::Bit(value)) => value.map(Cell::Boolean),
        (BronzeType::Int32, ColumnData::U8(value)) => value.map(|value| Cell::Int32(value.into())),
        (BronzeType::Int32, ColumnData::I16(value)) => value.map(|value| Cell::Int32(value.into())),
        (BronzeType::Int32, ColumnData::I32(value)) => value.map(Cell::Int32),
        (BronzeType::Int64, ColumnData::I64(value)) => value.map(Cell::Int64),
        (BronzeType::Float32, ColumnData::F32(value)) => value.map(Cell::Float32),
        (BronzeType::Float64, ColumnData::F64(value)) => value.map(Cell::Float64),
        (BronzeType::Decimal(..), ColumnData::Numeric(value)) => value.map(|value| Cell::Decimal(value.value())),
        (BronzeType::Date, ColumnData::Date(value)) => {
            value.map(|date| Cell::Date((i64::from(date.days()) - UNIX_DAYS) as i32))
        }
        (BronzeType::Timestamp | BronzeType::TimestampUtc, value) => micros(value).map(Cell::Timestamp),
        _ => None,
    }
}

pub(super) fn is_null(value: &ColumnData<'_>) -> bool {
    match value {
        ColumnData::U8(value) => value.is_none(),
        ColumnData::I16(value) => value.is_none(),
        ColumnData::I32(value) => value.is_none(),
        ColumnData::I64(value) => value.is_none(),
        ColumnData::F32(value) => value.is_none(),
        ColumnData::F64(value) => value.is_none(),
        ColumnData::Bit(value) => value.is_none(),
        ColumnData::String(value) => value.is_none(),
        ColumnData::Guid(value) => value.is_none(),
        ColumnData::Binary(value) => value.is_none(),
        ColumnData::Numeric(value) => value.is_none(),
        ColumnData::Xml(value) => value.is_none(),
        ColumnData::DateTime(value) => value.is_none(),
        ColumnData::SmallDateTime(value) => value.is_none(),
        ColumnData::Time(value) => value.is_none(),
        ColumnData::Date(value) => value.is_none(),
        ColumnData::DateTime2(value) => value.is_none(),
        ColumnData::DateTimeOffset(value) => value.is_none(),
    }
}

/// The text of a value of a type that is text in bronze.
fn text<'a>(value: &'a ColumnData<'_>) -> Option<Cow<'a, str>> {
    match value {
        ColumnData::String(text) => text.as_deref().map(Cow::Borrowed),
        ColumnData::Xml(xml) => xml.as_ref().map(|xml| Cow::Owned(xml.to_string())),
        ColumnData::Guid(guid) => guid.map(|guid| Cow::Owned(format!("{guid:X}"))),
        ColumnData::Binary(bytes) => bytes.as_deref().map(|bytes| Cow::Owned(hexadecimal(bytes))),
        ColumnData::Time(time) => time.map(|time| Cow::Owned(clock_time(time))),
        _ => None,
    }
}

/// Microseconds since 1970, on the column's clock.
fn micros(value: &ColumnData<'_>) -> Option<i64> {
    match value {
        ColumnData::SmallDateTime(value) => value.map(|moment| {
            let days = i64::from(moment.days()) - UNIX_DAYS_OF_DATETIME;
            days * MICROS_PER_DAY + i64::from(moment.seconds_fragments()) * 60_000_000
        }),
        ColumnData::DateTime(value) => value.map(|moment| {
            let days = i64::from(moment.days()) - UNIX_DAYS_OF_DATETIME;
            // To the millisecond, as SQL Server prints it: 3, 7 or 0 at the end.
            let millis = (i64::from(moment.seconds_fragments()) * 10 + 1) / 3;
            days * MICROS_PER_DAY + millis * 1000
        }),
        ColumnData::DateTime2(value) => value.map(datetime2_micros),
        ColumnData::DateTimeOffset(value) => value.map(|moment| datetime2_micros(moment.datetime2())),
        _ => None,
    }
}

fn datetime2_micros(moment: DateTime2) -> i64 {
    (i64::from(moment.date().days()) - UNIX_DAYS) * MICROS_PER_DAY + time_nanos(moment.time()) / 1000
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
