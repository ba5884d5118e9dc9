//! The stored rows of one bucket, read column by column.

use std::collections::HashSet;

use polars::prelude::*;
use rcm_domain::cdm::silver_schema;
use rcm_model::cdm::Entity;
use rcm_platform::context::Context;
use rcm_platform::error::Result;

use crate::chunks::ParquetFile;
use crate::delta::{DataFile, Table};
use crate::frames::{blocking, conform};

/// The bucket of a row: in the path of its file, and not in it.
const BUCKET: &str = "bucket";

/// The files of a bucket.
#[derive(Clone, Copy)]
pub(super) struct Bucket<'a> {
    pub context: &'a Context,
    pub entity: &'static Entity,
    pub table: Option<&'a Table>,
    pub number: i32,
}

/// A file of which some columns were read.
#[derive(Clone)]
pub(super) struct StoredFile {
    pub file: DataFile,
    /// Its footer.
    pub parquet: ParquetFile,
    /// Surrogate keys of the rows, row group by row group.
    surrogates: Vec<Int64Chunked>,
}

/// Rows of a bucket, and the files that they were read from.
pub(super) struct StoredRows {
    pub files: Vec<StoredFile>,
    pub rows: DataFrame,
}

impl StoredFile {
    /// Row groups with rows of which the surrogate key is among some keys.
    pub(super) fn groups_with(&self, keys: &HashSet<i64>) -> Vec<usize> {
        let has = |surrogates: &Int64Chunked| surrogates.iter().flatten().any(|key| keys.contains(&key));
        (0..).zip(&self.surrogates).filter(|(_, surrogates)| has(surrogates)).map(|(group, _)| group).collect()
    }

    /// Those of some surrogate keys that rows of the file have.
    pub(super) fn keys_of(&self, keys: &HashSet<i64>) -> Vec<i64> {
        let all = self.surrogates.iter().flat_map(Int64Chunked::iter).flatten();
        all.filter(|key| keys.contains(key)).collect()
    }
}

/// Returns whether a file of a silver table may have current versions: those without an end.
#[must_use]
pub fn is_open(file: &DataFile) -> bool {
    file.nulls("effective_to") != Some(0)
}

impl Bucket<'_> {
    /// The files of the bucket.
    pub(super) fn files(&self) -> impl Iterator<Item = &DataFile> {
        let number = self.number.to_string();
        let all = self.table.map_or(&[][..], Table::files).iter();
        all.filter(move |file| file.partition_value(BUCKET) == Some(number.as_str()))
    }

    /// The key of a file in the lake.
    pub(super) fn key_of(&self, file: &DataFile) -> String {
        format!("{}/{}", self.table.map_or("", Table::path), file.path())
    }

    /// Reads the footer of a file.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) async fn footer(&self, file: &DataFile) -> Result<StoredFile> {
        let parquet = ParquetFile::footer(&self.context.lake, &self.key_of(file), file.size()).await?;
        Ok(StoredFile { file: file.clone(), parquet, surrogates: Vec::new() })
    }

    /// Reads the footers of the files that may have current rows.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(super) async fn open_files(&self) -> Result<Vec<StoredFile>> {
        let mut files = Vec::new();
        for file in self.files().filter(|file| is_open(file)) {
            files.push(self.footer(file).await?);
        }
        Ok(files)
    }

    /// Reads columns of the current rows of some files.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(super) async fn current(&self, files: Vec<StoredFile>, columns: &[&str]) -> Result<StoredRows> {
        let current = |rows: DataFrame| {
            let is_current = rows.column("is_current")?.bool()?;
            Ok(if is_current.all() { rows } else { rows.filter(is_current)? })
        };
        self.read(files, columns, current).await
    }

    /// Reads columns of the rows of some keys, which are the column `key` of `needed`. Files without a row of them are
    /// not among those of the result.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(super) async fn of_keys(&self, needed: &DataFrame, columns: &[&str], with_current: bool) -> Result<StoredRows> {
        if needed.height() == 0 {
            return self.read(Vec::new(), columns, Ok).await;
        }
        let key = self.entity.key;
        let mut files = Vec::new();
        for file in self.files() {
            let file = self.footer(file).await?;
            let (keys, wanted) = (self.read(vec![file.clone()], &[key], Ok).await?.rows, needed.clone());
            let found = blocking(move || {
                let join = JoinArgs::new(JoinType::Semi);
                Ok(wanted.lazy().join(keys.lazy(), [col("key")], [col(key)], join).collect()?.height())
            });
            if found.await? > 0 {
                files.push(file);
            }
        }
        let needed = needed.clone();
        let of_keys = move |rows: DataFrame| {
            let all = lit(with_current).or(col("is_current").not());
            let rows = rows.lazy().join(needed.clone().lazy(), [col(key)], [col("key")], JoinArgs::new(JoinType::Semi));
            Ok(rows.filter(all).collect()?)
        };
        self.read(files, columns, of_keys).await
    }

    /// Reads columns of some files, and takes rows of each row group.
    async fn read(
        &self,
        files: Vec<StoredFile>,
        columns: &[&str],
        take: impl Fn(DataFrame) -> Result<DataFrame> + Clone + Send + 'static,
    ) -> Result<StoredRows> {
        let all = silver_schema(self.entity);
        let schema: Schema = all.iter_fields().filter(|field| columns.contains(&field.name().as_str())).collect();
        let mut stored = StoredRows { files: Vec::new(), rows: DataFrame::empty_with_schema(&schema) };
        let (surrogate, number) = (self.entity.surrogate, self.number);
        let mut read: Vec<&str> = columns.iter().copied().filter(|name| *name != BUCKET).collect();
        read.extend([surrogate, "is_current"].into_iter().filter(|name| !columns.contains(name)));
        let read: Vec<String> = read.into_iter().map(str::to_owned).collect();
        for StoredFile { file, parquet: footer, .. } in files {
            let key = self.key_of(&file);
            let lake = &self.context.lake;
            let names: Vec<&str> = read.iter().map(String::as_str).collect();
            let parquet = footer.clone().with_columns(lake, &key, &names).await?;
            let (schema, take, read) = (schema.clone(), take.clone(), read.clone());
            let (surrogates, rows) = blocking(move || {
                let names: Vec<&str> = read.iter().map(String::as_str).collect();
                let (mut surrogates, mut taken) = (Vec::new(), DataFrame::empty_with_schema(&schema));
                for group in 0..parquet.groups() {
                    let mut rows = parquet.decode(group..group + 1, &names)?;
                    surrogates.push(rows.column(surrogate)?.i64()?.clone());
                    rows.with_column(Column::new_scalar(BUCKET.into(), Scalar::from(number), rows.height()))?;
                    taken.vstack_mut(&conform(&take(rows)?, &schema)?)?;
                }
                Ok((surrogates, taken))
            })
            .await?;
            stored.files.push(StoredFile { file, parquet: footer, surrogates });
            stored.rows.vstack_mut(&rows)?;
        }
        stored.rows.rechunk_mut();
        Ok(stored)
    }
}
