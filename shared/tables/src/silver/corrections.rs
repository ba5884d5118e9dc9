//! Loads of mended rows: each row takes the place of the one that it corrects.
//!
//! A corrected row of an extract must not become the present of its key because it came last. So it is planned where the
//! row was that it corrects: the history of its key is made anew from bronze, as a replay does it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use polars::prelude::*;
use rcm_domain::quality::Rulebook;
use rcm_domain::scd2::{self, Outcome as RowOutcome};
use rcm_model::cdm::Entity;
use rcm_model::event::{ReplayOutcome, TableCommit};
use rcm_platform::bronze::{Correction, MALFORMED, Manifest, POSITION};
use rcm_platform::context::Context;
use rcm_platform::error::{Result, StageError};
use rcm_platform::stage::Work;

use super::batch_rows::{BatchRows, For, Pick, judge_rows, pick};
use super::bucket::BucketChange;
use super::replay::Loads;
use super::splice::Splice;
use super::target::Target;
use super::{Destination, buckets, finish, open_for};
use crate::delta::Table;
use crate::desk::{Action, Decision, rulebook_hash};
use crate::frames::blocking;
use crate::quarantine::{self, Settled, Withheld};
use crate::rulebooks::Rulebooks;

/// Mended rows of one load.
#[derive(Debug, Clone)]
pub struct Mended {
    /// The load that has the rows as they came: its stream and number.
    pub stream: String,
    pub sequence: u64,
    /// Source columns.
    pub columns: Vec<String>,
    /// Of each row its fingerprint in quarantine and its values.
    pub rows: Vec<(String, Vec<Option<String>>)>,
}

/// What would become of a mended row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MendedOutcome {
    pub fingerprint: String,
    pub outcome: ReplayOutcome,
    /// First rule that it fails.
    pub rule: Option<String>,
}

/// Returns the load that a load's rows belong to: of a correction the one that it corrects. None if it does not count.
///
/// # Errors
/// The store fails.
pub async fn corrected_load(
    context: &Context,
    entity: &'static Entity,
    stream: &str,
    sequence: u64,
) -> Result<Option<Manifest>> {
    let (_, table) = open_for(context, &Target::of(entity)).await?;
    let Some(table) = table else { return Ok(None) };
    Ok(Loads::read(context, entity, &table).await?.root_of(stream, sequence).cloned())
}

/// Tells what would become of mended rows. Nothing is written.
///
/// # Errors
/// A load cannot be read by today's mappings, or the store fails.
pub async fn assess_mended(
    context: &Context,
    entity: &'static Entity,
    mended: &[Mended],
) -> Result<Vec<MendedOutcome>> {
    let (target, table) = open_for(context, &Target::of(entity)).await?;
    let Some(table) = table else { return Ok(Vec::new()) };
    let entity = target.entity;
    let rulebook = Rulebooks::read(&context.lake).await?.of(entity);
    let of =
        For { entity, path: &target.silver, rulebook: &rulebook, buckets: buckets(context, entity, Some(&table), 0)? };
    let loads = Loads::read(context, entity, &table).await?;
    let (mut good, mut outcomes, mut with, mut in_memory) = (Vec::new(), Vec::new(), Vec::new(), HashMap::new());
    for (number, mended) in mended.iter().enumerate() {
        let mut told = |fingerprint: &str, outcome, rule: Option<&str>| {
            let (fingerprint, rule) = (fingerprint.to_owned(), rule.map(str::to_owned));
            outcomes.push(MendedOutcome { fingerprint, outcome, rule });
        };
        let Some(root) = loads.root_of(&mended.stream, mended.sequence) else {
            mended.rows.iter().for_each(|(row, _)| told(row, ReplayOutcome::LoadLeftOut, None));
            continue;
        };
        let load = planned(context, root, mended, number);
        let judged = judge_rows(context, of, &load, raw_of(mended)?).await?;
        let fingerprint = |position: i64| {
            let row = usize::try_from(position - 1).ok().and_then(|row| mended.rows.get(row));
            row.map(|(fingerprint, _)| fingerprint.clone()).unwrap_or_default()
        };
        for failed in &judged.failed {
            let rule = crate::desk::rules_of(&failed.reasons).next();
            told(&fingerprint(failed.position), ReplayOutcome::FailsAgain, rule);
        }
        let Some(rows) = judged.good else { continue };
        for (key, hash, position) in placed(&rows, entity)? {
            good.push((fingerprint(position), key, hash));
        }
        in_memory.insert(load.load_id.clone(), rows);
        with.push(load);
    }
    let fingerprints: Vec<String> = mended.iter().flat_map(|mended| &mended.rows).map(|(row, _)| row.clone()).collect();
    let withheld = Arc::new(Withheld::with(context, entity, &fingerprints).await?);
    let datasources = with.iter().map(|load| load.datasource.clone()).collect::<Vec<_>>();
    let mut needed = loads.of(&datasources.iter().map(String::as_str).collect())?;
    needed.extend(with);
    let keys: HashSet<String> = good.iter().map(|(_, key, _)| key.clone()).collect();
    let splice = Splice::plan_with(context, &table, of, needed, keys, &withheld, &in_memory).await?;
    outcomes.extend(good.into_iter().map(|(fingerprint, key, hash)| MendedOutcome {
        outcome: splice.outcome(&key, hash),
        fingerprint,
        rule: None,
    }));
    Ok(outcomes)
}

/// The load that mended rows would be.
fn planned(context: &Context, root: &Manifest, mended: &Mended, number: usize) -> Manifest {
    let correction = Correction {
        sequence: root.sequence,
        kind: root.kind,
        fingerprints: mended.rows.iter().map(|(fingerprint, _)| fingerprint.clone()).collect(),
        decision: 0,
        who: String::new(),
        why: String::new(),
    };
    Manifest {
        load_id: format!("correction {number}"),
        rows: mended.rows.len() as u64,
        malformed: 0,
        data_files: Vec::new(),
        correction: Some(correction),
        finished_at: context.now(),
        ..root.clone()
    }
}

/// Mended rows as bronze has them.
fn raw_of(mended: &Mended) -> Result<DataFrame> {
    let rows = &mended.rows;
    let mut raw = DataFrame::empty_with_height(rows.len());
    for (number, column) in mended.columns.iter().enumerate() {
        let values = rows.iter().map(|(_, values)| values.get(number).and_then(Option::as_deref));
        let values: StringChunked = values.collect();
        raw.with_column(values.with_name(PlSmallStr::from_str(column)).into_column())?;
    }
    let positions: Int64Chunked = (1..=rows.len() as i64).map(Some).collect();
    raw.with_column(positions.with_name(POSITION.into()).into_column())?;
    raw.with_column(Column::full_null(MALFORMED.into(), rows.len(), &DataType::String))?;
    Ok(raw)
}

/// Key, hash of the attributes and position of good rows.
fn placed(rows: &DataFrame, entity: &Entity) -> Result<Vec<(String, i64, i64)>> {
    let (keys, hashes) = (rows.column(entity.key)?.str()?, rows.column("row_hash")?.i64()?);
    let positions = rows.column(scd2::POSITION)?.i64()?;
    let all = keys.iter().zip(hashes.iter()).zip(positions.iter());
    Ok(all.filter_map(|((key, hash), position)| Some((key?.to_owned(), hash?, position?))).collect())
}

/// Ingests a load of mended rows: the entries of the rows that they correct are resolved, and the history of their keys is
/// made anew. `batch` has the load's rows, checked.
///
/// # Errors
/// Other rows of a key would come out otherwise today. The store fails.
pub(super) async fn ingest(
    context: &Context,
    destination: &Destination<'_>,
    batch: BatchRows,
    work: &mut Work,
) -> Result<()> {
    let ended = ingest_rows(context, destination, &batch, work).await;
    batch.incoming.discard(context).await;
    ended
}

async fn ingest_rows(
    context: &Context,
    destination: &Destination<'_>,
    batch: &BatchRows,
    work: &mut Work,
) -> Result<()> {
    let Destination { target, table, buckets, rulebook, run_id, .. } = *destination;
    let [load] = batch.loads.as_slice() else { return Err(StageError::internal("a correction is one load")) };
    let (Some(table), Some(correction)) = (table, &load.correction) else {
        return Err(StageError::internal("a correction has no table"));
    };
    let (load, entity) = (load.clone(), target.entity);
    let of = For { entity, path: &target.silver, rulebook, buckets };
    let withheld = Arc::new(Withheld::with(context, entity, &correction.fingerprints).await?);
    let all = Pick::Rows((1..=load.rows as i64).collect());
    let good = pick(context, of, &load, all, &Arc::default()).await?.good;
    let good = good.map_or_else(|| Ok(Vec::new()), |rows| placed(&rows, entity))?;
    let mut loads = Loads::read(context, entity, table).await?.of(&[load.datasource.as_str()].into())?;
    loads.push(load.clone());
    let keys = good.iter().map(|(key, ..)| key.clone()).collect();
    let splice = Splice::plan(context, table, of, loads, keys, &withheld).await?;
    let mut outcomes: BTreeMap<(String, RowOutcome), u64> = BTreeMap::new();
    for (key, hash, _) in &good {
        let outcome = match splice.outcome(key, *hash) {
            ReplayOutcome::Missing => RowOutcome::New,
            ReplayOutcome::Newest => RowOutcome::Changed,
            ReplayOutcome::Older => RowOutcome::Superseded,
            ReplayOutcome::WaitsForRebuild => return Err(differs(entity)),
            ReplayOutcome::Unchanged | ReplayOutcome::FailsAgain | ReplayOutcome::LoadLeftOut => RowOutcome::Unchanged,
        };
        *outcomes.entry((load.load_id.clone(), outcome)).or_default() += 1;
    }
    // Before the rows are in silver: if it ends here, the load still waits, and the next run ingests it.
    if target.quarantine == Target::of(entity).quarantine {
        let passing: HashSet<i64> = good.iter().map(|(.., position)| *position).collect();
        let failing = (1..=load.rows as i64).filter(|position| !passing.contains(position)).collect();
        let settled = Settled { decision: decision(&load, &failing, rulebook), ..Settled::default() };
        work.commits.extend(quarantine::settle(context, &target.quarantine, &settled, run_id).await?);
    }
    let files = splice.write(target).await?;
    let change = BucketChange {
        add: files.add,
        remove: files.remove,
        outcomes,
        deleted: BTreeMap::new(),
        warnings: BTreeMap::new(),
        held: Vec::new(),
    };
    finish(context, destination, batch, vec![change], work).await
}

/// The decision that a load of mended rows carries out; none of a load that corrects nothing. Rows at the positions in
/// `failing` stay as they are.
fn decision(load: &Manifest, failing: &HashSet<i64>, rulebook: &Rulebook) -> Option<Decision> {
    let correction = load.correction.as_ref()?;
    let rows = (1..).zip(&correction.fingerprints).filter(|(position, _)| !failing.contains(position));
    Some(Decision {
        number: correction.decision,
        entity: load.entity.clone(),
        action: Action::Correct,
        who: correction.who.clone(),
        why: Some(correction.why.clone()),
        at: load.started_at,
        run_id: load.run_id.clone(),
        rulebook: rulebook_hash(rulebook),
        fingerprints: rows.map(|(_, fingerprint)| fingerprint.clone()).collect(),
    })
}

/// Marks the entries of a quarantine table whose rows some loads correct. `failed` is the table of a rebuild, which has the
/// rows that fail today.
///
/// # Errors
/// The store fails, or other runs kept committing.
pub(super) async fn settle_all(
    context: &Context,
    path: &str,
    corrections: &[Manifest],
    failed: Option<&Table>,
    rulebook: &Rulebook,
    run_id: &str,
) -> Result<Vec<TableCommit>> {
    let mut commits = Vec::new();
    for load in corrections {
        let mut failing = HashSet::new();
        if let Some(failed) = failed {
            let is_of_load = col("load_id").eq(lit(load.load_id.clone()));
            let rows = failed.scan(failed.files()).await?.filter(is_of_load).select([col("position")]);
            let rows = blocking(move || Ok(rows.collect()?)).await?;
            failing.extend(rows.column("position")?.i64()?.iter().flatten());
        }
        let settled = Settled { decision: decision(load, &failing, rulebook), ..Settled::default() };
        commits.extend(quarantine::settle(context, path, &settled, run_id).await?);
    }
    Ok(commits)
}

fn differs(entity: &Entity) -> StageError {
    StageError::bad_config(format!(
        "other rows of a corrected key would come out otherwise with the mappings and rules of today; hint: rcm rebuild {}",
        entity.name
    ))
}
