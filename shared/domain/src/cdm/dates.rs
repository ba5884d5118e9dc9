//! Columns of texts that a source's reader of dates turns into dates and moments.

use chrono::{DateTime, Utc};
use polars::prelude::*;
use rcm_model::cdm::DateReader;
use xxhash_rust::xxh3::xxh3_64;

use super::timestamp;

/// Texts that are remembered with what they say: a column has few dates, and those of one day lie together.
const REMEMBERED: usize = 4096;

/// Dates in texts, null where a text is none.
pub(super) fn dates(text: Expr, reader: DateReader) -> Expr {
    text.map(
        move |texts| {
            let read = each(texts.str()?, |text| reader.date(text).map(|date| date.to_epoch_days()));
            Ok(read.into_date().into_column())
        },
        |_, field| Ok(Field::new(field.name().clone(), DataType::Date)),
    )
}

/// Moments in texts as UTC, null where a text is none.
pub(super) fn moments(text: Expr, reader: DateReader) -> Expr {
    text.map(
        move |texts| {
            let micros = |moment: DateTime<Utc>| moment.timestamp_micros();
            let read: Int64Chunked = each(texts.str()?, |text| reader.moment(text).map(micros));
            Ok(read.into_datetime(TimeUnit::Microseconds, Some(TimeZone::UTC)).into_column())
        },
        |_, field| Ok(Field::new(field.name().clone(), timestamp())),
    )
}

/// What every text says; of texts that are repeated it is read once, mostly.
fn each<T: PolarsNumericType>(texts: &StringChunked, read: impl Fn(&str) -> Option<T::Native>) -> ChunkedArray<T>
where
    ChunkedArray<T>: FromIterator<Option<T::Native>>,
{
    // An empty text says nothing.
    let mut remembered: Vec<(&str, Option<T::Native>)> = vec![("", None); REMEMBERED];
    let values = texts.iter().map(|text| {
        let text = text?;
        let slot = &mut remembered[xxh3_64(text.as_bytes()) as usize % REMEMBERED];
        if slot.0 != text {
            *slot = (text, read(text));
        }
        slot.1
    });
    values.collect::<ChunkedArray<T>>().with_name(texts.name().clone())
}
