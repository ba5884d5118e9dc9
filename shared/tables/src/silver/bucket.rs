//! One bucket of a silver table: what a batch reads of it, and the files that it adds and removes.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use polars::prelude::*;
use rcm_domain::cdm::silver_schema;
use rcm_domain::scd2::{
    COMPARED, ExtractBatch, ExtractLoad, KEY_REPEATED, Outcome, PROBED, Plan, plan_events, plan_extracts,
    repeated_keys, triage,
};
use rcm_model::cdm::{ColumnType, Entity};
use rcm_platform::bronze::Manifest;
use rcm_platform::context::Context;
use rcm_platform::error::Result;

use super::batch_rows::BatchRows;
use super::holdings::Held;
use super::nature::{Nature, is_full};
use super::record;
use super::rewrite::{self, Rewritten};
use super::stored::{Bucket, StoredFile, StoredRows};
use super::target::Target;
use crate::delta::{DataFile, NewFile, Table};
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
    may_hash_otherwise: bool,
}

/// What a bucket's rows become.
struct Planned {
    plan: Plan,
    /// The files that hold rows which the plan may change.
    files: Vec<StoredFile>,
    /// What the datasources of full extracts then hold.
    held: Vec<Held>,
}

/// Column with what was observed of a version, of which an extract's version has one entry.
const OBSERVATIONS: &str = "observations";

/// Buckets that are planned and written at the same time.
const AT_ONCE: usize = 2;

/// The buckets that a batch concerns.
pub(super) fn concerned(table: Option<&Table>, batch: &BatchRows) -> BTreeSet<i32> {
    let mut buckets = batch.incoming.buckets();
    if batch.loads.iter().any(is_full) {
        // Any key may be gone.
        let stored = table.map_or(&[][..], Table::files).iter();
        buckets.extend(stored.filter_map(|file| file.partition_value("bucket")?.parse::<i32>().ok()));
    }
    buckets
}

/// Plans and writes the changes of every bucket that a batch concerns. Nothing is committed.
///
/// # Errors
/// The store fails.
pub(super) async fn plan_all(
    context: &Context,
    target: &Target,
    table: Option<&Table>,
    batch: &BatchRows,
) -> Result<Vec<BucketChange>> {
    plan_some(context, target, table, batch, concerned(table, batch).into_iter().collect()).await
}

/// Plans and writes the changes of some buckets. Nothing is committed.
///
/// # Errors
/// The store fails.
pub(super) async fn plan_some(
    context: &Context,
    target: &Target,
    table: Option<&Table>,
    batch: &BatchRows,
    buckets: Vec<i32>,
) -> Result<Vec<BucketChange>> {
    let entity = target.entity;
    let mut may_hash_otherwise = false;
    for load in &batch.loads {
        let Some(table) = table.filter(|_| !may_hash_otherwise) else { break };
        may_hash_otherwise = record::may_hash_otherwise(context, entity, table, &load.datasource).await?;
    }
    let changes = buckets.into_iter().map(|number| {
        let bucket = Bucket { context, entity, table, number };
        BucketBatch { bucket, target, batch, may_hash_otherwise }.change()
    });
    stream::iter(changes).buffered(AT_ONCE).try_collect().await
}

/// What a batch brings to one bucket.
struct BucketBatch<'a> {
    bucket: Bucket<'a>,
    target: &'a Target,
    batch: &'a BatchRows,
    may_hash_otherwise: bool,
}

impl BucketBatch<'_> {
    /// Plans and writes what the batch changes in the bucket.
    async fn change(self) -> Result<BucketChange> {
        let Self { bucket, target, batch, may_hash_otherwise } = self;
        let (context, entity) = (bucket.context, bucket.entity);
        let rows = batch.incoming.of_bucket(context, bucket.number).await?;
        let named = batch.named.filter(&batch.named.column("bucket")?.i32()?.equal(bucket.number))?;
        let counted = blocking(move || {
            let repeated = repeated_keys(&rows, entity)?;
            Ok((rows, repeated))
        });
        let (rows, repeated) = counted.await?;
        let now = target.written_at(context, &batch.loads);
        let Planned { plan, files, held } = if batch.loads.first().map(Nature::of) == Some(Nature::Event) {
            let mut untracked: Vec<_> = batch.loads.iter().flat_map(|load| untracked(context, entity, load)).collect();
            untracked.sort_unstable();
            untracked.dedup();
            after_events(bucket, now, Events { rows, untracked }).await?
        } else {
            let loads = batch.loads.iter().map(|load| extract_load(context, entity, load)).collect();
            after_extracts(bucket, now, Extracts { loads, rows, named, may_hash_otherwise }).await?
        };
        let Rewritten { add, remove } = rewrite::write(bucket, &target.silver, files, &plan).await?;
        let Plan { outcomes, deleted, mut warnings, .. } = plan;
        warnings.extend(repeated.into_iter().map(|(load_id, keys)| ((load_id, KEY_REPEATED), keys)));
        Ok(BucketChange { add, remove, outcomes, deleted, warnings, held })
    }
}

/// Names of all columns of an entity's table.
pub(super) fn all_columns(entity: &Entity) -> Vec<String> {
    silver_schema(entity).iter_names().map(ToString::to_string).collect()
}

/// Names of some columns, and of the keys.
fn with_keys(entity: &Entity, columns: &[&str]) -> Vec<String> {
    [entity.surrogate, entity.key].iter().chain(columns).map(|name| (*name).to_owned()).collect()
}

pub(super) fn names(columns: &[String]) -> Vec<&str> {
    columns.iter().map(String::as_str).collect()
}

/// Plans what landed events change.
async fn after_events(bucket: Bucket<'_>, now: DateTime<Utc>, events: Events) -> Result<Planned> {
    let entity = bucket.entity;
    let Events { rows, untracked } = events;
    let StoredRows { mut files, rows: current } =
        bucket.current(bucket.open_files().await?, &names(&with_keys(entity, &PROBED))).await?;
    let (current, rows, found) = blocking(move || {
        let found = triage(entity, &current, &rows)?;
        Ok((current, rows, found))
    })
    .await?;
    let history = bucket.of_keys(&found.need_history, &names(&all_columns(entity)), true).await?;
    files.extend(history.files);
    let history = history.rows;
    let plan = blocking(move || Ok(plan_events(entity, &untracked, &current, &history, &rows, &found, now)?));
    Ok(Planned { plan: plan.await?, files, held: Vec::new() })
}

/// Plans what extracts change.
async fn after_extracts(bucket: Bucket<'_>, now: DateTime<Utc>, extracts: Extracts) -> Result<Planned> {
    let entity = bucket.entity;
    let open = bucket.open_files().await?;
    let columns = if extracts.batch().needs_attributes() {
        all_columns(entity)
    } else {
        let needs_amounts = extracts.batch().needs_amounts();
        let amounts = entity.tracked.iter().filter(|column| needs_amounts && column.kind == ColumnType::Money);
        let amounts = amounts.map(|column| column.name.to_owned());
        let may_have_several = open.iter().any(|file| file.parquet.has_longer_lists(OBSERVATIONS));
        let observations = may_have_several.then(|| OBSERVATIONS.to_owned());
        with_keys(entity, &COMPARED).into_iter().chain(amounts).chain(observations).collect()
    };
    let StoredRows { mut files, rows: current } = bucket.current(open, &names(&columns)).await?;
    let may_have_closed = bucket.files().any(has_closed);
    let (current, extracts, needed) = blocking(move || {
        let batch = extracts.batch();
        let needed = if may_have_closed { batch.needs_closed(entity, &current)? } else { none_needed() };
        Ok((current, extracts, needed))
    })
    .await?;
    let closed = bucket.of_keys(&needed, &names(&columns), false).await?;
    files.extend(closed.files);
    let closed = closed.rows;
    blocking(move || {
        let plan = plan_extracts(entity, &current, &closed, &extracts.batch(), now)?;
        let held = held(entity, &current, &plan)?;
        Ok(Planned { plan, files, held })
    })
    .await
}

/// Whether a file may have versions that have ended.
fn has_closed(file: &DataFile) -> bool {
    file.nulls("effective_to") != Some(file.rows())
}

/// No keys of which closed versions are needed.
fn none_needed() -> DataFrame {
    DataFrame::empty_with_schema(&Schema::from_iter([Field::new("key".into(), DataType::String)]))
}

/// What the datasources of full extracts hold in a bucket after a plan.
fn held(entity: &Entity, current: &DataFrame, plan: &Plan) -> Result<Vec<Held>> {
    if plan.holdings.is_empty() {
        return Ok(Vec::new());
    }
    let mut before = current.clone();
    before.with_column(Column::new_scalar("is_current".into(), Scalar::from(true), before.height()))?;
    let mut after = plan.applied_to(&before, entity.surrogate)?;
    after = after.filter(after.column("is_current")?.bool()?)?;
    plan.holdings.iter().map(|shown| Held::of(shown.clone(), &after, entity)).collect()
}

impl Extracts {
    fn batch(&self) -> ExtractBatch<'_> {
        ExtractBatch {
            loads: &self.loads,
            rows: &self.rows,
            named: &self.named,
            may_hash_otherwise: self.may_hash_otherwise,
        }
    }
}

/// A load of an extract as history is planned with it.
pub(super) fn extract_load(context: &Context, entity: &Entity, load: &Manifest) -> ExtractLoad {
    ExtractLoad {
        load_id: load.load_id.clone(),
        datasource: load.datasource.clone(),
        extracted_at: load.extracted_at,
        is_full: is_full(load),
        untracked: untracked(context, entity, load),
        corrected_by: Vec::new(),
    }
}

/// Columns whose change alone is no new version.
pub(super) fn untracked(context: &Context, entity: &Entity, load: &Manifest) -> Vec<&'static str> {
    let mapping = context.settings.mapping(&load.datasource).ok();
    let columns = mapping.and_then(|mapping| mapping.columns(entity.name, &load.source.name));
    columns.map_or_else(Vec::new, |columns| columns.untracked(entity))
}
