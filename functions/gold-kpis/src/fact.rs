//! Reads `fact_transactions`, which has what is known today, bucket by bucket.

use std::collections::HashSet;

use polars::prelude::*;
use rcm_domain::close::{FACT_COLUMNS, REVERSAL_COLUMNS, reversal_groups};
use rcm_domain::gold::FACTS;
use rcm_domain::scd2::bucket_of;
use rcm_model::cdm::TRANSACTIONS;
use rcm_platform::{StageError, lake};
use rcm_tables::delta::{DataFile, Table};
use rcm_tables::gold::{Bucket, Tables, two_at_once};
use rcm_tables::silver::bucket_count;

/// Name of the fact.
pub(crate) const FACT: &str = "fact_transactions";

/// The fact, and the silver table that it was made from.
#[derive(Clone, Copy)]
pub(crate) struct Known<'a> {
    pub fact: &'a Table,
    pub silver: &'a Table,
}

impl<'a> Known<'a> {
    /// Paths of the tables that are opened for it.
    pub(crate) fn paths() -> [String; 2] {
        [lake::gold(FACT), lake::silver(TRANSACTIONS.name)]
    }

    /// The tables, if both are there.
    pub(crate) fn of(sources: &'a Tables) -> Option<Self> {
        let [fact, silver] = Self::paths();
        Some(Self { fact: sources.get(&fact)?, silver: sources.get(&silver)? })
    }

    /// Number of buckets, if silver says it.
    ///
    /// # Errors
    /// The log cannot be read.
    pub(crate) fn bucket_count(self) -> Result<Option<u32>, StageError> {
        bucket_count(self.silver)
    }

    /// Rows of a bucket, with [`FACT_COLUMNS`]. None if they do not belong to it: silver was divided into another number of
    /// buckets, and the fact has not been made anew since.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(crate) async fn rows(self, bucket: &Bucket) -> Result<Option<DataFrame>, StageError> {
        let schema = columns(FACT_COLUMNS);
        let mut rows = DataFrame::empty_with_schema(&schema);
        for group in self.fact.read(&bucket.files, &schema, Ok).await? {
            rows.vstack_mut_owned(group)?;
        }
        rows.rechunk_mut();
        if let Some(count) = self.bucket_count()? {
            let numbers = bucket_of(rows.column(TRANSACTIONS.key)?, count)?;
            let own = name_of(bucket).parse::<i32>().ok();
            if numbers.iter().any(|number| number != own) {
                return Ok(None);
            }
        }
        Ok(Some(rows))
    }

    /// Groups of the fact in which charges take back others.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(crate) async fn reversals(self, buckets: &[Bucket]) -> Result<HashSet<i64>, StageError> {
        let read = buckets.iter().cloned().map(|bucket| async move {
            let has_some = |file: &DataFile| file.least("amount").is_none_or(|least| least < 0.0);
            let files: Vec<DataFile> = bucket.files.into_iter().filter(has_some).collect();
            let groups = |rows: DataFrame| Ok(reversal_groups(&rows)?);
            self.fact.read(&files, &columns(REVERSAL_COLUMNS), groups).await
        });
        let add = |mut all: HashSet<i64>, more: Vec<HashSet<i64>>| async move {
            all.extend(more.into_iter().flatten());
            Ok(all)
        };
        two_at_once(read, HashSet::new(), add).await
    }
}

/// Columns of the fact by their names, in their order.
pub(crate) fn columns<const N: usize>(names: [&str; N]) -> Schema {
    let [transactions, ..] = &FACTS;
    let all = transactions.schema();
    names.iter().filter_map(|name| all.get_field(name)).collect()
}

/// The name of a bucket, also of one of a table without buckets.
pub(crate) fn name_of(bucket: &Bucket) -> &str {
    bucket.name.as_deref().unwrap_or("none")
}
