//! Formats numbers and times for people.

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use rcm_domain::money::format_cents;

/// Placeholder for a value that does not exist, such as a ratio with a zero denominator.
pub(super) const NONE: &str = "–";

/// Formats an amount with thousands separators.
pub(super) fn money(cents: i128) -> String {
    let plain = format_cents(cents);
    let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, "00"));
    format!("{}.{fraction}", grouped(whole))
}

/// Formats a count with thousands separators.
pub(super) fn count(count: u64) -> String {
    grouped(&count.to_string())
}

/// A count, or nothing to look at where it is zero.
pub(super) fn count_or_blank(number: u64) -> String {
    if number == 0 { String::new() } else { count(number) }
}

/// Formats a share as a percentage.
pub(super) fn percent(share: Option<f64>, decimals: usize) -> String {
    share.map_or_else(|| NONE.to_owned(), |share| format!("{:.decimals$} %", share * 100.0))
}

/// Formats a duration.
pub(super) fn duration(time: TimeDelta) -> String {
    let milliseconds = time.num_milliseconds().max(0);
    match milliseconds {
        0..1_000 => format!("{milliseconds} ms"),
        1_000..60_000 => format!("{:.1} s", milliseconds as f64 / 1_000.0),
        _ => format!("{} min {:02} s", milliseconds / 60_000, milliseconds / 1_000 % 60),
    }
}

/// Formats an age in its largest unit.
pub(super) fn age(time: TimeDelta) -> String {
    match time.num_seconds().max(0) {
        0..60 => "just now".to_owned(),
        60..3_600 => format!("{} min", time.num_minutes()),
        3_600..172_800 => format!("{} h", time.num_hours()),
        _ => format!("{} d", time.num_days()),
    }
}

/// Formats a time to the second; only the date at midnight, because most sources have no time of day.
pub(super) fn moment(moment: DateTime<Utc>) -> String {
    let format = if moment.time() == NaiveTime::MIN { "%Y-%m-%d" } else { "%Y-%m-%d %H:%M:%S" };
    moment.format(format).to_string()
}

fn grouped(whole: &str) -> String {
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut grouped = String::from(sign);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_a_comma_after_three_digits() {
        let amounts = [417_348_391, -123_456, 99, -100_000].map(money);
        assert_eq!(amounts, ["4,173,483.91", "-1,234.56", "0.99", "-1,000.00"]);
    }

    #[test]
    fn a_share_of_nothing_is_a_dash() {
        assert_eq!((percent(Some(0.711_94), 2), percent(None, 2)), ("71.19 %".to_owned(), "–".to_owned()));
    }

    #[test]
    fn times_are_told_in_the_unit_that_fits() {
        let times = [40, 12_345, 61_000].map(|milliseconds| duration(TimeDelta::milliseconds(milliseconds)));
        assert_eq!(times, ["40 ms", "12.3 s", "1 min 01 s"]);
        let ages = [5, 600, 90_000, 200_000].map(|seconds| age(TimeDelta::seconds(seconds)));
        assert_eq!(ages, ["just now", "10 min", "25 h", "2 d"]);
    }
}
