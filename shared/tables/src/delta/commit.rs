//! Commits to a table: a change is made whole or not at all.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use deltalake::DeltaTableError;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties, TransactionError};
use deltalake::kernel::{Action, Metadata, MetadataExt, StructType, Transaction};
use deltalake::operations::create::CreateBuilder;
use deltalake::protocol::{DeltaOperation, SaveMode};
use polars::prelude::{DataType, Schema};
use rcm_platform::error::{Result, StageError};
use rcm_platform::lake::Lake;
use serde_json::Value;

use super::schema;
use super::table::{DATA_VERSION, DataFile, Table, log_store};
use super::write::{NewFile, has_statistics};

/// Properties of every table: how long its history can be read, and how often its log gets a checkpoint. A run reads
/// every commit after the last one.
const PROPERTIES: [(&str, &str); 3] = [
    ("delta.logRetentionDuration", "interval 90 days"),
    ("delta.deletedFileRetentionDuration", "interval 30 days"),
    ("delta.checkpointInterval", "50"),
];

/// Property that lists the columns with statistics. Without it a reader may take a column that has none for one
/// without values, and skip the file.
const STATISTICS_COLUMNS: &str = "delta.dataSkippingStatsColumns";

/// How names of the product's own properties begin.
const OWN: &str = "rcm.";

/// A change of one table.
pub struct Change<'a> {
    /// All columns, the partition columns too; the table is made with them if there is none.
    pub schema: &'a Schema,
    pub partition_by: &'a [&'a str],
    /// Properties that a new table gets beside the common ones.
    pub properties: &'a [(&'a str, String)],
    pub add: Vec<NewFile>,
    pub remove: Vec<DataFile>,
    /// Application transactions: what was ingested, by application id.
    pub transactions: Vec<(String, i64)>,
    /// Recorded in the commit's information.
    pub run_id: &'a str,
}

/// A commit that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    pub version: i64,
}

/// Commits a change to the version of the table that was opened, or makes the table.
///
/// A table that lacks columns of the change, since an older version of the product made it, gets them in the same
/// commit; the rows that it keeps have no value in them. If the change keeps no file, the table also gets wider
/// decimals.
///
/// # Errors
/// `CommitConflict` if somebody else has committed since: read again and decide again. `CorruptLake` if the table has
/// a column that the change has not, or has with another type. Any other error leaves open whether the change is in
/// the table: look at the application transactions before another try.
pub async fn commit(lake: &Lake, path: &str, table: Option<&Table>, change: Change<'_>) -> Result<Committed> {
    let metadata = match table {
        Some(table) if !has_columns(table, change.schema) => {
            check_columns(table, &change)?;
            Some(metadata_for(path, table, &change)?)
        }
        _ => None,
    };
    commit_checked(lake, path, table, change, metadata).await
}

/// Commits a change that replaces all of a table: as [`commit`] does, with the change's columns, partition columns and
/// properties in place of the table's in the same commit.
///
/// # Errors
/// Those of [`commit`].
pub async fn commit_anew(lake: &Lake, path: &str, table: &Table, change: Change<'_>) -> Result<Committed> {
    let mut is_same = has_columns(table, change.schema) && table.partition_columns()? == change.partition_by;
    for (name, value) in change.properties {
        is_same &= table.property(name)?.as_ref() == Some(value);
    }
    let metadata = if is_same { None } else { Some(partitioned(path, metadata_for(path, table, &change)?, &change)?) };
    commit_checked(lake, path, Some(table), change, metadata).await
}

/// Returns the metadata of a table with the columns and properties of a change.
fn metadata_for(path: &str, table: &Table, change: &Change<'_>) -> Result<Metadata> {
    let columns = StructType::try_new(schema::to_delta(change.schema)?);
    let columns = columns.map_err(|error| StageError::corrupt_lake(format!("table `{path}`: {error}")))?;
    let metadata = table.delta().snapshot()?.metadata().clone();
    let mut metadata = metadata.with_schema(&columns).map_err(DeltaTableError::from)?;
    let statistics = (STATISTICS_COLUMNS.to_owned(), statistics_columns(change));
    let own = change.properties.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    for (name, value) in own.chain([statistics]) {
        metadata = metadata.add_config_key(name, value).map_err(DeltaTableError::from)?;
    }
    Ok(metadata)
}

/// Returns the metadata with the partition columns of a change, for which its type has no method, and without properties
/// of ours that the change does not have.
fn partitioned(path: &str, metadata: Metadata, change: &Change<'_>) -> Result<Metadata> {
    let failed = |error: serde_json::Error| StageError::corrupt_lake(format!("table `{path}`: {error}"));
    let mut json = serde_json::to_value(metadata).map_err(failed)?;
    json["partitionColumns"] = Value::from(change.partition_by.to_vec());
    let is_wanted = |name: &str| !name.starts_with(OWN) || change.properties.iter().any(|(wanted, _)| *wanted == name);
    if let Some(properties) = json["configuration"].as_object_mut() {
        properties.retain(|name, _| is_wanted(name));
    }
    serde_json::from_value(json).map_err(failed)
}

/// Whether decimals of a table are narrower than those of a schema.
#[must_use]
pub fn is_narrower(table: &Table, schema: &Schema) -> bool {
    let known = table.schema().iter();
    known.into_iter().any(|(name, dtype)| schema.get(name).is_some_and(|wanted| is_wider_decimal(wanted, dtype)))
}

fn is_wider_decimal(wanted: &DataType, known: &DataType) -> bool {
    match (wanted, known) {
        (DataType::Decimal(wanted, wanted_scale), DataType::Decimal(known, scale)) => {
            wanted > known && wanted_scale == scale
        }
        _ => false,
    }
}

async fn commit_checked(
    lake: &Lake,
    path: &str,
    table: Option<&Table>,
    change: Change<'_>,
    metadata: Option<Metadata>,
) -> Result<Committed> {
    let data_version = match table {
        None => 0,
        Some(table) if change.add.is_empty() && change.remove.is_empty() => table.data_version().await?,
        // The commit is made to the version that was opened or not at all.
        Some(table) => table.version() + 1,
    };
    let recorded = change.transactions.iter().map(|(id, version)| Transaction::new(id, *version));
    let properties = properties(change.run_id, recorded.chain([data_version_of(data_version)]).collect());
    let adds = change.add.iter().map(|file| Action::Add(file.add()));
    let Some(table) = table else {
        let log_store = log_store(lake, path)?;
        let made = CreateBuilder::new()
            .with_log_store(Arc::clone(&log_store))
            .with_columns(schema::to_delta(change.schema)?)
            .with_partition_columns(change.partition_by.iter().copied())
            .with_configuration(PROPERTIES.map(|(name, value)| (name.to_owned(), Some(value.to_owned()))))
            .with_configuration([(STATISTICS_COLUMNS, Some(statistics_columns(&change)))])
            .with_configuration(change.properties.iter().map(|(name, value)| ((*name).to_owned(), Some(value.clone()))))
            .with_raise_if_key_not_exists(false)
            .with_actions(adds)
            .with_commit_properties(properties)
            .await;
        return match made {
            Ok(made) => Ok(Committed { version: made.version().map_or(0, |version| version as i64) }),
            // The error for a table that is there already has no type of its own: the log says whether it is.
            Err(DeltaTableError::GenericError { source }) => {
                if log_store.is_delta_table_location().await.is_ok_and(|is_there| is_there) {
                    let message = format!("table `{path}` was made by another run");
                    return Err(StageError::commit_conflict(message).in_table(path));
                }
                Err(conflict_or_storage(path, DeltaTableError::GenericError { source }))
            }
            Err(error) => Err(conflict_or_storage(path, error)),
        };
    };
    let removes = change.remove.iter().map(|file| Action::Remove(file.remove()));
    let operation = DeltaOperation::Write {
        mode: if change.remove.is_empty() { SaveMode::Append } else { SaveMode::Overwrite },
        partition_by: Some(change.partition_by.iter().map(|column| (*column).to_owned()).collect()),
        predicate: None,
    };
    let delta = table.delta();
    let committed = CommitBuilder::from(properties)
        .with_actions(metadata.map(Action::Metadata).into_iter().chain(adds).chain(removes).collect())
        .build(Some(delta.snapshot()?), delta.log_store(), operation)
        .await
        .map_err(|error| conflict_or_storage(path, error))?;
    Ok(Committed { version: committed.version() as i64 })
}

/// Returns the properties of every commit: it is made to the version that was opened or fails, and it leaves expired
/// log files to maintenance, which alone may remove objects.
pub(super) fn properties(run_id: &str, transactions: Vec<Transaction>) -> CommitProperties {
    CommitProperties::default()
        .with_max_retries(0)
        .with_cleanup_expired_logs(Some(false))
        .with_application_transactions(transactions)
        .with_metadata([("runId".to_owned(), Value::from(run_id))])
}

/// Returns what every commit records of the last version that changed a row.
pub(super) fn data_version_of(version: i64) -> Transaction {
    Transaction::new(DATA_VERSION, version)
}

/// Records the last version that changed a row, in a commit of its own, if no commit has recorded it yet: an older
/// version of the product made the table. From then on it is known after the log is cleaned.
///
/// # Errors
/// `CommitConflict` if somebody else has committed since the table was opened. The store fails.
pub async fn record_data_version(lake: &Lake, table: &Table, run_id: &str) -> Result<Option<Committed>> {
    if table.transaction(DATA_VERSION).await?.is_some() {
        return Ok(None);
    }
    let change = Change {
        schema: table.schema(),
        partition_by: &[],
        properties: &[],
        add: Vec::new(),
        remove: Vec::new(),
        transactions: Vec::new(),
        run_id,
    };
    commit_checked(lake, table.path(), Some(table), change, None).await.map(Some)
}

fn statistics_columns(change: &Change<'_>) -> String {
    let columns = change
        .schema
        .iter()
        .filter(|(name, data_type)| has_statistics(name, data_type) && !change.partition_by.contains(&name.as_str()));
    columns.map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(",")
}

/// Whether a table has the columns of a schema and no others, in any order.
fn has_columns(table: &Table, schema: &Schema) -> bool {
    let known: HashMap<_, _> = table.schema().iter().collect();
    known.len() == schema.len() && schema.iter().all(|(name, dtype)| known.get(name) == Some(&dtype))
}

/// Checks that a table has no column that a change has not, or has with another type.
fn check_columns(table: &Table, change: &Change<'_>) -> Result<()> {
    let removed: HashSet<String> = change.remove.iter().map(DataFile::path).collect();
    let keeps_none = || table.files().iter().all(|file| removed.contains(&file.path()));
    for (name, stored) in table.schema().iter() {
        let reason = match change.schema.get(name) {
            Some(wanted) if wanted == stored || is_wider_decimal(wanted, stored) && keeps_none() => continue,
            Some(wanted) => format!("has column `{name}` as {stored}, and this version of the product writes {wanted}"),
            None => format!("has column `{name}`, which this version of the product does not write"),
        };
        let path = table.path();
        let hint = match path.split_once('/') {
            Some(("silver", entity)) => format!("make it anew from bronze: rcm rebuild {entity}"),
            Some(("gold", _)) => format!("remove `{path}`, the next run makes it anew from silver"),
            _ => "use the version of the product that wrote the table".to_owned(),
        };
        return Err(StageError::corrupt_lake(format!("table `{path}` {reason}; hint: {hint}")));
    }
    Ok(())
}

pub(super) fn conflict_or_storage(path: &str, error: DeltaTableError) -> StageError {
    match error {
        DeltaTableError::VersionAlreadyExists(_)
        | DeltaTableError::Transaction {
            source: TransactionError::MaxCommitAttempts(_) | TransactionError::CommitConflict(_),
        } => StageError::commit_conflict(format!("table `{path}` was committed to by another run")).in_table(path),
        other => StageError::from(other).in_table(path),
    }
}

#[cfg(test)]
mod tests {
    use polars::prelude::{Field, TimeUnit};
    use rcm_platform::error::ErrorKind;
    use rcm_platform::testing::TestLake;
    use rstest::rstest;

    use super::*;

    async fn commit_nothing(
        lake: &Lake,
        path: &str,
        table: Option<&Table>,
        columns: &[(&str, DataType)],
    ) -> Result<()> {
        let schema: Schema = columns.iter().map(|(name, dtype)| Field::new((*name).into(), dtype.clone())).collect();
        let change = Change {
            schema: &schema,
            partition_by: &[],
            properties: &[],
            add: Vec::new(),
            remove: Vec::new(),
            transactions: Vec::new(),
            run_id: "run",
        };
        commit(lake, path, table, change).await.map(|_| ())
    }

    #[rstest]
    #[case::gone("silver/things", &[("name", DataType::String)],
        "table `silver/things` has column `since`, which this version of the product does not write; hint: make it anew \
         from bronze: rcm rebuild things")]
    #[case::another_type("gold/things", &[("name", DataType::String), ("since", DataType::Date)],
        "table `gold/things` has column `since` as str, and this version of the product writes date; hint: remove \
         `gold/things`, the next run makes it anew from silver")]
    #[case::of_people("quarantine/things", &[("since", DataType::String)],
        "table `quarantine/things` has column `name`, which this version of the product does not write; hint: use the \
         version of the product that wrote the table")]
    #[tokio::test]
    async fn a_column_that_is_gone_or_has_another_type_is_an_error_that_says_what_to_do(
        #[case] path: &str,
        #[case] columns: &[(&str, DataType)],
        #[case] message: &str,
    ) {
        let lake = TestLake::new().lake();
        let before = [("name", DataType::String), ("since", DataType::String)];
        commit_nothing(&lake, path, None, &before).await.unwrap();
        let table = Table::open(&lake, path).await.unwrap();
        let error = commit_nothing(&lake, path, table.as_ref(), columns).await.unwrap_err();
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::CorruptLake, format!("corrupt lake: {message}")));
    }

    #[tokio::test]
    async fn a_table_that_another_run_has_made_or_committed_to_meanwhile_is_a_conflict() {
        let (lake, path, columns) = (TestLake::new().lake(), "silver/things", [("name", DataType::String)]);
        commit_nothing(&lake, path, None, &columns).await.unwrap();
        let opened = Table::open(&lake, path).await.unwrap();
        commit_nothing(&lake, path, opened.as_ref(), &columns).await.unwrap();
        for (opened, expected) in
            [(None, "was made by another run"), (opened.as_ref(), "was committed to by another run")]
        {
            let error = commit_nothing(&lake, path, opened, &columns).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::CommitConflict, "{error}");
            assert!(error.to_string().contains(&format!("table `{path}` {expected}")), "{error}");
        }
    }

    #[tokio::test]
    async fn a_table_that_cannot_be_made_is_no_conflict() {
        let lake = TestLake::new().lake();
        let error = commit_nothing(&lake, "silver/already exists", None, &[]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Storage, "{error}");
    }

    #[tokio::test]
    async fn columns_that_a_table_lacks_are_added_by_a_commit_that_changes_no_row() {
        let (lake, path) = (TestLake::new().lake(), "silver/things");
        commit_nothing(&lake, path, None, &[("name", DataType::String)]).await.unwrap();
        let moment = DataType::Datetime(TimeUnit::Microseconds, Some(polars::prelude::TimeZone::UTC));
        let columns = [("name", DataType::String), ("since", moment.clone()), ("place", DataType::String)];
        let table = Table::open(&lake, path).await.unwrap();
        commit_nothing(&lake, path, table.as_ref(), &columns).await.unwrap();
        let table = Table::open(&lake, path).await.unwrap().unwrap();
        assert_eq!((table.schema().len(), table.schema().get("since")), (3, Some(&moment)));
        assert_eq!((table.version(), table.data_version().await.unwrap()), (1, 0));
    }
}
