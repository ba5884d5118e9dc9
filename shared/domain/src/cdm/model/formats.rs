//! Dates and times as a source writes them: texts, by the formats of its mapping.

use std::fmt::{Display, Write};

use chrono::DateTime;
use chrono::format::{Item, Numeric, StrftimeItems};
use polars::prelude::*;

/// A moment of which no part can be taken for another, on a clock that is not UTC.
const SAMPLE: &str = "2023-11-25T16:47:38.123456+01:30";

/// Checks that what a format writes is read as what it was: to the day, and as far as the format
/// tells the time.
///
/// # Errors
/// It is no format, or not all that it tells would be read.
pub(in crate::cdm) fn check(format: &str) -> Result<(), String> {
    let has_field = StrftimeItems::new(format).any(|item| matches!(item, Item::Numeric(..) | Item::Fixed(_)));
    if !has_field || StrftimeItems::new(format).any(|item| item == Item::Error) {
        return Err(format!("`{format}` is no date format; formats look like `%d.%m.%Y`"));
    }
    if reads_back(format).unwrap_or(false) {
        return Ok(());
    }
    Err(format!(
        "what the date format `{format}` writes cannot be read: it must tell the day, the month and the year; an hour \
         goes with a minute, `%I` with `%p`, an offset with a time; the name of a zone (`%Z`) is not read"
    ))
}

/// Whether a format tells moments by themselves: with their offset, or in seconds since 1970.
pub(super) fn has_offset(format: &str) -> bool {
    let without_offset = DateTime::UNIX_EPOCH.naive_utc();
    let is_timestamp = |item| matches!(item, Item::Numeric(Numeric::Timestamp, _));
    written(without_offset.format(format)).is_none() || StrftimeItems::new(format).any(is_timestamp)
}

/// Reads each text by the first format that fits it. Most files keep to one format, so the later
/// ones are only tried while something is left.
///
/// Either all formats have offsets, and `zone` is UTC, or none has, and there is no `zone`.
pub(super) fn read(texts: &Column, formats: &[String], zone: Option<&TimeZone>) -> PolarsResult<Column> {
    let texts = texts.str()?;
    let moments = |micros: Int64Chunked| micros.into_datetime(TimeUnit::Microseconds, zone.cloned()).into_column();
    let mut read: Option<Int64Chunked> = None;
    for format in formats {
        let found = read_as(texts, format)?.physical().clone();
        let merged = match read {
            None => found,
            Some(before) => before.zip_with(&before.is_not_null(), &found)?,
        };
        if merged.null_count() == texts.null_count() {
            return Ok(moments(merged));
        }
        read = Some(merged);
    }
    Ok(moments(read.unwrap_or_else(|| Int64Chunked::full_null(texts.name().clone(), texts.len()))))
}

fn read_as(texts: &StringChunked, format: &str) -> PolarsResult<DatetimeChunked> {
    let has_offset = has_offset(format);
    let is_hour = |item| matches!(item, Item::Numeric(Numeric::Hour | Numeric::Hour12, _));
    if has_offset || StrftimeItems::new(format).any(is_hour) {
        let raise = StringChunked::from_slice("".into(), &["raise"]);
        return texts.as_datetime(Some(format), TimeUnit::Microseconds, true, has_offset, None, &raise);
    }
    let dates = texts.as_date(Some(format), true)?;
    Ok(dates.into_series().cast(&DataType::Datetime(TimeUnit::Microseconds, None))?.datetime()?.clone())
}

/// Whether the sample, written and read, is of the same day and writes the same text again; none
/// where it cannot be written or read.
fn reads_back(format: &str) -> Option<bool> {
    let sample = DateTime::parse_from_rfc3339(SAMPLE).ok()?;
    let text = written(sample.format(format))?;
    let texts = StringChunked::from_slice("".into(), &[text.as_str()]);
    let micros = read_as(&texts, format).ok()?.physical().get(0)?;
    let read = DateTime::from_timestamp_micros(micros)?;
    let read = if has_offset(format) {
        read.with_timezone(sample.offset())
    } else {
        read.naive_utc().and_local_timezone(*sample.offset()).single()?
    };
    Some(read.date_naive() == sample.date_naive() && written(read.format(format))? == text)
}

/// A moment as a cell has it, without blanks around it; none where its format tells what it does
/// not have.
fn written(moment: impl Display) -> Option<String> {
    let mut text = String::new();
    write!(text, "{moment}").ok()?;
    Some(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    fn a_format_whose_values_would_be_misread_is_refused(
        #[values(
            "%Q-%d", "dd.mm.yyyy", "", // no format
            "%m/%d", "%Y-%m", "%Y", "%H:%M", "%T", // no whole date
            "%d.%m.%Y %H", "%d.%m.%Y %M", "%d.%m.%Y %I:%M", "%d.%m.%Y %H:%M %p", // no whole time
            "%Y-%m-%d %H:%M %Z", "%Y-%m-%d %z", // a zone or an offset that would be passed over
        )]
        format: &str,
    ) {
        assert!(check(format).unwrap_err().contains(&format!("`{format}`")));
    }

    #[rstest::rstest]
    #[case("%Y%m%d", "20240702", "2024-07-02 00:00:00")]
    #[case("%-m/%-d/%y", "7/2/24", "2024-07-02 00:00:00")]
    #[case("%d-%b-%Y", "02-Jul-2024", "2024-07-02 00:00:00")]
    #[case("%Y-%j", "2024-184", "2024-07-02 00:00:00")]
    #[case("%m/%d/%Y %I:%M:%S %p", "07/02/2024 08:30:15 PM", "2024-07-02 20:30:15")]
    #[case("%d.%m.%Y %X", "02.07.2024 20:30:15", "2024-07-02 20:30:15")]
    #[case("%c", "Tue Jul  2 20:30:15 2024", "2024-07-02 20:30:15")]
    #[case("%D %r", "07/02/24 08:30:15 PM", "2024-07-02 20:30:15")]
    #[case("%F %R", "2024-07-02 20:30", "2024-07-02 20:30:00")]
    #[case("%Y-%m-%dT%H:%M:%S%.f", "2024-07-02T20:30:15.5", "2024-07-02 20:30:15.500")]
    #[case("%Y-%m-%d %H:%M:%S %z", "2024-07-02 20:30:15 -0400", "2024-07-03 00:30:15")]
    #[case("%+", "2024-07-02T20:30:15.5-04:00", "2024-07-03 00:30:15.500")]
    #[case("%s", "1719966615", "2024-07-03 00:30:15")]
    fn what_a_format_writes_is_read(#[case] format: &str, #[case] text: &str, #[case] expected: &str) {
        assert_eq!(check(format), Ok(()));
        let texts = Column::new("".into(), [text]);
        let zone = has_offset(format).then_some(TimeZone::UTC);
        let read = read(&texts, &[format.to_owned()], zone.as_ref()).unwrap();
        let read = read.cast(&DataType::String).unwrap();
        assert!(read.str().unwrap().get(0).unwrap().starts_with(expected), "{read:?}");
    }
}
