//! The stored history of some keys, replaced by one that is made anew from bronze.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use polars::prelude::*;
use rcm_domain::cdm::silver_schema;
use rcm_domain::scd2::{Plan, bucket_of};
use rcm_model::cdm::Entity;
use rcm_model::event::ReplayOutcome;
use rcm_platform::bronze::Manifest;
use rcm_platform::context::Context;
use rcm_platform::error::Result;

use super::batch_rows::For;
use super::bucket::{all_columns, names};
use super::key_history::KeyHistory;
use super::rewrite;
use super::stored::{Bucket, StoredRows};
use super::target::Target;
use crate::delta::{DataFile, NewFile, Table};
use crate::frames::blocking;
use crate::quarantine::Withheld;

/// The history of some keys in a table, as it is and as it will be.
pub(super) struct Splice<'a> {
    context: &'a Context,
    table: &'a Table,
    entity: &'static Entity,
    /// By number of the bucket.
    buckets: BTreeMap<i32, SplicedBucket>,
    /// Keys of which the table has versions that today's mappings and rules give no more.
    differing: HashSet<String>,
    /// Keys that the table has a version of.
    known: HashSet<String>,
    /// New versions by key and hash of the attributes: whether one of them is current.
    new: HashMap<(String, i64), bool>,
}

struct SplicedBucket {
    stored: StoredRows,
    /// Versions that the bucket gets or that change, with the columns of the silver schema.
    add: DataFrame,
    /// Surrogate keys of versions that go or change.
    remove: DataFrame,
}

/// Files that a splice adds and removes.
#[derive(Default)]
pub(super) struct SplicedFiles {
    pub add: Vec<NewFile>,
    pub remove: Vec<DataFile>,
}

impl<'a> Splice<'a> {
    /// Makes the history of keys anew, and compares it with what the table has. Nothing is written.
    ///
    /// # Errors
    /// Those of [`KeyHistory::read`]; a file of the table cannot be read.
    pub(super) async fn plan(
        context: &'a Context,
        table: &'a Table,
        of: For<'_>,
        loads: Vec<Manifest>,
        keys: HashSet<String>,
        withheld: &Arc<Withheld>,
    ) -> Result<Self> {
        Self::plan_with(context, table, of, loads, keys, withheld, &HashMap::new()).await
    }

    /// As [`Splice::plan`], with good rows of loads that are in no file yet, by the ids of the loads.
    ///
    /// # Errors
    /// Those of [`Splice::plan`].
    pub(super) async fn plan_with(
        context: &'a Context,
        table: &'a Table,
        of: For<'_>,
        loads: Vec<Manifest>,
        keys: HashSet<String>,
        withheld: &Arc<Withheld>,
        in_memory: &HashMap<String, DataFrame>,
    ) -> Result<Self> {
        let entity = of.entity;
        let keys = Arc::new(keys);
        let mut splice = Self {
            context,
            table,
            entity,
            buckets: BTreeMap::new(),
            differing: HashSet::new(),
            known: HashSet::new(),
            new: HashMap::new(),
        };
        if keys.is_empty() {
            return Ok(splice);
        }
        let KeyHistory { versions, said } = KeyHistory::read(context, of, loads, &keys, withheld, in_memory).await?;
        for (number, keys) in by_bucket(&keys, of.buckets)? {
            let bucket = Bucket { context, entity, table: Some(table), number };
            let needed = df!("key" => keys.into_iter().collect::<Vec<_>>())?;
            let stored = bucket.of_keys(&needed, &names(&all_columns(entity)), true).await?;
            splice.compare(&stored.rows, &said)?;
            let differing = splice.differing.clone();
            let (rows, versions) = (stored.rows.clone(), versions.clone());
            let (add, remove) = blocking(move || difference(entity, number, &rows, &versions, &differing)).await?;
            splice.note_new(&add, &stored.rows)?;
            splice.buckets.insert(number, SplicedBucket { stored, add, remove });
        }
        Ok(splice)
    }

    /// Finds keys whose stored versions say something that no good row of today says: rows of them would come out
    /// otherwise, or are of sources that are not configured any more.
    fn compare(&mut self, stored: &DataFrame, said: &HashMap<String, HashSet<i64>>) -> Result<()> {
        let (keys, hashes) = (stored.column(self.entity.key)?.str()?, stored.column("row_hash")?.i64()?);
        for (key, hash) in keys.iter().zip(hashes.iter()) {
            let (Some(key), Some(hash)) = (key, hash) else { continue };
            self.known.insert(key.to_owned());
            if !said.get(key).is_some_and(|said| said.contains(&hash)) {
                self.differing.insert(key.to_owned());
            }
        }
        Ok(())
    }

    fn note_new(&mut self, add: &DataFrame, stored: &DataFrame) -> Result<()> {
        let surrogate = self.entity.surrogate;
        let before: HashSet<i64> = stored.column(surrogate)?.i64()?.iter().flatten().collect();
        let (keys, hashes) = (add.column(self.entity.key)?.str()?, add.column("row_hash")?.i64()?);
        let (current, surrogates) = (add.column("is_current")?.bool()?, add.column(surrogate)?.i64()?);
        for row in 0..add.height() {
            let (Some(key), Some(hash)) = (keys.get(row), hashes.get(row)) else { continue };
            if surrogates.get(row).is_none_or(|surrogate| before.contains(&surrogate)) {
                continue;
            }
            *self.new.entry((key.to_owned(), hash)).or_default() |= current.get(row).unwrap_or(false);
        }
        Ok(())
    }

    /// What becomes of a good row of one of the keys, of which `hash` is over the attributes.
    pub(super) fn outcome(&self, key: &str, hash: i64) -> ReplayOutcome {
        if self.differing.contains(key) {
            return ReplayOutcome::WaitsForRebuild;
        }
        if !self.known.contains(key) {
            return ReplayOutcome::Missing;
        }
        match self.new.get(&(key.to_owned(), hash)) {
            Some(true) => ReplayOutcome::Newest,
            Some(false) => ReplayOutcome::Older,
            None => ReplayOutcome::Unchanged,
        }
    }

    /// Writes the files of the buckets whose rows change. Nothing is committed.
    ///
    /// # Errors
    /// The store fails.
    pub(super) async fn write(self, target: &Target) -> Result<SplicedFiles> {
        let Self { context, table, entity, buckets, .. } = self;
        let mut files = SplicedFiles::default();
        for (number, SplicedBucket { stored, add, remove }) in buckets {
            let bucket = Bucket { context, entity, table: Some(table), number };
            let plan = Plan::replacing(add, remove);
            let rewritten = rewrite::write(bucket, &target.silver, stored.files, &plan).await?;
            files.add.extend(rewritten.add);
            files.remove.extend(rewritten.remove);
        }
        Ok(files)
    }
}

/// Keys by the bucket that they belong to.
fn by_bucket(keys: &HashSet<String>, buckets: u32) -> Result<BTreeMap<i32, BTreeSet<String>>> {
    let sorted: BTreeSet<&str> = keys.iter().map(String::as_str).collect();
    let column = StringChunked::from_iter_values("key".into(), sorted.iter().copied()).into_column();
    let numbers = bucket_of(&column, buckets)?;
    let mut by_bucket: BTreeMap<i32, BTreeSet<String>> = BTreeMap::new();
    for (key, number) in sorted.into_iter().zip(numbers.iter()) {
        by_bucket.entry(number.unwrap_or_default()).or_default().insert(key.to_owned());
    }
    Ok(by_bucket)
}

/// Columns that say when a row was written, and no more.
const OF_THE_RUN: [&str; 3] = ["inserted_at", "updated_at", "presence"];

/// The versions that a bucket gets or that change, and the surrogate keys of those that go or change. Keys in `left` stay
/// as they are.
fn difference(
    entity: &Entity,
    bucket: i32,
    stored: &DataFrame,
    versions: &DataFrame,
    left: &HashSet<String>,
) -> Result<(DataFrame, DataFrame)> {
    let changes = |frame: &DataFrame| -> Result<DataFrame> {
        let keys = frame.column(entity.key)?.str()?;
        let is_in: BooleanChunked = keys.iter().map(|key| key.is_some_and(|key| !left.contains(key))).collect();
        Ok(frame.filter(&is_in)?)
    };
    let versions = versions.filter(&versions.column("bucket")?.i32()?.equal(bucket))?;
    let (stored, versions) = (changes(stored)?, changes(&versions)?);
    let schema = silver_schema(entity);
    let surrogate = || [col(entity.surrogate)];
    let compared: Vec<&PlSmallStr> =
        schema.iter_names().filter(|name| !OF_THE_RUN.contains(&name.as_str()) && *name != entity.surrogate).collect();
    let before = |name: &PlSmallStr| format!("before {name}");
    let mut columns = vec![col(entity.surrogate), lit(true).alias("stored"), col("inserted_at").alias("first")];
    columns.extend(compared.iter().map(|name| col((*name).clone()).alias(before(name))));
    let same = compared.iter().map(|name| col((*name).clone()).eq_missing(col(before(name))));
    let same = same.fold(col("stored").fill_null(lit(false)), Expr::and);
    let joined = versions
        .lazy()
        .join(stored.clone().lazy().select(columns), surrogate(), surrogate(), JoinArgs::new(JoinType::Left))
        .with_columns([same.alias("same"), coalesce(&[col("first"), col("inserted_at")]).alias("inserted_at")])
        .collect()?;
    let is_same = joined.column("same")?.bool()?.clone();
    let columns: Vec<Expr> = schema.iter_names().map(|name| col(name.clone())).collect();
    let add = joined.filter(&!&is_same)?.lazy().select(columns).collect()?;
    let kept = joined.filter(&is_same)?.lazy().select(surrogate());
    let remove = stored.lazy().select(surrogate());
    let remove = remove.join(kept, surrogate(), surrogate(), JoinArgs::new(JoinType::Anti)).collect()?;
    Ok((add, remove))
}
