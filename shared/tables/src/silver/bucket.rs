//! One bucket of a silver table: what to read of it, and which files to write in place of which.

use polars::prelude::*;
use rcm_domain::cdm::silver_schema;
use rcm_domain::scd2::{Extracts, Plan, Triage, plan, triage};
use rcm_model::cdm::Entity;
use rcm_platform::context::Context;
use rcm_platform::error::Result;
use rcm_platform::lake;

use super::extracts::FullExtracts;
use super::intake::Intake;
use crate::delta::{self, DataFile, NewFile, Table};
use crate::frames::blocking;

/// Files that change in one bucket, and why.
pub(super) struct BucketChange {
    pub add: Vec<NewFile>,
    pub remove: Vec<DataFile>,
    /// Rows per load and outcome.
    pub outcomes: Vec<(String, String, u64)>,
    /// Keys that were ended, per datasource and place of the extract in its order.
    pub deleted: Vec<(String, i64, u64)>,
}

/// A closed file, and its rows of keys whose history is needed.
struct Closed {
    file: DataFile,
    rows: DataFrame,
}

/// Plans and writes the changes of every bucket that a batch touches. Nothing is committed.
///
/// # Errors
/// The store fails.
pub(super) async fn plan_all(
    context: &Context,
    entity: &'static Entity,
    table: Option<&Table>,
    intake: &Intake,
    extracts: &FullExtracts,
) -> Result<Vec<BucketChange>> {
    let mut buckets: Vec<i32> = intake.events.column("bucket")?.i32()?.iter().flatten().collect();
    if extracts.may_end_keys() {
        let stored = table.map_or(&[][..], Table::files).iter();
        buckets.extend(stored.filter_map(|file| file.partition_value("bucket")?.parse::<i32>().ok()));
    }
    buckets.sort_unstable();
    buckets.dedup();
    let mut changes = Vec::with_capacity(buckets.len());
    for bucket in buckets {
        changes.push(plan_one(context, entity, table, intake, extracts, bucket).await?);
    }
    Ok(changes)
}

async fn plan_one(
    context: &Context,
    entity: &'static Entity,
    table: Option<&Table>,
    intake: &Intake,
    extracts: &FullExtracts,
    bucket: i32,
) -> Result<BucketChange> {
    let seen = extracts.seen_in(bucket, intake)?;
    let events = intake.events.clone().lazy().filter(col("bucket").eq(lit(bucket)));
    let current_files = files(table, bucket, true);
    let current = rows(entity, table, &current_files).await?;
    let (events, current, found, seen) = blocking(move || {
        let (events, current) = (events.collect()?, current.collect()?);
        let found = triage(entity, &current, &events, &seen)?;
        Ok((events, current, found, seen))
    })
    .await?;
    let closed = closed_rows(entity, table, bucket, &found).await?;
    let (all, now, batch) = (extracts.all.clone(), context.now(), current.clone());
    let touched: Vec<DataFrame> = closed.iter().map(|closed| closed.rows.clone()).collect();
    let planned = blocking(move || {
        let history = history(entity, &batch, touched, &found)?;
        let extracts = Extracts { all: &all, seen: &seen };
        Ok(plan(entity, &batch, &history, &events, &found, extracts, now)?)
    })
    .await?;
    let (add, remove) = files_for(context, entity, table, bucket, &planned, (current, current_files), closed).await?;
    Ok(BucketChange { add, remove, outcomes: outcomes(planned.outcomes)?, deleted: deletions(&planned.deleted)? })
}

fn files(table: Option<&Table>, bucket: i32, current: bool) -> Vec<DataFile> {
    let (bucket, current) = (bucket.to_string(), current.to_string());
    let all = table.map_or(&[][..], Table::files).iter();
    let of_bucket = all.filter(|file| {
        file.partition_value("bucket") == Some(&bucket) && file.partition_value("is_current") == Some(&current)
    });
    of_bucket.cloned().collect()
}

/// Rows of some files, with the columns in the order of the entity's schema.
async fn rows(entity: &Entity, table: Option<&Table>, files: &[DataFile]) -> Result<LazyFrame> {
    let schema = silver_schema(entity);
    let Some(table) = table.filter(|_| !files.is_empty()) else {
        return Ok(DataFrame::empty_with_schema(&schema).lazy());
    };
    let columns: Vec<Expr> = schema.iter_names().map(|name| col(name.clone())).collect();
    Ok(table.scan(files).await?.select(columns))
}

/// Rows of the closed files whose key's history is needed, file by file.
async fn closed_rows(
    entity: &'static Entity,
    table: Option<&Table>,
    bucket: i32,
    found: &Triage,
) -> Result<Vec<Closed>> {
    let mut closed = Vec::new();
    if found.need_history.height() == 0 {
        return Ok(closed);
    }
    for file in files(table, bucket, false) {
        let rows = rows(entity, table, std::slice::from_ref(&file)).await?;
        let keys = found.need_history.clone().lazy();
        let rows = blocking(move || {
            Ok(rows.join(keys, [col(entity.key)], [col("key")], JoinArgs::new(JoinType::Semi)).collect()?)
        });
        let rows = rows.await?;
        if rows.height() > 0 {
            closed.push(Closed { file, rows });
        }
    }
    Ok(closed)
}

fn history(entity: &Entity, current: &DataFrame, closed: Vec<DataFrame>, found: &Triage) -> Result<DataFrame> {
    let keys = found.need_history.clone().lazy();
    let current = current.clone().lazy().join(keys, [col(entity.key)], [col("key")], JoinArgs::new(JoinType::Semi));
    let all: Vec<LazyFrame> = std::iter::once(current).chain(closed.into_iter().map(IntoLazy::lazy)).collect();
    Ok(concat(all, UnionArgs::default())?.collect()?)
}

/// Writes what the plan changes. The current rows of a bucket are one file; closed rows are added
/// beside the files that are there, and a closed file is only rewritten where rows of it go.
async fn files_for(
    context: &Context,
    entity: &'static Entity,
    table: Option<&Table>,
    bucket: i32,
    planned: &Plan,
    (current, current_files): (DataFrame, Vec<DataFile>),
    closed: Vec<Closed>,
) -> Result<(Vec<NewFile>, Vec<DataFile>)> {
    let mut remove = Vec::new();
    let mut rewritten = Vec::new();
    for file in files_with_replaced_rows(entity, closed, planned.replace.clone()).await? {
        rewritten.push(rows(entity, table, std::slice::from_ref(&file)).await?);
        remove.push(file);
    }
    let (write, replace) = (planned.write.clone(), planned.replace.clone());
    let (current, closed) = blocking(move || {
        let of = |is_current: bool| write.clone().lazy().filter(col("is_current").eq(lit(is_current)));
        let current_kept = kept(entity, current.clone().lazy(), &replace).collect()?;
        let current_new = of(true).collect()?;
        let changes = current_kept.height() < current.height() || current_new.height() > 0;
        let current =
            if changes { Some(one_per_key_in_order(entity, &current_kept.vstack(&current_new)?)?) } else { None };
        let closed = rewritten.into_iter().map(|rows| kept(entity, rows, &replace));
        let closed: Vec<LazyFrame> = std::iter::once(of(false)).chain(closed).collect();
        Ok((current, in_order(entity, &concat(closed, UnionArgs::default())?.collect()?)?))
    })
    .await?;
    if current.is_some() {
        remove.extend(current_files);
    }
    let mut add = Vec::new();
    for (rows, is_current) in current.into_iter().map(|rows| (rows, true)).chain([(closed, false)]) {
        if rows.height() == 0 {
            continue;
        }
        let partition = [("is_current", Some(is_current.to_string())), ("bucket", Some(bucket.to_string()))];
        add.push(delta::write(context, &lake::silver(entity.name), &rows, &partition).await?);
    }
    Ok((add, remove))
}

/// Rows that are not replaced.
fn kept(entity: &Entity, rows: LazyFrame, replace: &DataFrame) -> LazyFrame {
    let surrogate = [col(entity.surrogate)];
    rows.join(replace.clone().lazy(), surrogate.clone(), surrogate, JoinArgs::new(JoinType::Anti))
}

async fn files_with_replaced_rows(
    entity: &'static Entity,
    closed: Vec<Closed>,
    replace: DataFrame,
) -> Result<Vec<DataFile>> {
    blocking(move || {
        let mut files = Vec::new();
        for Closed { file, rows } in closed {
            let before = rows.height();
            if kept(entity, rows.lazy(), &replace).collect()?.height() < before {
                files.push(file);
            }
        }
        Ok(files)
    })
    .await
}

/// Current rows, of which every key has one, as a file has them. Those of a bucket that was empty come in
/// order already.
fn one_per_key_in_order(entity: &Entity, rows: &DataFrame) -> Result<DataFrame> {
    if rows.column(entity.key)?.as_materialized_series().is_sorted(SortOptions::default())? {
        return Ok(rows.drop_many(super::PARTITION_COLUMNS));
    }
    in_order(entity, rows)
}

/// Rows as a file has them: without what its folder says.
fn in_order(entity: &Entity, rows: &DataFrame) -> Result<DataFrame> {
    let rows = rows.sort([entity.key, "effective_from"], SortMultipleOptions::default())?;
    Ok(rows.drop_many(super::PARTITION_COLUMNS))
}

fn outcomes(of_events: DataFrame) -> Result<Vec<(String, String, u64)>> {
    let counted = of_events
        .lazy()
        .group_by_stable([col("load_id"), col("outcome")])
        .agg([len().cast(DataType::Int64).alias("rows")])
        .collect()?;
    let (loads, outcomes) = (counted.column("load_id")?.str()?, counted.column("outcome")?.str()?);
    let rows = counted.column("rows")?.i64()?;
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    Ok((0..counted.height())
        .map(|row| (text(loads.get(row)), text(outcomes.get(row)), rows.get(row).unwrap_or(0).unsigned_abs()))
        .collect())
}

fn deletions(deleted: &DataFrame) -> Result<Vec<(String, i64, u64)>> {
    let (datasources, places) = (deleted.column("datasource")?.str()?, deleted.column("sequence")?.i64()?);
    let keys = deleted.column("deleted")?.i64()?;
    Ok((0..deleted.height())
        .map(|row| {
            let datasource = datasources.get(row).unwrap_or_default().to_owned();
            (datasource, places.get(row).unwrap_or(0), keys.get(row).unwrap_or(0).unsigned_abs())
        })
        .collect())
}
