//! Dates and times as a source writes them: texts, by the formats of its mapping.

use polars::prelude::*;
use rcm_model::cdm::date_format::{has_hour, has_offset};

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
    if has_offset || has_hour(format) {
        let raise = StringChunked::from_slice("".into(), &["raise"]);
        return texts.as_datetime(Some(format), TimeUnit::Microseconds, true, has_offset, None, &raise);
    }
    let dates = texts.as_date(Some(format), true)?;
    Ok(dates.into_series().cast(&DataType::Datetime(TimeUnit::Microseconds, None))?.datetime()?.clone())
}

#[cfg(test)]
mod tests {
    use rcm_model::cdm::date_format::check;

    use super::*;

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
