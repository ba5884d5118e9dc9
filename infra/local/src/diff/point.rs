//! Which version of a table is meant.

use std::str::FromStr;

use chrono::{Days, NaiveDate, NaiveTime};
use rcm_platform::StageError;
use rcm_tables::delta::Table;

/// A version, the version at the end of a date (UTC), or the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    Version(i64),
    Date(NaiveDate),
    /// Of `--to` the newest version, of `--from` the one before rows changed last.
    Last,
}

impl FromStr for Point {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "last" {
            return Ok(Self::Last);
        }
        let version = text.parse().ok().filter(|version| *version >= 0).map(Self::Version);
        let date = || text.parse().ok().map(Self::Date);
        version.or_else(date).ok_or_else(|| "a version such as 12, a date such as 2024-10-31, or `last`".to_owned())
    }
}

/// The version that is meant; `last` where the point is the last one.
///
/// # Errors
/// `BadConfig` if the table has no such version, or had none on the date; the log cannot be read.
pub(super) async fn version(latest: &Table, point: Point, last: i64) -> Result<i64, StageError> {
    match point {
        Point::Last => Ok(last),
        Point::Version(version) => Ok(version),
        Point::Date(date) => at_end_of(latest, date).await,
    }
}

async fn at_end_of(latest: &Table, date: NaiveDate) -> Result<i64, StageError> {
    let end = date.checked_add_days(Days::new(1)).unwrap_or(NaiveDate::MAX).and_time(NaiveTime::MIN).and_utc();
    let mut version = latest.version();
    let mut earliest = None;
    while version >= 0 {
        let Some(info) = latest.commit_info(version).await? else { break };
        if info.at.is_some_and(|at| at < end) {
            return Ok(version);
        }
        earliest = info.at.map(|at| (version, at.date_naive()));
        version -= 1;
    }
    let since =
        earliest.map_or_else(String::new, |(version, day)| format!("; its log begins with version {version} of {day}"));
    Err(StageError::bad_config(format!("table `{}` has no version of {date} or before{since}", latest.path())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_a_version_a_date_or_the_last() {
        let date = NaiveDate::from_ymd_opt(2024, 10, 31).unwrap();
        for (text, expected) in [
            ("12", Some(Point::Version(12))),
            ("2024-10-31", Some(Point::Date(date))),
            ("last", Some(Point::Last)),
            ("-1", None),
            ("soon", None),
        ] {
            assert_eq!(text.parse().ok(), expected, "{text}");
        }
    }
}
