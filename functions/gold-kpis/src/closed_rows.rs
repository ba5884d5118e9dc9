//! What transactions said of a month's end when it was closed: objects that no maintenance removes.
//!
//! `gold/kpi_closed_rows/<closing>/` has a Parquet file per bucket, and `closing.json`, written last. A closing counts
//! once its figures are in `kpi_closed_months`; files of one that does not are never read.

use std::collections::{BTreeSet, HashSet};
use std::io::Cursor;

use polars::prelude::*;
use rcm_domain::close::rows_schema;
use rcm_domain::scd2::bucket_of;
use rcm_platform::StageError;
use rcm_platform::lake::Lake;
use rcm_tables::frames::blocking;
use serde::{Deserialize, Serialize};

const FOLDER: &str = "gold/kpi_closed_rows";
const RECORD: &str = "closing.json";

/// What is kept of a closing beside its rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// Number of buckets by which the rows are divided; none if the silver table did not say it.
    pub bucket_count: Option<u32>,
    /// Buckets that had rows.
    pub buckets: BTreeSet<String>,
    /// Loads that had brought rows.
    pub loads: HashSet<String>,
    /// Groups in which charges took back others.
    pub reversals: HashSet<i64>,
}

/// The rows of a closing.
#[derive(Clone, Copy)]
pub(crate) struct ClosedRows<'a> {
    pub lake: &'a Lake,
    /// Identifier of the closing.
    pub closing: &'a str,
}

impl ClosedRows<'_> {
    fn key(self, name: &str) -> String {
        format!("{FOLDER}/{}/{name}", self.closing)
    }

    fn bucket_key(self, bucket: &str) -> String {
        self.key(&format!("{bucket}.parquet"))
    }

    /// Keeps the rows of a bucket.
    ///
    /// # Errors
    /// The store fails.
    pub(crate) async fn write(self, bucket: &str, mut rows: DataFrame) -> Result<(), StageError> {
        let bytes = blocking(move || {
            let mut bytes = Vec::new();
            ParquetWriter::new(&mut bytes).finish(&mut rows)?;
            Ok(bytes)
        });
        self.lake.put(&self.bucket_key(bucket), bytes.await?).await
    }

    /// Writes what is kept beside the rows.
    ///
    /// # Errors
    /// The store fails.
    pub(crate) async fn record(self, kept: &Kept) -> Result<(), StageError> {
        let json = serde_json::to_vec(kept).map_err(|_| StageError::internal("a closing cannot be written as JSON"))?;
        self.lake.put(&self.key(RECORD), json).await
    }

    /// Reads what is kept beside the rows.
    ///
    /// # Errors
    /// `CorruptLake` if it is not there or cannot be read.
    pub(crate) async fn kept(self) -> Result<Kept, StageError> {
        let key = self.key(RECORD);
        let bytes = self.lake.get_if_exists(&key).await?.ok_or_else(|| lost(&key))?;
        serde_json::from_slice(&bytes).map_err(|_| damaged(&key))
    }

    /// Reads the rows of a bucket. If today's table has another number of buckets, they are in several files.
    ///
    /// # Errors
    /// `CorruptLake` if a file is not there or cannot be read.
    pub(crate) async fn read(
        self,
        kept: &Kept,
        bucket: &str,
        bucket_count: Option<u32>,
    ) -> Result<DataFrame, StageError> {
        let mut rows = DataFrame::empty_with_schema(&rows_schema());
        let Some(count) = bucket_count.filter(|count| kept.bucket_count != Some(*count)) else {
            return if kept.buckets.contains(bucket) { self.file(bucket, Ok).await } else { Ok(rows) };
        };
        for name in &kept.buckets {
            let bucket = bucket.parse::<i32>().ok();
            let of_bucket = move |rows: DataFrame| {
                let buckets = bucket_of(rows.column("transaction_key")?, count)?;
                let is_in_it: BooleanChunked = buckets.iter().map(|number| Some(number == bucket)).collect();
                rows.filter(&is_in_it)
            };
            rows.vstack_mut_owned(self.file(name, of_bucket).await?)?;
        }
        Ok(rows)
    }

    async fn file(
        self,
        bucket: &str,
        take: impl FnOnce(DataFrame) -> PolarsResult<DataFrame> + Send + 'static,
    ) -> Result<DataFrame, StageError> {
        let key = self.bucket_key(bucket);
        let bytes = self.lake.get_if_exists(&key).await?.ok_or_else(|| lost(&key))?;
        blocking(move || {
            let rows = ParquetReader::new(Cursor::new(bytes)).finish().map_err(|_| damaged(&key))?;
            Ok(take(rows)?)
        })
        .await
    }
}

fn lost(key: &str) -> StageError {
    StageError::corrupt_lake(format!("`{key}` of a closed month is not there; hint: restore the object")).of_object(key)
}

fn damaged(key: &str) -> StageError {
    let hint = "hint: restore an earlier version of the object";
    StageError::corrupt_lake(format!("`{key}` of a closed month cannot be read; {hint}")).of_object(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(keys: &[String]) -> DataFrame {
        let lacking = rows_schema();
        let lacking = lacking.iter().filter(|(name, _)| name.as_str() != "transaction_key");
        let nothing = lacking.map(|(name, dtype)| lit(NULL).cast(dtype.clone()).alias(name.clone()));
        let rows = df!("transaction_key" => keys).unwrap().lazy().with_columns(nothing.collect::<Vec<_>>());
        rows.collect().unwrap()
    }

    /// Keeps the rows of some keys in two buckets.
    async fn keep(closed: ClosedRows<'_>, keys: &[String]) -> Kept {
        let all = rows(keys);
        let mut kept = Kept { bucket_count: Some(2), ..Kept::default() };
        for bucket in 0..2 {
            let numbers = bucket_of(all.column("transaction_key").unwrap(), 2).unwrap();
            let is_in_it: BooleanChunked = numbers.iter().map(|number| Some(number == Some(bucket))).collect();
            closed.write(&bucket.to_string(), all.filter(&is_in_it).unwrap()).await.unwrap();
            kept.buckets.insert(bucket.to_string());
        }
        closed.record(&kept).await.unwrap();
        kept
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn each_row_is_read_once_also_when_the_table_has_another_number_of_buckets_now() {
        let lake = Lake::in_memory();
        let closed = ClosedRows { lake: &lake, closing: "2024-09-made-up" };
        let keys: Vec<String> = (0..50).map(|number| format!("T{number}")).collect();
        let kept = keep(closed, &keys).await;
        assert_eq!(closed.kept().await.unwrap(), kept);
        for count in [2_u32, 3, 1] {
            let mut found = Vec::new();
            for bucket in 0..count {
                let rows = closed.read(&kept, &bucket.to_string(), Some(count)).await.unwrap();
                let of_bucket = rows.column("transaction_key").unwrap().clone();
                let numbers = bucket_of(&of_bucket, count).unwrap();
                assert!(numbers.iter().all(|number| number == Some(bucket.cast_signed())), "of {count}");
                found.extend(of_bucket.str().unwrap().iter().flatten().map(str::to_owned));
            }
            found.sort_unstable();
            let mut expected = keys.clone();
            expected.sort_unstable();
            assert_eq!(found, expected, "of {count}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn rows_that_are_lost_or_damaged_are_named() {
        let lake = Lake::in_memory();
        let closed = ClosedRows { lake: &lake, closing: "2024-09-made-up" };
        let lost = closed.kept().await.unwrap_err();
        let kept = keep(closed, &["T".to_owned()]).await;
        lake.put("gold/kpi_closed_rows/2024-09-made-up/0.parquet", "no Parquet").await.unwrap();
        let damaged = closed.read(&kept, "0", Some(2)).await.unwrap_err();
        for (error, expected) in [(lost, "closing.json` of a closed month is not there"), (damaged, "0.parquet` of a")]
        {
            assert!(error.name() == "CorruptLake" && error.to_string().contains(expected), "{error}");
        }
    }
}
