//! Statistics of a composed file for the Delta log, from the statistics of its chunks.

use std::cmp::Ordering;

use parquet::data_type::AsBytes;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::statistics::Statistics;
use polars::prelude::*;
use serde_json::{Map, Value, json};

use crate::delta::{End, has_statistics, json_value, shortened};

/// Least and greatest value of a column.
struct Ends {
    least: AnyValue<'static>,
    greatest: AnyValue<'static>,
}

/// What the chunks of a column say together.
struct Known {
    nulls: u64,
    /// None where all values are null.
    ends: Option<Ends>,
}

/// Returns the statistics of a file in the form of the Delta protocol. A column of which a chunk says nothing has none.
pub(super) fn statistics(metadata: &ParquetMetaData, schema: &Schema) -> Value {
    let (mut minima, mut maxima, mut nulls) = (Map::new(), Map::new(), Map::new());
    let leaves = metadata.file_metadata().schema_descr();
    for leaf in 0..leaves.num_columns() {
        let name = leaves.column(leaf).name().to_owned();
        let is_plain = leaves.column(leaf).path().parts().len() == 1;
        let Some(dtype) = schema.get(&name).filter(|dtype| is_plain && has_statistics(&name, dtype)) else { continue };
        let Some(Known { nulls: count, ends }) = of_column(metadata, leaf, dtype) else { continue };
        nulls.insert(name.clone(), json!(count));
        let Some(Ends { least, greatest }) = ends else { continue };
        let scalar = |value: AnyValue<'static>| Scalar::new(dtype.clone(), value);
        let ends = (json_value(&scalar(least), End::Least), json_value(&scalar(greatest), End::Greatest));
        let (Some(least), Some(greatest)) = ends else { continue };
        let is_text = *dtype == DataType::String;
        minima.insert(name.clone(), if is_text { shortened(&least, false) } else { least });
        maxima.insert(name, if is_text { shortened(&greatest, true) } else { greatest });
    }
    json!({
        "numRecords": metadata.file_metadata().num_rows(),
        "minValues": minima,
        "maxValues": maxima,
        "nullCount": nulls,
    })
}

fn of_column(metadata: &ParquetMetaData, leaf: usize, dtype: &DataType) -> Option<Known> {
    let mut known = Known { nulls: 0, ends: None };
    for group in metadata.row_groups() {
        let statistics = group.column(leaf).statistics()?;
        let nulls = statistics.null_count_opt()?;
        known.nulls += nulls;
        if nulls == group.num_rows().unsigned_abs() {
            continue;
        }
        let ends = ends_of(statistics, dtype)?;
        known.ends = Some(match known.ends {
            None => ends,
            Some(before) => Ends {
                least: if is_before(&ends.least, &before.least) { ends.least } else { before.least },
                greatest: if is_before(&before.greatest, &ends.greatest) { ends.greatest } else { before.greatest },
            },
        });
    }
    Some(known)
}

fn is_before(one: &AnyValue<'_>, other: &AnyValue<'_>) -> bool {
    match (one, other) {
        (AnyValue::StringOwned(one), AnyValue::StringOwned(other)) => one.as_bytes() < other.as_bytes(),
        _ => one.partial_cmp(other) == Some(Ordering::Less),
    }
}

fn ends_of(statistics: &Statistics, dtype: &DataType) -> Option<Ends> {
    let ends = |least: Option<AnyValue<'static>>, greatest: Option<AnyValue<'static>>| {
        Some(Ends { least: least?, greatest: greatest? })
    };
    match statistics {
        Statistics::Int32(found) => {
            ends(whole(i64::from(*found.min_opt()?), dtype), whole(i64::from(*found.max_opt()?), dtype))
        }
        Statistics::Int64(found) => ends(whole(*found.min_opt()?, dtype), whole(*found.max_opt()?, dtype)),
        Statistics::Double(found) => {
            ends(Some(AnyValue::Float64(*found.min_opt()?)), Some(AnyValue::Float64(*found.max_opt()?)))
        }
        Statistics::ByteArray(found) => {
            ends(of_bytes(found.min_opt()?.as_bytes(), dtype), of_bytes(found.max_opt()?.as_bytes(), dtype))
        }
        Statistics::FixedLenByteArray(found) => {
            ends(of_bytes(found.min_opt()?.as_bytes(), dtype), of_bytes(found.max_opt()?.as_bytes(), dtype))
        }
        Statistics::Boolean(_) | Statistics::Int96(_) | Statistics::Float(_) => None,
    }
}

fn whole(value: i64, dtype: &DataType) -> Option<AnyValue<'static>> {
    Some(match dtype {
        DataType::Int64 => AnyValue::Int64(value),
        DataType::Int32 => AnyValue::Int32(value.try_into().ok()?),
        DataType::Date => AnyValue::Date(value.try_into().ok()?),
        DataType::Datetime(unit, _) => AnyValue::Datetime(value, *unit, None),
        DataType::Decimal(precision, scale) => AnyValue::Decimal(value.into(), *precision, *scale),
        _ => return None,
    })
}

fn of_bytes(bytes: &[u8], dtype: &DataType) -> Option<AnyValue<'static>> {
    match dtype {
        DataType::String => Some(AnyValue::StringOwned(std::str::from_utf8(bytes).ok()?.into())),
        DataType::Decimal(precision, scale) if bytes.len() <= 16 && !bytes.is_empty() => {
            // Big-endian two's complement, of as many bytes as the precision needs.
            let sign = if bytes[0] & 0x80 == 0 { 0 } else { 0xff };
            let mut wide = [sign; 16];
            wide[16 - bytes.len()..].copy_from_slice(bytes);
            Some(AnyValue::Decimal(i128::from_be_bytes(wide), *precision, *scale))
        }
        _ => None,
    }
}
