//! `sp_executesql` with its parameters, as a client calls it.

use std::io;

use chrono::{FixedOffset, TimeZone};

use crate::encode::reordered;
use crate::login::from_utf16;
use crate::value::{self, Value};

const EXECUTE_SQL: u16 = 10;
const NULL_LENGTH: u16 = u16::MAX;

/// A statement and its parameters `@P1`, `@P2` ….
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    pub(crate) statement: String,
    pub(crate) parameters: Vec<Value>,
}

/// The text of a batch.
pub(crate) fn read_batch(message: &[u8]) -> io::Result<String> {
    let mut reader = Reader { bytes: message };
    reader.skip_headers()?;
    Ok(from_utf16(reader.bytes))
}

/// Reads a call of `sp_executesql`.
pub(crate) fn read_call(message: &[u8]) -> io::Result<Call> {
    let mut reader = Reader { bytes: message };
    reader.skip_headers()?;
    if reader.u16()? != u16::MAX || reader.u16()? != EXECUTE_SQL {
        return Err(unsupported("a procedure other than sp_executesql"));
    }
    reader.u16()?;
    let mut values = Vec::new();
    while !reader.bytes.is_empty() {
        let name = usize::from(reader.u8()?) * 2;
        reader.take(name)?;
        reader.u8()?;
        values.push(reader.value()?);
    }
    let mut values = values.into_iter();
    let Some(Value::Text(statement)) = values.next() else { return Err(unsupported("a statement that is no text")) };
    values.next();
    Ok(Call { statement, parameters: values.collect() })
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> io::Result<&'a [u8]> {
        let (taken, rest) =
            self.bytes.split_at_checked(count).ok_or_else(|| unsupported("a message that is cut off"))?;
        self.bytes = rest;
        Ok(taken)
    }

    /// A number of a few bytes, the lowest first.
    fn number(&mut self, bytes: usize) -> io::Result<u64> {
        Ok(self.take(bytes)?.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn u8(&mut self) -> io::Result<u8> {
        Ok(self.number(1)? as u8)
    }

    fn u16(&mut self) -> io::Result<u16> {
        Ok(self.number(2)? as u16)
    }

    fn skip_headers(&mut self) -> io::Result<()> {
        let length = self.number(4)? as usize;
        self.take(length.saturating_sub(4)).map(|_| ())
    }

    /// A type and a value of it.
    fn value(&mut self) -> io::Result<Value> {
        let token = self.u8()?;
        match token {
            0x24 | 0x26 | 0x68 | 0x6D | 0x6F => {
                self.u8()?;
                self.short_value(token, 0)
            }
            0x28 => self.short_value(token, 0),
            0x29..=0x2B => {
                let scale = self.u8()?;
                self.short_value(token, scale)
            }
            0x6A | 0x6C => {
                self.take(2)?;
                let scale = self.u8()?;
                self.short_value(token, scale)
            }
            0xE7 => {
                let length = self.u16()?;
                self.take(5)?;
                Ok(self.long_value(length)?.map_or(Value::Null, |bytes| Value::Text(from_utf16(&bytes))))
            }
            0xA5 => {
                let length = self.u16()?;
                Ok(self.long_value(length)?.map_or(Value::Null, Value::Bytes))
            }
            _ => Err(unsupported("a parameter of an unknown type")),
        }
    }

    /// A value after its length in one byte.
    fn short_value(&mut self, token: u8, scale: u8) -> io::Result<Value> {
        let length = usize::from(self.u8()?);
        if length == 0 {
            return Ok(Value::Null);
        }
        let mut body = Reader { bytes: self.take(length)? };
        Ok(match (token, length) {
            (0x24, _) => {
                let mut bytes = [0; 16];
                bytes.copy_from_slice(body.take(16)?);
                Value::Guid(reordered(bytes))
            }
            (0x26, 1) => Value::Int(body.number(1)? as i64),
            (0x26, 2) => Value::Int((body.number(2)? as i16).into()),
            (0x26, 4) => Value::Int((body.number(4)? as i32).into()),
            (0x26, _) => Value::Int(body.number(8)? as i64),
            (0x68, _) => Value::Bool(body.u8()? != 0),
            (0x6D, 4) => Value::Float(f32::from_bits(body.number(4)? as u32).into()),
            (0x6D, _) => Value::Float(f64::from_bits(body.number(8)?)),
            (0x6F, 4) => Value::Moment(value::from_minutes((body.number(2)? * 1440 + body.number(2)?) as i64)),
            (0x6F, _) => {
                let days = i64::from(body.number(4)? as i32);
                Value::Moment(value::from_ticks(days * 300 * 86_400 + body.number(4)? as i64))
            }
            (0x28, _) => Value::Date(value::from_days(body.number(3)? as i64)),
            (0x29, _) => Value::Time(value::from_increments(body.number(length)?, scale)),
            (0x2A, _) => {
                let time = value::from_increments(body.number(length - 3)?, scale);
                Value::Moment(value::from_days(body.number(3)? as i64).and_time(time))
            }
            (0x2B, _) => {
                let time = value::from_increments(body.number(length - 5)?, scale);
                let utc = value::from_days(body.number(3)? as i64).and_time(time);
                let offset = FixedOffset::east_opt(i32::from(body.u16()? as i16) * 60);
                Value::Offset(offset.ok_or_else(|| unsupported("an offset of days"))?.from_utc_datetime(&utc))
            }
            _ => {
                let sign = if body.u8()? == 0 { -1 } else { 1 };
                let digits =
                    body.take(length - 1)?.iter().rev().fold(0, |digits, byte| digits << 8 | i128::from(*byte));
                Value::Decimal(sign * digits, scale)
            }
        })
    }

    /// A value after its length in two bytes, or in chunks where its type has no limit.
    fn long_value(&mut self, limit: u16) -> io::Result<Option<Vec<u8>>> {
        if limit != u16::MAX {
            let length = self.u16()?;
            return if length == NULL_LENGTH { Ok(None) } else { Ok(Some(self.take(length.into())?.to_vec())) };
        }
        if self.number(8)? == u64::MAX {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        loop {
            let length = self.number(4)? as usize;
            if length == 0 {
                return Ok(Some(bytes));
            }
            bytes.extend(self.take(length)?);
        }
    }
}

fn unsupported(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, what.to_owned())
}
