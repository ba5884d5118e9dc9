//! One gold table of a stage.

use polars::prelude::*;
use rcm_model::event::TableCommit;
use rcm_platform::context::Context;
use rcm_platform::error::Result;

use super::Tables;
use crate::delta::{self, Change, DataFile, NewFile, Table};
use crate::frames::blocking;

/// Application under which a commit records how the table was made.
const MAKING: &str = "rcm.making";
/// Raised whenever gold makes other rows of the same silver: the first run after a deployment then makes every table
/// anew.
pub const GOLD_REVISION: i64 = 5;
/// Column that silver tables and facts are partitioned by.
const BUCKET: &str = "bucket";

/// What a gold table is made from, held against what the lake has now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Path of the table below the lake's root.
    pub table: String,
    pub is_there: bool,
    /// Paths of tables that are not there and without which it is not made.
    pub lacks: Vec<String>,
    /// What its commit records: paths of tables, and names of what else it depends on.
    pub inputs: Vec<String>,
    /// Those of the inputs that have changed since it was made.
    pub changed: Vec<String>,
    /// Whether an older version of the product made it, which made other rows of the same inputs.
    pub is_made_otherwise: bool,
}

/// One gold table, as it was when it was opened, and what it is to be made from.
///
/// It must have been opened before what it is made from: then a commit of another run in between
/// is a conflict, and an older state never replaces a newer one.
pub struct Target<'a> {
    context: &'a Context,
    run_id: &'a str,
    path: String,
    table: Option<&'a Table>,
    made_from: Vec<(String, i64)>,
}

impl<'a> Target<'a> {
    /// The table at `path`; `made_from` names what its commit records, and with which version.
    #[must_use]
    pub fn new(
        context: &'a Context,
        run_id: &'a str,
        opened: &'a Tables,
        path: String,
        mut made_from: Vec<(String, i64)>,
    ) -> Self {
        let table = opened.get(&path);
        made_from.push((MAKING.to_owned(), GOLD_REVISION));
        Self { context, run_id, path, table, made_from }
    }

    /// Path of the table below the lake's root.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The active files of the table.
    #[must_use]
    pub fn files(&self) -> &[DataFile] {
        self.table.map_or(&[], Table::files)
    }

    /// The active files of a bucket of the table: none if it is not partitioned by bucket, as those of an older version of
    /// the product are not.
    #[must_use]
    pub fn files_of_bucket(&self, bucket: Option<&str>) -> Vec<DataFile> {
        let is_of_bucket = |file: &&DataFile| bucket.is_some() && file.partition_value(BUCKET) == bucket;
        self.files().iter().filter(is_of_bucket).cloned().collect()
    }

    /// The table as it was when it was opened.
    #[must_use]
    pub fn table(&self) -> Option<&Table> {
        self.table
    }

    /// Whether the last commit of the table recorded a version of an application.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn has_recorded(&self, application: &str, version: i64) -> Result<bool> {
        let Some(table) = self.table else { return Ok(false) };
        Ok(table.transaction(application).await? == Some(version))
    }

    /// Adds to what the commit records; [`Target::is_due`] does not look at it.
    pub fn record(&mut self, application: &str, version: i64) {
        self.made_from.push((application.to_owned(), version));
    }

    /// Whether the table was made from something else than what the lake holds now.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn is_due(&self) -> Result<bool> {
        let Some(table) = self.table else { return Ok(true) };
        for (application, version) in &self.made_from {
            if table.transaction(application).await? != Some(*version) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What the table is made from, and what of that has changed since it was made.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn due(&self) -> Result<Due> {
        let mut changed = Vec::new();
        for (application, version) in &self.made_from {
            if let Some(table) = self.table
                && table.transaction(application).await? != Some(*version)
            {
                changed.push(application.clone());
            }
        }
        let inputs = self.made_from.iter().map(|(application, _)| application.clone()).filter(|name| name != MAKING);
        let is_made_otherwise = changed.iter().any(|name| name == MAKING);
        changed.retain(|name| name != MAKING);
        Ok(Due {
            table: self.path.clone(),
            is_there: self.table.is_some(),
            lacks: Vec::new(),
            inputs: inputs.collect(),
            changed,
            is_made_otherwise,
        })
    }

    /// Writes rows that the commit is to add; `partition` has the values of the partition columns.
    ///
    /// # Errors
    /// The store fails.
    pub async fn write(&self, rows: &DataFrame, partition: &[(&str, Option<String>)]) -> Result<Option<NewFile>> {
        if rows.height() == 0 {
            return Ok(None);
        }
        delta::write(self.context, &self.path, rows, partition).await.map(Some)
    }

    /// Writes rows of a bucket that the commit is to add, in a file with a mark.
    ///
    /// # Errors
    /// The store fails.
    pub async fn write_bucket(&self, rows: &DataFrame, bucket: Option<&str>, mark: u64) -> Result<Option<NewFile>> {
        if rows.height() == 0 {
            return Ok(None);
        }
        let partition = [(BUCKET, bucket.map(str::to_owned))];
        delta::write_marked(self.context, &self.path, rows, &partition, mark).await.map(Some)
    }

    /// Puts new files in the place of those that are not among `kept`, in one commit. A table of another layout, which an
    /// older version of the product made, gets the columns and the partition of this one if no file is kept.
    ///
    /// # Errors
    /// `CommitConflict` if another run has committed since the table was opened.
    pub async fn replace_buckets(self, schema: &Schema, kept: &[DataFile], add: Vec<NewFile>) -> Result<TableCommit> {
        let rows = add.iter().map(|file| file.rows).sum();
        let is_kept = |file: &&DataFile| kept.iter().any(|kept| kept.path() == file.path());
        let change = Change {
            schema,
            partition_by: &[BUCKET],
            add,
            remove: self.files().iter().filter(|file| !is_kept(file)).cloned().collect(),
            properties: &[],
            transactions: self.made_from,
            run_id: self.run_id,
        };
        let committed = match self.table {
            Some(table) if kept.is_empty() => delta::commit_anew(&self.context.lake, &self.path, table, change).await,
            table => delta::commit(&self.context.lake, &self.path, table, change).await,
        };
        Ok(TableCommit { table: self.path, version: committed?.version, rows })
    }

    /// Replaces all files of the table by new ones, in one commit.
    ///
    /// # Errors
    /// `CommitConflict` if another run has committed since the table was opened.
    pub async fn overwrite(self, schema: &Schema, add: Vec<NewFile>) -> Result<TableCommit> {
        let remove = self.files().to_vec();
        self.replace(schema, &[], remove, add).await
    }

    /// Replaces the files in `remove` by new ones, in one commit. A table that an older version of the product made
    /// gets the columns that it lacks; if its decimals are narrower, the rows that stay are rewritten with those of
    /// today.
    ///
    /// # Errors
    /// `CommitConflict` if another run has committed since the table was opened.
    pub async fn replace(
        self,
        schema: &Schema,
        partition_by: &[&str],
        mut remove: Vec<DataFile>,
        mut add: Vec<NewFile>,
    ) -> Result<TableCommit> {
        let rows = add.iter().map(|file| file.rows).sum();
        if let Some(table) = self.table.filter(|table| delta::is_narrower(table, schema)) {
            for partition in kept(table, partition_by, &remove) {
                add.push(self.rewrite(table, &partition, schema).await?);
                remove.extend(partition.files);
            }
        }
        let change = Change {
            schema,
            partition_by,
            add,
            remove,
            properties: &[],
            transactions: self.made_from,
            run_id: self.run_id,
        };
        let committed = delta::commit(&self.context.lake, &self.path, self.table, change).await?;
        Ok(TableCommit { table: self.path, version: committed.version, rows })
    }

    /// Writes the rows of some files of one partition with other types.
    async fn rewrite(&self, table: &Table, partition: &PartitionFiles<'_>, schema: &Schema) -> Result<NewFile> {
        let PartitionFiles { values, files } = partition;
        let is_stored = |name: &PlSmallStr| !values.iter().any(|(partition, _)| *partition == name.as_str());
        let columns = schema.iter().filter(|(name, _)| is_stored(name)).map(|(name, dtype)| {
            let column = if table.schema().contains(name) { col(name.clone()) } else { lit(NULL).alias(name.clone()) };
            column.strict_cast(dtype.clone())
        });
        let rows = table.scan(files).await?.select(columns.collect::<Vec<_>>());
        let rows = blocking(move || Ok(rows.collect()?)).await?;
        delta::write(self.context, &self.path, &rows, values).await
    }
}

/// Files of one partition.
struct PartitionFiles<'a> {
    /// Values of the partition columns, by their names.
    values: Vec<(&'a str, Option<String>)>,
    files: Vec<DataFile>,
}

/// The files of a table that a change does not remove, by their partition.
fn kept<'a>(table: &Table, partition_by: &[&'a str], removed: &[DataFile]) -> Vec<PartitionFiles<'a>> {
    let mut partitions: Vec<PartitionFiles<'a>> = Vec::new();
    for file in table.files().iter().filter(|file| !removed.iter().any(|removed| removed.path() == file.path())) {
        let value = |column: &&'a str| (*column, file.partition_value(column).map(str::to_owned));
        let values: Vec<_> = partition_by.iter().map(value).collect();
        match partitions.iter_mut().find(|known| known.values == values) {
            Some(known) => known.files.push(file.clone()),
            None => partitions.push(PartitionFiles { values, files: vec![file.clone()] }),
        }
    }
    partitions
}

#[cfg(test)]
mod tests {
    use rcm_platform::testing::TestLake;

    use super::*;

    const PATH: &str = "gold/kpi_made_up";

    fn schema(precision: usize) -> Schema {
        Schema::from_iter([
            Field::new("as_of".into(), DataType::Date),
            Field::new("balance".into(), DataType::Decimal(precision, 2)),
        ])
    }

    /// Replaces the rows of a date by one with a balance, as one version of the product or another does.
    async fn replace(context: &Context, date: &str, balance: i128, precision: usize) {
        let opened = Tables::open(&context.lake, [PATH.to_owned()]).await.unwrap();
        let target = Target::new(context, "run", &opened, PATH.to_owned(), Vec::new());
        let balance = Int128Chunked::from_vec("balance".into(), vec![balance]);
        let rows =
            DataFrame::new_infer_height(vec![balance.into_decimal_unchecked(precision, 2).into_column()]).unwrap();
        let of_date = target.files().iter().filter(|file| file.partition_value("as_of") == Some(date));
        let old = of_date.cloned().collect();
        let new = target.write(&rows, &[("as_of", Some(date.to_owned()))]).await.unwrap();
        target.replace(&schema(precision), &["as_of"], old, new.into_iter().collect()).await.unwrap();
    }

    async fn rows(context: &Context) -> (DataType, Vec<String>) {
        let table = Table::open(&context.lake, PATH).await.unwrap().unwrap();
        let rows = table.scan(table.files()).await.unwrap().sort(["as_of"], SortMultipleOptions::default());
        let rows = blocking(move || Ok(rows.collect()?)).await.unwrap();
        let text = |name: &str| rows.column(name).unwrap().cast(&DataType::String).unwrap();
        let (dates, balances) = (text("as_of"), text("balance"));
        let pairs = dates.str().unwrap().iter().zip(balances.str().unwrap().iter());
        let pairs = pairs.map(|(date, balance)| format!("{} {}", date.unwrap(), balance.unwrap())).collect();
        (table.schema().get("balance").unwrap().clone(), pairs)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_table_with_narrower_sums_keeps_its_other_dates_and_gets_the_wide_ones() {
        let context = TestLake::new().context().await;
        for date in ["2024-10-01", "2024-10-02", "2024-10-03"] {
            replace(&context, date, 12_345, 18).await;
        }
        let wide = 99_999_999_999_999_999_999;
        replace(&context, "2024-10-02", wide, 38).await;
        let expected = ["2024-10-01 123.45", "2024-10-02 999999999999999999.99", "2024-10-03 123.45"];
        assert_eq!(rows(&context).await, (DataType::Decimal(38, 2), expected.map(str::to_owned).to_vec()));
        let version = Table::open(&context.lake, PATH).await.unwrap().unwrap().version();
        assert_eq!(version, 3, "it is one commit");
        replace(&context, "2024-10-04", wide, 38).await;
        assert_eq!(rows(&context).await.1.len(), 4);
    }
}
