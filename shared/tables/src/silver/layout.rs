//! Silver tables of earlier versions, laid out as this one lays them out.
//!
//! Up to version 0.2 a table was partitioned by whether its versions were current, and a version that ended moved
//! from one file to another. The first run of this version writes the same rows in files of today's columns, bucket
//! by bucket, and replaces the old files by one commit. Until then readers see the old ones; a run that breaks off
//! leaves nothing but files that vacuum removes.

use polars::prelude::*;
use rcm_domain::cdm::silver_schema;
use rcm_model::cdm::Entity;
use rcm_model::event::TableCommit;
use rcm_platform::context::Context;
use rcm_platform::error::{Result, StageError};

use super::columns;
use super::rewrite;
use super::stored::Bucket;
use super::target::Target;
use super::{BUCKETS_PROPERTY, PARTITION_COLUMNS, buckets};
use crate::delta::{self, Change, DataFile, Table};
use crate::frames::blocking;

/// Lays the table of an entity out anew if an earlier version made it.
///
/// # Errors
/// The store fails, or other runs keep committing to the table.
pub(super) async fn bring_up(context: &Context, entity: &'static Entity, run_id: &str) -> Result<Option<TableCommit>> {
    delta::retry_on_conflict(|| lay_out(context, entity, run_id)).await
}

async fn lay_out(context: &Context, entity: &'static Entity, run_id: &str) -> Result<Option<TableCommit>> {
    let path = Target::of(entity).silver;
    let Some(table) = Table::open(&context.lake, &path).await? else { return Ok(None) };
    if table.partition_columns()? == PARTITION_COLUMNS {
        return Ok(None);
    }
    let entity = columns::entity_of(entity, Some(&table));
    let count = buckets(context, entity, Some(&table), 0)?;
    let known: Schema =
        silver_schema(entity).iter_fields().filter(|field| table.schema().contains(field.name())).collect();
    let mut add = Vec::new();
    for number in 0..count.cast_signed() {
        let bucket = Bucket { context, entity, table: Some(&table), number };
        let files: Vec<DataFile> = bucket.files().cloned().collect();
        if files.is_empty() {
            continue;
        }
        let columns: Vec<Expr> =
            known.iter_names().filter(|name| *name != "bucket").map(|name| col(name.clone())).collect();
        let rows = table.scan(&files).await?.select(columns);
        let rows = blocking(move || Ok(rows.collect()?)).await?;
        let expected: u64 = files.iter().map(DataFile::rows).sum();
        if rows.height() as u64 != expected {
            let message = format!("files of bucket {number} have {} rows, the log says {expected}", rows.height());
            return Err(StageError::corrupt_lake(message).in_table(&path));
        }
        add.extend(rewrite::current_and_closed(bucket, &path, rows).await?);
    }
    let rows: u64 = add.iter().map(|file| file.rows).sum();
    if rows != table.rows() {
        let message = format!("its buckets have {rows} rows, its log says {}", table.rows());
        return Err(StageError::corrupt_lake(message).in_table(&path));
    }
    let change = Change {
        schema: &known,
        partition_by: &PARTITION_COLUMNS,
        properties: &[(BUCKETS_PROPERTY, count.to_string())],
        add,
        remove: table.files().to_vec(),
        transactions: Vec::new(),
        run_id,
    };
    let committed = delta::commit_anew(&context.lake, &path, &table, change).await?;
    Ok(Some(TableCommit { table: path, version: committed.version, rows }))
}
