//! Figures as people read them.

use chrono::{Datelike, NaiveDate};

use crate::money;

/// A blank at which no line breaks.
const BLANK: char = '\u{a0}';
const MINUS: char = '−';

/// A figure, and the exact value behind it: an amount with two decimals, a count, or a share or number of days.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Figure {
    pub text: String,
    /// Set apart from the number: `M`, `%`.
    pub unit: String,
    /// None for a figure that is not shown because it is of too few rows.
    pub value: Option<String>,
}

impl Figure {
    /// The figure with its unit.
    #[must_use]
    pub fn whole(&self) -> String {
        match self.unit.as_str() {
            "" => self.text.clone(),
            "%" => format!("{}%", self.text),
            unit => format!("{}{BLANK}{unit}", self.text),
        }
    }
}

/// How amounts and counts are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Style {
    pub currency: String,
    /// Counts from 1 up to one below this are not shown.
    pub small_cells: u64,
}

impl Style {
    /// An amount in its largest unit: `$31.0 M`.
    #[must_use]
    pub fn short(&self, cents: i128) -> Figure {
        let (number, unit) = scaled(cents.unsigned_abs());
        let sign = if cents < 0 { MINUS.to_string() } else { String::new() };
        Figure {
            text: format!("{sign}{}{number}", self.currency),
            unit: unit.to_owned(),
            value: Some(money::format_cents(cents)),
        }
    }

    /// An amount with its sign, also before a rise.
    #[must_use]
    pub fn change(&self, cents: i128) -> Figure {
        let figure = self.short(cents);
        if cents > 0 { Figure { text: format!("+{}", figure.text), ..figure } } else { figure }
    }

    /// An amount in words for a sentence: `$4.2 million`.
    #[must_use]
    pub fn words(&self, cents: i128) -> String {
        let Figure { text, unit, .. } = self.short(cents);
        match unit.as_str() {
            "B" => format!("{text}{BLANK}billion"),
            "M" => format!("{text}{BLANK}million"),
            "K" => format!("{text}{BLANK}thousand"),
            _ => text,
        }
    }

    /// A whole amount: `$31,013,971`.
    #[must_use]
    pub fn full(&self, cents: i128) -> Figure {
        let sign = if cents < 0 { MINUS.to_string() } else { String::new() };
        let whole = (cents.unsigned_abs() + 50) / 100;
        let text = format!("{sign}{}{}", self.currency, grouped(whole));
        Figure { text, unit: String::new(), value: Some(money::format_cents(cents)) }
    }

    /// A count of people's rows: one that is too small to be shown is said to be that.
    #[must_use]
    pub fn count(&self, count: u64) -> Figure {
        if self.is_small(count) {
            return Figure { text: format!("<{}", self.small_cells), ..Figure::default() };
        }
        Figure { text: grouped(count.into()), unit: String::new(), value: Some(count.to_string()) }
    }

    /// Whether a count is too small to be shown.
    #[must_use]
    pub fn is_small(&self, count: u64) -> bool {
        count > 0 && count < self.small_cells
    }
}

/// A share as a percentage with so many decimals.
#[must_use]
pub fn percent(share: f64, decimals: usize) -> Figure {
    let text = format!("{:.decimals$}", share * 100.0);
    Figure { text: text.replace('-', &MINUS.to_string()), unit: "%".to_owned(), value: Some(format!("{share:.6}")) }
}

/// A number of days.
#[must_use]
pub fn days(days: f64, decimals: usize) -> Figure {
    Figure { text: format!("{days:.decimals$}"), unit: String::new(), value: Some(format!("{days:.4}")) }
}

/// A figure that is not shown.
#[must_use]
pub fn none() -> Figure {
    Figure { text: "–".to_owned(), ..Figure::default() }
}

/// A whole number with thousands separators.
#[must_use]
pub fn grouped(number: u128) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// An amount of cents in thousands, millions or thousands of millions, and the unit.
fn scaled(cents: u128) -> (String, &'static str) {
    let amount = cents as f64 / 100.0;
    match amount {
        amount if amount >= 999_950_000.0 => (format!("{:.1}", amount / 1e9), "B"),
        amount if amount >= 999_500.0 => (format!("{:.1}", amount / 1e6), "M"),
        amount if amount >= 9_950.0 => (format!("{:.0}", amount / 1e3), "K"),
        amount if amount >= 999.5 => (format!("{:.1}", amount / 1e3), "K"),
        amount => (format!("{amount:.0}"), ""),
    }
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// `October`.
#[must_use]
pub fn month(date: NaiveDate) -> &'static str {
    MONTHS[date.month0() as usize % 12]
}

/// `Oct`.
#[must_use]
pub fn short_month(date: NaiveDate) -> &'static str {
    &month(date)[..3]
}

/// `Oct 24`.
#[must_use]
pub fn month_and_year(date: NaiveDate) -> String {
    format!("{} {:02}", short_month(date), date.year().rem_euclid(100))
}

/// `31 October 2024`.
#[must_use]
pub fn long_date(date: NaiveDate) -> String {
    format!("{} {} {}", date.day(), month(date), date.year())
}

/// `31 Oct`.
#[must_use]
pub fn short_date(date: NaiveDate) -> String {
    format!("{}{BLANK}{}", date.day(), short_month(date))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn style() -> Style {
        Style { currency: "$".to_owned(), small_cells: 11 }
    }

    #[rstest::rstest]
    #[case(3_101_397_112, "$31.0\u{a0}M", "31013971.12")]
    #[case(-5_279_817, "−$53\u{a0}K", "-52798.17")]
    #[case(99_994_999, "$1.0\u{a0}M", "999949.99")]
    #[case(99_949_999, "$999\u{a0}K", "999499.99")]
    #[case(123_456, "$1.2\u{a0}K", "1234.56")]
    #[case(12_345, "$123", "123.45")]
    #[case(0, "$0", "0.00")]
    #[case(310_139_711_200, "$3.1\u{a0}B", "3101397112.00")]
    fn an_amount_is_short_and_its_value_exact(#[case] cents: i128, #[case] text: &str, #[case] value: &str) {
        let figure = style().short(cents);
        assert_eq!((figure.whole().as_str(), figure.value.as_deref()), (text, Some(value)));
    }

    #[rstest::rstest]
    #[case(0, "0", Some("0"))]
    #[case(1, "<11", None)]
    #[case(10, "<11", None)]
    #[case(11, "11", Some("11"))]
    #[case(1_234_567, "1,234,567", Some("1234567"))]
    fn a_small_count_is_not_shown(#[case] count: u64, #[case] text: &str, #[case] value: Option<&str>) {
        let figure = style().count(count);
        assert_eq!((figure.text.as_str(), figure.value.as_deref()), (text, value));
    }

    #[test]
    fn dates_and_changes_are_written_as_people_write_them() {
        let date: NaiveDate = "2024-10-31".parse().unwrap();
        assert_eq!(long_date(date), "31 October 2024");
        assert_eq!((short_date(date).as_str(), month_and_year(date).as_str()), ("31\u{a0}Oct", "Oct 24"));
        assert_eq!(style().change(259_966_964).whole(), "+$2.6\u{a0}M");
        assert_eq!(style().words(423_880_541), "$4.2\u{a0}million");
        assert_eq!(percent(0.0782, 1).whole(), "7.8%");
    }
}
