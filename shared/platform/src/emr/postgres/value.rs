//! Values as they are sent, in PostgreSQL's binary format.

use std::borrow::Cow;
use std::error::Error;

use bytes::BytesMut;
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use super::column::Form;
use super::numeric::{self, Numeric};
use crate::emr::database::{Cell, hexadecimal};

/// Days from 1970-01-01 to 2000-01-01, where PostgreSQL counts from.
const EPOCH_DAYS: i64 = 10_957;
const EPOCH_MICROS: i64 = EPOCH_DAYS * 86_400_000_000;
/// Years that bronze has dates of, as SQL Server and the standard have.
const YEARS: std::ops::RangeInclusive<i32> = 1..=9999;

/// The bytes of a value that is not null, of whatever type.
pub(super) struct RawBytes;

/// A value that a statement is bound to: the bytes that the server sent, or those of a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::emr) struct PostgresValue(Vec<u8>);

struct Raw<'a>(&'a [u8]);

impl RawBytes {
    /// The value at an index of a row; none where it is null.
    pub(super) fn of(row: &Row, index: usize) -> Option<&[u8]> {
        row.try_get::<_, Option<Raw<'_>>>(index).ok().flatten().map(|raw| raw.0)
    }
}

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl PostgresValue {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for PostgresValue {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl ToSql for PostgresValue {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    // A statement compares a column with values of its own type alone.
    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// Numbers in network order, one after the other.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn i16(&mut self) -> Option<i16> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(i16::from_be_bytes(*number))
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.i16().map(i16::cast_unsigned)
    }
}

/// What bronze keeps of a value; none if the bytes are none of the form.
pub(super) fn cell(form: Form, bytes: &[u8]) -> Option<Cell<'_>> {
    match form {
        Form::Boolean => bytes.first().map(|byte| Cell::Boolean(*byte != 0)),
        Form::Int16 => Some(Cell::Int32(i16::from_be_bytes(bytes.try_into().ok()?).into())),
        Form::Int32 => Some(Cell::Int32(i32::from_be_bytes(bytes.try_into().ok()?))),
        Form::Int64 => Some(Cell::Int64(i64::from_be_bytes(bytes.try_into().ok()?))),
        Form::Float32 => {
            let number = f32::from_be_bytes(bytes.try_into().ok()?);
            Some(if number.is_finite() { Cell::Float32(number) } else { no_number(number.into()) })
        }
        Form::Float64 => {
            let number = f64::from_be_bytes(bytes.try_into().ok()?);
            Some(if number.is_finite() { Cell::Float64(number) } else { no_number(number) })
        }
        Form::Numeric(_, scale) => Some(match numeric::read(bytes, scale)? {
            Numeric::Digits(digits) => Cell::Decimal(digits),
            Numeric::NoNumber(text) => Cell::Unfit(Cow::Borrowed(text)),
        }),
        Form::Date => Some(date(i32::from_be_bytes(bytes.try_into().ok()?))),
        Form::Timestamp | Form::TimestampTz => Some(timestamp(i64::from_be_bytes(bytes.try_into().ok()?))),
        Form::Text => Some(Cell::Text(Cow::Borrowed(std::str::from_utf8(bytes).ok()?))),
        Form::Bytes => Some(Cell::Text(Cow::Owned(hexadecimal(bytes)))),
    }
}

/// A float that is no number as PostgreSQL prints it.
fn no_number(number: f64) -> Cell<'static> {
    let text = match number {
        number if number.is_nan() => "NaN",
        number if number < 0.0 => "-Infinity",
        _ => "Infinity",
    };
    Cell::Unfit(Cow::Borrowed(text))
}

fn date(days: i32) -> Cell<'static> {
    let date = match days {
        i32::MAX => return Cell::Unfit(Cow::Borrowed("infinity")),
        i32::MIN => return Cell::Unfit(Cow::Borrowed("-infinity")),
        days => NaiveDate::default().checked_add_signed(TimeDelta::days(i64::from(days) + EPOCH_DAYS)),
    };
    match date {
        Some(date) if YEARS.contains(&date.year()) => Cell::Date(days + EPOCH_DAYS as i32),
        date => out_of_range(date.map(|date| date.to_string())),
    }
}

fn timestamp(micros: i64) -> Cell<'static> {
    let unix = match micros {
        i64::MAX => return Cell::Unfit(Cow::Borrowed("infinity")),
        i64::MIN => return Cell::Unfit(Cow::Borrowed("-infinity")),
        micros => micros.checked_add(EPOCH_MICROS),
    };
    let moment = unix.and_then(DateTime::from_timestamp_micros);
    match (unix, moment) {
        (Some(unix), Some(moment)) if YEARS.contains(&moment.year()) => Cell::Timestamp(unix),
        (_, moment) => out_of_range(moment.map(|moment| moment.naive_utc().to_string())),
    }
}

fn out_of_range(text: Option<String>) -> Cell<'static> {
    Cell::Unfit(text.map_or(Cow::Borrowed("out of range"), Cow::Owned))
}

/// The moment of a value, on its column's clock; none if the form has no moments. One out of the years that bronze
/// has is the first or the last of them: it is before, or after, all that a window compares it with.
pub(super) fn moment(form: Form, bytes: &[u8]) -> Option<NaiveDateTime> {
    let (first, last) = bounds();
    let micros = match form {
        Form::Date => match i32::from_be_bytes(bytes.try_into().ok()?) {
            i32::MAX => i64::MAX,
            i32::MIN => i64::MIN,
            days => i64::from(days) * 86_400_000_000,
        },
        Form::Timestamp | Form::TimestampTz => i64::from_be_bytes(bytes.try_into().ok()?),
        _ => return None,
    };
    let moment = micros.checked_add(EPOCH_MICROS).and_then(DateTime::from_timestamp_micros);
    let moment = moment.map_or(if micros < 0 { first } else { last }, |moment| moment.naive_utc());
    Some(moment.clamp(first, last))
}

/// A parameter that is never later than a moment.
pub(super) fn bind(form: Form, moment: NaiveDateTime) -> PostgresValue {
    if form == Form::Date {
        let days = (moment.date() - NaiveDate::default()).num_days() - EPOCH_DAYS;
        return PostgresValue((days as i32).to_be_bytes().to_vec());
    }
    let micros = moment.and_utc().timestamp_micros() - EPOCH_MICROS;
    PostgresValue(micros.to_be_bytes().to_vec())
}

fn bounds() -> (NaiveDateTime, NaiveDateTime) {
    let first_day = |year| NaiveDate::from_ymd_opt(year, 1, 1).unwrap_or_default().and_time(NaiveTime::MIN);
    (first_day(*YEARS.start()), first_day(YEARS.end() + 1) - TimeDelta::microseconds(1))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn at(text: &str) -> NaiveDateTime {
        text.parse().unwrap()
    }

    #[rstest]
    #[case(Form::Date, "2024-11-07T23:59:59", "2024-11-07T00:00:00")]
    #[case(Form::Date, "1969-12-31T23:59:59", "1969-12-31T00:00:00")]
    #[case(Form::Timestamp, "2024-11-07T06:30:00.123456789", "2024-11-07T06:30:00.123456")]
    #[case(Form::Timestamp, "1960-11-07T06:30:00.123456789", "1960-11-07T06:30:00.123456")]
    #[case(Form::TimestampTz, "9999-12-31T23:59:59.999999", "9999-12-31T23:59:59.999999")]
    fn a_parameter_is_never_later_than_its_moment(#[case] form: Form, #[case] text: &str, #[case] expected: &str) {
        assert_eq!(moment(form, bind(form, at(text)).bytes()), Some(at(expected)));
    }

    #[rstest]
    #[case(Form::Timestamp, &i64::MAX.to_be_bytes(), "9999-12-31T23:59:59.999999")]
    #[case(Form::Timestamp, &i64::MIN.to_be_bytes(), "0001-01-01T00:00:00")]
    #[case(Form::Date, &i32::MAX.to_be_bytes(), "9999-12-31T23:59:59.999999")]
    #[case(Form::Date, &i32::MIN.to_be_bytes(), "0001-01-01T00:00:00")]
    #[case::last_of_the_server(Form::Timestamp, &9_223_371_331_199_999_999_i64.to_be_bytes(), "9999-12-31T23:59:59.999999")]
    #[case::first_of_the_server(Form::Date, &(-2_451_545_i32).to_be_bytes(), "0001-01-01T00:00:00")]
    fn a_moment_without_bounds_is_before_or_after_all_others(
        #[case] form: Form,
        #[case] bytes: &[u8],
        #[case] expected: &str,
    ) {
        assert_eq!(moment(form, bytes), Some(at(expected)));
        assert!(matches!(cell(form, bytes), Some(Cell::Unfit(_))));
    }

    #[test]
    fn bytes_that_are_no_value_of_a_type_are_no_value() {
        assert_eq!(cell(Form::Int32, &[0, 1]), None);
        assert_eq!(cell(Form::Text, &[0xFF]), None);
        assert_eq!(moment(Form::Text, &[0; 8]), None);
    }
}
