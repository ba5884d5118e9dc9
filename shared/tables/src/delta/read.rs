//! Rows of data files in memory: the columns that are asked for, read by ranges.

use polars::prelude::*;
use rcm_platform::error::Result;

use super::table::{DataFile, Table};
use crate::chunks::ParquetFile;
use crate::frames::{blocking, conform};

impl Table {
    /// Reads columns of some files, one row group after the other, and returns what `take` makes of each. The rows have
    /// the columns of `schema` in its order and of its types: one that a file lacks is null, a partition column has the
    /// value of the file. At least one column must be stored in the files.
    ///
    /// # Errors
    /// A file cannot be read; the error of `take`.
    pub async fn read<T: Send + 'static>(
        &self,
        files: &[DataFile],
        schema: &Schema,
        take: impl Fn(DataFrame) -> Result<T> + Clone + Send + 'static,
    ) -> Result<Vec<T>> {
        let partition_columns = self.partition_columns()?;
        let is_partition = |name: &str| partition_columns.iter().any(|column| column == name);
        let stored: Vec<String> =
            schema.iter_names().filter(|name| !is_partition(name)).map(ToString::to_string).collect();
        let mut taken = Vec::new();
        for file in files {
            let (names, schema, take) = (stored.clone(), schema.clone(), take.clone());
            let key = format!("{}/{}", self.path(), file.path());
            let columns: Vec<&str> = names.iter().map(String::as_str).collect();
            let parquet = ParquetFile::footer(self.lake(), &key, file.size()).await?;
            let parquet = parquet.with_columns(self.lake(), &key, &columns).await?;
            let partition = partition_columns.iter().filter(|column| schema.contains(column));
            let partition = partition.map(|column| self.partition_value(column, file)).collect::<Result<Vec<_>>>()?;
            let of_file = blocking(move || {
                let columns: Vec<&str> = names.iter().map(String::as_str).collect();
                (0..parquet.groups())
                    .map(|group| {
                        let mut rows = parquet.decode(group..group + 1, &columns)?;
                        for (name, value) in &partition {
                            rows.with_column(Column::new_scalar(name.clone(), value.clone(), rows.height()))?;
                        }
                        take(conform(&rows, &schema)?)
                    })
                    .collect::<Result<Vec<T>>>()
            });
            taken.extend(of_file.await.map_err(|error| error.of_object(&key))?);
        }
        Ok(taken)
    }

    /// The value of a partition column in the rows of a file.
    fn partition_value(&self, column: &str, file: &DataFile) -> Result<(PlSmallStr, Scalar)> {
        let literal = self.partition_literal(column, file.partition_value(column).map(str::to_owned));
        let value = DataFrame::empty().lazy().select([literal]).collect()?;
        let value = value.column(column)?;
        Ok((PlSmallStr::from_str(column), Scalar::new(value.dtype().clone(), value.get(0)?.into_static())))
    }
}
