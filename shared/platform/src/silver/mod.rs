//! The silver stage, the same for every entity: what bronze has that the entity's table has not,
//! through model and rules into history.

mod bucket;
mod intake;

use rcm_domain::cdm::Entity;
use rcm_domain::event::{LoadCounts, StageInput, StageReport, TableCommit};
use rcm_domain::scd2::{self, FullExtract, KeysSeen};

use self::bucket::BucketChange;
use self::intake::Intake;
use crate::bronze::{LoadLog, Manifest};
use crate::config::LoadKind;
use crate::context::Context;
use crate::delta::{self, COMMIT_TRIES, Change, Table};
use crate::error::{Result, StageError};
use crate::stage::{self, Failure, Work};
use crate::{lake, quarantine};

/// Columns that silver tables are partitioned by.
pub const PARTITION_COLUMNS: [&str; 2] = ["is_current", "bucket"];
/// Property of a silver table with the number of its buckets.
const BUCKETS_PROPERTY: &str = "rcm.buckets";

/// Brings an entity's silver table up to its bronze streams: one commit, or none if there is
/// nothing new.
///
/// # Errors
/// A rule's threshold is exceeded, the rows of a load do not balance, a mapped column is missing,
/// or the store fails.
pub async fn run(context: Context, entity: &'static Entity, input: StageInput) -> Result<StageReport> {
    let stage = format!("silver-{}", entity.name.replace('_', "-"));
    stage::report(&context, &stage, &input.run_id, entity.name, async {
        for _ in 0..COMMIT_TRIES {
            match attempt(&context, entity, &input.run_id).await {
                Err(Failure { error: StageError::CommitConflict(_), .. }) => {}
                ended => return ended,
            }
        }
        let message = format!("table `{}` was committed to {COMMIT_TRIES} times by other runs", entity.name);
        Err(StageError::CommitConflict(message).into())
    })
    .await
}

async fn attempt(context: &Context, entity: &'static Entity, run_id: &str) -> std::result::Result<Work, Failure> {
    let path = lake::silver(entity.name);
    let table = Table::open(&context.lake, &path).await?;
    let pending = pending(context, entity, table.as_ref()).await?;
    if pending.loads.is_empty() {
        return Ok(Work::nothing_new());
    }
    let buckets = buckets(context, entity, table.as_ref())?;
    let intake = intake::read(context, entity, &pending.loads, buckets).await?;
    let mut work = Work { rules: intake.rules.clone(), ..Work::default() };
    if let Err(error) = intake.check_thresholds(&context.settings.rulebook(entity)) {
        return Err(Failure { error, work });
    }
    let changes = bucket::plan_all(context, entity, table.as_ref(), &intake, &pending).await?;
    work.loads = counts(&pending.loads, &intake, &changes)?;
    work.checks = work.loads.iter().map(|load| balance(&path, load)).collect();
    if let Some(failed) = work.checks.iter().find(|check| !check.passed) {
        let message = format!("{}: {} rows read, {} accounted for", failed.check, failed.expected, failed.actual);
        return Err(Failure { error: StageError::ControlCheckFailed(message), work });
    }
    let quarantined: u64 = work.loads.iter().map(|load| load.quarantined).sum();
    if quarantined > 0 {
        work.commits.extend(quarantine::add(context, entity, run_id, intake.quarantined).await?);
        work.notes.push(format!("rows that went to quarantine/{}: {quarantined}", entity.name));
    }
    work.commits.push(commit(context, entity, table.as_ref(), changes, &pending.loads, (buckets, run_id)).await?);
    Ok(work)
}

/// Loads that the table has not taken in, and all full extracts of its streams.
struct Pending {
    loads: Vec<Manifest>,
    extracts: Vec<FullExtract>,
}

async fn pending(context: &Context, entity: &Entity, table: Option<&Table>) -> Result<Pending> {
    let mut pending = Pending { loads: Vec::new(), extracts: Vec::new() };
    for stream in context.settings.streams_of(entity) {
        let taken = match table {
            Some(table) => table.transaction(&stream).await?.unwrap_or(0).unsigned_abs(),
            None => 0,
        };
        let log = LoadLog::new(&context.lake, &stream);
        let loads = log.after(taken).await?;
        let Some(first) = loads.first() else { continue };
        let has_extracts = first.kind == LoadKind::Snapshot || context.settings.reads_whole(&stream);
        let all = if has_extracts && taken > 0 { log.after(0).await? } else { loads.clone() };
        pending.extracts.extend(all.iter().filter(|load| load.kind == LoadKind::Snapshot).map(full_extract));
        pending.loads.extend(loads);
    }
    Ok(pending)
}

fn full_extract(load: &Manifest) -> FullExtract {
    FullExtract { datasource: load.datasource.clone(), sequence: load.sequence as i64, extracted_at: load.extracted_at }
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
fn counts(loads: &[Manifest], intake: &Intake, changes: &[BucketChange]) -> Result<Vec<LoadCounts>> {
    let mut counts: Vec<LoadCounts> = loads
        .iter()
        .zip(&intake.tallies)
        .map(|(load, tally)| LoadCounts {
            load_id: load.load_id.clone(),
            stream: load.stream.clone(),
            sequence: load.sequence,
            read: tally.read,
            quarantined: tally.quarantined,
            ..LoadCounts::default()
        })
        .collect();
    for change in changes {
        for (load_id, outcome, rows) in change.outcomes()? {
            let Some(load) = counts.iter_mut().find(|load| load.load_id == load_id) else { continue };
            let count = match outcome.as_str() {
                scd2::outcome::NEW => &mut load.new,
                scd2::outcome::CHANGED => &mut load.changed,
                scd2::outcome::SUPERSEDED => &mut load.superseded,
                _ => &mut load.unchanged,
            };
            *count += rows;
        }
        for (datasource, sequence, deleted) in change.deletions()? {
            let load = loads.iter().position(|load| load.datasource == datasource && load.sequence == sequence);
            if let Some(index) = load {
                counts[index].deleted += deleted;
            }
        }
    }
    Ok(counts)
}

fn balance(path: &str, load: &LoadCounts) -> rcm_domain::event::ControlCheck {
    let name = format!("rows of {} load {}", load.stream, load.sequence);
    rcm_domain::event::ControlCheck::equal(path, &name, &load.read, &load.accounted())
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
    let schema = entity.silver_schema();
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

/// The new full extracts, and their keys in one bucket.
fn seen_in(pending: &Pending, intake: &Intake, bucket: i32) -> Result<KeysSeen> {
    use polars::prelude::*;
    let new = |extract: &&FullExtract| {
        pending.loads.iter().any(|load| full_extract(load) == **extract && load.kind == LoadKind::Snapshot)
    };
    let extracts: Vec<FullExtract> = pending.extracts.iter().filter(new).cloned().collect();
    if extracts.is_empty() {
        return Ok(KeysSeen::none());
    }
    let keys = intake.keys_seen.clone().lazy().filter(col("bucket").eq(lit(bucket)));
    let keys = keys
        .select([col("key"), col("datasource"), col("sequence")])
        .unique(None, UniqueKeepStrategy::Any)
        .collect()?;
    Ok(KeysSeen { extracts, keys })
}
