//! Clocks of watermarks. A column without an offset shows the wall clock of the hospital; the mapping says in which
//! zone. One with an offset is compared in UTC.

use chrono::{DateTime, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

/// What a column's moments are read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::emr) enum Clock {
    Hospital,
    Utc,
}

impl Clock {
    /// A moment on the column's clock.
    pub(super) fn local(self, moment: DateTime<Utc>, zone: Tz) -> NaiveDateTime {
        match self {
            Self::Utc => moment.naive_utc(),
            Self::Hospital => moment.with_timezone(&zone).naive_local(),
        }
    }

    /// A moment of the column's clock. Of an hour that a clock change repeats it is the earlier one;
    /// one that is skipped counts as an hour before: to read some rows again does no harm.
    pub(super) fn to_utc(self, moment: NaiveDateTime, zone: Tz) -> DateTime<Utc> {
        if self == Self::Utc {
            return moment.and_utc();
        }
        let mut hours_back = (0..=24).map(|hours| moment - TimeDelta::hours(hours));
        let found = hours_back.find_map(|moment| zone.from_local_datetime(&moment).earliest());
        found.map_or_else(|| moment.and_utc(), |moment| moment.to_utc())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn moment(text: &str) -> NaiveDateTime {
        text.parse().unwrap()
    }

    #[rstest]
    #[case::plain("2024-07-01T12:00:00", "2024-07-01T16:00:00Z")]
    #[case::twice("2024-11-03T01:30:00", "2024-11-03T05:30:00Z")]
    #[case::never("2024-03-10T02:30:00", "2024-03-10T06:30:00Z")]
    fn the_hospitals_clock_becomes_utc(#[case] local: &str, #[case] utc: &str) {
        let zone = chrono_tz::America::New_York;
        let found = Clock::Hospital.to_utc(moment(local), zone);
        assert_eq!(found, utc.parse::<DateTime<Utc>>().unwrap());
        assert!(Clock::Hospital.local(found, zone) <= moment(local));
    }

    #[test]
    fn a_moment_with_an_offset_is_utc_whatever_the_zone() {
        let utc: DateTime<Utc> = "2024-07-01T12:00:00Z".parse().unwrap();
        let zone = chrono_tz::America::New_York;
        assert_eq!(Clock::Utc.local(utc, zone), utc.naive_utc());
        assert_eq!(Clock::Utc.to_utc(utc.naive_utc(), zone), utc);
    }
}
