//! Types and values on the wire, as MS-TDS 2.2.5 lays them out.

use crate::types::{Column, Type};
use crate::value::{self, Value};

const ROW: u8 = 0xD1;
const NBC_ROW: u8 = 0xD2;
const COLUMN_METADATA: u8 = 0x81;
/// `SQL_Latin1_General_CP1_CI_AS`: code page 1252.
const COLLATION: [u8; 5] = [0x09, 0x04, 0xD0, 0x00, 0x34];
/// A collation of the same language whose values are UTF-8.
const UTF8_COLLATION: [u8; 5] = [0x09, 0x04, 0xD0, 0x04, 0x00];
/// Length of a type without a limit; its values come in chunks.
const MAX: u16 = 0xFFFF;
const NULL_CHUNKS: u64 = u64::MAX;
const NULL_LENGTH: u16 = u16::MAX;
/// Bytes of one chunk: short enough that a test's text needs several.
const CHUNK: usize = 4000;

/// Writes the token with the columns of the rows that follow.
pub(crate) fn column_metadata(columns: &[Column], out: &mut Vec<u8>) {
    out.push(COLUMN_METADATA);
    out.extend((columns.len() as u16).to_le_bytes());
    for column in columns {
        out.extend(0_u32.to_le_bytes());
        out.extend(u16::from(column.is_nullable).to_le_bytes());
        type_info(column, out);
        if matches!(column.kind, Type::Text | Type::NText | Type::Image) {
            out.push(1);
            us_varchar("table", out);
        }
        b_varchar(&column.name, out);
    }
}

fn type_info(column: &Column, out: &mut Vec<u8>) {
    match fixed_type(column) {
        Some(token) => out.push(token),
        None => variable_type(column.kind, out),
    }
}

/// Returns the type token of a column that is not nullable and whose values have one length.
fn fixed_type(column: &Column) -> Option<u8> {
    let token = match column.kind {
        Type::TinyInt => 0x30,
        Type::Bit => 0x32,
        Type::SmallInt => 0x34,
        Type::Int => 0x38,
        Type::SmallDateTime => 0x3A,
        Type::Real => 0x3B,
        Type::Money => 0x3C,
        Type::DateTime => 0x3D,
        Type::Float => 0x3E,
        Type::SmallMoney => 0x7A,
        Type::BigInt => 0x7F,
        _ => return None,
    };
    (!column.is_nullable).then_some(token)
}

fn variable_type(kind: Type, out: &mut Vec<u8>) {
    match kind {
        Type::TinyInt => out.extend([0x26, 1]),
        Type::SmallInt => out.extend([0x26, 2]),
        Type::Int => out.extend([0x26, 4]),
        Type::BigInt => out.extend([0x26, 8]),
        Type::Bit => out.extend([0x68, 1]),
        Type::Real => out.extend([0x6D, 4]),
        Type::Float => out.extend([0x6D, 8]),
        Type::Money => out.extend([0x6E, 8]),
        Type::SmallMoney => out.extend([0x6E, 4]),
        Type::SmallDateTime => out.extend([0x6F, 4]),
        Type::DateTime => out.extend([0x6F, 8]),
        Type::Decimal(precision, scale) => out.extend([0x6A, decimal_length(precision), precision, scale]),
        Type::Numeric(precision, scale) => out.extend([0x6C, decimal_length(precision), precision, scale]),
        Type::UniqueIdentifier => out.extend([0x24, 16]),
        Type::Date => out.push(0x28),
        Type::Time(scale) => out.extend([0x29, scale]),
        Type::DateTime2(scale) => out.extend([0x2A, scale]),
        Type::DateTimeOffset(scale) => out.extend([0x2B, scale]),
        Type::Char(length) => text_type(0xAF, length, COLLATION, out),
        Type::VarChar(length) => text_type(0xA7, length, COLLATION, out),
        Type::VarCharMax => text_type(0xA7, MAX, COLLATION, out),
        Type::VarCharUtf8(length) => text_type(0xA7, length, UTF8_COLLATION, out),
        Type::NChar(length) => text_type(0xEF, length * 2, COLLATION, out),
        Type::NVarChar(length) => text_type(0xE7, length * 2, COLLATION, out),
        Type::NVarCharMax => text_type(0xE7, MAX, COLLATION, out),
        Type::Text => long_type(0x23, &COLLATION, out),
        Type::NText => long_type(0x63, &COLLATION, out),
        Type::Image => long_type(0x22, &[], out),
        Type::Binary(length) => sized_type(0xAD, length, out),
        Type::VarBinary(length) => sized_type(0xA5, length, out),
        Type::VarBinaryMax => sized_type(0xA5, MAX, out),
        Type::Xml => out.extend([0xF1, 0]),
        Type::SqlVariant => long_type(0x62, &[], out),
    }
}

fn sized_type(token: u8, length: u16, out: &mut Vec<u8>) {
    out.push(token);
    out.extend(length.to_le_bytes());
}

fn text_type(token: u8, length: u16, collation: [u8; 5], out: &mut Vec<u8>) {
    sized_type(token, length, out);
    out.extend(collation);
}

fn long_type(token: u8, collation: &[u8], out: &mut Vec<u8>) {
    out.push(token);
    out.extend(i32::MAX.to_le_bytes());
    out.extend(collation);
}

fn decimal_length(precision: u8) -> u8 {
    match precision {
        ..=9 => 5,
        10..=19 => 9,
        20..=28 => 13,
        _ => 17,
    }
}

/// A row, with its nulls packed into bits where `packs_nulls`.
pub(crate) fn row(columns: &[Column], values: &[Value], packs_nulls: bool, out: &mut Vec<u8>) {
    out.push(if packs_nulls { NBC_ROW } else { ROW });
    if packs_nulls {
        let start = out.len();
        out.resize(start + columns.len().div_ceil(8), 0);
        for (index, _) in values.iter().enumerate().filter(|(_, value)| **value == Value::Null) {
            out[start + index / 8] |= 1 << (index % 8);
        }
    }
    for (column, value) in columns.iter().zip(values) {
        if packs_nulls && *value == Value::Null {
            continue;
        }
        if fixed_type(column).is_some() {
            out.extend(fixed_bytes(column.kind, value));
        } else {
            variable_value(column.kind, value, out);
        }
    }
}

fn variable_value(kind: Type, value: &Value, out: &mut Vec<u8>) {
    match kind {
        Type::VarCharMax | Type::NVarCharMax | Type::VarBinaryMax | Type::Xml => chunks(value, kind, out),
        Type::Text | Type::NText | Type::Image => long_value(value, kind, out),
        Type::SqlVariant => out.extend(0_u32.to_le_bytes()),
        Type::Char(_)
        | Type::VarChar(_)
        | Type::VarCharUtf8(_)
        | Type::NChar(_)
        | Type::NVarChar(_)
        | Type::Binary(_)
        | Type::VarBinary(_) => {
            if *value == Value::Null {
                out.extend(NULL_LENGTH.to_le_bytes());
                return;
            }
            let bytes = long_bytes(kind, value);
            out.extend((bytes.len() as u16).to_le_bytes());
            out.extend(bytes);
        }
        _ => {
            let bytes = if *value == Value::Null { Vec::new() } else { fixed_bytes(kind, value) };
            out.push(bytes.len() as u8);
            out.extend(bytes);
        }
    }
}

fn chunks(value: &Value, kind: Type, out: &mut Vec<u8>) {
    if *value == Value::Null {
        out.extend(NULL_CHUNKS.to_le_bytes());
        return;
    }
    let bytes = long_bytes(kind, value);
    out.extend((bytes.len() as u64).to_le_bytes());
    for chunk in bytes.chunks(CHUNK) {
        out.extend((chunk.len() as u32).to_le_bytes());
        out.extend(chunk);
    }
    out.extend(0_u32.to_le_bytes());
}

/// A value with a text pointer of 16 bytes and a timestamp of 8, as `text` and `image` have it.
fn long_value(value: &Value, kind: Type, out: &mut Vec<u8>) {
    if *value == Value::Null {
        out.push(0);
        return;
    }
    let bytes = long_bytes(kind, value);
    out.push(16);
    out.extend([0; 24]);
    out.extend((bytes.len() as u32).to_le_bytes());
    out.extend(bytes);
}

fn long_bytes(kind: Type, value: &Value) -> Vec<u8> {
    match (kind, value) {
        (_, Value::Bytes(bytes)) => bytes.clone(),
        (Type::NChar(_) | Type::NVarChar(_) | Type::NVarCharMax | Type::NText | Type::Xml, value) => {
            utf16(&value.to_text())
        }
        (Type::VarCharUtf8(_), value) => value.to_text().into_bytes(),
        // Code page 1252 is Latin-1 but for 32 signs that no test needs.
        (_, value) => value.to_text().chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect(),
    }
}

fn fixed_bytes(kind: Type, value: &Value) -> Vec<u8> {
    match (kind, value) {
        (Type::Bit, Value::Bool(value)) => vec![u8::from(*value)],
        (Type::TinyInt, Value::Int(value)) => vec![*value as u8],
        (Type::SmallInt, Value::Int(value)) => (*value as i16).to_le_bytes().to_vec(),
        (Type::Int, Value::Int(value)) => (*value as i32).to_le_bytes().to_vec(),
        (Type::BigInt, Value::Int(value)) => value.to_le_bytes().to_vec(),
        (Type::Real, Value::Float(value)) => (*value as f32).to_le_bytes().to_vec(),
        (Type::Float, Value::Float(value)) => value.to_le_bytes().to_vec(),
        (Type::Money, Value::Decimal(digits, 4)) => {
            let digits = *digits as i64;
            [((digits >> 32) as i32).to_le_bytes(), (digits as u32).to_le_bytes()].concat()
        }
        (Type::SmallMoney, Value::Decimal(digits, 4)) => (*digits as i32).to_le_bytes().to_vec(),
        (Type::Decimal(precision, scale) | Type::Numeric(precision, scale), Value::Decimal(digits, s))
            if scale == *s =>
        {
            let mut bytes = vec![u8::from(*digits >= 0)];
            bytes.extend(&digits.unsigned_abs().to_le_bytes()[..usize::from(decimal_length(precision)) - 1]);
            bytes
        }
        (Type::UniqueIdentifier, Value::Guid(bytes)) => reordered(*bytes).to_vec(),
        (Type::Date, Value::Date(date)) => value::days(*date).to_le_bytes()[..3].to_vec(),
        (Type::Time(scale), Value::Time(time)) => time_bytes(*time, scale),
        (Type::SmallDateTime, Value::Moment(moment)) => {
            let minutes = value::minutes(*moment);
            [((minutes / 1440) as u16).to_le_bytes(), ((minutes % 1440) as u16).to_le_bytes()].concat()
        }
        (Type::DateTime, Value::Moment(moment)) => {
            let ticks = value::ticks(*moment);
            let day = 300 * 86_400;
            [(ticks.div_euclid(day) as i32).to_le_bytes(), (ticks.rem_euclid(day) as i32).to_le_bytes()].concat()
        }
        (Type::DateTime2(scale), Value::Moment(moment)) => {
            [&time_bytes(moment.time(), scale), &value::days(moment.date()).to_le_bytes()[..3]].concat()
        }
        (Type::DateTimeOffset(scale), Value::Offset(moment)) => {
            let utc = moment.naive_utc();
            let minutes = (moment.offset().local_minus_utc() / 60) as i16;
            let date = value::days(utc.date()).to_le_bytes();
            [&time_bytes(utc.time(), scale), &date[..3], &minutes.to_le_bytes()].concat()
        }
        (kind, value) => panic!("a column of type {kind} cannot hold {value:?}"),
    }
}

fn time_bytes(time: chrono::NaiveTime, scale: u8) -> Vec<u8> {
    let length = match scale {
        0..=2 => 3,
        3..=4 => 4,
        _ => 5,
    };
    value::increments(time, scale).to_le_bytes()[..length].to_vec()
}

/// The first three fields of a GUID are little-endian on the wire.
pub(crate) fn reordered(mut bytes: [u8; 16]) -> [u8; 16] {
    bytes[..4].reverse();
    bytes[4..6].reverse();
    bytes[6..8].reverse();
    bytes
}

pub(crate) fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// A text after the number of its UTF-16 units in one byte.
pub(crate) fn b_varchar(text: &str, out: &mut Vec<u8>) {
    out.push(text.encode_utf16().count() as u8);
    out.extend(utf16(text));
}

/// A text after the number of its UTF-16 units in two bytes.
pub(crate) fn us_varchar(text: &str, out: &mut Vec<u8>) {
    out.extend((text.encode_utf16().count() as u16).to_le_bytes());
    out.extend(utf16(text));
}
