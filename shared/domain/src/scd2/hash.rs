//! Hashes that are written into tables: xxh3, since Polars' own change between its versions.

use polars::prelude::*;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use rcm_model::cdm::Entity;

/// What a null leaves in a hash: no value of any column does.
const NULL: &[u8] = b"\xff\x00null";
/// What makes the hash of a row that deletes its key another one.
const DELETED: &[u8] = b"\xff\x00deleted";

/// Hash of the tracked columns of every row, column by column, without those in `untracked`.
///
/// # Errors
/// A tracked column is missing.
pub(super) fn row_hash(rows: &DataFrame, entity: &Entity, untracked: &[&str]) -> PolarsResult<Int64Chunked> {
    let names = entity.tracked.iter().map(|column| column.name).filter(|name| !untracked.contains(name));
    Ok(hash_of(rows, names)?.with_name("row_hash".into()))
}

/// Hash of some columns of every row.
///
/// # Errors
/// A column is missing.
pub(crate) fn hash_of<'a>(rows: &DataFrame, columns: impl Iterator<Item = &'a str>) -> PolarsResult<Int64Chunked> {
    let mut hashes = vec![0_u64; rows.height()];
    for name in columns {
        fold_column(&mut hashes, rows.column(name)?)?;
    }
    Ok(Int64Chunked::from_iter_values("hash".into(), hashes.into_iter().map(|hash| hash as i64)))
}

/// The hashes, of which those of rows that delete their key differ from those of rows that hold the same
/// attributes: the two may have the same time.
pub(super) fn deleted_hash(hashes: Int64Chunked, is_delete: &BooleanChunked) -> Int64Chunked {
    if !is_delete.any() {
        return hashes;
    }
    let flavoured = hashes.iter().zip(is_delete.iter()).map(|(hash, is_delete)| {
        let hash = hash.unwrap_or_default();
        if is_delete == Some(true) { xxh3_64_with_seed(DELETED, hash as u64) as i64 } else { hash }
    });
    Int64Chunked::from_iter_values("row_hash".into(), flavoured)
}

/// Surrogate key of a version: of its key, its start and its attributes, so that the same history
/// has the same surrogate keys whenever it is computed. Never zero, which is the unknown member.
///
/// # Errors
/// A column is missing.
pub(super) fn surrogate(versions: &DataFrame, key: &str) -> PolarsResult<Int64Chunked> {
    let mut hashes = vec![1_u64; versions.height()];
    for column in [key, "effective_from", "row_hash"] {
        fold_column(&mut hashes, versions.column(column)?)?;
    }
    let positive = |hash: u64| ((hash & (i64::MAX as u64)) as i64).max(1);
    Ok(Int64Chunked::from_iter_values("surrogate".into(), hashes.into_iter().map(positive)))
}

/// Bucket of every key, from 0 on; that of a null is null.
///
/// # Errors
/// The column is no text.
pub fn bucket_of(keys: &Column, buckets: u32) -> PolarsResult<Int32Chunked> {
    let bucket = |key: &str| (xxh3_64_with_seed(key.as_bytes(), 0) % u64::from(buckets.max(1))) as i32;
    let buckets: Int32Chunked = keys.str()?.iter().map(|key| key.map(bucket)).collect();
    Ok(buckets.with_name("bucket".into()))
}

fn fold_column(hashes: &mut [u64], column: &Column) -> PolarsResult<()> {
    let series = column.as_materialized_series();
    match series.dtype() {
        DataType::String => fold(hashes, series.str()?.iter().map(|text| text.map(str::as_bytes))),
        DataType::Boolean => fold(hashes, series.bool()?.iter().map(|value| value.map(|value| [u8::from(value)]))),
        DataType::Decimal(_, _) => fold(hashes, series.decimal()?.physical().iter().map(|v| v.map(i128::to_le_bytes))),
        _ => fold(
            hashes,
            series.to_physical_repr().cast(&DataType::Int64)?.i64()?.iter().map(|v| v.map(i64::to_le_bytes)),
        ),
    }
    Ok(())
}

fn fold<B: AsRef<[u8]>>(hashes: &mut [u64], values: impl Iterator<Item = Option<B>>) {
    for (hash, value) in hashes.iter_mut().zip(values) {
        *hash = match value {
            Some(value) => xxh3_64_with_seed(value.as_ref(), *hash),
            None => xxh3_64_with_seed(NULL, hash.rotate_left(1)),
        };
    }
}

#[cfg(test)]
mod tests {
    use rcm_model::cdm::DEPARTMENTS;

    use super::*;

    #[test]
    fn null_and_empty_and_moved_values_hash_differently() {
        let rows = df!("name" => [Some("Cardiology"), None, Some("")]).unwrap();
        let hashes = row_hash(&rows, &DEPARTMENTS, &[]).unwrap();
        assert_eq!(hashes.n_unique().unwrap(), 3);
    }

    /// The value is written into tables: a change of it would make every row of every lake new.
    #[test]
    fn a_hash_never_changes() {
        let rows = df!("name" => ["Cardiology"]).unwrap();
        let hash = row_hash(&rows, &DEPARTMENTS, &[]).unwrap().get(0);
        assert_eq!(hash, Some(xxh3_64_with_seed(b"Cardiology", 0) as i64));
    }
}
