//! What elements hold: amounts, quantities, dates, codes and text.

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use compact_str::CompactString;

/// An amount of money in cents.
pub type Cents = i64;

/// A quantity, such as units of service, in thousandths.
pub type Thousandths = i64;

/// Text of an element. Nearly every element is short enough to be held without an allocation.
pub type Text = CompactString;

/// Amounts have at most 18 digits, as in `decimal(18,2)`.
const TOO_LARGE: i64 = 1_000_000_000_000_000_000;

/// A number with a fixed count of decimals.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fixed {
    pub(crate) value: i64,
    /// It had more decimals that were not zero, and is rounded half away from zero.
    pub(crate) is_rounded: bool,
}

/// Reads a decimal number, such as `-12.5`; none where the bytes are no number or one that is too large.
#[inline]
pub(crate) fn fixed(bytes: &[u8], decimals: u32) -> Option<Fixed> {
    let (is_negative, digits) = match bytes {
        [sign @ (b'-' | b'+'), digits @ ..] => (*sign == b'-', digits),
        digits => (false, digits),
    };
    let mut value: i64 = 0;
    let mut decimals_read: Option<u32> = None;
    let (mut has_digit, mut rounds_up, mut is_rounded) = (false, false, false);
    for &byte in digits {
        let digit = match byte {
            b'0'..=b'9' => i64::from(byte - b'0'),
            b'.' if decimals_read.is_none() => {
                decimals_read = Some(0);
                continue;
            }
            _ => return None,
        };
        has_digit = true;
        match &mut decimals_read {
            Some(read) if *read >= decimals => {
                rounds_up |= *read == decimals && digit >= 5;
                is_rounded |= digit != 0;
                *read += 1;
                continue;
            }
            Some(read) => *read += 1,
            None => {}
        }
        value = value.checked_mul(10)?.checked_add(digit)?;
    }
    for _ in decimals_read.unwrap_or(0)..decimals {
        value = value.checked_mul(10)?;
    }
    value += i64::from(rounds_up);
    let value = if is_negative { -value } else { value };
    (has_digit && value.abs() < TOO_LARGE).then_some(Fixed { value, is_rounded })
}

/// Reads a date, `20240131`.
pub(crate) fn date(bytes: &[u8]) -> Option<NaiveDate> {
    if bytes.len() != 8 {
        return None;
    }
    NaiveDate::from_ymd_opt(number(&bytes[..4])? as i32, number(&bytes[4..6])?, number(&bytes[6..])?)
}

/// Reads a date and a time, `20240131` and `0830`, `083015` or with decimals of a second, which are left out.
pub(crate) fn date_time(day: &[u8], time: &[u8]) -> Option<NaiveDateTime> {
    if !matches!(time.len(), 4 | 6..=8) {
        return None;
    }
    let second = if time.len() > 4 { number(&time[4..6])? } else { 0 };
    number(time)?;
    let time = NaiveTime::from_hms_opt(number(&time[..2])?, number(&time[2..4])?, second)?;
    Some(date(day)?.and_time(time))
}

/// Reads digits alone; none where there are others, or more than nine.
pub(crate) fn number(bytes: &[u8]) -> Option<u32> {
    let is_number = (1..=9).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_digit);
    is_number.then(|| bytes.iter().fold(0, |number, byte| number * 10 + u32::from(byte - b'0')))
}

/// Reads text: UTF-8, and Latin-1 where it is none. None where it is empty.
#[inline]
pub(crate) fn text(bytes: &[u8]) -> Option<Text> {
    if bytes.is_empty() {
        return None;
    }
    Some(Text::from_utf8(bytes).unwrap_or_else(|_| bytes.iter().map(|byte| char::from(*byte)).collect()))
}

/// Reads a code, in upper case.
#[inline]
pub(crate) fn code(bytes: &[u8]) -> Option<Text> {
    let mut code = text(bytes)?;
    if bytes.iter().any(u8::is_ascii_lowercase) {
        code.make_ascii_uppercase();
    }
    Some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_read_to_the_cent() {
        let cases = [
            ("0", Some(0)),
            ("100", Some(10_000)),
            ("-12.5", Some(-1250)),
            (".5", Some(50)),
            ("7.", Some(700)),
            ("+7.10", Some(710)),
            ("-0.01", Some(-1)),
            ("9999999999999999.99", Some(999_999_999_999_999_999)),
            ("10000000000000000", None),
            ("99999999999999999999", None),
            ("9999999999999999.999", None),
            ("", None),
            ("-", None),
            (".", None),
            ("1.2.3", None),
            ("1,000", None),
            ("--1", None),
            ("1e3", None),
            ("12 3", None),
        ];
        for (text, cents) in cases {
            assert_eq!(fixed(text.as_bytes(), 2).map(|fixed| fixed.value), cents, "{text}");
        }
    }

    #[test]
    fn digits_after_the_cents_round_half_away_from_zero_and_are_told() {
        let cases = [
            ("12.345", 1235, true),
            ("-12.345", -1235, true),
            ("12.3449", 1234, true),
            ("12.3400", 1234, false),
            ("0.0050", 1, true),
        ];
        for (text, cents, is_rounded) in cases {
            let read = fixed(text.as_bytes(), 2).unwrap();
            assert_eq!((read.value, read.is_rounded), (cents, is_rounded), "{text}");
        }
    }

    #[test]
    fn dates_and_times_have_all_their_digits() {
        assert_eq!(date(b"20240229"), NaiveDate::from_ymd_opt(2024, 2, 29));
        for wrong in ["20230229", "00000000", "240229", "2024-02-29", "2024022x", ""] {
            assert_eq!(date(wrong.as_bytes()), None, "{wrong}");
        }
        let read = |time: &str| date_time(b"20240131", time.as_bytes()).map(|at| at.to_string());
        assert_eq!(read("0830").as_deref(), Some("2024-01-31 08:30:00"));
        assert_eq!(read("08301599").as_deref(), Some("2024-01-31 08:30:15"));
        for wrong in ["", "830", "08:30", "2460", "08301", "0830xx"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn text_that_is_no_utf_8_is_latin_1() {
        assert_eq!(text("Müller".as_bytes()).as_deref(), Some("Müller"));
        assert_eq!(text(b"M\xfcller").as_deref(), Some("Müller"));
        assert_eq!(text(b""), None);
        assert_eq!(code(b"co").as_deref(), Some("CO"));
    }
}
