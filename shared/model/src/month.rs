//! A month of the calendar.

use std::fmt;
use std::str::FromStr;

use chrono::{Datelike, Days, Months, NaiveDate};
use serde::{Deserialize, Serialize};

/// A month of the calendar, written `2024-09`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Month {
    first: NaiveDate,
}

impl Month {
    /// Returns the month of a day.
    #[must_use]
    pub fn of(day: NaiveDate) -> Self {
        Self { first: day.with_day(1).unwrap_or(day) }
    }

    /// Returns the last day of the month.
    #[must_use]
    pub fn end(self) -> NaiveDate {
        let next = self.first.checked_add_months(Months::new(1));
        next.and_then(|next| next.checked_sub_days(Days::new(1))).unwrap_or(NaiveDate::MAX)
    }
}

impl FromStr for Month {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let has_form = text.len() == 7 && text.bytes().enumerate().all(|(at, byte)| (at == 4) != byte.is_ascii_digit());
        let first = format!("{text}-01").parse::<NaiveDate>().ok().filter(|_| has_form);
        first.map(|first| Self { first }).ok_or_else(|| format!("`{text}` is no month; months are written 2024-09"))
    }
}

impl TryFrom<String> for Month {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Month> for String {
    fn from(month: Month) -> Self {
        month.to_string()
    }
}

impl fmt::Display for Month {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.first.format("%Y-%m"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("2024-02", "2024-02-29")]
    #[case("2023-02", "2023-02-28")]
    #[case("2024-12", "2024-12-31")]
    fn a_month_ends_on_its_last_day(#[case] text: &str, #[case] end: &str) {
        let month: Month = text.parse().unwrap();
        assert_eq!((month.end().to_string().as_str(), month.to_string().as_str()), (end, text));
        assert_eq!(Month::of(month.end()), month);
    }

    #[rstest::rstest]
    #[case("2024-13")]
    #[case("2024-9")]
    #[case("24-09")]
    #[case("2024-09-30")]
    #[case("+024-09")]
    #[case("September")]
    #[case("")]
    fn what_is_no_month_is_refused(#[case] text: &str) {
        assert!(text.parse::<Month>().unwrap_err().contains("is no month"));
    }
}
