//! Watermarks: moments as columns of SQL Server keep them, on the column's own clock.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike};
use tiberius::time::{Date, DateTime as SqlDateTime, DateTime2, DateTimeOffset, SmallDateTime, Time};
use tiberius::{ColumnData, FixedLenType, TypeInfo, VarLenType};

use crate::emr::database::Clock;

/// Days from 0001-01-01, where `date` counts from, to 1970-01-01.
pub(super) const UNIX_DAYS: i64 = 719_162;
/// Days from 1900-01-01, where `datetime` counts from, to 1970-01-01.
pub(super) const UNIX_DAYS_OF_DATETIME: i64 = 25_567;
/// `datetime` counts three hundredths of a second.
const TICKS_PER_DAY: i64 = 300 * 86_400;
/// Digits of a second's fraction that a parameter has: all that SQL Server knows.
const SCALE: u8 = 7;

/// What a column with moments keeps of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MomentKind {
    Date,
    SmallDateTime,
    DateTime,
    DateTime2,
    DateTimeOffset,
}

impl MomentKind {
    /// What a column of a type keeps; none if it keeps no moments.
    pub(super) fn of(kind: &TypeInfo) -> Option<Self> {
        match kind {
            TypeInfo::FixedLen(FixedLenType::Datetime4) => Some(Self::SmallDateTime),
            TypeInfo::FixedLen(FixedLenType::Datetime) => Some(Self::DateTime),
            TypeInfo::VarLenSized(context) => match context.r#type() {
                VarLenType::Datetimen if context.len() == 4 => Some(Self::SmallDateTime),
                VarLenType::Datetimen => Some(Self::DateTime),
                VarLenType::Daten => Some(Self::Date),
                VarLenType::Datetime2 => Some(Self::DateTime2),
                VarLenType::DatetimeOffsetn => Some(Self::DateTimeOffset),
                _ => None,
            },
            _ => None,
        }
    }

    pub(super) fn clock(self) -> Clock {
        if self == Self::DateTimeOffset { Clock::Utc } else { Clock::Hospital }
    }

    /// A parameter of the column's own type, so that an index can be used and nothing is rounded up.
    pub(super) fn bind(self, moment: NaiveDateTime) -> ColumnData<'static> {
        let date = |moment: NaiveDateTime| Date::new((unix_days(moment) + UNIX_DAYS).max(0) as u32);
        let datetime2 =
            |moment: NaiveDateTime| DateTime2::new(date(moment), Time::new(nanos(moment.time()) / 100, SCALE));
        match self {
            Self::Date => ColumnData::Date(Some(date(moment))),
            Self::SmallDateTime => {
                let moment = moment.clamp(day(1900, 1, 1), day(2079, 6, 6));
                let days = unix_days(moment) + UNIX_DAYS_OF_DATETIME;
                let minutes = moment.time().num_seconds_from_midnight() / 60;
                ColumnData::SmallDateTime(Some(SmallDateTime::new(days as u16, minutes as u16)))
            }
            Self::DateTime => {
                let moment = moment.max(day(1753, 1, 1));
                let days = unix_days(moment) + UNIX_DAYS_OF_DATETIME;
                // The moment of a tick, as we read it, is cut off to whole nanoseconds.
                let ticks = (nanos(moment.time()) + 1) * 3 / 10_000_000;
                ColumnData::DateTime(Some(SqlDateTime::new(days as i32, ticks as u32)))
            }
            Self::DateTime2 => ColumnData::DateTime2(Some(datetime2(moment))),
            Self::DateTimeOffset => ColumnData::DateTimeOffset(Some(DateTimeOffset::new(datetime2(moment), 0))),
        }
    }
}

/// The moment of a value, on its column's clock; none where it is null or no moment.
pub(super) fn read(value: &ColumnData<'_>) -> Option<NaiveDateTime> {
    match value {
        ColumnData::Date(Some(date)) => Some(at(i64::from(date.days()) - UNIX_DAYS, 0)),
        ColumnData::SmallDateTime(Some(moment)) => {
            let minutes = i64::from(moment.seconds_fragments());
            Some(at(i64::from(moment.days()) - UNIX_DAYS_OF_DATETIME, minutes * 60_000_000_000))
        }
        ColumnData::DateTime(Some(moment)) => {
            let ticks = i64::from(moment.seconds_fragments()).min(TICKS_PER_DAY);
            Some(at(i64::from(moment.days()) - UNIX_DAYS_OF_DATETIME, ticks * 10_000_000 / 3))
        }
        ColumnData::DateTime2(Some(moment)) => Some(datetime2(*moment)),
        ColumnData::DateTimeOffset(Some(moment)) => Some(datetime2(moment.datetime2())),
        _ => None,
    }
}

fn datetime2(moment: DateTime2) -> NaiveDateTime {
    at(i64::from(moment.date().days()) - UNIX_DAYS, time_nanos(moment.time()))
}

/// Nanoseconds since midnight.
pub(super) fn time_nanos(time: Time) -> i64 {
    time.increments() as i64 * 10_i64.pow(9_u32.saturating_sub(time.scale().into()))
}

fn at(unix_days: i64, nanos: i64) -> NaiveDateTime {
    DateTime::UNIX_EPOCH.naive_utc() + TimeDelta::days(unix_days) + TimeDelta::nanoseconds(nanos)
}

fn unix_days(moment: NaiveDateTime) -> i64 {
    (moment.date() - NaiveDate::default()).num_days()
}

fn nanos(time: NaiveTime) -> u64 {
    u64::from(time.num_seconds_from_midnight()) * 1_000_000_000 + u64::from(time.nanosecond() % 1_000_000_000)
}

fn day(year: i32, month: u32, day: u32) -> NaiveDateTime {
    NaiveDate::from_ymd_opt(year, month, day).unwrap_or_default().and_time(NaiveTime::MIN)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn moment(text: &str) -> NaiveDateTime {
        text.parse().unwrap()
    }

    #[rstest]
    #[case(MomentKind::Date, "2024-11-07T23:59:59", "2024-11-07T00:00:00")]
    #[case(MomentKind::SmallDateTime, "2024-11-07T06:30:59", "2024-11-07T06:30:00")]
    #[case(MomentKind::SmallDateTime, "2500-01-01T00:00:00", "2079-06-06T00:00:00")]
    #[case(MomentKind::DateTime, "2024-11-07T06:30:00.005", "2024-11-07T06:30:00.003333333")]
    #[case(MomentKind::DateTime, "0900-01-01T00:00:00", "1753-01-01T00:00:00")]
    #[case(MomentKind::DateTime2, "2024-11-07T06:30:00.123456789", "2024-11-07T06:30:00.123456700")]
    #[case(MomentKind::DateTime2, "9999-12-31T23:59:59.9999999", "9999-12-31T23:59:59.9999999")]
    #[case(MomentKind::DateTimeOffset, "2024-11-07T06:30:00.1", "2024-11-07T06:30:00.1")]
    fn a_parameter_is_never_later_than_its_moment(
        #[case] kind: MomentKind,
        #[case] text: &str,
        #[case] expected: &str,
    ) {
        assert_eq!(read(&kind.bind(moment(text))), Some(moment(expected)));
    }

    #[test]
    fn every_tick_of_a_datetime_comes_back_as_itself() {
        for tick in [0, 1, 2, 3, 299, 300, 25_919_998, 25_919_999] {
            let value = ColumnData::DateTime(Some(SqlDateTime::new(45_600, tick)));
            assert_eq!(MomentKind::DateTime.bind(read(&value).unwrap()), value);
        }
    }
}
