use std::collections::BTreeMap;

use chrono::format::{Item, Parsed, StrftimeItems, parse};
use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, TimeZone, Utc};
use chrono_tz::Tz;
use rcm_model::cdm::Mapping;

use crate::error::{Result, StageError};

/// The records that an incremental load takes: those whose watermark is later than `after`, and
/// those without a watermark that can be read, which silver quarantines.
#[derive(Debug, Clone)]
pub struct Newer {
    pub column: String,
    pub after: Option<DateTime<Utc>>,
    /// A later watermark is a mistyped one. Its record is taken, but the next load does not start
    /// from it: nothing would be newer for years.
    pub until: DateTime<Utc>,
    pub moments: Moments,
}

/// `%Y` reads a year of two digits as one of the first century; a later format may fit.
const FIRST_YEAR: i32 = 1000;

/// How a source writes moments.
#[derive(Debug, Clone)]
pub struct Moments {
    formats: Vec<Vec<Item<'static>>>,
    zone: Tz,
}

impl Moments {
    /// The formats and the zone of a mapping.
    ///
    /// # Errors
    /// The mapping names a zone or a format that there is not.
    pub fn of(mapping: &Mapping) -> Result<Self> {
        let bad = |what: &str, name: &str| {
            StageError::BadConfig(format!("cdm/{}: there is no {what} `{name}`", mapping.datasource))
        };
        let formats = mapping
            .date_formats()
            .map(|format| StrftimeItems::new(format).parse_to_owned().map_err(|_| bad("date format", format)));
        let zone = match &mapping.time_zone {
            Some(name) => name.parse().map_err(|_| bad("time zone", name))?,
            None => Tz::UTC,
        };
        Ok(Self { formats: formats.collect::<Result<_>>()?, zone })
    }

    /// Reads a moment by the first format that fits; a date is its midnight in the source's zone.
    /// Of an hour that a clock change repeats it is the earlier one, one that is skipped is none.
    #[must_use]
    pub fn read(&self, text: &str) -> Option<DateTime<Utc>> {
        let text = text.trim();
        self.formats.iter().find_map(|format| {
            let mut parsed = Parsed::new();
            parse(&mut parsed, text, format.iter()).ok()?;
            if let Ok(moment) = parsed.to_datetime() {
                return Some(moment.to_utc()).filter(|moment| moment.year() >= FIRST_YEAR);
            }
            let time = parsed.to_naive_time().unwrap_or(NaiveTime::MIN);
            let date = parsed.to_naive_date().ok().filter(|date| date.year() >= FIRST_YEAR)?;
            let moment = date.and_time(time);
            self.zone.from_local_datetime(&moment).earliest().map(|moment| moment.to_utc())
        })
    }
}

/// The watermarks of a file while it is read.
pub(super) struct Watermarks {
    newer: Newer,
    index: usize,
    high: Option<DateTime<Utc>>,
    ahead: u64,
    per_day: BTreeMap<NaiveDate, u64>,
}

impl Watermarks {
    pub(super) fn of(newer: Newer, columns: &[String]) -> Option<Self> {
        let index = columns.iter().position(|column| *column == newer.column)?;
        Some(Self { newer, index, high: None, ahead: 0, per_day: BTreeMap::new() })
    }

    /// The latest watermark, the number of those in the future, and that of the others by day.
    pub(super) fn found(self) -> (Option<DateTime<Utc>>, u64, BTreeMap<NaiveDate, u64>) {
        (self.high, self.ahead, self.per_day)
    }

    /// Notes a record's watermark and tells whether the record is taken.
    pub(super) fn take(&mut self, fields: &[&str]) -> bool {
        let Some(watermark) = fields.get(self.index).and_then(|text| self.newer.moments.read(text)) else {
            return true;
        };
        if watermark > self.newer.until {
            self.ahead += 1;
        } else {
            self.high = self.high.max(Some(watermark));
            *self.per_day.entry(watermark.date_naive()).or_default() += 1;
        }
        self.newer.after.is_none_or(|after| watermark > after)
    }
}
