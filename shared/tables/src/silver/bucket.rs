//! One bucket of a silver table: what a batch reads of it, and the files that it adds and removes.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use polars::prelude::*;
use rcm_domain::cdm::silver_schema;
use rcm_domain::scd2::{ExtractBatch, ExtractLoad, Outcome, Plan, plan_events, plan_extracts, triage};
use rcm_model::cdm::Entity;
use rcm_platform::bronze::Manifest;
use rcm_platform::context::Context;
use rcm_platform::error::Result;

use super::batch_rows::BatchRows;
use super::holdings::Held;
use super::nature::{Nature, is_full};
use super::target::Target;
use crate::delta::{self, DataFile, NewFile, Table};
use crate::frames::blocking;

/// What a batch changes in one bucket.
pub(super) struct BucketChange {
    pub add: Vec<NewFile>,
    pub remove: Vec<DataFile>,
    /// Rows per load and outcome.
    pub outcomes: BTreeMap<(String, Outcome), u64>,
    /// Keys that were ended, per full extract.
    pub deleted: BTreeMap<String, u64>,
    /// Rows per load and rule that only history shows.
    pub warnings: BTreeMap<(String, &'static str), u64>,
    /// What the datasources of full extracts hold in the bucket.
    pub held: Vec<Held>,
}

/// One bucket of the silver table that a batch is ingested into.
struct Bucket<'a> {
    context: &'a Context,
    target: &'a Target,
    table: Option<&'a Table>,
    number: i32,
}

/// The files with the current versions of a bucket, and their rows.
struct Current {
    files: Vec<DataFile>,
    rows: DataFrame,
}

/// A closed file, and its rows of keys whose history is needed.
struct Closed {
    file: DataFile,
    rows: DataFrame,
}

/// Landed events of a bucket.
struct Events {
    rows: DataFrame,
    /// Columns whose change alone is no new version.
    untracked: Vec<&'static str>,
}

/// Rows of a bucket that extracts bring.
struct Extracts {
    loads: Vec<ExtractLoad>,
    rows: DataFrame,
    /// Keys of rows in quarantine.
    named: DataFrame,
}

/// What a bucket's rows become, and the closed files that hold rows of the keys in question.
struct Planned {
    plan: Plan,
    closed: Vec<Closed>,
}

/// Files of a bucket that were written, those that they replace, and what the datasources of full extracts then hold.
struct Written {
    add: Vec<NewFile>,
    remove: Vec<DataFile>,
    held: Vec<Held>,
}

/// Plans and writes the changes of every bucket that a batch touches. Nothing is committed.
///
/// # Errors
/// The store fails.
pub(super) async fn plan_all(
    context: &Context,
    target: &Target,
    table: Option<&Table>,
    batch: &BatchRows,
) -> Result<Vec<BucketChange>> {
    let mut buckets: Vec<i32> = batch.events.column("bucket")?.i32()?.iter().flatten().collect();
    if batch.loads.iter().any(is_full) {
        // Any key may be gone.
        let stored = table.map_or(&[][..], Table::files).iter();
        buckets.extend(stored.filter_map(|file| file.partition_value("bucket")?.parse::<i32>().ok()));
    }
    buckets.sort_unstable();
    buckets.dedup();
    let mut changes = Vec::with_capacity(buckets.len());
    for number in buckets {
        changes.push(Bucket { context, target, table, number }.change(batch).await?);
    }
    Ok(changes)
}

impl Bucket<'_> {
    /// Plans and writes what a batch changes in the bucket.
    async fn change(&self, batch: &BatchRows) -> Result<BucketChange> {
        let Self { context, target, number, .. } = *self;
        let entity = target.entity;
        let of_bucket = |frame: &DataFrame| frame.clone().lazy().filter(col("bucket").eq(lit(number)));
        let (events, named) = (of_bucket(&batch.events), of_bucket(&batch.named));
        let files = self.files(true);
        let current = self.rows(&files).await?;
        let (rows, named, current) =
            blocking(move || Ok((events.collect()?, named.collect()?, current.collect()?))).await?;
        let current = Current { files, rows: current };
        let now = target.written_at(context, &batch.loads);
        let Planned { plan, closed } = if batch.loads.first().map(Nature::of) == Some(Nature::Event) {
            let mut untracked: Vec<_> = batch.loads.iter().flat_map(|load| untracked(context, entity, load)).collect();
            untracked.sort_unstable();
            untracked.dedup();
            self.after_events(now, &current, Events { rows, untracked }).await?
        } else {
            let loads = batch.loads.iter().map(|load| extract_load(context, entity, load)).collect();
            self.after_extracts(now, &current, Extracts { loads, rows, named }).await?
        };
        let Written { add, remove, held } = self.write(&plan, current, closed).await?;
        let Plan { outcomes, deleted, warnings, .. } = plan;
        Ok(BucketChange { add, remove, outcomes, deleted, warnings, held })
    }

    /// Plans what landed events change.
    async fn after_events(&self, now: DateTime<Utc>, current: &Current, events: Events) -> Result<Planned> {
        let entity = self.target.entity;
        let Events { rows, untracked } = events;
        let batch = current.rows.clone();
        let (rows, found) = blocking(move || {
            let found = triage(entity, &batch, &rows)?;
            Ok((rows, found))
        })
        .await?;
        let closed = self.closed_rows(&found.need_history).await?;
        let batch = current.rows.clone();
        let touched: Vec<DataFrame> = closed.iter().map(|closed| closed.rows.clone()).collect();
        let plan = blocking(move || {
            let history = history(entity, &batch, touched, &found.need_history)?;
            Ok(plan_events(entity, &untracked, &batch, &history, &rows, &found, now)?)
        })
        .await?;
        Ok(Planned { plan, closed })
    }

    /// Plans what extracts change.
    async fn after_extracts(&self, now: DateTime<Utc>, current: &Current, extracts: Extracts) -> Result<Planned> {
        let entity = self.target.entity;
        let batch = current.rows.clone();
        let (extracts, needed) = blocking(move || {
            let needed = extracts.batch().needs_closed(entity, &batch)?;
            Ok((extracts, needed))
        })
        .await?;
        let closed = self.closed_rows(&needed).await?;
        let batch = current.rows.clone();
        let touched: Vec<LazyFrame> = closed.iter().map(|closed| closed.rows.clone().lazy()).collect();
        let plan = blocking(move || {
            let none = DataFrame::empty_with_schema(&silver_schema(entity)).lazy();
            let closed = concat([vec![none], touched].concat(), UnionArgs::default())?.collect()?;
            Ok(plan_extracts(entity, &batch, &closed, &extracts.batch(), now)?)
        })
        .await?;
        Ok(Planned { plan, closed })
    }

    /// The bucket's files of current versions, or of closed ones.
    fn files(&self, is_current: bool) -> Vec<DataFile> {
        let (bucket, is_current) = (self.number.to_string(), is_current.to_string());
        let all = self.table.map_or(&[][..], Table::files).iter();
        let of_bucket = all.filter(|file| {
            file.partition_value("bucket") == Some(&bucket) && file.partition_value("is_current") == Some(&is_current)
        });
        of_bucket.cloned().collect()
    }

    /// Rows of some files, with the columns in the order of the entity's schema.
    async fn rows(&self, files: &[DataFile]) -> Result<LazyFrame> {
        let schema = silver_schema(self.target.entity);
        let Some(table) = self.table.filter(|_| !files.is_empty()) else {
            return Ok(DataFrame::empty_with_schema(&schema).lazy());
        };
        let columns: Vec<Expr> = schema.iter_names().map(|name| col(name.clone())).collect();
        Ok(table.scan(files).await?.select(columns))
    }

    /// Rows of the closed files whose key's history is needed, file by file.
    async fn closed_rows(&self, needed: &DataFrame) -> Result<Vec<Closed>> {
        let key = self.target.entity.key;
        let mut closed = Vec::new();
        if needed.height() == 0 {
            return Ok(closed);
        }
        for file in self.files(false) {
            let rows = self.rows(std::slice::from_ref(&file)).await?;
            let keys = needed.clone().lazy();
            let rows = blocking(move || {
                Ok(rows.join(keys, [col(key)], [col("key")], JoinArgs::new(JoinType::Semi)).collect()?)
            });
            let rows = rows.await?;
            if rows.height() > 0 {
                closed.push(Closed { file, rows });
            }
        }
        Ok(closed)
    }

    /// Writes what the plan changes. The current rows of a bucket are one file; closed rows are added
    /// beside the files that are there, and a closed file is only rewritten where rows of it go.
    async fn write(&self, plan: &Plan, current: Current, closed: Vec<Closed>) -> Result<Written> {
        let Self { context, target, number, .. } = *self;
        let entity = target.entity;
        let mut remove = Vec::new();
        let mut rewritten = Vec::new();
        for file in files_with_replaced_rows(entity, closed, plan.replace.clone()).await? {
            rewritten.push(self.rows(std::slice::from_ref(&file)).await?);
            remove.push(file);
        }
        let Current { files, rows: current } = current;
        let (write, replace, holdings) = (plan.write.clone(), plan.replace.clone(), plan.holdings.clone());
        let (current, closed, held) = blocking(move || {
            let of = |is_current: bool| write.clone().lazy().filter(col("is_current").eq(lit(is_current)));
            let current_kept = kept(entity, current.clone().lazy(), &replace).collect()?;
            let current_new = of(true).collect()?;
            let changes = current_kept.height() < current.height() || current_new.height() > 0;
            let now_current = if changes { current_kept.vstack(&current_new)? } else { current };
            let held =
                holdings.into_iter().map(|shown| Held::of(shown, &now_current, entity)).collect::<Result<_>>()?;
            let current = if changes { Some(one_per_key_in_order(entity, &now_current)?) } else { None };
            let closed = rewritten.into_iter().map(|rows| kept(entity, rows, &replace));
            let closed: Vec<LazyFrame> = std::iter::once(of(false)).chain(closed).collect();
            Ok((current, in_order(entity, &concat(closed, UnionArgs::default())?.collect()?)?, held))
        })
        .await?;
        if current.is_some() {
            remove.extend(files);
        }
        let mut add = Vec::new();
        for (rows, is_current) in current.into_iter().map(|rows| (rows, true)).chain([(closed, false)]) {
            if rows.height() == 0 {
                continue;
            }
            let partition = [("is_current", Some(is_current.to_string())), ("bucket", Some(number.to_string()))];
            add.push(delta::write(context, &target.silver, &rows, &partition).await?);
        }
        Ok(Written { add, remove, held })
    }
}

impl Extracts {
    fn batch(&self) -> ExtractBatch<'_> {
        ExtractBatch { loads: &self.loads, rows: &self.rows, named: &self.named }
    }
}

fn extract_load(context: &Context, entity: &Entity, load: &Manifest) -> ExtractLoad {
    ExtractLoad {
        load_id: load.load_id.clone(),
        datasource: load.datasource.clone(),
        extracted_at: load.extracted_at,
        is_full: is_full(load),
        untracked: untracked(context, entity, load),
    }
}

/// Columns whose change alone is no new version.
fn untracked(context: &Context, entity: &Entity, load: &Manifest) -> Vec<&'static str> {
    let mapping = context.settings.mapping(&load.datasource).ok();
    let columns = mapping.and_then(|mapping| mapping.columns(entity.name, &load.source.name));
    columns.map_or_else(Vec::new, |columns| columns.untracked(entity))
}

fn history(entity: &Entity, current: &DataFrame, closed: Vec<DataFrame>, needed: &DataFrame) -> Result<DataFrame> {
    let keys = needed.clone().lazy();
    let current = current.clone().lazy().join(keys, [col(entity.key)], [col("key")], JoinArgs::new(JoinType::Semi));
    let all: Vec<LazyFrame> = std::iter::once(current).chain(closed.into_iter().map(IntoLazy::lazy)).collect();
    Ok(concat(all, UnionArgs::default())?.collect()?)
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

/// Current rows, one per key, in the form of a file. Those of a bucket that was empty are in order already.
fn one_per_key_in_order(entity: &Entity, rows: &DataFrame) -> Result<DataFrame> {
    if rows.column(entity.key)?.as_materialized_series().is_sorted(SortOptions::default())? {
        return Ok(rows.drop_many(super::PARTITION_COLUMNS));
    }
    in_order(entity, rows)
}

/// Rows in the form of a file: in order, and without the partition columns.
fn in_order(entity: &Entity, rows: &DataFrame) -> Result<DataFrame> {
    let rows = rows.sort([entity.key, "effective_from"], SortMultipleOptions::default())?;
    Ok(rows.drop_many(super::PARTITION_COLUMNS))
}
