//! From statements to the batches of one load, over one connection or several at once.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use chrono::NaiveDateTime;
use futures::TryStreamExt;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc::Sender;
use tokio::task::JoinSet;

use super::batch::{self, BatchBuilder};
use super::query::{Statement, Window};
use super::{Column, Connection, SourceRow, SourceType};
use crate::error::{Result, StageError};

/// What all shards of a load have in common.
#[derive(Debug)]
pub(super) struct Reading<T: SourceType> {
    pub(super) columns: Vec<Column<T>>,
    pub(super) window: Option<Window<T>>,
    positions: AtomicI64,
    schema: SchemaRef,
}

/// What was found among the rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct RowSummary {
    pub(super) all: RowDigest,
    /// Those that the next load reads again if nothing newer comes.
    pub(super) read_again: RowDigest,
    /// Rows whose watermark is in the future.
    pub(super) ahead: u64,
    /// Rows with a value that bronze has no place for.
    pub(super) malformed: u64,
}

/// Rows, whatever their order: a table has none, and shards come as they come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct RowDigest {
    pub(super) rows: u64,
    /// Sum of the rows' hashes.
    sum: u128,
}

impl<T: SourceType> Reading<T> {
    pub(super) fn new(columns: Vec<Column<T>>, window: Option<Window<T>>) -> Self {
        let schema = batch::schema(&columns);
        Self { columns, window, positions: AtomicI64::new(0), schema }
    }

    /// Hash of some rows of the table, in hexadecimal.
    pub(super) fn hash(&self, rows: RowDigest) -> String {
        let mut hash = Sha256::new_with_prefix(format!("{:?}", self.schema));
        hash.update(rows.rows.to_le_bytes());
        hash.update(rows.sum.to_le_bytes());
        format!("{:x}", hash.finalize())
    }
}

/// Sends the rows of all statements, an empty batch with their columns first. The first error ends
/// all of them.
///
/// # Errors
/// A connection is lost, a statement fails, or a row is not what the table's columns say.
pub(super) async fn send<C: Connection>(
    reading: Arc<Reading<C::Type>>,
    shards: Vec<(C, Statement<C::Type>)>,
    batches: Sender<RecordBatch>,
) -> Result<RowSummary> {
    let empty = RecordBatch::new_empty(Arc::clone(&reading.schema));
    batches.send(empty).await.map_err(|_| writer_stopped())?;
    let mut tasks = JoinSet::new();
    for (connection, statement) in shards {
        tasks.spawn(send_shard(Arc::clone(&reading), connection, statement, batches.clone()));
    }
    let mut found = RowSummary::default();
    while let Some(ended) = tasks.join_next().await {
        found.add(&ended.map_err(|_| StageError::source_unavailable("a reading task stopped".to_owned()))??);
    }
    Ok(found)
}

async fn send_shard<C: Connection>(
    reading: Arc<Reading<C::Type>>,
    mut connection: C,
    statement: Statement<C::Type>,
    batches: Sender<RecordBatch>,
) -> Result<RowSummary> {
    let mut found = RowSummary::default();
    let mut builder = BatchBuilder::new(&reading.columns, Arc::clone(&reading.schema));
    let watermark = reading.window.as_ref().and_then(|window| {
        let index = reading.columns.iter().position(|column| *column == window.column)?;
        Some((window, index))
    });
    let mut answer = connection.rows(statement).await?;
    while let Some(row) = answer.try_next().await? {
        let added = builder.push(&row.cells(&reading.columns)?)?;
        found.malformed += u64::from(added.is_malformed);
        let moment = watermark.map(|(window, index)| (window, row.moment(index, &window.column.kind)));
        found.take(added.hash, moment);
        if builder.is_full() {
            batches.send(builder.finish(&reading.positions)?).await.map_err(|_| writer_stopped())?;
        }
    }
    if !builder.is_empty() {
        batches.send(builder.finish(&reading.positions)?).await.map_err(|_| writer_stopped())?;
    }
    Ok(found)
}

/// The writer's own error goes before this one.
fn writer_stopped() -> StageError {
    StageError::storage("the writer stopped".to_owned())
}

impl RowSummary {
    fn take<T: SourceType>(&mut self, hash: u128, watermark: Option<(&Window<T>, Option<NaiveDateTime>)>) {
        self.all.take(hash);
        let Some((window, Some(moment))) = watermark else { return };
        self.ahead += u64::from(moment > window.until);
        if window.is_read_again(moment) {
            self.read_again.take(hash);
        }
    }

    fn add(&mut self, other: &Self) {
        self.all.add(other.all);
        self.read_again.add(other.read_again);
        self.ahead += other.ahead;
        self.malformed += other.malformed;
    }
}

impl RowDigest {
    fn take(&mut self, hash: u128) {
        self.rows += 1;
        self.sum = self.sum.wrapping_add(hash);
    }

    fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.sum = self.sum.wrapping_add(other.sum);
    }
}
