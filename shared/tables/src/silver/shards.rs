//! A batch that is ingested by several calls: its rows are put down in the lake, each shard plans and writes some buckets,
//! and one commit takes what all shards wrote.
//!
//! A batch is planned on one version of its table. If another run commits meanwhile, its shards and its commit are
//! refused, and the loads wait for the next batch. What a shard wrote is one object that is there as a whole or not at all,
//! so that a shard that died is run again alone, and twice is as good as once.

use std::collections::{BTreeMap, BTreeSet};

use polars::prelude::*;
use rcm_domain::scd2::{Holdings, KEY_REPEATED, MODIFIED_GOES_BACK, Outcome};
use rcm_model::event::{LoadProfile, Metric, Part, RuleCount, Shard, SharedOut};
use rcm_platform::bronze::Manifest;
use rcm_platform::context::Context;
use rcm_platform::error::{Result, StageError};
use rcm_platform::stage::Work;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::batch_rows::{BatchRows, RowCounts};
use super::bucket::{self, BucketChange};
use super::holdings::Held;
use super::incoming::{Incoming, PutDown};
use super::stored::is_open;
use super::target::Target;
use crate::chunks::{ParquetFile, file_of};
use crate::delta::{DataFile, NewFile, Table};
use crate::frames::blocking;

/// Names of the objects with rows of a batch beside its good ones.
const NAMED: &str = "named";
const QUARANTINED: &str = "quarantined";

/// Most shards of a batch.
const MOST_SHARDS: u64 = 256;

/// A batch whose rows were put down in the lake.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Prepared {
    /// Version of the table that it is planned on; none if the batch makes the table.
    version: Option<i64>,
    pub buckets: u32,
    pub loads: Vec<Manifest>,
    tallies: Vec<RowCounts>,
    pub rules: Vec<RuleCount>,
    #[serde(default)]
    pub profiles: Vec<LoadProfile>,
    pub notes: Vec<String>,
    pub metrics: Vec<Metric>,
    folder: String,
    put_down: Vec<PutDown>,
    refused: BTreeSet<String>,
    /// Buckets of each shard.
    shards: Vec<Vec<i32>>,
}

/// What a shard changes.
#[derive(Debug, Default, Serialize, Deserialize)]
struct ShardChange {
    add: Vec<NewFile>,
    /// Paths of files below the table's folder.
    remove: Vec<String>,
    outcomes: Vec<(String, i32, u64)>,
    deleted: BTreeMap<String, u64>,
    warnings: Vec<(String, String, u64)>,
    held: Vec<HeldRecord>,
}

/// A [`Held`] as it is written; sums are cents.
#[derive(Debug, Serialize, Deserialize)]
struct HeldRecord {
    load_id: String,
    datasource: String,
    shown_keys: u64,
    shown_sums: Vec<String>,
    rows: u64,
    keys: u64,
    sums: Vec<String>,
}

impl Prepared {
    /// Puts a batch down in the lake if it is so large that it is shared out: with the stored rows that it concerns it has
    /// more than `shard_mb` bytes. `work` is what was found of it.
    ///
    /// # Errors
    /// The store fails.
    pub(super) async fn share_out(
        context: &Context,
        target: &Target,
        table: Option<&Table>,
        buckets: u32,
        batch: &mut BatchRows,
        work: &mut Work,
    ) -> Result<Option<SharedOut>> {
        let concerned = bucket::concerned(table, batch);
        let is_concerned = |file: &&DataFile| {
            let bucket = file.partition_value("bucket").and_then(|bucket| bucket.parse::<i32>().ok());
            is_open(file) && bucket.is_some_and(|bucket| concerned.contains(&bucket))
        };
        let stored = table.map_or(&[][..], Table::files).iter().filter(is_concerned);
        let bytes = batch.incoming.bytes() + stored.map(DataFile::size).sum::<u64>();
        let of_shard = context.settings.sources.silver.shard_mb * 1024 * 1024;
        let shards = bytes.div_ceil(of_shard.max(1)).min(MOST_SHARDS).min(concerned.len() as u64) as usize;
        if shards < 2 {
            return Ok(None);
        }
        batch.incoming.put_all_down(context).await?;
        let mut of_shards = vec![Vec::new(); shards];
        for (index, bucket) in concerned.into_iter().enumerate() {
            of_shards[index % shards].push(bucket);
        }
        let folder = batch.incoming.folder().to_owned();
        for (name, rows) in [(NAMED, &batch.named), (QUARANTINED, &batch.quarantined)] {
            let rows = rows.clone();
            let file = blocking(move || file_of(&rows, usize::MAX)).await?;
            context.lake.put(&format!("{folder}/{name}.parquet"), file.bytes).await?;
        }
        let prepared = Self {
            version: table.map(Table::version),
            buckets,
            loads: batch.loads.clone(),
            tallies: batch.tallies.clone(),
            rules: std::mem::take(&mut work.rules),
            profiles: std::mem::take(&mut work.profiles),
            notes: std::mem::take(&mut work.notes),
            metrics: std::mem::take(&mut work.metrics),
            put_down: batch.incoming.put_down().to_vec(),
            refused: batch.incoming.refused().clone(),
            shards: of_shards,
            folder,
        };
        let key = format!("{}/batch.json", prepared.folder);
        context.lake.put(&key, json(&prepared)?).await?;
        work.notes.push(format!(
            "`{}`: {} loads are shared out to {shards} calls",
            target.silver,
            prepared.loads.len()
        ));
        let shards = (0..shards).map(|number| Part::Shard(Shard { batch: key.clone(), number })).collect();
        Ok(Some(SharedOut { shards, commit: Part::Commit(key) }))
    }

    /// Reads a batch; none if it was committed or given up.
    ///
    /// # Errors
    /// `BadConfig` if the key is of no batch of the table. The store fails, or the object cannot be read.
    pub(super) async fn read(context: &Context, target: &Target, key: &str) -> Result<Option<Self>> {
        if !key.starts_with(&format!("{}/{}/", target.silver, super::incoming::FOLDER)) || key.contains("..") {
            return Err(StageError::bad_config(format!("`{key}` is no batch of `{}`", target.silver)));
        }
        read(context, key).await
    }

    /// The batch as a shard needs it: its good rows, and the keys that rows in quarantine name.
    async fn for_shard(&self, context: &Context, target: &Target) -> Result<BatchRows> {
        let mut batch = self.batch(context, target);
        let put_down = self.put_down.clone();
        batch.incoming = Incoming::of_put_down(context, &self.folder, put_down, self.refused.clone()).await?;
        batch.named = self.rows(context, NAMED).await?;
        Ok(batch)
    }

    /// The batch as the commit needs it: the rows for quarantine alone.
    ///
    /// # Errors
    /// The store fails.
    pub(super) async fn for_commit(&self, context: &Context, target: &Target) -> Result<BatchRows> {
        let mut batch = self.batch(context, target);
        batch.quarantined = self.rows(context, QUARANTINED).await?;
        Ok(batch)
    }

    /// The loads of the batch, without rows.
    fn batch(&self, context: &Context, target: &Target) -> BatchRows {
        let (loads, tallies) = (self.loads.clone(), self.tallies.clone());
        BatchRows { loads, tallies, ..BatchRows::new(context, &target.silver) }
    }

    /// Rows that were put down beside the good ones.
    async fn rows(&self, context: &Context, name: &str) -> Result<DataFrame> {
        let file = ParquetFile::whole(context.lake.get(&format!("{}/{name}.parquet", self.folder)).await?)?;
        blocking(move || file.decode_all(0..file.groups())).await
    }

    /// Checks that a table is as it was when the batch was prepared.
    ///
    /// # Errors
    /// `CommitConflict` if it is not.
    pub(super) fn check_version(&self, target: &Target, table: Option<&Table>) -> Result<()> {
        if table.map(Table::version) == self.version {
            return Ok(());
        }
        let message = format!("table `{}` was committed to since the batch was prepared", target.silver);
        Err(StageError::commit_conflict(message).in_table(&target.silver))
    }

    /// Plans and writes the buckets of a shard; nothing if that was done.
    ///
    /// # Errors
    /// `BadConfig` if the batch has no such shard. The store fails.
    pub(super) async fn write_shard(
        &self,
        context: &Context,
        target: &Target,
        table: Option<&Table>,
        number: usize,
    ) -> Result<bool> {
        let Some(buckets) = self.shards.get(number) else {
            return Err(StageError::bad_config(format!("the batch has no shard {number}")));
        };
        let key = self.shard_key(number);
        if context.lake.head(&key).await?.is_some() {
            return Ok(false);
        }
        let batch = self.for_shard(context, target).await?;
        let changes = bucket::plan_some(context, target, table, &batch, buckets.clone()).await?;
        let mut of_shard = ShardChange::default();
        for change in changes {
            of_shard.take(change);
        }
        context.lake.put(&key, json(&of_shard)?).await?;
        Ok(true)
    }

    fn shard_key(&self, number: usize) -> String {
        format!("{}/shard-{number}.json", self.folder)
    }

    /// What all shards wrote.
    ///
    /// # Errors
    /// `Internal` if a shard was not written. The store fails.
    pub(super) async fn changes(&self, context: &Context, table: Option<&Table>) -> Result<Vec<BucketChange>> {
        let files: BTreeMap<String, &DataFile> =
            table.map_or(&[][..], Table::files).iter().map(|file| (file.path(), file)).collect();
        let mut changes = Vec::new();
        for number in 0..self.shards.len() {
            let Some(of_shard) = read::<ShardChange>(context, &self.shard_key(number)).await? else {
                return Err(StageError::internal(format!("shard {number} of the batch was not written")));
            };
            changes.push(of_shard.into_change(&files)?);
        }
        Ok(changes)
    }

    /// Removes what the batch left below the table. What cannot be removed is left to maintenance.
    pub(super) async fn discard(&self, context: &Context) {
        let removed = async {
            let listed = context.lake.list(&self.folder).await?;
            context.lake.delete_all(listed.into_iter().map(|meta| String::from(meta.location)).collect()).await
        };
        if let Err(error) = removed.await {
            warn!(error = error.name(), message = %error, "what a batch left is not removed");
        }
    }
}

impl ShardChange {
    fn take(&mut self, change: BucketChange) {
        let BucketChange { add, remove, outcomes, deleted, warnings, held } = change;
        self.add.extend(add);
        self.remove.extend(remove.iter().map(DataFile::path));
        self.outcomes.extend(outcomes.into_iter().map(|((load, outcome), rows)| (load, outcome as i32, rows)));
        for (load, keys) in deleted {
            *self.deleted.entry(load).or_default() += keys;
        }
        self.warnings.extend(warnings.into_iter().map(|((load, rule), rows)| (load, rule.to_owned(), rows)));
        self.held.extend(held.into_iter().map(HeldRecord::from));
    }

    fn into_change(self, files: &BTreeMap<String, &DataFile>) -> Result<BucketChange> {
        let Self { add, remove, outcomes, deleted, warnings, held } = self;
        let unknown = |what: &str| StageError::corrupt_lake(format!("a shard names {what}"));
        let mut change = BucketChange {
            add,
            remove: Vec::new(),
            outcomes: BTreeMap::new(),
            deleted,
            warnings: BTreeMap::new(),
            held: Vec::new(),
        };
        for path in remove {
            let file = files.get(&path).ok_or_else(|| unknown("a file that the table does not have"))?;
            change.remove.push((*file).clone());
        }
        for (load, code, rows) in outcomes {
            let outcome = Outcome::of(code).ok_or_else(|| unknown("an outcome that there is not"))?;
            *change.outcomes.entry((load, outcome)).or_default() += rows;
        }
        for (load, rule, rows) in warnings {
            let rule = [MODIFIED_GOES_BACK, KEY_REPEATED].into_iter().find(|known| *known == rule);
            let rule = rule.ok_or_else(|| unknown("a rule that there is not"))?;
            *change.warnings.entry((load, rule)).or_default() += rows;
        }
        for record in held {
            change.held.push(record.into_held().ok_or_else(|| unknown("a sum that is no number"))?);
        }
        Ok(change)
    }
}

impl From<Held> for HeldRecord {
    fn from(held: Held) -> Self {
        let Held { shown, rows, keys, sums } = held;
        let texts = |sums: Vec<i128>| sums.iter().map(ToString::to_string).collect();
        let Holdings { load_id, datasource, keys: shown_keys, sums: shown_sums } = shown;
        Self { load_id, datasource, shown_keys, shown_sums: texts(shown_sums), rows, keys, sums: texts(sums) }
    }
}

impl HeldRecord {
    /// None if a sum is no number.
    fn into_held(self) -> Option<Held> {
        let Self { load_id, datasource, shown_keys, shown_sums, rows, keys, sums } = self;
        let numbers = |texts: Vec<String>| texts.iter().map(|text| text.parse().ok()).collect::<Option<Vec<i128>>>();
        let shown = Holdings { load_id, datasource, keys: shown_keys, sums: numbers(shown_sums)? };
        Some(Held { shown, rows, keys, sums: numbers(sums)? })
    }
}

fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| StageError::internal(error.to_string()))
}

async fn read<T: DeserializeOwned>(context: &Context, key: &str) -> Result<Option<T>> {
    let Some(bytes) = context.lake.get_if_exists(key).await? else { return Ok(None) };
    let read = serde_json::from_slice(&bytes);
    read.map(Some).map_err(|error| StageError::corrupt_lake(format!("`{key}`: {error}")))
}
