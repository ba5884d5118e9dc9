//! A date or a moment of the command line.

use std::str::FromStr;

use chrono::{DateTime, NaiveDate, Utc};
use rcm_domain::gold::held::EndOfDay;
use rcm_model::cdm::iso;
use rcm_platform::{Context, StageError};
use rcm_tables::gold;

/// A date, which means its end, or a moment in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    Date(NaiveDate),
    Moment(DateTime<Utc>),
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(date) = text.parse() {
            return Ok(Self::Date(date));
        }
        let moment = iso::read(text).map(|read| read.utc().unwrap_or(read.local).and_utc());
        moment
            .map(Self::Moment)
            .ok_or_else(|| "a date such as 2024-09-15, or a time such as 2024-09-15T12:00Z".to_owned())
    }
}

impl When {
    /// The last moment that is meant; of a date its end in the zone of a datasource, as for the KPIs.
    ///
    /// # Errors
    /// The zone of a mapping is none.
    pub fn moment(self, context: &Context, datasource: &str) -> Result<DateTime<Utc>, StageError> {
        match self {
            Self::Moment(moment) => Ok(moment),
            Self::Date(date) => {
                let micros = EndOfDay::new(date, &gold::zones(context))?.of(datasource);
                Ok(DateTime::from_timestamp_micros(micros).unwrap_or(DateTime::<Utc>::MAX_UTC))
            }
        }
    }

    /// The words for it.
    #[must_use]
    pub fn words(self) -> String {
        match self {
            Self::Date(date) => format!("the end of {date}"),
            Self::Moment(moment) => moment.format("%Y-%m-%d %H:%M:%S").to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_its_end_and_a_time_is_of_utc() {
        let words = |text: &str| text.parse::<When>().map(When::words).ok();
        assert_eq!(words("2024-09-15").as_deref(), Some("the end of 2024-09-15"));
        assert_eq!(words("2024-09-15T12:00").as_deref(), Some("2024-09-15 12:00:00"));
        assert_eq!(words("2024-09-15 12:00:00-04:00").as_deref(), Some("2024-09-15 16:00:00"));
        assert_eq!(words("yesterday"), None);
    }
}
