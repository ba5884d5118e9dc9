//! One bucket of a fact: kept if its file was made from what the bucket of silver holds now, else made anew.

use std::sync::Arc;

use polars::prelude::*;
use rcm_domain::gold::Fact;
use rcm_domain::gold::control::{self, Totals};
use rcm_domain::gold::fact::is_in_gold;
use rcm_model::cdm::Entity;
use rcm_model::event::ControlCheck;
use rcm_platform::StageError;
use rcm_tables::delta::{DataFile, NewFile, Table};
use rcm_tables::frames::blocking;
use rcm_tables::gold::{Bucket, GOLD_REVISION, Target};

use crate::Days;

/// What the buckets of a fact are made from.
#[derive(Clone, Copy)]
pub(crate) struct FactBuckets<'a> {
    pub fact: &'static Fact,
    pub silver: &'a Table,
    pub target: &'a Target<'a>,
    pub days: &'a Arc<Days>,
    /// Whether the rows of the table point to the versions that the dimensions have now.
    pub is_pointing_right: bool,
}

/// What became of buckets of a fact.
#[derive(Default)]
pub(crate) struct Made {
    /// Files that stay.
    pub kept: Vec<DataFile>,
    pub add: Vec<NewFile>,
    /// Figures of the buckets that were made anew. The others have the rows whose figures were compared when they were
    /// made: neither their file nor those of silver have changed since.
    pub figures: Figures,
}

impl Made {
    pub(crate) fn and(mut self, mut other: Self) -> Self {
        self.kept.append(&mut other.kept);
        self.add.append(&mut other.add);
        Self { figures: self.figures.and(other.figures), ..self }
    }
}

impl FactBuckets<'_> {
    /// Keeps the file of a bucket, or writes it anew. Nothing is committed.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub(crate) async fn make(self, bucket: Bucket) -> Result<Made, StageError> {
        let mark = bucket.fingerprint(&self.made_by());
        let stored = self.target.files_of_bucket(bucket.name.as_deref());
        if let [file] = &stored[..]
            && file.mark() == Some(mark)
            && (self.is_pointing_right || self.points_right(file).await?)
        {
            return Ok(Made { kept: stored, ..Made::default() });
        }
        let (rows, figures) = self.read(&bucket).await?;
        let file = self.target.write_bucket(&rows, bucket.name.as_deref(), mark).await?;
        Ok(Made { add: file.into_iter().collect(), figures, ..Made::default() })
    }

    /// What decides about the rows of a bucket beside its silver files and the dimensions.
    fn made_by(&self) -> String {
        format!("{GOLD_REVISION} {:?} {:?}", self.days.zones, self.fact.table_schema())
    }

    /// Whether all rows of a file point to the versions that were valid on their day, as the dimensions say now.
    async fn points_right(&self, file: &DataFile) -> Result<bool, StageError> {
        let Some(table) = self.target.table() else { return Ok(false) };
        let (fact, days) = (self.fact, Arc::clone(self.days));
        let points_right = move |rows: DataFrame| Ok(fact.points_right(&rows, &days.lookups, &days.zones)?);
        let groups = table.read(std::slice::from_ref(file), &fact.pointing_columns(), points_right).await?;
        Ok(groups.into_iter().all(|is_right| is_right))
    }

    /// The rows of a bucket.
    async fn read(&self, bucket: &Bucket) -> Result<(DataFrame, Figures), StageError> {
        let (fact, days) = (self.fact, Arc::clone(self.days));
        let columns = fact.silver_columns();
        let current = move |rows: DataFrame| {
            let totals = Totals::of_silver(rows.clone().lazy(), fact.entity)?;
            Ok((totals, rows.lazy().filter(is_in_gold()).collect()?))
        };
        let groups = self.silver.read(&bucket.files, &columns, current).await?;
        blocking(move || {
            let (mut silver, mut rows) = (Totals::default(), DataFrame::empty_with_schema(&columns));
            for (totals, of_group) in groups {
                silver = silver.and(totals);
                rows.vstack_mut_owned(of_group)?;
            }
            rows.rechunk_mut();
            let part = fact.build_with(rows, &days.lookups, &days.zones)?;
            let figures = Figures {
                buckets: 1,
                silver,
                fact: Totals::of(part.clone().lazy(), fact.entity)?,
                duplicate_keys: control::duplicates(&part, &[fact.entity.key])?,
                duplicate_versions: control::duplicates(&part, &[fact.entity.surrogate])?,
            };
            Ok((part, figures))
        })
        .await
    }
}

/// Figures of rows of a fact and of the silver rows that they were made from.
#[derive(Default)]
pub(crate) struct Figures {
    /// How many buckets they are of.
    buckets: u64,
    silver: Totals,
    fact: Totals,
    duplicate_keys: u64,
    duplicate_versions: u64,
}

impl Figures {
    fn and(self, more: Self) -> Self {
        Self {
            buckets: self.buckets + more.buckets,
            silver: self.silver.and(more.silver),
            fact: self.fact.and(more.fact),
            duplicate_keys: self.duplicate_keys + more.duplicate_keys,
            duplicate_versions: self.duplicate_versions + more.duplicate_versions,
        }
    }

    /// The control checks; none if no bucket was made anew.
    pub(crate) fn checks(&self, path: &str, entity: &Entity) -> Vec<ControlCheck> {
        if self.buckets == 0 {
            return Vec::new();
        }
        let mut checks = control::fact_equals_silver(path, entity, &self.silver, &self.fact);
        checks.push(control::no_duplicates(path, &[entity.key], self.duplicate_keys));
        checks.push(control::no_duplicates(path, &[entity.surrogate], self.duplicate_versions));
        checks
    }
}
