//! Silver reads dates and times as the watermark of an extract does: both by `DateReader`.

use chrono::{DateTime, NaiveDate, Utc};
use polars::prelude::*;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use rcm_model::cdm::{DateReader, Mapping, TRANSACTIONS};

use super::{to_model, zone_of};

const FORMATS: [&str; 14] = [
    "%Y-%m-%d",
    "%Y%m%d",
    "%m/%d/%y",
    "%m/%d/%Y",
    "%d.%m.%Y",
    "%d.%m.%Y %H:%M",
    "%-m/%-d/%Y %I:%M %p",
    "%d-%b-%Y",
    "%Y-%j",
    "%s",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%d %H:%M:%S %z",
    "%Y-%m-%dT%H:%M:%S%.f%:z",
    "%Y-%m-%d %H:%M:%S%.f",
];
const TEXTS: [&str; 34] = [
    "2024-07-02",
    "2024-7-2",
    "24-07-02",
    "02024-07-02",
    "+2024-07-02",
    "2024-07-02 ",
    "2024-07-02\u{2005}",
    "2024-07-02 20:30",
    "2024-07-02 20:30:15",
    "2024-07-02 8:30:15",
    "2024-07-02  20:30:15",
    "2024-07-02 20:30:15.1234567",
    "2024-07-02T20:30:15.5",
    "2024-07-02T20:30:15,5",
    "2024-07-02T20:30:15Z",
    "2024-07-02 20:30:15 -0400",
    "2024-07-02 20:30:15 -04:00",
    "2024-07-02T20:30:15.5-04:00",
    "2024-07-02T23:59:60",
    "2024-07-02 24:00:00",
    "2024-03-10 02:30:00",
    "2024-11-03 01:30:00",
    "2024-184",
    "20240702",
    "20240702203015",
    "1719966615",
    "07/02/24",
    "7/2/24",
    "7/2/2024 8:30 PM",
    "02.07.2024",
    "2.7.2024 20:30",
    "02-Jul-2024",
    "02-JULY-2024",
    "0024-07-02",
];

fn mapping(formats: &[&str], zone: Option<&str>) -> Mapping {
    let zone = zone.map(|zone| format!("time_zone = \"{zone}\"\n")).unwrap_or_default();
    let text = format!(
        "datasource = \"x\"\ndate_formats = {formats:?}\n{zone}[entities.transactions]\nsrc_transaction_id = \"Id\"\n\
         service_date = \"Day\"\nsrc_modified_at = \"Changed\"\n"
    );
    Mapping::parse("x.toml", &text).unwrap()
}

/// What silver reads of texts: their dates, and their moments.
fn read(mapping: &Mapping, texts: &[&str]) -> Vec<(Option<NaiveDate>, Option<DateTime<Utc>>)> {
    let raw = df!("Id" => vec!["1"; texts.len()], "Day" => texts, "Changed" => texts).unwrap();
    let columns = mapping.columns("transactions", "").unwrap();
    let rows = to_model(&raw, &TRANSACTIONS, mapping, columns, DateTime::UNIX_EPOCH).unwrap();
    let days = rows.column("service_date").unwrap().date().unwrap().physical().clone();
    let moments = rows.column("src_modified_at").unwrap().datetime().unwrap().physical().clone();
    let day = |days| NaiveDate::from_epoch_days(days).unwrap();
    let moment = |micros| DateTime::from_timestamp_micros(micros).unwrap();
    days.iter().zip(moments.iter()).map(|(days, micros)| (days.map(day), micros.map(moment))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn silver_and_watermarks_read_the_same_of_every_text(
        formats in subsequence(FORMATS.to_vec(), 0..4).prop_shuffle(),
        zone in select(vec![None, Some("America/New_York"), Some("Europe/Berlin")]),
        texts in subsequence(TEXTS.to_vec(), 1..12),
    ) {
        let mapping = mapping(&formats, zone);
        let reader = DateReader::of(&mapping).unwrap();
        for (text, read) in texts.iter().zip(read(&mapping, &texts)) {
            let expected = (reader.date(text), reader.moment(text));
            prop_assert_eq!(read, expected, "`{}` by {:?} in {:?}", text, formats, zone_of(&mapping));
        }
    }
}
