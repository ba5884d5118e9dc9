//! Data files: encoding, statistics and writing.

use std::collections::HashMap;

use deltalake::kernel::Add;
use polars::prelude::*;
use rcm_platform::context::Context;
use rcm_platform::error::Result;
use rcm_platform::stage::new_id;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::table::DataFile;
use crate::chunks;
use crate::frames::blocking;

/// Most characters of a text in statistics.
const STATISTICS_TEXT: usize = 32;
/// Amounts in cents up to which a double has all their digits.
const MOST_EXACT_CENTS: u128 = 1_000_000_000_000_000;
/// Column without minimum and maximum in statistics: a birth date may identify a patient.
const BIRTH_DATE: &str = "dob";
/// How names of data files end.
const SUFFIX: &str = ".zstd.parquet";
/// Rows of one row group.
const ROW_GROUP: usize = 131_072;

/// A data file that lies in the table's folder but is in no commit yet.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NewFile {
    add: Add,
    pub rows: u64,
}

impl NewFile {
    /// A data file of a table that lies in a folder below another one, as a file of that one.
    #[must_use]
    pub fn below(folder: &str, file: &DataFile) -> Self {
        let view = file.view();
        let add = Add {
            path: format!("{folder}/{}", file.path()),
            partition_values: view.partition_values_map(),
            size: view.size(),
            modification_time: view.modification_time(),
            data_change: true,
            stats: view.stats(),
            ..Add::default()
        };
        Self { add, rows: file.rows() }
    }

    /// Path below the table's own folder.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.add.path
    }

    pub(super) fn add(&self) -> Add {
        self.add.clone()
    }
}

/// Writes the rows as one Parquet file below the table's folder. `partition` gives the values of
/// the partition columns, which the rows do not have as columns.
///
/// # Errors
/// The store fails.
pub async fn write(
    context: &Context,
    path: &str,
    rows: &DataFrame,
    partition: &[(&str, Option<String>)],
) -> Result<NewFile> {
    let rows = rows.clone();
    let file = blocking(move || chunks::file_of(&rows, ROW_GROUP)).await?;
    put(context, path, file, partition).await
}

/// Writes the rows as [`write()`] does, in a file whose name has a mark: what [`DataFile::mark`] returns. A compaction writes
/// files without one.
///
/// # Errors
/// The store fails.
pub async fn write_marked(
    context: &Context,
    path: &str,
    rows: &DataFrame,
    partition: &[(&str, Option<String>)],
    mark: u64,
) -> Result<NewFile> {
    let rows = rows.clone();
    let file = blocking(move || chunks::file_of(&rows, ROW_GROUP)).await?;
    put_as(context, path, file, partition, &format!(".{mark:016x}")).await
}

/// The mark in the name of a file.
pub(super) fn mark_of(path: &str) -> Option<u64> {
    let (_, name) = path.rsplit_once('/').unwrap_or(("", path));
    let (_, mark) = name.strip_suffix(SUFFIX)?.split_once('.')?;
    u64::from_str_radix(mark, 16).ok().filter(|_| mark.len() == 16)
}

/// A data file that is in no folder yet.
pub(crate) struct Encoded {
    pub bytes: Vec<u8>,
    pub rows: u64,
    /// Statistics in the form of the Delta protocol.
    pub statistics: Value,
}

/// Writes a data file below the table's folder. `partition` gives the values of the partition columns.
///
/// # Errors
/// The store fails.
pub(crate) async fn put(
    context: &Context,
    path: &str,
    file: Encoded,
    partition: &[(&str, Option<String>)],
) -> Result<NewFile> {
    put_as(context, path, file, partition, "").await
}

async fn put_as(
    context: &Context,
    path: &str,
    file: Encoded,
    partition: &[(&str, Option<String>)],
    mark: &str,
) -> Result<NewFile> {
    let now = context.now();
    let name = format!("part-{}{mark}{SUFFIX}", new_id(now));
    let of_null = "__HIVE_DEFAULT_PARTITION__";
    let folders = partition.iter().map(|(column, value)| format!("{column}={}", value.as_deref().unwrap_or(of_null)));
    let name = folders.chain([name]).collect::<Vec<_>>().join("/");
    let size = file.bytes.len() as i64;
    context.lake.put(&format!("{path}/{name}"), file.bytes).await?;
    let partition_values: HashMap<String, Option<String>> =
        partition.iter().map(|(column, value)| ((*column).to_owned(), value.clone())).collect();
    let add = Add {
        path: name,
        partition_values,
        size,
        modification_time: now.timestamp_millis(),
        data_change: true,
        stats: Some(file.statistics.to_string()),
        ..Add::default()
    };
    Ok(NewFile { add, rows: file.rows })
}

/// Whether a column has statistics. Of the text columns only keys have: a log must not hold a name.
pub(crate) fn has_statistics(name: &str, data_type: &DataType) -> bool {
    let is_named = *data_type != DataType::String || name.ends_with("_key");
    is_named && name != BIRTH_DATE && !data_type.is_nested() && !data_type.is_bool()
}

/// Which end of a column's values a statistic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Least,
    Greatest,
}

pub(crate) fn json_value(scalar: &Scalar, end: End) -> Option<Value> {
    match scalar.value() {
        AnyValue::Int32(value) => Some(json!(value)),
        AnyValue::Int64(value) => Some(json!(value)),
        AnyValue::Float64(value) if value.is_finite() => Some(json!(value)),
        AnyValue::String(value) => Some(json!(value)),
        AnyValue::StringOwned(value) => Some(json!(value.as_str())),
        AnyValue::Date(days) => {
            let date = chrono::NaiveDate::from_ymd_opt(1970, 1, 1)?
                .checked_add_signed(chrono::Duration::days((*days).into()))?;
            Some(json!(date.to_string()))
        }
        AnyValue::Datetime(micros, _, _) | AnyValue::DatetimeOwned(micros, _, _) => {
            let moment = chrono::DateTime::from_timestamp_micros(*micros)?;
            Some(json!(moment.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()))
        }
        AnyValue::Decimal(value, _, scale) => {
            (*scale == rcm_domain::money::SCALE).then(|| amount(*value, end)).flatten()
        }
        _ => None,
    }
}

/// An amount in cents as a number of JSON. One with more digits than such a number keeps is the next whole one
/// outwards that it does keep: statistics that are too narrow would hide rows.
fn amount(cents: i128, end: End) -> Option<Value> {
    if cents.unsigned_abs() < MOST_EXACT_CENTS {
        return serde_json::from_str(&rcm_domain::money::format_cents(cents)).ok();
    }
    let whole = cents.div_euclid(100) + i128::from(end == End::Greatest);
    let nearest = whole as f64;
    let outwards = match end {
        End::Least if nearest as i128 > whole => nearest.next_down(),
        End::Greatest if (nearest as i128) < whole => nearest.next_up(),
        End::Least | End::Greatest => nearest,
    };
    Some(json!(outwards))
}

/// A text cut to what statistics keep; a greatest one so that it is not less than the whole.
pub(crate) fn shortened(text: &Value, round_up: bool) -> Value {
    let Some(text) = text.as_str() else { return text.clone() };
    let mut short: String = text.chars().take(STATISTICS_TEXT).collect();
    if round_up && short.len() < text.len() {
        short.push(char::MAX);
    }
    Value::String(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_the_mark_that_it_was_given_and_any_other_name_has_none() {
        assert_eq!(mark_of("bucket=3/part-0193.00000000000000ff.zstd.parquet"), Some(255));
        for name in ["part-0193.zstd.parquet", "part-0193.ff.zstd.parquet", "part-0193.00000000000000fg.zstd.parquet"] {
            assert_eq!(mark_of(name), None, "{name}");
        }
    }

    #[test]
    fn statistics_of_amounts_are_never_narrower_than_the_amounts() {
        for cents in [10_050, -5, 999_999_999_999_999_999, 900_719_925_474_099_301, -900_719_925_474_099_301, 1 << 90] {
            let number = |end| amount(cents, end).unwrap().as_f64().unwrap();
            let (least, greatest) = (number(End::Least), number(End::Greatest));
            if cents.unsigned_abs() < MOST_EXACT_CENTS {
                assert_eq!((least, greatest), (cents as f64 / 100.0, cents as f64 / 100.0));
            } else {
                assert!((least as i128) * 100 <= cents && (greatest as i128) * 100 >= cents, "{cents}");
            }
        }
    }
}
