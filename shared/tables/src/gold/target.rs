//! One gold table that a stage looks after.

use polars::prelude::{DataFrame, Schema};
use rcm_model::event::TableCommit;
use rcm_platform::context::Context;
use rcm_platform::error::Result;

use super::Tables;
use crate::delta::{self, Change, DataFile, NewFile, Table};

/// Application under which a commit records how the table was made.
const MAKING: &str = "rcm.making";
/// Higher than before whenever gold makes something else of the same silver: then the first run after a
/// deployment makes every table anew.
const MAKING_VERSION: i64 = 1;

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
        made_from.push((MAKING.to_owned(), MAKING_VERSION));
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

    /// Puts the new files in the place of all that the table has, in one commit.
    ///
    /// # Errors
    /// `CommitConflict` if another run has committed since the table was opened.
    pub async fn overwrite(self, schema: &Schema, add: Vec<NewFile>) -> Result<TableCommit> {
        let remove = self.files().to_vec();
        self.replace(schema, &[], remove, add).await
    }

    /// Puts the new files in the place of those that `remove` names, in one commit.
    ///
    /// # Errors
    /// `CommitConflict` if another run has committed since the table was opened.
    pub async fn replace(
        self,
        schema: &Schema,
        partition_by: &[&str],
        remove: Vec<DataFile>,
        add: Vec<NewFile>,
    ) -> Result<TableCommit> {
        let rows = add.iter().map(|file| file.rows).sum();
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
}
