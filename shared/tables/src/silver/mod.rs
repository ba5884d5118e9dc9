//! The silver stage, the same for every entity: what bronze has that the entity's table has not,
//! through model and rules into history.

mod bucket;
mod extracts;
mod intake;
mod order;
#[cfg(test)]
mod tests;

use futures::future::BoxFuture;
use rcm_domain::cdm::silver_schema;
use rcm_domain::quality::Rulebook;
use rcm_domain::scd2;
use rcm_model::cdm::Entity;
use rcm_model::event::{ControlCheck, Figure, LoadCounts, Outcome, StageInput, StageReport, TableCommit};
use rcm_platform::bronze::{LoadLog, Manifest};
use rcm_platform::context::Context;
use rcm_platform::error::{Result, StageError};
use rcm_platform::lake;
use rcm_platform::stage::{self, Failure, Work};
use rcm_platform::telemetry::metrics::QUARANTINE_RATE;
use tokio::sync::OnceCell;

use self::bucket::BucketChange;
use self::extracts::FullExtracts;
use self::intake::{Intake, Refusal};
use self::order::Order;
use crate::delta::{self, COMMIT_TRIES, Change, Table};
use crate::quarantine;
use crate::rulebooks::Rulebooks;

/// Columns that silver tables are partitioned by.
pub const PARTITION_COLUMNS: [&str; 2] = ["is_current", "bucket"];
/// Property of a silver table with the number of its buckets.
const BUCKETS_PROPERTY: &str = "rcm.buckets";

/// Brings an entity's silver table up to its bronze streams: a commit for every portion of the loads that
/// wait, or none if there is nothing new.
///
/// # Errors
/// A rule's threshold is exceeded, or a mapped column is missing: the other streams are taken in
/// nevertheless. The rows of a load do not balance, or the store fails: nothing of its portion is.
pub async fn run(context: Context, entity: &'static Entity, input: StageInput) -> Result<StageReport> {
    let stage = format!("silver-{}", entity.name.replace('_', "-"));
    let work: BoxFuture<'_, _> = Box::pin(take_in_all(&context, entity, &input.run_id));
    stage::report(&context, &stage, &input.run_id, entity.name, work).await
}

/// The first error of a stream that could not be taken in ends the reading of the stream, and is that of
/// the stage when the others are through.
async fn take_in_all(context: &Context, entity: &'static Entity, run_id: &str) -> std::result::Result<Work, Failure> {
    let mut done = Work::default();
    let mut refusals: Vec<Refusal> = Vec::new();
    let mut tries_left = COMMIT_TRIES;
    // Read once, and only if there is something to judge.
    let rulebook = OnceCell::new();
    loop {
        match take_in_some(context, entity, run_id, &rulebook, &refusals).await {
            Ok(portion) => {
                done.add(portion.work);
                refusals.extend(portion.refusals);
                if portion.is_last {
                    break;
                }
            }
            Err(Failure { error: StageError::CommitConflict(_), work }) if tries_left > 1 => {
                tries_left -= 1;
                // What the rows of quarantine were committed to; the rest is found again.
                done.commits.extend(work.commits);
            }
            Err(Failure { error, work }) => {
                done.add(work);
                return Err(Failure { error, work: done });
            }
        }
    }
    let mut refusals = refusals.into_iter();
    let first = refusals.next();
    done.notes.extend(refusals.map(|refusal| refusal.error.to_string()));
    match first {
        Some(Refusal { error, .. }) => Err(Failure { error, work: done }),
        None if done.loads.is_empty() => Ok(Work { outcome: Some(Outcome::NothingNew), ..done }),
        None => Ok(done),
    }
}

/// What became of some of the loads that wait.
struct Portion {
    work: Work,
    refusals: Vec<Refusal>,
    /// Whether none is left.
    is_last: bool,
}

/// Takes in the first loads that wait, but for those of streams that were refused before: no more of
/// them than have `rows_at_once` rows, and one at least.
async fn take_in_some(
    context: &Context,
    entity: &'static Entity,
    run_id: &str,
    rulebook: &OnceCell<Rulebook>,
    refused: &[Refusal],
) -> std::result::Result<Portion, Failure> {
    let path = lake::silver(entity.name);
    let table = Table::open(&context.lake, &path).await?;
    let (mut loads, before) = pending(context, entity, table.as_ref()).await?;
    loads.retain(|load| !refused.iter().any(|refusal| refusal.stream == load.stream));
    let some = portion(&loads, context.settings.sources.silver.rows_at_once);
    let is_last = some == loads.len();
    loads.truncate(some);
    if loads.is_empty() {
        return Ok(Portion { work: Work::default(), refusals: Vec::new(), is_last });
    }
    let buckets = buckets(context, entity, table.as_ref())?;
    let rulebook =
        rulebook.get_or_try_init(async || Ok::<_, StageError>(Rulebooks::read(&context.lake).await?.of(entity)));
    let order = Order::of(context, entity).await?;
    let mut intake = intake::read(context, entity, loads, rulebook.await?, (&order, buckets)).await?;
    let mut work = Work { rules: std::mem::take(&mut intake.rules), ..Work::default() };
    work.figures.extend(intake.worst_share.map(|share| quarantine_rate(entity, share)));
    let refusals = std::mem::take(&mut intake.refusals);
    if !intake.loads.is_empty() {
        let extracts = FullExtracts::of(&before, &intake.loads, &order);
        work.notes.extend(extracts::notes(&intake.loads));
        let taken = take_in(context, entity, (table.as_ref(), buckets), intake, &extracts, run_id, &mut work).await;
        if let Err(error) = taken {
            return Err(Failure { error, work });
        }
    }
    Ok(Portion { work, refusals, is_last })
}

fn quarantine_rate(entity: &Entity, share: f64) -> Figure {
    Figure { name: QUARANTINE_RATE.to_owned(), entity: entity.name.to_owned(), value: 100.0 * share }
}

/// How many of the first loads have `rows_at_once` rows or fewer together; one at least, if there is one.
fn portion(loads: &[Manifest], rows_at_once: u64) -> usize {
    let mut rows = 0;
    let fitting = loads.iter().take_while(|load| {
        rows += load.rows;
        rows <= rows_at_once
    });
    fitting.count().max(1).min(loads.len())
}

/// Plans, checks and commits what the loads of an intake change.
async fn take_in(
    context: &Context,
    entity: &'static Entity,
    (table, buckets): (Option<&Table>, u32),
    intake: Intake,
    extracts: &FullExtracts,
    run_id: &str,
    work: &mut Work,
) -> Result<()> {
    let path = lake::silver(entity.name);
    let changes = bucket::plan_all(context, entity, table, &intake, extracts).await?;
    work.loads = counts(&intake, &changes);
    work.checks = work.loads.iter().map(|load| balance(&path, load)).collect();
    if let Some(failed) = work.checks.iter().find(|check| !check.passed) {
        let message = format!("{}: {} rows read, {} accounted for", failed.check, failed.expected, failed.actual);
        return Err(StageError::ControlCheckFailed(message));
    }
    let quarantined: u64 = work.loads.iter().map(|load| load.quarantined).sum();
    if quarantined > 0 {
        work.commits.extend(quarantine::add(context, entity, run_id, intake.quarantined).await?);
        work.notes.push(format!("rows that went to quarantine/{}: {quarantined}", entity.name));
    }
    work.commits.push(commit(context, entity, table, changes, &intake.loads, (buckets, run_id)).await?);
    Ok(())
}

/// Loads that the table has not taken in; and the loads that it has, of streams whose full extracts
/// it must know.
async fn pending(context: &Context, entity: &Entity, table: Option<&Table>) -> Result<(Vec<Manifest>, Vec<Manifest>)> {
    let (mut loads, mut before) = (Vec::new(), Vec::new());
    for stream in context.settings.streams_of(entity) {
        let taken = match table {
            Some(table) => table.transaction(&stream).await?.unwrap_or(0).unsigned_abs(),
            None => 0,
        };
        let log = LoadLog::new(&context.lake, &stream);
        let new = log.after(taken).await?;
        if taken > 0 && !new.is_empty() && context.settings.may_have_full_extracts(&stream) {
            before.extend(log.after(0).await?.into_iter().filter(|load| load.sequence <= taken));
        }
        loads.extend(new);
    }
    Ok((loads, before))
}

/// Buckets of the table: fixed when it was made.
fn buckets(context: &Context, entity: &Entity, table: Option<&Table>) -> Result<u32> {
    let Some(table) = table else { return Ok(context.settings.sources.silver.buckets(entity.name)) };
    let property = table.property(BUCKETS_PROPERTY)?;
    property
        .and_then(|buckets| buckets.parse().ok())
        .ok_or_else(|| StageError::CorruptLake(format!("table `{}` has no {BUCKETS_PROPERTY}", entity.name)))
}

/// What became of the rows of every load.
fn counts(intake: &Intake, changes: &[BucketChange]) -> Vec<LoadCounts> {
    let loads = &intake.loads;
    let mut counts: Vec<LoadCounts> = loads
        .iter()
        .zip(&intake.tallies)
        .map(|(load, tally)| LoadCounts {
            load_id: load.load_id.clone(),
            stream: load.stream.clone(),
            sequence: load.sequence,
            read: load.rows,
            quarantined: tally.quarantined,
            ..LoadCounts::default()
        })
        .collect();
    for change in changes {
        for (load_id, outcome, rows) in &change.outcomes {
            let Some(load) = counts.iter_mut().find(|load| load.load_id == *load_id) else { continue };
            let count = match outcome.as_str() {
                scd2::outcome::NEW => &mut load.new,
                scd2::outcome::CHANGED => &mut load.changed,
                scd2::outcome::SUPERSEDED => &mut load.superseded,
                _ => &mut load.unchanged,
            };
            *count += rows;
        }
        for (datasource, place, deleted) in &change.deleted {
            let mut places = loads.iter().zip(&intake.places);
            if let Some(index) = places.position(|(load, of_load)| load.datasource == *datasource && of_load == place) {
                counts[index].deleted += deleted;
            }
        }
    }
    counts
}

fn balance(path: &str, load: &LoadCounts) -> ControlCheck {
    let name = format!("rows of {} load {}", load.stream, load.sequence);
    ControlCheck::equal(path, &name, &load.read, &load.accounted())
}

async fn commit(
    context: &Context,
    entity: &Entity,
    table: Option<&Table>,
    changes: Vec<BucketChange>,
    loads: &[Manifest],
    (buckets, run_id): (u32, &str),
) -> Result<TableCommit> {
    let path = lake::silver(entity.name);
    let schema = silver_schema(entity);
    let mut transactions: Vec<(String, i64)> = Vec::new();
    for load in loads {
        transactions.retain(|(stream, _)| *stream != load.stream);
        transactions.push((load.stream.clone(), load.sequence as i64));
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
    let committed = delta::commit(&context.lake, &path, table, change).await?;
    Ok(TableCommit { table: path, version: committed.version, rows })
}
