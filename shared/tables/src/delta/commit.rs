//! Commits: all of a change or nothing of it.

use std::collections::HashMap;

use deltalake::DeltaTableError;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties, TransactionError};
use deltalake::kernel::{Action, Transaction};
use deltalake::operations::create::CreateBuilder;
use deltalake::protocol::{DeltaOperation, SaveMode};
use polars::prelude::Schema;
use rcm_platform::error::{Result, StageError};
use rcm_platform::lake::Lake;
use serde_json::Value;

use super::schema;
use super::table::{DataFile, Table, log_store};
use super::write::{NewFile, has_statistics};

/// Properties of every table: how long its history can be read, and how often the log is summed up.
const PROPERTIES: [(&str, &str); 3] = [
    ("delta.logRetentionDuration", "interval 90 days"),
    ("delta.deletedFileRetentionDuration", "interval 30 days"),
    ("delta.checkpointInterval", "50"),
];

/// Property with the columns that statistics speak of. A reader that expects them of other columns
/// too may take those that are missing for columns without any value, and skip the file.
const STATISTICS_COLUMNS: &str = "delta.dataSkippingStatsColumns";

/// A change of one table.
pub struct Change<'a> {
    /// All columns, the partition columns too; the table is made with them if there is none.
    pub schema: &'a Schema,
    pub partition_by: &'a [&'a str],
    /// Properties that a new table gets beside the common ones.
    pub properties: &'a [(&'a str, String)],
    pub add: Vec<NewFile>,
    pub remove: Vec<DataFile>,
    /// Application transactions: what was taken in, by application id.
    pub transactions: Vec<(String, i64)>,
    /// Recorded in the commit's information.
    pub run_id: &'a str,
}

/// A change that is in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    pub version: i64,
}

/// Commits a change to the version of the table that was opened, or makes the table.
///
/// # Errors
/// [`StageError::CommitConflict`] if somebody else has committed since: read again and decide
/// again. Any other error leaves open whether the change is in the table: look at the application
/// transactions before another try.
pub async fn commit(lake: &Lake, path: &str, table: Option<&Table>, change: Change<'_>) -> Result<Committed> {
    let transactions = change.transactions.iter().map(|(id, version)| Transaction::new(id, *version)).collect();
    let properties = properties(change.run_id, transactions);
    let adds = change.add.iter().map(|file| Action::Add(file.add()));
    let Some(table) = table else {
        let made = CreateBuilder::new()
            .with_log_store(log_store(lake, path)?)
            .with_columns(schema::to_delta(change.schema)?)
            .with_partition_columns(change.partition_by.iter().copied())
            .with_configuration(PROPERTIES.map(|(name, value)| (name.to_owned(), Some(value.to_owned()))))
            .with_configuration([(STATISTICS_COLUMNS, Some(statistics_columns(&change)))])
            .with_configuration(change.properties.iter().map(|(name, value)| ((*name).to_owned(), Some(value.clone()))))
            .with_raise_if_key_not_exists(false)
            .with_actions(adds)
            .with_commit_properties(properties)
            .await
            .map_err(|error| conflict_or_storage(path, error))?;
        return Ok(Committed { version: made.version().map_or(0, |version| version as i64) });
    };
    check_schema(path, table, change.schema)?;
    let removes = change.remove.iter().map(|file| Action::Remove(file.remove()));
    let operation = DeltaOperation::Write {
        mode: if change.remove.is_empty() { SaveMode::Append } else { SaveMode::Overwrite },
        partition_by: Some(change.partition_by.iter().map(|column| (*column).to_owned()).collect()),
        predicate: None,
    };
    let delta = table.delta();
    let committed = CommitBuilder::from(properties)
        .with_actions(adds.chain(removes).collect())
        .build(Some(delta.snapshot()?), delta.log_store(), operation)
        .await
        .map_err(|error| conflict_or_storage(path, error))?;
    Ok(Committed { version: committed.version() as i64 })
}

/// How every commit is made: to the version that was opened or not at all, and without tidying up
/// the log, which is left to who may remove objects.
pub(super) fn properties(run_id: &str, transactions: Vec<Transaction>) -> CommitProperties {
    CommitProperties::default()
        .with_max_retries(0)
        .with_cleanup_expired_logs(Some(false))
        .with_application_transactions(transactions)
        .with_metadata([("runId".to_owned(), Value::from(run_id))])
}

fn statistics_columns(change: &Change<'_>) -> String {
    let columns = change
        .schema
        .iter()
        .filter(|(name, data_type)| has_statistics(name, data_type) && !change.partition_by.contains(&name.as_str()));
    columns.map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(",")
}

fn check_schema(path: &str, table: &Table, schema: &Schema) -> Result<()> {
    let known: HashMap<_, _> = table.schema().iter().collect();
    let same = known.len() == schema.len() && schema.iter().all(|(name, dtype)| known.get(name) == Some(&dtype));
    if same {
        return Ok(());
    }
    Err(StageError::CorruptLake(format!("table `{path}` has other columns than this version of the product writes")))
}

pub(super) fn conflict_or_storage(path: &str, error: DeltaTableError) -> StageError {
    match error {
        DeltaTableError::VersionAlreadyExists(_)
        | DeltaTableError::Transaction {
            source: TransactionError::MaxCommitAttempts(_) | TransactionError::CommitConflict(_),
        } => StageError::CommitConflict(format!("table `{path}` was committed to by another run")),
        DeltaTableError::GenericError { source } if source.to_string().contains("already exists") => {
            StageError::CommitConflict(format!("table `{path}` was made by another run"))
        }
        other => other.into(),
    }
}
