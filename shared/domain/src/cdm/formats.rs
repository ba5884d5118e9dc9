//! Dates and times as a source writes them: texts, by the formats of its mapping.

use polars::prelude::*;
use rcm_model::cdm::date_format::{has_hour, has_offset};

/// The year 1000, in microseconds. `%Y` reads `24` as the year 24: a date before is one with a year of two
/// digits, which a later format may read.
const FIRST_MICROS: i64 = -30_610_224_000_000_000;

/// Reads each text by the first format that fits it. Most files keep to one format, so the later
/// ones are only tried while something is left.
///
/// Either all formats have offsets, and `zone` is UTC, or none has, and there is no `zone`.
pub(super) fn read(texts: &Column, formats: &[String], zone: Option<&TimeZone>) -> PolarsResult<Column> {
    let texts = texts.str()?;
    let moments = |micros: Int64Chunked| micros.into_datetime(TimeUnit::Microseconds, zone.cloned()).into_column();
    let mut read: Option<Int64Chunked> = None;
    for format in formats {
        let found = plausible(read_as(texts, format)?.physical())?;
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

fn plausible(micros: &Int64Chunked) -> PolarsResult<Int64Chunked> {
    let is_earlier = micros.lt(FIRST_MICROS).fill_null_with_values(false)?;
    if is_earlier.any() { micros.set(&is_earlier, None) } else { Ok(micros.clone()) }
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
    #[case("%Y-%m-%d", "1000-01-01", "1000-01-01 00:00:00")]
    fn what_a_format_writes_is_read(#[case] format: &str, #[case] text: &str, #[case] expected: &str) {
        assert_eq!(check(format), Ok(()));
        let texts = Column::new("".into(), [text]);
        let zone = has_offset(format).then_some(TimeZone::UTC);
        let read = read(&texts, &[format.to_owned()], zone.as_ref()).unwrap();
        let read = read.cast(&DataType::String).unwrap();
        assert!(read.str().unwrap().get(0).unwrap().starts_with(expected), "{read:?}");
    }

    #[test]
    fn a_year_of_two_digits_is_none_of_the_first_century() {
        let texts = Column::new("".into(), ["11/07/24", "11/07/2024"]);
        let read_by = |formats: &[&str]| {
            let formats: Vec<String> = formats.iter().map(|format| (*format).to_owned()).collect();
            let read = read(&texts, &formats, None).unwrap().cast(&DataType::Date).unwrap();
            read.cast(&DataType::String)
                .unwrap()
                .str()
                .unwrap()
                .iter()
                .map(|day| day.map(str::to_owned))
                .collect::<Vec<_>>()
        };
        let november: Vec<Option<String>> = vec![Some("2024-11-07".to_owned()); 2];
        assert_eq!(read_by(&["%m/%d/%Y"]), [None, november[1].clone()]);
        assert_eq!(read_by(&["%m/%d/%Y", "%m/%d/%y"]), november);
    }
}
