//! Formats of dates and times in a source's texts, in the notation of `chrono`.

use std::fmt::{Display, Write};

use chrono::format::{Fixed, Item, Numeric, Parsed, StrftimeItems, parse};
use chrono::{DateTime, NaiveTime};

/// `%Y` reads `24` as the year 24: a date before this year is one with a year of two digits, which a later
/// format may read.
pub const FIRST_YEAR: i32 = 1000;

/// A moment of which no part can be taken for another, on a clock that is not UTC.
const SAMPLE: &str = "2023-11-25T16:47:38.123456+01:30";

/// Checks that what a format writes is read as what it was: to the day, and as far as the format
/// tells the time.
///
/// # Errors
/// It is no format, or not all that it tells would be read.
pub fn check(format: &str) -> Result<(), String> {
    let has_field = StrftimeItems::new(format).any(|item| matches!(item, Item::Numeric(..) | Item::Fixed(_)));
    if !has_field || StrftimeItems::new(format).any(|item| item == Item::Error) {
        return Err(format!("`{format}` is no date format; formats look like `%d.%m.%Y`"));
    }
    if !has_two_clocks(format) && reads_back(format).unwrap_or(false) {
        return Ok(());
    }
    Err(format!(
        "what the date format `{format}` writes cannot be read: it must tell the day, the month and the year; an hour \
         goes with a minute, `%I` and nothing else with `%p`, an offset with a time; the name of a zone (`%Z`) is not read"
    ))
}

/// Whether a format tells moments by themselves: with their offset, or in seconds since 1970.
#[must_use]
pub fn has_offset(format: &str) -> bool {
    let without_offset = DateTime::UNIX_EPOCH.naive_utc();
    let is_timestamp = |item| matches!(item, Item::Numeric(Numeric::Timestamp, _));
    written(without_offset.format(format)).is_none() || StrftimeItems::new(format).any(is_timestamp)
}

/// Whether a format tells the hour, so that what it writes is a time and not only a date.
#[must_use]
pub fn has_hour(format: &str) -> bool {
    StrftimeItems::new(format).any(|item| matches!(item, Item::Numeric(Numeric::Hour | Numeric::Hour12, _)))
}

/// Whether a format tells the year by its last two digits alone.
#[must_use]
pub fn has_short_year(format: &str) -> bool {
    StrftimeItems::new(format).any(|item| matches!(item, Item::Numeric(Numeric::YearMod100, _)))
}

/// Whether a format tells the hour of 24 and the half of the day beside it, which readers understand
/// each in its own way.
fn has_two_clocks(format: &str) -> bool {
    let is_half = |item| matches!(item, Item::Fixed(Fixed::LowerAmPm | Fixed::UpperAmPm));
    let is_hour_of_24 = |item| matches!(item, Item::Numeric(Numeric::Hour, _));
    StrftimeItems::new(format).any(is_half) && StrftimeItems::new(format).any(is_hour_of_24)
}

/// Whether the sample, written and read, is of the same day and writes the same text again; none
/// where it cannot be written or read.
fn reads_back(format: &str) -> Option<bool> {
    let sample = DateTime::parse_from_rfc3339(SAMPLE).ok()?;
    let text = written(sample.format(format))?;
    let mut parsed = Parsed::new();
    parse(&mut parsed, &text, StrftimeItems::new(format)).ok()?;
    let read = if has_offset(format) {
        parsed.to_datetime().ok()?.with_timezone(sample.offset())
    } else {
        let time = if has_hour(format) { parsed.to_naive_time().ok()? } else { NaiveTime::MIN };
        parsed.to_naive_date().ok()?.and_time(time).and_local_timezone(*sample.offset()).single()?
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
}
