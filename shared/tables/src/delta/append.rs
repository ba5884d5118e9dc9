//! Appends of rows that a table lacks.

use std::collections::HashSet;

use polars::prelude::*;
use rcm_model::event::TableCommit;
use rcm_platform::context::Context;
use rcm_platform::error::Result;

use super::commit::{Change, commit};
use super::retry::Conflicts;
use super::table::{DataFile, Table};
use super::write::{NewFile, write};
use crate::frames::blocking;

/// Rows that a table gets if it does not have them yet.
#[derive(Debug, Clone, Copy)]
pub struct Append<'a> {
    pub rows: &'a DataFrame,
    /// Columns in which a row of the table is the same as one of these. Nulls are equal.
    pub same_in: &'a [&'a str],
    /// Column with the moment of a row, of which the table has the latest per file: files without rows as late as the
    /// first of these are not read.
    pub moment: Option<&'a str>,
    /// Recorded in the commit's information.
    pub run_id: &'a str,
}

/// Adds the rows that the table at `path` does not have yet, in one commit; none if it has all. Makes the table if there
/// is none.
///
/// Only appends may be rebased: if another run commits in between, the rows are compared with the files that it added,
/// and the file that was written before is committed to the new version. It is written anew only if the other run has
/// added one of the rows. If files have left the table, the rows are compared with all that it has.
///
/// # Errors
/// The store fails, or other runs kept committing.
pub async fn append_missing(context: &Context, path: &str, append: Append<'_>) -> Result<Option<TableCommit>> {
    let mut conflicts = Conflicts::default();
    let mut before = None;
    loop {
        let table = Table::open_with(&context.lake, path, append.rows.schema()).await?;
        let Some(tried) = prepare(context, path, table.as_ref(), append, before.take()).await? else {
            return Ok(None);
        };
        let change = Change {
            schema: append.rows.schema(),
            partition_by: &[],
            properties: &[],
            add: vec![tried.written.clone()],
            remove: Vec::new(),
            transactions: Vec::new(),
            run_id: append.run_id,
        };
        match commit(&context.lake, path, table.as_ref(), change).await {
            Ok(committed) => {
                let (table, version, rows) = (path.to_owned(), committed.version, tried.written.rows);
                return Ok(Some(TableCommit { table, version, rows }));
            }
            Err(error) if conflicts.may_retry(&error).await => before = Some(tried),
            Err(error) => return Err(error),
        }
    }
}

/// What a try compared and wrote.
#[derive(Debug)]
struct Tried {
    /// Identifier of the table; none if there was none.
    table: Option<String>,
    /// Paths of its files.
    files: HashSet<String>,
    lacking: DataFrame,
    written: NewFile,
}

/// Writes the rows that a table lacks, or takes the file of the try before if it has the same. None if it lacks none.
async fn prepare(
    context: &Context,
    path: &str,
    table: Option<&Table>,
    append: Append<'_>,
    before: Option<Tried>,
) -> Result<Option<Tried>> {
    let id = table.map(|table| table.id().to_owned());
    let files: HashSet<String> = table.map_or(&[][..], Table::files).iter().map(DataFile::path).collect();
    // What was compared before counts if it is still in the table.
    let before =
        before.filter(|before| before.files.is_subset(&files) && (before.files.is_empty() || before.table == id));
    let known = before.as_ref().map(|before| &before.files);
    let candidates = before.as_ref().map_or(append.rows, |before| &before.lacking);
    let is_new = |file: &&DataFile| known.is_none_or(|known| !known.contains(&file.path()));
    let lacking = match table {
        Some(table) => {
            let new: Vec<DataFile> = table.files().iter().filter(is_new).cloned().collect();
            missing(table, new, candidates, append).await?
        }
        None => candidates.clone(),
    };
    if lacking.height() == 0 {
        return Ok(None);
    }
    let written = match before {
        Some(before) if before.lacking.height() == lacking.height() => before.written,
        _ => write(context, path, &lacking, &[]).await?,
    };
    Ok(Some(Tried { table: id, files, lacking, written }))
}

/// The rows that are in none of some files of a table.
async fn missing(table: &Table, mut files: Vec<DataFile>, rows: &DataFrame, append: Append<'_>) -> Result<DataFrame> {
    if let Some(moment) = append.moment {
        let earliest = rows.column(moment)?.datetime()?.physical().min();
        files.retain(|file| file.latest(moment).is_none_or(|latest| Some(latest) >= earliest));
    }
    if files.is_empty() {
        return Ok(rows.clone());
    }
    let columns: Vec<Expr> = append.same_in.iter().map(|name| col(*name)).collect();
    let known = table.scan(&files).await?.select(columns.clone());
    let without = JoinArgs { nulls_equal: true, ..JoinArgs::new(JoinType::Anti) };
    let missing = rows.clone().lazy().join(known, columns.clone(), columns, without);
    blocking(move || Ok(missing.collect()?)).await
}

#[cfg(test)]
mod tests {
    use rcm_platform::Lake;
    use rcm_platform::testing::TestLake;

    use super::*;

    const PATH: &str = "audit/things";

    fn append(rows: &DataFrame) -> Append<'_> {
        Append { rows, same_in: &["name"], moment: None, run_id: "run" }
    }

    fn rows(names: &[&str]) -> DataFrame {
        df!("name" => names).unwrap()
    }

    async fn open(lake: &Lake) -> Option<Table> {
        Table::open(lake, PATH).await.unwrap()
    }

    #[tokio::test]
    async fn rows_that_another_run_has_added_since_the_last_try_are_left_out_and_the_others_are_written_anew() {
        let context = TestLake::new().context().await;
        let own = rows(&["a", "b"]);
        let first = prepare(&context, PATH, None, append(&own), None).await.unwrap().unwrap();
        append_missing(&context, PATH, append(&rows(&["b", "c"]))).await.unwrap();
        let table = open(&context.lake).await;
        let second = prepare(&context, PATH, table.as_ref(), append(&own), Some(first)).await.unwrap().unwrap();
        assert_eq!((second.written.rows, second.lacking), (1, rows(&["a"])));
        append_missing(&context, PATH, append(&own)).await.unwrap();
        let table = open(&context.lake).await;
        assert!(prepare(&context, PATH, table.as_ref(), append(&own), None).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn rows_are_compared_again_with_all_files_if_one_that_had_some_of_them_is_gone() {
        let context = TestLake::new().context().await;
        append_missing(&context, PATH, append(&rows(&["a"]))).await.unwrap();
        let (table, own) = (open(&context.lake).await.unwrap(), rows(&["a", "b"]));
        let first = prepare(&context, PATH, Some(&table), append(&own), None).await.unwrap().unwrap();
        assert_eq!(first.lacking, rows(&["b"]));
        let change = Change {
            schema: own.schema(),
            partition_by: &[],
            properties: &[],
            add: Vec::new(),
            remove: table.files().to_vec(),
            transactions: Vec::new(),
            run_id: "another run",
        };
        commit(&context.lake, PATH, Some(&table), change).await.unwrap();
        let table = open(&context.lake).await;
        let second = prepare(&context, PATH, table.as_ref(), append(&own), Some(first)).await.unwrap().unwrap();
        assert_eq!(second.lacking, own);
    }
}
