//! Columns of a frame as plain arrays, for loops over rows.

use std::collections::BTreeMap;

use polars::prelude::*;
use rcm_model::cdm::{ColumnType, Entity};

/// The columns of stored versions or of incoming rows that decide what becomes of a key.
pub(super) struct Columns {
    pub keys: StringChunked,
    pub datasources: StringChunked,
    pub hashes: Int64Chunked,
    /// Microseconds.
    pub modified: Int64Chunked,
    /// In cents, by column; in the order of the entity's columns. None where they were not asked for.
    amounts: Vec<Int128Chunked>,
}

impl Columns {
    /// Reads the columns of a frame, one chunk each.
    ///
    /// # Errors
    /// A column is missing.
    pub(super) fn of(frame: &DataFrame, entity: &Entity, with_amounts: bool) -> PolarsResult<Self> {
        let text =
            |name: &str| -> PolarsResult<StringChunked> { Ok(frame.column(name)?.str()?.rechunk().into_owned()) };
        let amounts = amount_columns(entity).filter(|_| with_amounts).map(|name| {
            let cents = frame.column(name)?.as_materialized_series().decimal()?.physical().rechunk().into_owned();
            Ok(cents)
        });
        Ok(Self {
            keys: text(entity.key)?,
            datasources: text("datasource")?,
            hashes: frame.column("row_hash")?.i64()?.rechunk().into_owned(),
            modified: frame.column("src_modified_at")?.datetime()?.physical().rechunk().into_owned(),
            amounts: amounts.collect::<PolarsResult<_>>()?,
        })
    }

    /// The key of a row; empty where it has none.
    pub(super) fn key(&self, row: usize) -> &str {
        self.keys.get(row).unwrap_or_default()
    }

    /// The modified time of a row.
    pub(super) fn modified(&self, row: usize) -> i64 {
        self.modified.get(row).unwrap_or(i64::MIN)
    }

    /// The hash of a row's tracked attributes.
    pub(super) fn hash(&self, row: usize) -> i64 {
        self.hashes.get(row).unwrap_or_default()
    }

    /// Adds the amounts of a row to sums, which are in the order of the entity's amounts.
    pub(super) fn add_amounts(&self, row: usize, sums: &mut [i128]) {
        for (sum, amounts) in sums.iter_mut().zip(&self.amounts) {
            *sum += amounts.get(row).unwrap_or(0);
        }
    }
}

/// Names of the amounts of an entity.
pub(super) fn amount_columns(entity: &Entity) -> impl Iterator<Item = &'static str> {
    entity.tracked.iter().filter(|column| column.kind == ColumnType::Money).map(|column| column.name)
}

/// A column of microseconds that is a moment in UTC.
///
/// # Errors
/// Never for integers.
pub(super) fn moments(name: &str, micros: Vec<Option<i64>>) -> PolarsResult<Column> {
    Column::new(name.into(), micros).cast(&crate::cdm::timestamp())
}

/// Counts by load and what is counted.
pub(super) type Counts<K> = BTreeMap<(String, K), u64>;
