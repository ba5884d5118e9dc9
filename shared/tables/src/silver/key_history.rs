//! The history of some keys, made anew from bronze: what a rebuild would give of these keys.
//!
//! The history of a key depends on the rows of that key in all loads, and on which full extracts lack it, and on no
//! other key. So it can be made without the other keys, in memory, with the planning of every other run.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use polars::prelude::*;
use rcm_domain::cdm::silver_schema;
use rcm_domain::scd2::{ExtractBatch, ExtractLoad, LOAD_ID, plan_events, plan_extracts, triage};
use rcm_model::cdm::Entity;
use rcm_platform::bronze::Manifest;
use rcm_platform::context::Context;
use rcm_platform::error::Result;

use super::batch_rows::{For, Pick, Picked, pick};
use super::bucket::{extract_load, untracked};
use super::nature::{Nature, is_full};
use super::{named, order};
use crate::frames::{blocking, stacked};
use crate::quarantine::Withheld;

/// What bronze says of some keys by the mappings and rules of today.
pub(super) struct KeyHistory {
    /// All versions, with the columns of the silver schema.
    pub versions: DataFrame,
    /// Hashes of the attributes of all good rows, by key.
    pub said: HashMap<String, HashSet<i64>>,
}

impl KeyHistory {
    /// Makes the history of keys. `loads` are those that count, of all streams that may have rows of the keys;
    /// `in_memory` has the good rows of corrections among them that are in no file yet.
    ///
    /// # Errors
    /// A load cannot be read by today's mappings, or the store fails.
    pub(super) async fn read(
        context: &Context,
        of: For<'_>,
        mut loads: Vec<Manifest>,
        keys: &Arc<HashSet<String>>,
        withheld: &Arc<Withheld>,
        in_memory: &HashMap<String, DataFrame>,
    ) -> Result<Self> {
        order::sort(&mut loads);
        let mut corrections: HashMap<(String, u64), Vec<Manifest>> = HashMap::new();
        for load in &loads {
            if let Some(correction) = &load.correction {
                corrections.entry((load.stream.clone(), correction.sequence)).or_default().push(load.clone());
            }
        }
        let versions = DataFrame::empty_with_schema(&silver_schema(of.entity));
        let mut walk =
            Walk { entity: of.entity, now: context.now(), versions, said: HashMap::new(), events: Vec::new() };
        for load in loads.into_iter().filter(|load| load.correction.is_none()) {
            let corrected_by = corrections.remove(&(load.stream.clone(), load.sequence)).unwrap_or_default();
            let mut rows = pick(context, of, &load, Pick::Keys(Arc::clone(keys)), withheld).await?;
            for correction in &corrected_by {
                let more = match in_memory.get(&correction.load_id) {
                    Some(rows) => Some(rows.clone()),
                    None => pick(context, of, correction, Pick::Keys(Arc::clone(keys)), withheld).await?.good,
                };
                rows.good = match (rows.good.take(), more) {
                    (Some(own), Some(more)) => Some(stacked([own, more])?),
                    (own, more) => own.or(more),
                };
            }
            walk.note(rows.good.as_ref())?;
            match Nature::of(&load) {
                Nature::Event => {
                    let untracked = untracked(context, of.entity, &load);
                    walk.events.extend(rows.good.map(|rows| (rows, untracked)));
                }
                Nature::Extract => {
                    let corrected_by = corrected_by.into_iter().map(|load| load.load_id).collect();
                    let extract = ExtractLoad { corrected_by, ..extract_load(context, of.entity, &load) };
                    walk = walk.after_extract(extract, rows, is_full(&load)).await?;
                }
            }
        }
        let Walk { versions, said, .. } = walk.after_events().await?;
        Ok(Self { versions, said })
    }
}

/// The loads on their way into history.
struct Walk {
    entity: &'static Entity,
    now: DateTime<Utc>,
    versions: DataFrame,
    said: HashMap<String, HashSet<i64>>,
    /// Events since the last extract, with the columns whose change alone is no new version.
    events: Vec<(DataFrame, Vec<&'static str>)>,
}

impl Walk {
    fn note(&mut self, good: Option<&DataFrame>) -> Result<()> {
        let Some(good) = good else { return Ok(()) };
        let (keys, hashes) = (good.column(self.entity.key)?.str()?, good.column("row_hash")?.i64()?);
        for (key, hash) in keys.iter().zip(hashes.iter()) {
            let (Some(key), Some(hash)) = (key, hash) else { continue };
            self.said.entry(key.to_owned()).or_default().insert(hash);
        }
        Ok(())
    }

    /// History after an extract.
    async fn after_extract(self, load: ExtractLoad, rows: Picked, is_full: bool) -> Result<Self> {
        let mut walk = self.after_events().await?;
        if rows.good.is_none() && (!is_full || walk.versions.height() == 0) {
            return Ok(walk);
        }
        blocking(move || {
            let current = walk.versions.filter(walk.versions.column("is_current")?.bool()?)?;
            let none = match &rows.good {
                Some(good) => good.clear(),
                None => no_rows(walk.entity)?,
            };
            let rows_of_load = rows.good.unwrap_or(none);
            let named = rows.named.map_or_else(named::none, Ok)?;
            let loads = [load];
            let batch = ExtractBatch { loads: &loads, rows: &rows_of_load, named: &named, may_hash_otherwise: false };
            let needed = batch.needs_closed(walk.entity, &current)?;
            let closed = of_keys(&walk.versions, walk.entity, needed)?;
            let is_current = closed.column("is_current")?.bool()?.clone();
            let closed = closed.filter(&!is_current)?;
            let plan = plan_extracts(walk.entity, &current, &closed, &batch, walk.now)?;
            walk.versions = plan.applied_to(&walk.versions, walk.entity.surrogate)?;
            Ok(walk)
        })
        .await
    }

    /// History after the events that wait.
    async fn after_events(mut self) -> Result<Self> {
        if self.events.is_empty() {
            return Ok(self);
        }
        let (events, untracked): (Vec<_>, Vec<_>) = std::mem::take(&mut self.events).into_iter().unzip();
        let mut untracked: Vec<&'static str> = untracked.into_iter().flatten().collect();
        untracked.sort_unstable();
        untracked.dedup();
        blocking(move || {
            let mut events = stacked(events)?;
            events.rechunk_mut();
            let current = self.versions.filter(self.versions.column("is_current")?.bool()?)?;
            let found = triage(self.entity, &current, &events)?;
            let history = of_keys(&self.versions, self.entity, found.need_history.clone())?;
            let plan = plan_events(self.entity, &untracked, &current, &history, &events, &found, self.now)?;
            self.versions = plan.applied_to(&self.versions, self.entity.surrogate)?;
            Ok(self)
        })
        .await
    }
}

/// The rows of the keys in column `key` of `keys`.
fn of_keys(rows: &DataFrame, entity: &Entity, keys: DataFrame) -> Result<DataFrame> {
    let join = JoinArgs::new(JoinType::Semi);
    Ok(rows.clone().lazy().join(keys.lazy(), [col(entity.key)], [col("key")], join).collect()?)
}

/// No rows of a load, with the columns that planning looks at.
fn no_rows(entity: &Entity) -> Result<DataFrame> {
    let mut rows = DataFrame::empty_with_schema(&silver_schema(entity));
    for (name, dtype) in [
        (rcm_domain::scd2::SEQUENCE, DataType::Int64),
        (rcm_domain::scd2::POSITION, DataType::Int64),
        (rcm_domain::scd2::IS_DELETE, DataType::Boolean),
        (LOAD_ID, DataType::String),
    ] {
        rows.with_column(Column::new_empty(name.into(), &dtype))?;
    }
    Ok(rows)
}
