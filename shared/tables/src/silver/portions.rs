//! The rows of a load, portion by portion: as many row groups of its files as are worked on at once.

use std::ops::Range;

use polars::prelude::*;
use rcm_platform::bronze::Manifest;
use rcm_platform::context::Context;
use rcm_platform::error::{Result, StageError};
use rcm_platform::lake::Lake;

use crate::chunks::ParquetFile;
use crate::frames::{self, blocking};

/// How much of a load is looked at together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Portioning {
    /// What is said of a row depends on that row.
    ByRows,
    /// It depends on other rows of the load.
    Whole,
}

/// The files of a load.
pub(super) struct LoadFiles {
    lake: Lake,
    /// Key and footer of each.
    files: Vec<(String, ParquetFile)>,
}

/// Row groups of a load's files.
pub(super) struct Portion {
    lake: Lake,
    parts: Vec<(String, ParquetFile, Range<usize>)>,
}

impl LoadFiles {
    /// Reads the footers of a load's files.
    ///
    /// # Errors
    /// The store fails, or a file is no Parquet file.
    pub(super) async fn open(context: &Context, load: &Manifest) -> Result<Self> {
        let mut files = Vec::with_capacity(load.data_files.len());
        for key in &load.data_files {
            files.push((key.clone(), ParquetFile::open(&context.lake, key).await?));
        }
        Ok(Self { lake: context.lake.clone(), files })
    }

    /// The columns of the load, as its first file has them.
    ///
    /// # Errors
    /// It has no file.
    pub(super) fn schema(&self) -> Result<SchemaRef> {
        let (_, first) = self.files.first().ok_or_else(|| StageError::corrupt_lake("a load has no file"))?;
        Ok(first.decode_all(0..0)?.schema().clone())
    }

    /// The load in portions, at least one; in the order of its rows. A portion of several row groups has at most `most`
    /// rows.
    pub(super) fn portions(&self, portioning: Portioning, most: usize) -> Vec<Portion> {
        let new = || Portion { lake: self.lake.clone(), parts: Vec::new() };
        let (mut portions, mut rows) = (vec![new()], 0);
        for (key, file) in &self.files {
            for group in 0..file.groups() {
                rows += file.rows(group);
                let is_full = portioning == Portioning::ByRows && rows > most;
                if is_full && portions.last().is_some_and(|portion| !portion.parts.is_empty()) {
                    portions.push(new());
                    rows = file.rows(group);
                }
                let Some(portion) = portions.last_mut() else { continue };
                match portion.parts.last_mut() {
                    Some((last, _, groups)) if last == key => groups.end = group + 1,
                    _ => portion.parts.push((key.clone(), file.clone(), group..group + 1)),
                }
            }
            if file.groups() == 0
                && let Some(portion) = portions.last_mut()
            {
                portion.parts.push((key.clone(), file.clone(), 0..0));
            }
        }
        portions
    }
}

impl Portion {
    /// Reads columns of its rows.
    ///
    /// # Errors
    /// The store fails, or a file cannot be decoded.
    pub(super) async fn read(&self, columns: &[String]) -> Result<DataFrame> {
        let mut parts = Vec::with_capacity(self.parts.len());
        for (key, file, groups) in &self.parts {
            let wanted: Vec<&str> = columns.iter().map(String::as_str).collect();
            let file = file.clone().with_columns_of(groups.clone(), &self.lake, key, &wanted).await?;
            parts.push((file, groups.clone()));
        }
        let columns = columns.to_vec();
        blocking(move || {
            let wanted: Vec<&str> = columns.iter().map(String::as_str).collect();
            let rows = parts.into_iter().map(|(file, groups)| file.decode(groups, &wanted));
            frames::stacked(rows.collect::<Result<Vec<_>>>()?)
        })
        .await
    }

    /// Reads all columns of its rows.
    ///
    /// # Errors
    /// Those of [`Portion::read`].
    pub(super) async fn read_all(&self) -> Result<DataFrame> {
        let columns = self.parts.first().map(|(_, file, _)| file.column_names()).unwrap_or_default();
        self.read(&columns).await
    }
}

#[cfg(test)]
mod tests {
    use rcm_platform::testing::{TestLake, manifest};

    use super::*;
    use crate::chunks::file_of;

    #[tokio::test(flavor = "multi_thread")]
    async fn portions_have_all_rows_of_a_load_in_their_order() {
        let context = TestLake::new().context().await;
        let rows =
            |numbers: Range<i64>| df!("n" => numbers.clone().collect::<Vec<_>>(), "m" => numbers.collect::<Vec<_>>());
        let mut load = manifest("claims/hos-a", 1, context.now());
        for (key, numbers) in [("a", 0..7), ("b", 7..8), ("c", 8..8), ("d", 8..20)] {
            context.lake.put(key, file_of(&rows(numbers).unwrap(), 2).unwrap().bytes).await.unwrap();
            load.data_files.push(key.to_owned());
        }
        let files = LoadFiles::open(&context, &load).await.unwrap();
        for (portioning, most, expected) in [
            (Portioning::ByRows, 4, 5),
            (Portioning::ByRows, 1, 14),
            (Portioning::ByRows, 99, 1),
            (Portioning::Whole, 1, 1),
        ] {
            let portions = files.portions(portioning, most);
            assert_eq!(portions.len(), expected, "{portioning:?} of {most}");
            let mut read = rows(0..0).unwrap();
            for portion in &portions {
                read.vstack_mut(&portion.read_all().await.unwrap()).unwrap();
            }
            assert!(read.equals(&rows(0..20).unwrap()), "{portioning:?} of {most}: {read}");
            assert_eq!(portions[0].read(&["m".to_owned()]).await.unwrap().get_column_names(), ["m"]);
        }
    }
}
