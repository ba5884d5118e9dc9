//! Dates and times of ISO 8601 in all their common forms.

use chrono::{NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};

use super::date_format::FIRST_YEAR;

/// A date, or a moment, as a text says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// On the clock of the text; midnight where it says no time.
    pub local: NaiveDateTime,
    /// How far that clock is before UTC, where the text says so.
    pub offset: Option<TimeDelta>,
}

impl Moment {
    /// The moment in UTC, where the text says its offset.
    #[must_use]
    pub fn utc(&self) -> Option<NaiveDateTime> {
        self.local.checked_sub_signed(self.offset?)
    }
}

/// Reads `2024-09-10` or `20240910`, with or without a time after `T` or a blank: hours and minutes, seconds,
/// fractions, and `Z` or an offset. None of anything else.
#[must_use]
pub fn read(text: &str) -> Option<Moment> {
    let bytes = text.trim().as_bytes();
    let (date, rest) = date(bytes)?;
    if rest.is_empty() {
        return Some(Moment { local: date.and_time(NaiveTime::MIN), offset: None });
    }
    let rest = match rest {
        [b'T' | b't' | b' ', rest @ ..] => rest.trim_ascii_start(),
        _ => return None,
    };
    let (time, rest) = time(rest)?;
    let rest = rest.trim_ascii_start();
    let offset = if rest.is_empty() { None } else { Some(offset(rest)?) };
    Some(Moment { local: date.and_time(time), offset })
}

fn date(bytes: &[u8]) -> Option<(NaiveDate, &[u8])> {
    let (year, rest) = number(bytes, 4)?;
    let (month, day, rest) = if let [b'-', rest @ ..] = rest {
        let (month, rest) = number(rest, 2)?;
        let (day, rest) = number(rest.strip_prefix(b"-")?, 2)?;
        (month, day, rest)
    } else {
        let (month, rest) = number(rest, 2)?;
        let (day, rest) = number(rest, 2)?;
        (month, day, rest)
    };
    let date = NaiveDate::from_ymd_opt(year as i32, month, day)?;
    (year as i32 >= FIRST_YEAR).then_some((date, rest))
}

fn time(bytes: &[u8]) -> Option<(NaiveTime, &[u8])> {
    let (hour, rest) = number(bytes, 2)?;
    let has_colons = rest.first() == Some(&b':');
    let after_colon = |rest: &'_ [u8]| -> Option<usize> {
        if !has_colons {
            return Some(0);
        }
        (rest.first() == Some(&b':')).then_some(1)
    };
    let (minute, mut rest) = number(&rest[after_colon(rest)?..], 2)?;
    let (mut second, mut nanos) = (0, 0);
    let next = rest.first().copied();
    if (has_colons && next == Some(b':')) || (!has_colons && next.is_some_and(|next| next.is_ascii_digit())) {
        (second, rest) = number(&rest[after_colon(rest)?..], 2)?;
        if let [b'.' | b',', fraction @ ..] = rest {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if digits == 0 {
                return None;
            }
            let text = fraction.iter().take(digits.min(9));
            nanos = text.fold(0_u32, |nanos, byte| nanos * 10 + u32::from(byte - b'0'));
            nanos *= 10_u32.pow(9 - digits.min(9) as u32);
            rest = &fraction[digits..];
        }
    }
    Some((NaiveTime::from_hms_nano_opt(hour, minute, second, nanos)?, rest))
}

/// `Z`, or hours and minutes before UTC.
fn offset(bytes: &[u8]) -> Option<TimeDelta> {
    let (sign, rest) = match bytes {
        [b'Z' | b'z'] => return Some(TimeDelta::zero()),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let (hours, rest) = number(rest, 2)?;
    let rest = rest.strip_prefix(b":").unwrap_or(rest);
    let (minutes, rest) = if rest.is_empty() { (0, rest) } else { number(rest, 2)? };
    if !rest.is_empty() || hours > 18 || minutes > 59 {
        return None;
    }
    Some(TimeDelta::minutes(sign * i64::from(hours * 60 + minutes)))
}

/// A number of so many digits.
fn number(bytes: &[u8], digits: usize) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_at_checked(digits)?;
    let is_number = number.iter().all(u8::is_ascii_digit);
    is_number.then(|| (number.iter().fold(0, |sum, byte| sum * 10 + u32::from(byte - b'0')), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("2024-09-10", "2024-09-10 00:00:00", None)]
    #[case("20240910", "2024-09-10 00:00:00", None)]
    #[case("2024-09-10T12:30", "2024-09-10 12:30:00", None)]
    #[case("2024-09-10 12:30:15", "2024-09-10 12:30:15", None)]
    #[case("20240910T123015", "2024-09-10 12:30:15", None)]
    #[case("2024-09-10T12:00:00Z", "2024-09-10 12:00:00", Some("2024-09-10 12:00:00"))]
    #[case("2024-09-10T12:00:00z", "2024-09-10 12:00:00", Some("2024-09-10 12:00:00"))]
    #[case("2024-09-10T12:00+02:00", "2024-09-10 12:00:00", Some("2024-09-10 10:00:00"))]
    #[case("2024-09-10 12:00:00 -0500", "2024-09-10 12:00:00", Some("2024-09-10 17:00:00"))]
    #[case("2024-09-10T12:00:00.5+01", "2024-09-10 12:00:00.500", Some("2024-09-10 11:00:00.500"))]
    #[case("2024-09-10T12:00:00,123456789", "2024-09-10 12:00:00.123456789", None)]
    #[case("2024-09-10T12:00:00.0000000", "2024-09-10 12:00:00", None)]
    fn a_moment_is_read_in_every_common_form(#[case] text: &str, #[case] local: &str, #[case] utc: Option<&str>) {
        let moment = read(text).unwrap();
        assert_eq!(moment.local.to_string(), local);
        assert_eq!(moment.utc().map(|utc| utc.to_string()).as_deref(), utc);
    }

    #[rstest::rstest]
    #[case("2024-13-01")]
    #[case("2024-02-30")]
    #[case("0024-01-01")]
    #[case("2024-09")]
    #[case("2024-09-10T")]
    #[case("2024-09-10T12")]
    #[case("2024-09-10T12:00:00.")]
    #[case("2024-09-10T25:00")]
    #[case("2024-09-10T12:00 CET")]
    #[case("2024-09-10T12:00:00+1:00")]
    #[case("10.09.2024")]
    #[case("NULL")]
    #[case("")]
    fn anything_else_is_none(#[case] text: &str) {
        assert_eq!(read(text), None);
    }
}
