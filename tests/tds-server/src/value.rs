//! Values of rows.

use std::cmp::Ordering;

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike};

use crate::types::Type;

/// `datetime` counts three hundredths of a second.
const TICKS_PER_DAY: i64 = 300 * 86_400;

/// A value of a row, or of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// Digits, and the number of digits after the point.
    Decimal(i128, u8),
    Text(String),
    Bytes(Vec<u8>),
    /// In the order in which it is printed.
    Guid([u8; 16]),
    Date(NaiveDate),
    Time(NaiveTime),
    Moment(NaiveDateTime),
    Offset(DateTime<FixedOffset>),
}

/// A row of a table.
pub type Row = Vec<Value>;

impl Value {
    /// A decimal from its text, such as `-12.3400`.
    #[must_use]
    pub fn decimal(text: &str) -> Self {
        let scale = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        Self::Decimal(text.replace('.', "").parse().unwrap(), scale as u8)
    }

    /// A date from its text, such as `2024-11-07`.
    #[must_use]
    pub fn date(text: &str) -> Self {
        Self::Date(text.parse().unwrap())
    }

    /// A time of the day from its text, such as `06:30:00.1234567`.
    #[must_use]
    pub fn time(text: &str) -> Self {
        Self::Time(text.parse().unwrap())
    }

    /// A moment without an offset from its text, such as `2024-11-07 06:30:00.123`.
    #[must_use]
    pub fn moment(text: &str) -> Self {
        Self::Moment(text.replace(' ', "T").parse().unwrap())
    }

    /// A moment with an offset from its text, such as `2024-11-07T06:30:00-05:00`.
    #[must_use]
    pub fn offset(text: &str) -> Self {
        Self::Offset(DateTime::parse_from_rfc3339(text).unwrap())
    }

    /// Returns the value as stored in a column of a type.
    #[must_use]
    pub fn stored(self, kind: Type) -> Self {
        match (self, kind) {
            (Self::Moment(moment), Type::DateTime) => Self::Moment(from_ticks(ticks(moment))),
            (Self::Moment(moment), Type::SmallDateTime) => {
                let half_up = moment + TimeDelta::seconds(30);
                let seconds = half_up.num_seconds_from_midnight() % 60;
                let whole = half_up.with_nanosecond(0).unwrap_or(half_up) - TimeDelta::seconds(seconds.into());
                Self::Moment(whole)
            }
            (Self::Text(text), Type::Char(length) | Type::NChar(length)) => {
                Self::Text(format!("{text:<width$}", width = usize::from(length)))
            }
            (Self::Bytes(mut bytes), Type::Binary(length)) => {
                bytes.resize(length.into(), 0);
                Self::Bytes(bytes)
            }
            (value, _) => value,
        }
    }

    /// The value as a literal of T-SQL.
    #[must_use]
    pub fn literal(&self) -> String {
        match self {
            Self::Null => "NULL".to_owned(),
            Self::Bool(value) => u8::from(*value).to_string(),
            Self::Int(value) => value.to_string(),
            Self::Float(value) => format!("{value:e}"),
            Self::Decimal(..) => self.to_text(),
            Self::Text(_) => format!("N'{}'", self.to_text().replace('\'', "''")),
            Self::Bytes(bytes) => bytes.iter().fold("0x".to_owned(), |text, byte| format!("{text}{byte:02X}")),
            _ => format!("'{}'", self.to_text()),
        }
    }

    /// The value as `CAST(… AS nvarchar)` writes it.
    #[must_use]
    pub fn to_text(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Bool(value) => u8::from(*value).to_string(),
            Self::Int(value) => value.to_string(),
            Self::Float(value) => value.to_string(),
            Self::Decimal(digits, 0) => digits.to_string(),
            Self::Decimal(digits, scale) => {
                let sign = if *digits < 0 { "-" } else { "" };
                let width = usize::from(*scale) + 1;
                let text = format!("{:0width$}", digits.unsigned_abs());
                let (whole, fraction) = text.split_at(text.len() - usize::from(*scale));
                format!("{sign}{whole}.{fraction}")
            }
            Self::Text(text) => text.clone(),
            Self::Bytes(bytes) => bytes.iter().map(|byte| char::from(*byte)).collect(),
            Self::Guid(bytes) => guid_text(bytes),
            Self::Date(date) => date.to_string(),
            Self::Time(time) => format!("{}{}", time.format("%H:%M:%S"), fraction(*time)),
            Self::Moment(moment) => format!("{}{}", moment.format("%Y-%m-%dT%H:%M:%S"), fraction(moment.time())),
            Self::Offset(moment) => {
                format!("{}{}{}", moment.format("%Y-%m-%dT%H:%M:%S"), fraction(moment.time()), moment.format("%:z"))
            }
        }
    }

    /// Compares two values; returns `None` if one is null or their kinds differ.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(one), Self::Bool(other)) => Some(one.cmp(other)),
            (Self::Int(one), Self::Int(other)) => Some(one.cmp(other)),
            (Self::Float(one), Self::Float(other)) => one.partial_cmp(other),
            (Self::Decimal(one, scale), Self::Decimal(other, other_scale)) if scale == other_scale => {
                Some(one.cmp(other))
            }
            (Self::Text(one), Self::Text(other)) => {
                Some(one.trim_end().to_lowercase().cmp(&other.trim_end().to_lowercase()))
            }
            (Self::Bytes(one), Self::Bytes(other)) => Some(one.cmp(other)),
            (Self::Guid(one), Self::Guid(other)) => Some(one.cmp(other)),
            (Self::Time(one), Self::Time(other)) => Some(one.cmp(other)),
            (Self::Offset(one), Self::Offset(other)) => Some(one.cmp(other)),
            (Self::Date(_) | Self::Moment(_), Self::Date(_) | Self::Moment(_)) => {
                Some(self.as_moment()?.cmp(&other.as_moment()?))
            }
            _ => None,
        }
    }

    fn as_moment(&self) -> Option<NaiveDateTime> {
        match self {
            Self::Date(date) => Some(date.and_time(NaiveTime::MIN)),
            Self::Moment(moment) => Some(*moment),
            _ => None,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// The seven digits of a second's fraction that SQL Server has, with the point before them.
fn fraction(time: NaiveTime) -> String {
    format!(".{:07}", time.nanosecond() % 1_000_000_000 / 100).trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn guid_text(bytes: &[u8; 16]) -> String {
    let hex = bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02X}"));
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

fn epoch(year: i32) -> NaiveDateTime {
    NaiveDate::from_ymd_opt(year, 1, 1).unwrap_or_default().and_time(NaiveTime::MIN)
}

/// Days since 0001-01-01, as `date` counts.
pub(crate) fn days(date: NaiveDate) -> i64 {
    (date - epoch(1).date()).num_days()
}

/// The date of a number of days since 0001-01-01.
pub(crate) fn from_days(days: i64) -> NaiveDate {
    epoch(1).date() + TimeDelta::days(days)
}

/// Three hundredths of a second since 1900-01-01, as `datetime` counts.
pub(crate) fn ticks(moment: NaiveDateTime) -> i64 {
    let day = (moment.date() - epoch(1900).date()).num_days();
    let nanos = increments(moment.time(), 9) as i64;
    day * TICKS_PER_DAY + (nanos * 3 + 5_000_000) / 10_000_000
}

/// The moment of a number of three hundredths of a second since 1900-01-01.
pub(crate) fn from_ticks(ticks: i64) -> NaiveDateTime {
    let (day, rest) = (ticks.div_euclid(TICKS_PER_DAY), ticks.rem_euclid(TICKS_PER_DAY));
    epoch(1900) + TimeDelta::days(day) + TimeDelta::nanoseconds(rest * 10_000_000 / 3)
}

/// Minutes since 1900-01-01, as `smalldatetime` counts.
pub(crate) fn minutes(moment: NaiveDateTime) -> i64 {
    (moment - epoch(1900)).num_minutes()
}

/// The moment of a number of minutes since 1900-01-01.
pub(crate) fn from_minutes(minutes: i64) -> NaiveDateTime {
    epoch(1900) + TimeDelta::minutes(minutes)
}

/// Units of `10^-scale` seconds since midnight.
pub(crate) fn increments(time: NaiveTime, scale: u8) -> u64 {
    let nanos = u64::from(time.num_seconds_from_midnight()) * 1_000_000_000 + u64::from(time.nanosecond());
    nanos / 10_u64.pow(9 - u32::from(scale))
}

/// The time of a number of units of `10^-scale` seconds.
pub(crate) fn from_increments(increments: u64, scale: u8) -> NaiveTime {
    let nanos = increments * 10_u64.pow(9 - u32::from(scale));
    NaiveTime::MIN + TimeDelta::nanoseconds(nanos as i64)
}
