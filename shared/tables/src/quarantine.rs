//! Quarantine tables: rows that failed an error rule, kept once, with every reason.

mod settle;
mod withheld;

use polars::prelude::*;
use rcm_domain::cdm::timestamp;
use rcm_model::event::TableCommit;
use rcm_platform::bronze::{MALFORMED, Manifest, POSITION};
use rcm_platform::context::Context;
use rcm_platform::error::Result;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::delta::{self, Append, Change, DataFile, NewFile, Table, retry_on_conflict};
use crate::frames::blocking;

pub use settle::{Settled, settle};
pub(crate) use withheld::Withheld;

/// Status of an entry that nobody has decided about.
pub const OPEN: &str = "open";
/// Status of an entry whose row is in silver, as it is or corrected: see the column `resolution`.
pub const RESOLVED: &str = "resolved";
/// Status of an entry whose row a person has declared void.
pub const DISCARDED: &str = "discarded";
/// Resolution of an entry whose row passes the rules and was taken in at its own place.
pub const BY_REPLAY: &str = "replay";
/// Resolution of an entry whose row was corrected: the corrected row is in a load of its own.
pub const BY_CORRECTION: &str = "correction";

/// Application of the last decision that changed the table.
const DECISIONS: &str = "decisions";
/// Columns that a decision sets.
const DECIDED: [&str; 5] = ["resolution", "decision", "decided_by", "why", "decided_at"];

/// Entries of a table that are worked on at once.
const MOST_ROWS: u64 = 50_000;

/// Schema of every quarantine table: one row per entity, key and payload.
#[must_use]
pub fn schema() -> Schema {
    let text = ["fingerprint", "datasource", "key", "reasons", "raw", "load_id", "stream"];
    let mut schema: Schema = text.map(|name| Field::new(name.into(), DataType::String)).into_iter().collect();
    schema.with_column("sequence".into(), DataType::Int64);
    schema.with_column("position".into(), DataType::Int64);
    schema.with_column("status".into(), DataType::String);
    schema.with_column("quarantined_at".into(), timestamp());
    schema.with_column("updated_at".into(), timestamp());
    schema.with_column("resolution".into(), DataType::String);
    schema.with_column("decision".into(), DataType::Int64);
    schema.with_column("decided_by".into(), DataType::String);
    schema.with_column("why".into(), DataType::String);
    schema.with_column("decided_at".into(), timestamp());
    schema
}

/// Returns the entries of the quarantine table for rows of one load.
///
/// `raw` has the rows with all columns of bronze; `keys` and `reasons` are in the order of the rows.
///
/// # Errors
/// A column of bronze is missing.
pub fn entries(
    raw: &DataFrame,
    keys: &StringChunked,
    reasons: &StringChunked,
    load: &Manifest,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<DataFrame> {
    let raws = raw_values(raw)?;
    let fingerprints: Vec<String> = raws
        .iter()
        .zip(keys.iter())
        .map(|(raw, key)| fingerprint(&[&load.entity, &load.datasource, key.unwrap_or(""), raw]))
        .collect();
    let moment = || lit(now.timestamp_micros()).cast(timestamp());
    let schema = schema();
    let columns: Vec<Expr> = schema.iter_names().map(|name| col(name.clone())).collect();
    let undecided = DECIDED.map(|name| lit(NULL).cast(schema.get(name).cloned().unwrap_or(DataType::Null)).alias(name));
    let frame = df!(
        "fingerprint" => fingerprints,
        "key" => keys.clone().into_series(),
        "reasons" => reasons.clone().into_series(),
        "raw" => raws,
        "position" => raw.column(POSITION)?.as_materialized_series().clone(),
    )?;
    Ok(frame
        .lazy()
        .with_columns([
            lit(load.datasource.clone()).alias("datasource"),
            lit(load.load_id.clone()).alias("load_id"),
            lit(load.stream.clone()).alias("stream"),
            lit(load.sequence as i64).cast(DataType::Int64).alias("sequence"),
            lit(OPEN).alias("status"),
            moment().alias("quarantined_at"),
            moment().alias("updated_at"),
        ])
        .with_columns(undecided)
        .select(columns)
        .collect()?)
}

/// Adds the entries that the table at `path` does not have yet, in one commit; none if it has all.
///
/// # Errors
/// The store fails, or other runs kept committing.
pub async fn add(context: &Context, path: &str, run_id: &str, entries: DataFrame) -> Result<Option<TableCommit>> {
    let entries = entries.unique_stable(Some(&["fingerprint".to_owned()]), UniqueKeepStrategy::First, None)?;
    let append = Append { rows: &entries, same_in: &["fingerprint"], moment: None, run_id };
    delta::append_missing(context, path, append).await
}

/// The result of [`replace()`].
#[derive(Debug, Default)]
pub struct Replacement {
    /// None if the table has these entries already.
    pub commit: Option<TableCommit>,
    /// Open entries that were removed: their rows pass today, or their load is voided.
    pub open_gone: u64,
}

/// Replaces the entries of the table at `path` by those of another one, in one commit. An entry that both have keeps
/// its status and times, but for one that a replay had resolved, or a correction that does not count any more: its
/// fingerprint is not among `corrected`. Such a row fails again, and is open again. An entry whose status is not `open`
/// stays: a person has decided about it.
///
/// Of both tables one part is in memory at once.
///
/// # Errors
/// The store fails, or other runs kept committing.
pub async fn replace(
    context: &Context,
    path: &str,
    found: Option<&Table>,
    corrected: &[String],
    run_id: &str,
) -> Result<Replacement> {
    let schema = schema();
    let found_rows = found.map_or(0, Table::rows);
    let found = match found {
        Some(found) => found.scan(found.files()).await?,
        None => DataFrame::empty_with_schema(&schema).lazy(),
    };
    retry_on_conflict(|| async {
        let table = Table::open_with(&context.lake, path, &schema).await?;
        let own = match &table {
            Some(table) => table.scan(table.files()).await?,
            None => DataFrame::empty_with_schema(&schema).lazy(),
        };
        let parts = parts(found_rows.max(table.as_ref().map_or(0, Table::rows)), MOST_ROWS);
        let (mut open_gone, mut is_same) = (0, true);
        for prefix in &parts {
            let (own, found) = (of_part(own.clone(), prefix), of_part(found.clone(), prefix));
            let corrected = corrected.to_vec();
            let compared = blocking(move || compare(own, found, &corrected)).await?;
            open_gone += compared.open_gone;
            is_same &= compared.is_same;
        }
        if is_same {
            return Ok(Replacement { commit: None, open_gone });
        }
        let mut add = Vec::new();
        for prefix in &parts {
            let (own, found) = (of_part(own.clone(), prefix), of_part(found.clone(), prefix));
            let corrected = corrected.to_vec();
            let entries = blocking(move || Ok(after(own, found, &corrected)?.collect()?)).await?;
            if entries.height() > 0 {
                add.push(delta::write(context, path, &entries, &[]).await?);
            }
        }
        let remove = table.as_ref().map_or_else(Vec::new, |table| table.files().to_vec());
        let commit = commit(context, path, table.as_ref(), FileChange { add, remove }, run_id).await?;
        Ok(Replacement { commit: Some(commit), open_gone })
    })
    .await
}

/// Files that a commit adds and removes.
struct FileChange {
    add: Vec<NewFile>,
    remove: Vec<DataFile>,
}

/// Commits a change of the files of a quarantine table.
async fn commit(
    context: &Context,
    path: &str,
    table: Option<&Table>,
    files: FileChange,
    run_id: &str,
) -> Result<TableCommit> {
    commit_with(context, path, table, files, Vec::new(), run_id).await
}

/// As [`commit`], with application transactions.
async fn commit_with(
    context: &Context,
    path: &str,
    table: Option<&Table>,
    files: FileChange,
    transactions: Vec<(String, i64)>,
    run_id: &str,
) -> Result<TableCommit> {
    let FileChange { add, remove } = files;
    let rows = add.iter().map(|file| file.rows).sum();
    let change = Change { schema: &schema(), partition_by: &[], properties: &[], add, remove, transactions, run_id };
    let committed = delta::commit(&context.lake, path, table, change).await?;
    Ok(TableCommit { table: path.to_owned(), version: committed.version, rows })
}

/// The parts that a table of some rows is worked on in, each as the beginning of its fingerprints: so many that none
/// has many more than `most` rows. Fingerprints are hashes in hexadecimal digits, so that all parts are of one size.
fn parts(rows: u64, most: u64) -> Vec<String> {
    let mut parts = vec![String::new()];
    while rows > most * parts.len() as u64 {
        parts = parts.iter().flat_map(|part| (0..16).map(move |digit| format!("{part}{digit:x}"))).collect();
    }
    parts
}

fn of_part(entries: LazyFrame, prefix: &str) -> LazyFrame {
    entries.filter(col("fingerprint").str().starts_with(lit(prefix)))
}

/// The entries of a part of a table beside those that were found.
struct Compared {
    /// Whether the table has the entries already.
    is_same: bool,
    open_gone: u64,
}

fn compare(own: LazyFrame, found: LazyFrame, corrected: &[String]) -> Result<Compared> {
    let id = [col("fingerprint")];
    let gone = own.clone().filter(col("status").eq(lit(OPEN)));
    let gone = gone.join(found.clone(), id.clone(), id, JoinArgs::new(JoinType::Anti)).collect()?.height();
    let entries = after(own.clone(), found, corrected)?.collect()?;
    let own = own.sort(["fingerprint"], SortMultipleOptions::default()).collect()?;
    let is_same = entries.equals_missing(&own.select(entries.get_column_names_owned())?);
    Ok(Compared { is_same, open_gone: gone as u64 })
}

/// The entries of a table after those that were found are in it.
fn after(own: LazyFrame, found: LazyFrame, corrected: &[String]) -> Result<LazyFrame> {
    let id = [col("fingerprint")];
    let kept: Vec<&str> = ["status", "quarantined_at", "updated_at"].into_iter().chain(DECIDED).collect();
    let corrected = df!("fingerprint" => corrected, "corrected" => vec![true; corrected.len()])?.lazy();
    let known = own.clone().join(corrected, id.clone(), id.clone(), JoinArgs::new(JoinType::Left));
    let is_by = |resolution: &'static str| col("resolution").eq(lit(resolution)).fill_null(lit(false));
    let fails_again = is_by(BY_REPLAY).or(is_by(BY_CORRECTION).and(col("corrected").is_null()));
    // A row that was decided about is found because it is left out, which is no rule that it fails.
    let reasons = when(col("status").eq(lit(OPEN))).then(lit(NULL).cast(DataType::String)).otherwise(col("reasons"));
    let values = kept.iter().map(|name| col(*name)).chain([reasons.alias("reasons")]).collect();
    let known = known.filter(fails_again.not()).select([col("fingerprint"), as_struct(values).alias("known")]);
    let columns: Vec<Expr> = schema().iter_names().map(|name| col(name.clone())).collect();
    let of_known = |name: &str| coalesce(&[col("known").struct_().field_by_name(name), col(name)]).alias(name);
    let still = found.clone().join(known, id.clone(), id.clone(), JoinArgs::new(JoinType::Left));
    let kept = kept.into_iter().chain(["reasons"]).map(of_known);
    let still = still.with_columns(kept.collect::<Vec<_>>()).select(columns.clone());
    let decided = own.filter(col("status").neq(lit(OPEN)));
    let decided = decided.join(found, id.clone(), id, JoinArgs::new(JoinType::Anti)).select(columns);
    let all = concat([still, decided], UnionArgs::default())?;
    Ok(all.sort(["fingerprint"], SortMultipleOptions::default()))
}

/// The source's values of every row: a JSON object by column, or the list of fields of a record
/// that does not fit its header.
fn raw_values(raw: &DataFrame) -> Result<Vec<String>> {
    let malformed = raw.column(MALFORMED)?.str()?.clone();
    let mut columns = Vec::new();
    for column in raw.columns().iter().filter(|column| ![POSITION, MALFORMED].contains(&column.name().as_str())) {
        columns.push((column.name().to_string(), column.cast(&DataType::String)?.str()?.clone()));
    }
    let mut values = Vec::with_capacity(raw.height());
    for row in 0..raw.height() {
        if let Some(fields) = malformed.get(row) {
            values.push(fields.to_owned());
            continue;
        }
        let object: Map<String, Value> = columns
            .iter()
            .map(|(name, column)| (name.clone(), column.get(row).map_or(Value::Null, Value::from)))
            .collect();
        values.push(Value::Object(object).to_string());
    }
    Ok(values)
}

fn fingerprint(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    format!("{:x}", hash.finalize())
}

#[cfg(test)]
mod tests {
    use rcm_platform::testing::TestLake;
    use tokio::task::JoinSet;

    use super::*;

    const PATH: &str = "quarantine/things";

    /// Made-up entries, of which some are decided about.
    pub(super) fn entries(numbers: std::ops::Range<u64>, status: &str) -> DataFrame {
        let fingerprints: Vec<String> = numbers.clone().map(|number| fingerprint(&[&number.to_string()])).collect();
        let given = df!("fingerprint" => fingerprints, "status" => vec![status; numbers.count()]).unwrap();
        let schema = schema();
        let columns = schema.iter_fields().map(|field| match field.name().as_str() {
            "fingerprint" | "status" => col(field.name().clone()),
            name => lit(NULL).cast(field.dtype().clone()).alias(name),
        });
        given.lazy().select(columns.collect::<Vec<_>>()).collect().unwrap()
    }

    /// Makes a quarantine table as a version of the product does that knows some columns.
    pub(super) async fn make(context: &Context, path: &str, rows: &DataFrame) {
        let change = Change {
            schema: rows.schema(),
            partition_by: &[],
            properties: &[],
            add: vec![delta::write(context, path, rows, &[]).await.unwrap()],
            remove: Vec::new(),
            transactions: Vec::new(),
            run_id: "run",
        };
        delta::commit(&context.lake, path, None, change).await.unwrap();
    }

    pub(super) async fn table(context: &Context, path: &str) -> Table {
        Table::open(&context.lake, path).await.unwrap().unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_table_that_lacks_a_column_gets_it_with_the_next_entries_or_when_they_are_found_anew() {
        let context = TestLake::new().context().await;
        let old = entries(0..2, "open").drop("updated_at").unwrap();
        for path in ["quarantine/added", "quarantine/replaced"] {
            make(&context, path, &old).await;
        }
        add(&context, "quarantine/added", "run", entries(1..3, "open")).await.unwrap();
        make(&context, PATH, &entries(1..3, "open")).await;
        let found = table(&context, PATH).await;
        let replaced = replace(&context, "quarantine/replaced", Some(&found), &[], "run").await.unwrap();
        assert_eq!(replaced.open_gone, 1);
        for (path, rows) in [("quarantine/added", 3), ("quarantine/replaced", 2)] {
            let table = table(&context, path).await;
            assert_eq!((table.rows(), table.schema().get("updated_at")), (rows, Some(&timestamp())), "{path}");
            let scan = table.scan(table.files()).await.unwrap();
            assert_eq!(blocking(move || Ok(scan.collect()?)).await.unwrap().height() as u64, rows, "{path}");
        }
    }

    /// Adds entries side by side, each try of a writer on a thread of its own.
    async fn add_at_once(context: &Context, all: Vec<DataFrame>) -> Vec<Option<TableCommit>> {
        let add = |entries| {
            let context = context.clone();
            async move { add(&context, PATH, "run", entries).await.unwrap() }
        };
        all.into_iter().map(add).collect::<JoinSet<_>>().join_all().await
    }

    fn data_files(lake: &TestLake) -> usize {
        lake.files(PATH).iter().filter(|key| key.ends_with(".parquet")).count()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn thirty_two_appends_at_once_all_succeed_with_the_files_that_they_wrote() {
        let lake = TestLake::new();
        let context = lake.context().await;
        let commits = add_at_once(&context, (0..32).map(|number| entries(number..number + 1, "open")).collect()).await;
        let mut versions: Vec<i64> = commits.into_iter().map(|commit| commit.unwrap().version).collect();
        versions.sort_unstable();
        assert_eq!(versions, (0..32).collect::<Vec<_>>());
        assert_eq!((table(&context, PATH).await.rows(), data_files(&lake)), (32, 32));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn an_entry_that_many_runs_add_at_once_is_there_once() {
        let lake = TestLake::new();
        let context = lake.context().await;
        let commits = add_at_once(&context, (0..16).map(|number| entries(number..number + 4, "open")).collect()).await;
        let added: u64 = commits.iter().flatten().map(|commit| commit.rows).sum();
        assert_eq!((table(&context, PATH).await.rows(), added), (19, 19));
    }

    #[test]
    fn a_table_of_many_entries_is_worked_on_in_parts_that_have_all_of_them_once() {
        let all = entries(0..500, "open");
        assert_eq!(parts(500, 500), [""]);
        let parts = parts(500, 20);
        let of_parts = parts.iter().map(|prefix| of_part(all.clone().lazy(), prefix).collect().unwrap().height());
        let of_parts: Vec<usize> = of_parts.collect();
        assert_eq!((of_parts.len(), of_parts.iter().sum::<usize>()), (256, 500));
    }
}
