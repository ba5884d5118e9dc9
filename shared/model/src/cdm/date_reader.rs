//! The one reader of dates and times in a source's texts, by the formats and the zone of its mapping.

use chrono::format::{Item, Parsed, StrftimeItems, parse};
use chrono::{DateTime, Datelike, Months, NaiveDate, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use super::Mapping;
use super::date_format::{FIRST_YEAR, has_hour, has_offset, has_short_year};
use super::iso::{self, Moment};
use super::mapping::ISO_FORMATS;
use super::reading;

/// Reads dates and times as one source writes them.
///
/// A text is read by the first of the mapping's formats that fits the whole of it, else as ISO 8601. What is read from
/// a year before [`FIRST_YEAR`] does not fit: it is a year of two digits, which a later format may read.
#[derive(Debug, Clone)]
pub struct DateReader {
    formats: Vec<Format>,
    zone: Tz,
    latest: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone)]
struct Format {
    items: Vec<Item<'static>>,
    content: Content,
    has_short_year: bool,
    has_colon: bool,
    iso: Option<IsoForm>,
}

/// What a format reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Date,
    LocalTime,
    /// A time with its offset, or seconds since 1970.
    Moment,
}

/// The form of a text that a format of ISO 8601 reads just as [`iso::read`] does, which is faster.
#[derive(Debug, Clone, Copy)]
struct IsoForm {
    /// What stands between the date and the time; none where the format has a date alone.
    separator: Option<u8>,
}

impl DateReader {
    /// The reader of a mapping.
    ///
    /// # Errors
    /// The format or the zone that there is not.
    pub fn of(mapping: &Mapping) -> Result<Self, String> {
        let zone = match &mapping.time_zone {
            Some(name) => name.parse().map_err(|_| format!("there is no time zone `{name}`"))?,
            None => Tz::UTC,
        };
        let formats = mapping.date_formats().map(Format::of).collect::<Result<_, _>>()?;
        Ok(Self { formats, zone, latest: None })
    }

    /// The same reader for moments that are never after `latest`: a year of two digits that would be is one of the
    /// century before.
    #[must_use]
    pub fn not_after(self, latest: DateTime<Utc>) -> Self {
        Self { latest: Some(latest), ..self }
    }

    /// Returns the moment that a text says, to the microsecond as the lake holds it; a date is its midnight in the
    /// source's zone. Of an hour that a clock change repeats it is the earlier one; one that is skipped is none. A
    /// leap second is the second after it.
    #[must_use]
    pub fn moment(&self, text: &str) -> Option<DateTime<Utc>> {
        let read = self.read(text)?;
        let moment = match read.offset {
            Some(_) => read.utc()?.and_utc(),
            None => self.zone.from_local_datetime(&read.local).earliest()?.to_utc(),
        };
        DateTime::from_timestamp_micros(moment.timestamp_micros())
    }

    /// Returns the date that a text says; of a moment with an offset it is the day on the source's clock.
    #[must_use]
    pub fn date(&self, text: &str) -> Option<NaiveDate> {
        let read = self.read(text)?;
        match read.offset {
            Some(_) => Some(read.utc()?.and_utc().with_timezone(&self.zone).date_naive()),
            None => Some(read.local.date()),
        }
    }

    fn read(&self, text: &str) -> Option<Moment> {
        let text = reading::trimmed(text, &[])?;
        let by_format = self.formats.iter().find_map(|format| format.read(text, self.latest));
        by_format.or_else(|| iso::read(text))
    }
}

impl Format {
    fn of(format: &str) -> Result<Self, String> {
        let items = StrftimeItems::new(format).parse_to_owned();
        let content = match (has_offset(format), has_hour(format)) {
            (true, _) => Content::Moment,
            (false, true) => Content::LocalTime,
            (false, false) => Content::Date,
        };
        let iso = ISO_FORMATS.into_iter().position(|iso| iso == format).map(|place| match place {
            0 => IsoForm { separator: None },
            1 => IsoForm { separator: Some(b' ') },
            _ => IsoForm { separator: Some(b'T') },
        });
        Ok(Self {
            items: items.map_err(|_| format!("there is no date format `{format}`"))?,
            content,
            has_short_year: has_short_year(format),
            has_colon: content != Content::Date || format.contains(':'),
            iso,
        })
    }

    fn read(&self, text: &str, latest: Option<DateTime<Utc>>) -> Option<Moment> {
        if let Some(read) = self.iso.and_then(|form| form.read(text)) {
            return Some(read);
        }
        // A date alone is not looked for in a text with a time, of which a column may have many.
        if !self.has_colon && text.contains(':') {
            return None;
        }
        let mut parsed = Parsed::new();
        parse(&mut parsed, text, self.items.iter()).ok()?;
        let local = |time: NaiveTime| Some(Moment { local: parsed.to_naive_date().ok()?.and_time(time), offset: None });
        let mut read = match self.content {
            Content::Date => local(NaiveTime::MIN)?,
            Content::LocalTime => local(parsed.to_naive_time().ok()?)?,
            Content::Moment => {
                let moment = parsed.to_datetime().ok()?;
                let offset = TimeDelta::seconds(i64::from(moment.offset().local_minus_utc()));
                Moment { local: moment.naive_local(), offset: Some(offset) }
            }
        };
        if let Some(latest) = latest.filter(|_| self.has_short_year) {
            read.local = within(read.local.and_utc(), latest).naive_utc();
        }
        (read.local.year() >= FIRST_YEAR).then_some(read)
    }
}

impl IsoForm {
    fn read(self, text: &str) -> Option<Moment> {
        let bytes = text.as_bytes();
        let is_date = bytes.len() >= 10 && bytes[4] == b'-' && bytes[7] == b'-';
        let has_form = match self.separator {
            None => bytes.len() == 10,
            // Without an offset, down to the second, and with a colon between hour and minute.
            Some(separator) => {
                bytes.len() >= 19
                    && bytes[10] == separator
                    && bytes[13] == b':'
                    && bytes[16] == b':'
                    && (bytes.len() == 19 || bytes[19] == b'.')
            }
        };
        if !(is_date && has_form) {
            return None;
        }
        iso::read(text).filter(|read| read.offset.is_none())
    }
}

/// A moment, or one a century earlier where it is after another one.
fn within(moment: DateTime<Utc>, latest: DateTime<Utc>) -> DateTime<Utc> {
    const CENTURY: Months = Months::new(12 * 100);
    if moment > latest { moment.checked_sub_months(CENTURY).unwrap_or(moment) } else { moment }
}

#[cfg(test)]
mod tests {
    use super::super::date_format::check;
    use super::*;

    fn reader(lines: &str) -> DateReader {
        DateReader::of(&Mapping::parse("x.toml", &format!("datasource = \"x\"\n{lines}")).unwrap()).unwrap()
    }

    #[rstest::rstest]
    #[case("07/02/24", "2024-07-02 04:00:00")]
    #[case("02.07.2024 20:30", "2024-07-03 00:30:00")]
    #[case("2024-07-02", "2024-07-02 04:00:00")]
    #[case("2024-7-2", "2024-07-02 04:00:00")]
    #[case("2024-07-02T20:30Z", "2024-07-02 20:30:00")]
    #[case("2024-11-03 01:30:00", "2024-11-03 05:30:00")] // the earlier of two such hours
    fn a_text_is_read_by_the_first_format_that_fits_else_as_iso(#[case] text: &str, #[case] utc: &str) {
        let lines = "date_formats = [\"%m/%d/%y\", \"%d.%m.%Y %H:%M\"]\ntime_zone = \"America/New_York\"";
        assert_eq!(reader(lines).moment(text).unwrap().naive_utc().to_string(), utc);
    }

    #[rstest::rstest]
    #[case("%Y%m%d", "20240702", "2024-07-02 00:00:00")]
    #[case("%-m/%-d/%y", "7/2/24", "2024-07-02 00:00:00")]
    #[case("%d-%b-%Y", "02-Jul-2024", "2024-07-02 00:00:00")]
    #[case("%Y-%j", "2024-184", "2024-07-02 00:00:00")]
    #[case("%m/%d/%Y %I:%M:%S %p", "07/02/2024 08:30:15 PM", "2024-07-02 20:30:15")]
    #[case("%d.%m.%Y %X", "02.07.2024 20:30:15", "2024-07-02 20:30:15")]
    #[case("%c", "Tue Jul  2 20:30:15 2024", "2024-07-02 20:30:15")]
    #[case("%D %r", "07/02/24 08:30:15 PM", "2024-07-02 20:30:15")]
    #[case("%F %R", "2024-07-02 20:30", "2024-07-02 20:30:00")]
    #[case("%Y-%m-%dT%H:%M:%S%.f", "2024-07-02T20:30:15.5", "2024-07-02 20:30:15.500")]
    #[case("%Y-%m-%d %H:%M:%S %z", "2024-07-02 20:30:15 -0400", "2024-07-03 00:30:15")]
    #[case("%+", "2024-07-02T20:30:15.5-04:00", "2024-07-03 00:30:15.500")]
    #[case("%s", "1719966615", "2024-07-03 00:30:15")]
    #[case("%Y-%m-%d", "1000-01-01", "1000-01-01 00:00:00")]
    #[case("%Y-%m-%d", "2024-07-02T23:59:60", "2024-07-03 00:00:00")]
    fn what_a_format_writes_is_read(#[case] format: &str, #[case] text: &str, #[case] expected: &str) {
        assert_eq!(check(format), Ok(()));
        let reader = reader(&format!("date_formats = [\"{format}\"]"));
        assert_eq!(reader.moment(text).unwrap().naive_utc().to_string(), expected);
    }

    #[test]
    fn a_year_of_two_digits_is_none_of_the_first_century() {
        let [long, both] = ["\"%m/%d/%Y\"", "\"%m/%d/%Y\", \"%m/%d/%y\""]
            .map(|formats| reader(&format!("date_formats = [{formats}]")));
        let november = NaiveDate::from_ymd_opt(2024, 11, 7);
        assert_eq!(["11/07/24", "11/07/2024"].map(|text| long.date(text)), [None, november]);
        assert_eq!(["11/07/24", "11/07/2024"].map(|text| both.date(text)), [november; 2]);
    }

    #[rstest::rstest]
    #[case("2024-03-10 02:30:00")] // a clock change skips it
    #[case("0024-03-10")]
    #[case("soon")]
    #[case(" ")]
    fn what_is_no_moment_is_none(#[case] text: &str) {
        assert_eq!(reader("time_zone = \"America/New_York\"").moment(text), None);
    }

    #[test]
    fn the_first_of_two_formats_that_fit_counts_also_where_one_has_an_offset() {
        assert_eq!(reader("date_formats = [\"%s\", \"%Y%m%d\"]").date("20240702").unwrap().to_string(), "1970-08-23");
        assert_eq!(reader("date_formats = [\"%Y%m%d\", \"%s\"]").date("20240702").unwrap().to_string(), "2024-07-02");
    }

    #[test]
    fn a_year_of_two_digits_is_none_after_the_latest_moment() {
        let reader = reader("date_formats = [\"%m/%d/%y\"]").not_after("2024-11-07T00:00:00Z".parse().unwrap());
        assert_eq!(reader.date("11/06/24").unwrap().to_string(), "2024-11-06");
        assert_eq!(reader.date("11/08/24").unwrap().to_string(), "1924-11-08");
        assert_eq!(reader.date("2024-11-08").unwrap().to_string(), "2024-11-08");
    }
}
