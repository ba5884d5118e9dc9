//! The silver stage, the same for every entity: what bronze has that the entity's table has not,
//! through model and rules into history.

mod batch;
mod batch_rows;
mod bucket;
mod columns;
#[cfg(test)]
mod columns_tests;
mod corrections;
mod holdings;
mod incoming;
mod ingest;
mod key_history;
mod layout;
mod lost;
mod named;
mod nature;
mod order;
mod portions;
mod rebuild;
mod record;
mod refused;
mod replay;
mod resolved;
mod rewrite;
#[cfg(test)]
mod rewrite_tests;
mod shards;
#[cfg(test)]
mod shards_tests;
mod splice;
mod standing;
mod stored;
mod target;
#[cfg(test)]
mod tests;
mod waiting;

pub use corrections::{Mended, MendedOutcome, assess_mended, corrected_load};
pub use incoming::FOLDER as INCOMING;
pub use order::ordinal;
pub use record::taken_of as taken;
pub use replay::{finish_replay, replay_preview};
pub use standing::standstills;
pub use stored::is_open;
pub use waiting::{WaitingLoads, waiting};

use std::collections::HashMap;

use futures::future::BoxFuture;
use rcm_domain::cdm::silver_schema;
use rcm_domain::quality::Rulebook;
use rcm_domain::scd2::{KEY_REPEATED, MODIFIED_GOES_BACK, Outcome as RowOutcome};
use rcm_model::cdm::Entity;
use rcm_model::event::{
    ControlCheck, Dimension, LoadCounts, Metric, Outcome, Part, RuleCount, Severity, Shard, SharedOut, StageInput,
    StageReport, TableCommit,
};
use rcm_platform::bronze::Manifest;
use rcm_platform::context::Context;
use rcm_platform::error::{Result, StageError};
use rcm_platform::stage::{self, Failure, Work};
use rcm_platform::telemetry::metrics::QUARANTINE_RATE;

use self::batch_rows::{BatchRows, RowCounts};
use self::bucket::BucketChange;
use self::ingest::Ingest;
use self::nature::Nature;
use self::rebuild::Cause;
use self::record::{StreamState, Voids};
use self::shards::Prepared;
use self::target::Target;
use crate::delta::{self, Change, Table};
use crate::quarantine;
use crate::rulebooks::Rulebooks;

/// Columns that silver tables are partitioned by.
pub const PARTITION_COLUMNS: [&str; 1] = ["bucket"];
/// Property of a silver table with the number of its buckets.
const BUCKETS_PROPERTY: &str = "rcm.bucket_count";
/// Its name up to version 0.2, which does not know how tables are laid out now: without it that version refuses them.
const BUCKETS_PROPERTY_BEFORE: &str = "rcm.buckets";

/// Brings an entity's silver table up to its bronze streams: a commit for every batch of the loads that
/// wait, or none if there is nothing new. If asked to, or where a load was voided whose rows the table has, it
/// makes the table anew first. Where it is asked to assess rows in quarantine anew, it does only that.
///
/// # Errors
/// A load cannot be ingested: the other streams are ingested nevertheless, and the error says what stays behind.
/// The store fails: nothing of the batch is ingested.
pub async fn run(context: Context, entity: &'static Entity, input: StageInput) -> Result<StageReport> {
    let stage = entity.silver_function();
    let (subject, work): (String, BoxFuture<'_, _>) = match (&input.replay, &input.part) {
        (Some(wanted), _) => {
            (format!("{}/replay", entity.name), Box::pin(replay::replay(&context, entity, &input.run_id, wanted)))
        }
        (None, Part::All | Part::Prepare) => (entity.name.to_owned(), Box::pin(bring_up(&context, entity, &input))),
        (None, Part::Shard(shard)) => {
            (format!("{}/shard {}", entity.name, shard.number), Box::pin(write_shard(&context, entity, shard)))
        }
        (None, Part::Commit(batch)) => {
            (entity.name.to_owned(), Box::pin(commit_prepared(&context, entity, batch, &input.run_id)))
        }
    };
    stage::report(&context, &stage, &input.run_id, &subject, work).await
}

/// Opens a table as batches see it: with all columns of its entity.
async fn open_for(context: &Context, target: &Target) -> Result<(Target, Option<Table>)> {
    let table = Table::open(&context.lake, &target.silver).await?;
    let target = target.as_made(table.as_ref());
    let table = table.map(|table| table.showing(&silver_schema(target.entity)));
    Ok((target, table))
}

/// Plans and writes the buckets of a shard of a batch that was prepared.
async fn write_shard(context: &Context, entity: &'static Entity, shard: &Shard) -> std::result::Result<Work, Failure> {
    let (target, table) = open_for(context, &Target::of(entity)).await?;
    let Some(prepared) = Prepared::read(context, &target, &shard.batch).await? else { return Ok(Work::nothing_new()) };
    prepared.check_version(&target, table.as_ref())?;
    let is_new = prepared.write_shard(context, &target, table.as_ref(), shard.number).await?;
    Ok(if is_new { Work::default() } else { Work::nothing_new() })
}

/// Commits a batch of which all shards were written. One that was committed before, or that another run has overtaken, is
/// removed.
async fn commit_prepared(
    context: &Context,
    entity: &'static Entity,
    batch: &str,
    run_id: &str,
) -> std::result::Result<Work, Failure> {
    let (target, table) = open_for(context, &Target::of(entity)).await?;
    let Some(prepared) = Prepared::read(context, &target, batch).await? else { return Ok(Work::nothing_new()) };
    let voids = Voids::read(context, entity).await?;
    let states = StreamState::all(context, target.entity, table.as_ref(), &voids).await?;
    let is_taken =
        |load: &Manifest| states.iter().any(|state| state.stream == load.stream && state.taken >= load.sequence);
    if prepared.loads.iter().all(is_taken) {
        prepared.discard(context).await;
        return Ok(Work::nothing_new());
    }
    let is_voided = |load: &Manifest| {
        states.iter().any(|state| state.stream == load.stream && state.voided.contains(&load.sequence))
    };
    if prepared.loads.iter().any(is_voided) {
        prepared.discard(context).await;
        let message = format!("a load of `{}` was voided since the batch was prepared", target.silver);
        return Err(StageError::commit_conflict(message).into());
    }
    if let Err(error) = prepared.check_version(&target, table.as_ref()) {
        prepared.discard(context).await;
        return Err(error.into());
    }
    let changes = prepared.changes(context, table.as_ref()).await?;
    let rulebook = Rulebooks::read(&context.lake).await?.of(target.entity);
    let (target, table) = (&target, table.as_ref());
    let destination =
        Destination { target, table, buckets: prepared.buckets, states: &states, rulebook: &rulebook, run_id };
    let rows = prepared.for_commit(context, target).await?;
    let mut work = Work {
        rules: prepared.rules.clone(),
        profiles: prepared.profiles.clone(),
        notes: prepared.notes.clone(),
        metrics: prepared.metrics.clone(),
        ..Work::default()
    };
    match finish(context, &destination, &rows, changes, &mut work).await {
        Ok(()) => {
            prepared.discard(context).await;
            Ok(work)
        }
        Err(error) => Err(Failure { error, work }),
    }
}

async fn bring_up(
    context: &Context,
    entity: &'static Entity,
    input: &StageInput,
) -> std::result::Result<Work, Failure> {
    let mut work = Work::default();
    let mut failed = None;
    work.commits.extend(layout::bring_up(context, entity, &input.run_id).await?);
    let mut voids = Voids::read(context, entity).await?;
    let cause = if input.rebuild {
        Some(Cause::Asked { force: input.force })
    } else {
        rebuild::cause(context, entity, &voids).await?
    };
    if let Some(cause) = cause {
        match rebuild::rebuild(context, entity, &input.run_id, cause).await {
            Ok(rebuilt) => work.add(rebuilt),
            Err(Failure { error, work: done }) => {
                work.add(done);
                failed = Some(error);
            }
        }
        voids = Voids::read(context, entity).await?;
    }
    let target = Target::of(entity);
    let ingest = Ingest::new(context, &target, &voids, &input.run_id).sharing_out(input.part == Part::Prepare);
    let taken = match ingest.run().await {
        Ok(taken) => taken,
        Err(Failure { error, work: done }) => {
            work.add(done);
            return Err(Failure { error, work });
        }
    };
    work.add(taken.work);
    if let Err(error) = refused::write_down(context, entity, &taken.refusals).await {
        return Err(Failure { error, work });
    }
    if work.shared_out.is_some() {
        // The step is called again after the batch, and says then what it cannot ingest.
        work.notes.extend(taken.refusals.iter().map(|refusal| refusal.error.to_string()));
        work.notes.extend(failed.iter().map(ToString::to_string));
        return Ok(work);
    }
    if input.part == Part::Prepare {
        work.shared_out = Some(SharedOut { shards: Vec::new(), commit: Part::All });
    }
    let mut errors = failed.into_iter().chain(taken.refusals.into_iter().map(|refusal| refusal.error));
    let first = errors.next();
    work.notes.extend(errors.map(|error| error.to_string()));
    match first {
        Some(error) => Err(Failure { error, work }),
        None if work.loads.is_empty() && work.commits.is_empty() => {
            Ok(Work { outcome: Some(Outcome::NothingNew), ..work })
        }
        None => Ok(work),
    }
}

/// The table that a batch of loads is ingested into.
struct Destination<'a> {
    target: &'a Target,
    table: Option<&'a Table>,
    buckets: u32,
    states: &'a [StreamState],
    rulebook: &'a Rulebook,
    run_id: &'a str,
}

fn quarantine_rate(entity: &Entity, share: f64) -> Metric {
    Metric { name: QUARANTINE_RATE.to_owned(), entity: entity.name.to_owned(), value: 100.0 * share }
}

/// Plans, checks and commits what a batch of loads changes.
async fn ingest_batch(
    context: &Context,
    destination: &Destination<'_>,
    batch: BatchRows,
    work: &mut Work,
) -> Result<()> {
    let Destination { target, table, .. } = *destination;
    if batch.loads.first().is_some_and(Manifest::is_correction) {
        return corrections::ingest(context, destination, batch, work).await;
    }
    let ingested = match bucket::plan_all(context, target, table, &batch).await {
        Ok(changes) => finish(context, destination, &batch, changes, work).await,
        Err(error) => Err(error),
    };
    batch.incoming.discard(context).await;
    ingested
}

/// Checks and commits what a batch of loads changes.
async fn finish(
    context: &Context,
    destination: &Destination<'_>,
    batch: &BatchRows,
    changes: Vec<BucketChange>,
    work: &mut Work,
) -> Result<()> {
    let Destination { target, run_id, .. } = *destination;
    let (entity, path) = (target.entity, &target.silver);
    work.loads = counts(batch, &changes);
    work.rules.extend(warnings(entity, batch, &changes));
    let balances = batch.loads.iter().zip(&batch.tallies).zip(&work.loads);
    work.checks = balances.map(|((load, tally), counts)| balance(path, load, tally, counts)).collect();
    let held = changes.iter().flat_map(|change| &change.held);
    work.checks.extend(holdings::checks(path, entity, &batch.loads, held));
    if let Some(failed) = work.checks.iter().find(|check| !check.passed) {
        let message = format!("`{path}`: {}: expected {}, got {}", failed.check, failed.expected, failed.actual);
        return Err(StageError::control_check_failed(message));
    }
    let quarantined: u64 = work.loads.iter().map(|load| load.quarantined).sum();
    if quarantined > 0 {
        work.commits.extend(quarantine::add(context, &target.quarantine, run_id, batch.quarantined.clone()).await?);
        work.notes.push(format!("rows that went to quarantine/{}: {quarantined}", entity.name));
    }
    work.commits.push(commit(context, destination, changes, &batch.loads).await?);
    Ok(())
}

/// Rows of a bucket of a table of many rows, at most, when it is made.
const ROWS_OF_BUCKET: u64 = 250_000;

/// Buckets of a new table of some rows: those that are configured, or as many as the rows need.
fn buckets_of_new(context: &Context, entity: &Entity, rows: u64) -> u32 {
    let needed = rows.div_ceil(ROWS_OF_BUCKET).next_power_of_two();
    context.settings.sources.silver.buckets(entity.name).max(u32::try_from(needed).unwrap_or(u32::MAX))
}

/// Buckets of the table, fixed when it was made; of one that is not there yet, by the rows of the loads that wait.
fn buckets(context: &Context, entity: &Entity, table: Option<&Table>, waiting: u64) -> Result<u32> {
    let Some(table) = table else { return Ok(buckets_of_new(context, entity, waiting)) };
    bucket_count(table)?
        .ok_or_else(|| StageError::corrupt_lake(format!("table `{}` has no {BUCKETS_PROPERTY}", entity.name)))
}

/// Returns the number of buckets of a silver table, fixed when it was made; none if the table does not say it.
///
/// # Errors
/// The log cannot be read.
pub fn bucket_count(table: &Table) -> Result<Option<u32>> {
    let (property, before) = (table.property(BUCKETS_PROPERTY)?, table.property(BUCKETS_PROPERTY_BEFORE)?);
    Ok(property.or(before).and_then(|buckets| buckets.parse().ok()))
}

/// What became of the rows of every load.
fn counts(batch: &BatchRows, changes: &[BucketChange]) -> Vec<LoadCounts> {
    let loads = &batch.loads;
    let mut counts: Vec<LoadCounts> = loads
        .iter()
        .zip(&batch.tallies)
        .map(|(load, tally)| LoadCounts {
            load_id: load.load_id.clone(),
            stream: load.stream.clone(),
            sequence: load.sequence,
            read: tally.read,
            quarantined: tally.quarantined,
            ..LoadCounts::default()
        })
        .collect();
    let places: HashMap<&str, usize> =
        loads.iter().enumerate().map(|(place, load)| (load.load_id.as_str(), place)).collect();
    for change in changes {
        for ((load_id, outcome), rows) in &change.outcomes {
            let Some(load) = places.get(load_id.as_str()).map(|place| &mut counts[*place]) else { continue };
            let count = match outcome {
                RowOutcome::New => &mut load.new,
                RowOutcome::Changed => &mut load.changed,
                RowOutcome::Superseded => &mut load.superseded,
                RowOutcome::Unchanged => &mut load.unchanged,
            };
            *count += rows;
        }
        for (load_id, deleted) in &change.deleted {
            let Some(load) = places.get(load_id.as_str()).map(|place| &mut counts[*place]) else { continue };
            load.deleted += deleted;
        }
    }
    counts
}

/// Rows that fail the rules which only their history shows: one count per load and rule.
fn warnings(entity: &Entity, batch: &BatchRows, changes: &[BucketChange]) -> Vec<RuleCount> {
    let count = |rule: &'static str, dimension: Dimension, load: &Manifest, tally: &RowCounts| {
        let id = (load.load_id.clone(), rule);
        RuleCount {
            entity: entity.name.to_owned(),
            rule: rule.to_owned(),
            severity: Severity::Warn,
            dimension,
            load_id: load.load_id.clone(),
            checked: tally.read,
            failed: changes.iter().filter_map(|change| change.warnings.get(&id)).sum(),
        }
    };
    let mut counts = Vec::new();
    for (load, tally) in batch.loads.iter().zip(&batch.tallies) {
        counts.push(count(KEY_REPEATED, Dimension::Uniqueness, load, tally));
        if Nature::of(load) == Nature::Extract {
            counts.push(count(MODIFIED_GOES_BACK, Dimension::Timeliness, load, tally));
        }
    }
    counts
}

/// The rows of a load are those that are accounted for, and those that its mapping does not take.
fn balance(path: &str, load: &Manifest, tally: &RowCounts, counts: &LoadCounts) -> ControlCheck {
    let name = format!("rows of {} load {}", load.stream, load.sequence);
    ControlCheck::equal(path, &name, &load.rows, &(counts.accounted() + tally.left_out))
}

async fn commit(
    context: &Context,
    destination: &Destination<'_>,
    changes: Vec<BucketChange>,
    loads: &[Manifest],
) -> Result<TableCommit> {
    let Destination { target, table, buckets, states, run_id, .. } = *destination;
    let schema = silver_schema(target.entity);
    let mut transactions = record::unrecorded(context, destination, loads).await?;
    for state in states {
        let taken = loads.iter().filter(|load| load.stream == state.stream).map(|load| load.sequence).max();
        let taken = taken.or(state.is_carried.then_some(state.taken));
        transactions.extend(taken.into_iter().flat_map(|taken| state.record(taken)));
    }
    let (mut add, mut remove) = (Vec::new(), Vec::new());
    for change in changes {
        add.extend(change.add);
        remove.extend(change.remove);
    }
    let rows = add.iter().map(|file| file.rows).sum();
    let change = Change {
        schema: &schema,
        partition_by: &PARTITION_COLUMNS,
        properties: &[(BUCKETS_PROPERTY, buckets.to_string())],
        add,
        remove,
        transactions,
        run_id,
    };
    let committed = delta::commit(&context.lake, &target.silver, table, change).await?;
    Ok(TableCommit { table: target.silver.clone(), version: committed.version, rows })
}
