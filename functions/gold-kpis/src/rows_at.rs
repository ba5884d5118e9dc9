//! Reads the rows of a bucket of a silver table that were valid at the end of a day.

use polars::prelude::*;
use rcm_domain::cdm::silver_schema;
use rcm_domain::gold::held::{EndOfDay, candidates_of, ended, needed, settled};
use rcm_domain::kpi::reversals::Reversals;
use rcm_model::cdm::Entity;
use rcm_platform::StageError;
use rcm_tables::delta::{DataFile, Table};
use rcm_tables::frames::blocking;
use rcm_tables::gold::Bucket;
use rcm_tables::silver::is_open;

/// Columns by which [`ended`] finds keys, beside the key itself.
const ENDED: [&str; 3] = ["datasource", "effective_from", "effective_to"];

/// A silver table, and the day whose rows are asked for.
#[derive(Clone, Copy)]
pub(crate) struct RowsAt<'a> {
    pub silver: &'a Table,
    pub entity: &'static Entity,
    /// Columns of the rows.
    pub columns: &'static [&'static str],
    pub end: &'a EndOfDay,
}

impl RowsAt<'_> {
    /// Columns of the table, some of them by their names.
    fn schema<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Schema {
        let all = silver_schema(self.entity);
        names.into_iter().filter_map(|name| all.get_field(name)).collect()
    }

    /// No rows.
    pub(crate) fn none(&self) -> DataFrame {
        DataFrame::empty_with_schema(&self.schema(self.columns.iter().copied()))
    }

    /// Returns the rows of one bucket; no key is in two. Files whose versions had all ended before are only read if a
    /// key has later versions and none of the day: they show whether it was deleted.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(crate) async fn of_bucket(&self, bucket: &Bucket) -> Result<DataFrame, StageError> {
        let (entity, columns, end) = (self.entity, self.columns, self.end.clone());
        let schema = self.schema(needed(entity, columns));
        let groups = self.silver.read(&self.near(bucket), &schema, Ok).await?;
        let none = DataFrame::empty_with_schema(&schema);
        let found = blocking(move || Ok(candidates_of(&together(none, groups)?, columns, &end)?)).await?;
        if found.later.height() == 0 {
            return Ok(found.held);
        }
        let schema = self.schema(ENDED.into_iter().chain([entity.key]));
        let end = self.end.clone();
        let keys = move |rows: DataFrame| Ok(ended(rows.lazy(), entity, &end).collect()?);
        let groups = self.silver.read(&bucket.files, &schema, keys).await?;
        let none = DataFrame::empty_with_schema(&self.schema([entity.key]));
        blocking(move || Ok(settled(found, together(none, groups)?.lazy(), entity, columns)?)).await
    }

    /// Returns the charges of a bucket that take back others, of any version that may be one of the day.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(crate) async fn reversals(&self, bucket: &Bucket) -> Result<Reversals, StageError> {
        // The statistics of files that other versions of the product wrote may be wrong for amounts of both signs.
        let is_exact = self.silver.partition_columns()? == ["bucket"];
        let has_none = |file: &DataFile| is_exact && file.least("amount").is_some_and(|least| least >= 0.0);
        let files: Vec<DataFile> = self.near(bucket).into_iter().filter(|file| !has_none(file)).collect();
        let of_group = |rows: DataFrame| {
            let mut reversals = Reversals::default();
            reversals.add(&rows)?;
            Ok(reversals)
        };
        let groups = self.silver.read(&files, &self.schema(Reversals::COLUMNS), of_group).await?;
        Ok(groups.into_iter().fold(Reversals::default(), Reversals::and))
    }

    /// The files of a bucket that may have versions which are valid at the end of the day or later.
    fn near(&self, bucket: &Bucket) -> Vec<DataFile> {
        bucket.files.iter().filter(|file| !had_ended(file, self.end)).cloned().collect()
    }
}

fn together(mut rows: DataFrame, groups: Vec<DataFrame>) -> Result<DataFrame, StageError> {
    for group in groups {
        rows.vstack_mut_owned(group)?;
    }
    rows.rechunk_mut();
    Ok(rows)
}

/// Returns whether no version of a file can be valid at the end of the day or later.
fn had_ended(file: &DataFile, end: &EndOfDay) -> bool {
    !is_open(file) && file.latest("effective_to").is_some_and(|latest| latest <= end.earliest())
}
