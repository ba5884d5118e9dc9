//! Rows in quarantine, assessed anew from their rows in bronze and taken in at their own place in history.
//!
//! A round assesses, writes a decision down, commits silver with the number of the decision, and then marks the entries
//! of the quarantine table. If it is cut off, the next call goes on: a decision that silver does not record is found and
//! carried out, entries of one that it records are marked. Another commit to silver in between is a conflict, after which
//! the round begins anew.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use rcm_domain::cdm::silver_schema;
use rcm_domain::quality::Rulebook;
use rcm_model::cdm::Entity;
use rcm_model::event::{Outcome, Replay, ReplayCount, ReplayOutcome, TableCommit};
use rcm_platform::bronze::{LoadLog, Manifest};
use rcm_platform::context::Context;
use rcm_platform::error::{Result, StageError};
use rcm_platform::stage::{Failure, Work};

use super::batch_rows::{For, Pick, pick};
use super::record::{StreamState, Voids};
use super::splice::{Splice, SplicedFiles};
use super::target::Target;
use super::{BUCKETS_PROPERTY, PARTITION_COLUMNS, buckets, layout, open_for};
use crate::delta::{self, Change, Conflicts, Table};
use crate::desk::{Action, Decisions, NewDecision, OpenRow, open_rows};
use crate::quarantine::{self, Settled, Withheld};
use crate::rulebooks::Rulebooks;

/// Application of the last decision whose rows a silver table has taken in.
fn application(entity: &Entity) -> String {
    format!("replay:{}", entity.name)
}

/// Who a replay is by where the event does not say.
const NOBODY: &str = "unknown";

/// Assesses rows in quarantine anew and takes in those that pass.
///
/// # Errors
/// A load cannot be read by today's mappings, or loads were voided and the table is not rebuilt yet. The store fails, or
/// other runs kept committing: the next call goes on.
pub(super) async fn replay(
    context: &Context,
    entity: &'static Entity,
    run_id: &str,
    wanted: &Replay,
) -> std::result::Result<Work, Failure> {
    let mut work = Work::default();
    work.commits.extend(layout::bring_up(context, entity, run_id).await?);
    let mut conflicts = Conflicts::default();
    loop {
        match round(context, entity, run_id, wanted, &mut work).await {
            Ok(()) => break,
            Err(error) if conflicts.may_retry(&error).await => {}
            Err(error) => return Err(Failure { error, work }),
        }
    }
    if work.commits.is_empty() {
        work.outcome = Some(Outcome::NothingNew);
    }
    Ok(work)
}

/// Tells what a replay would do. Nothing is written.
///
/// # Errors
/// Those of a replay.
pub async fn replay_preview(context: &Context, entity: &'static Entity, wanted: &Replay) -> Result<Vec<ReplayCount>> {
    let (target, table) = open_for(context, &Target::of(entity)).await?;
    let Some(table) = table else { return Ok(Vec::new()) };
    let rulebook = Rulebooks::read(&context.lake).await?.of(entity);
    let assessed = Assessed::read(context, &target, &table, &rulebook, wanted).await?;
    Ok(assessed.counts())
}

/// Marks the entries of the last replay, where it was cut off after its commit of silver.
///
/// # Errors
/// The store fails, or other runs kept committing.
pub async fn finish_replay(context: &Context, entity: &'static Entity, run_id: &str) -> Result<Option<TableCommit>> {
    let (target, table) = open_for(context, &Target::of(entity)).await?;
    let Some(table) = table else { return Ok(None) };
    let carried_out = table.transaction(&application(entity)).await?.unwrap_or(0).unsigned_abs();
    finish(context, &target, carried_out, run_id).await
}

async fn finish(context: &Context, target: &Target, carried_out: u64, run_id: &str) -> Result<Option<TableCommit>> {
    let decision = Decisions::of(context, target.entity.name).read(carried_out).await?;
    if decision.is_none() {
        return Ok(None);
    }
    let settled = Settled { decision, ..Settled::default() };
    quarantine::settle(context, &target.quarantine, &settled, run_id).await
}

async fn round(
    context: &Context,
    entity: &'static Entity,
    run_id: &str,
    wanted: &Replay,
    work: &mut Work,
) -> Result<()> {
    let (target, table) = open_for(context, &Target::of(entity)).await?;
    let Some(table) = table else { return Ok(()) };
    let decisions = Decisions::of(context, entity.name);
    let carried_out = table.transaction(&application(entity)).await?.unwrap_or(0).unsigned_abs();
    work.commits.extend(finish(context, &target, carried_out, run_id).await?);
    let rulebook = Rulebooks::read(&context.lake).await?.of(entity);
    let assessed = Assessed::read(context, &target, &table, &rulebook, wanted).await?;
    let counts = assessed.counts();
    let Assessed { passing, reasons, splice, buckets, .. } = assessed;
    let mut settled = Settled { decision: None, reasons };
    if !passing.is_empty() {
        let new = NewDecision {
            action: Action::Replay,
            who: wanted.who.as_deref().unwrap_or(NOBODY),
            why: wanted.why.as_deref(),
            run_id,
            rulebook: &rulebook,
            fingerprints: passing,
        };
        let decision = decisions.record_once(&new, carried_out).await?;
        let files = splice.write(&target).await?;
        let transaction = (application(entity), decision.number as i64);
        work.commits.push(commit(context, &target, &table, buckets, files, vec![transaction], run_id).await?);
        settled.decision = Some(decision);
    }
    work.replayed = counts;
    work.commits.extend(quarantine::settle(context, &target.quarantine, &settled, run_id).await?);
    Ok(())
}

/// Commits files of a silver table.
pub(super) async fn commit(
    context: &Context,
    target: &Target,
    table: &Table,
    buckets: u32,
    files: SplicedFiles,
    transactions: Vec<(String, i64)>,
    run_id: &str,
) -> Result<TableCommit> {
    let SplicedFiles { add, remove } = files;
    let rows = add.iter().map(|file| file.rows).sum();
    let change = Change {
        schema: &silver_schema(target.entity),
        partition_by: &PARTITION_COLUMNS,
        properties: &[(BUCKETS_PROPERTY, buckets.to_string())],
        add,
        remove,
        transactions,
        run_id,
    };
    let committed = delta::commit(&context.lake, &target.silver, Some(table), change).await?;
    Ok(TableCommit { table: target.silver.clone(), version: committed.version, rows })
}

/// Rows in quarantine under the mappings and rules of today.
struct Assessed<'a> {
    /// The rows that are meant, with what becomes of them and the first rule that they fail.
    outcomes: Vec<(ReplayOutcome, Option<String>)>,
    /// Fingerprints of the rows that pass: those that are meant, and others of their keys.
    passing: Vec<String>,
    /// Reasons that rows fail for, by fingerprint.
    reasons: BTreeMap<String, String>,
    splice: Splice<'a>,
    buckets: u32,
}

/// A row of bronze that passes.
struct GoodRow {
    key: String,
    hash: i64,
}

impl<'a> Assessed<'a> {
    async fn read(
        context: &'a Context,
        target: &Target,
        table: &'a Table,
        rulebook: &Rulebook,
        wanted: &Replay,
    ) -> Result<Self> {
        let entity = target.entity;
        let buckets = buckets(context, entity, Some(table), 0)?;
        let of = For { entity, path: &target.silver, rulebook, buckets };
        let loads = Loads::read(context, entity, table).await?;
        let withheld = Arc::new(Withheld::read(context, entity).await?);
        let (meant, others): (Vec<_>, Vec<_>) =
            open_rows(context, entity, wanted).await?.into_iter().partition(|(_, is_meant)| *is_meant);
        let meant: Vec<OpenRow> = meant.into_iter().map(|(row, _)| row).collect();
        let (good, reasons) = at_their_places(context, of, &loads, &meant, &withheld).await?;
        let keys: HashSet<String> = good.values().map(|row| row.key.clone()).collect();
        // A key is made anew as a whole, so that what passes of it leaves the quarantine with the rows that are meant.
        let others: Vec<OpenRow> = others.into_iter().map(|(row, _)| row).collect();
        let of_keys = |row: &&OpenRow| row.key.as_ref().is_some_and(|key| keys.contains(key));
        let others: Vec<OpenRow> = others.iter().filter(of_keys).cloned().collect();
        let (good_others, _) = at_their_places(context, of, &loads, &others, &withheld).await?;
        let datasources: BTreeSet<&str> = meant.iter().map(|row| row.datasource.as_str()).collect();
        let needed = loads.of(&datasources)?;
        let splice = Splice::plan(context, table, of, needed, keys, &withheld).await?;
        let mut assessed =
            Self { outcomes: Vec::new(), passing: Vec::new(), reasons: BTreeMap::new(), splice, buckets };
        for row in meant {
            let outcome = match (good.get(&row.fingerprint), reasons.get(&row.fingerprint)) {
                (Some(good), _) => assessed.splice.outcome(&good.key, good.hash),
                (None, Some(_)) => ReplayOutcome::FailsAgain,
                (None, None) => ReplayOutcome::LoadLeftOut,
            };
            let failed = reasons.get(&row.fingerprint);
            let rule = failed.and_then(|reasons| crate::desk::rules_of(reasons).next());
            assessed.outcomes.push((outcome, rule.map(str::to_owned)));
            if outcome.passes() {
                assessed.passing.push(row.fingerprint);
            } else if let Some(failed) = failed.filter(|failed| **failed != row.reasons) {
                assessed.reasons.insert(row.fingerprint, failed.clone());
            }
        }
        for (fingerprint, row) in good_others {
            if assessed.splice.outcome(&row.key, row.hash).passes() {
                assessed.passing.push(fingerprint);
            }
        }
        Ok(assessed)
    }

    /// The rows that are meant, by what becomes of them.
    fn counts(&self) -> Vec<ReplayCount> {
        ReplayCount::of(self.outcomes.iter().cloned())
    }
}

/// Reads rows at their places in bronze: those that pass today, and the reasons that the others fail for, by fingerprint.
/// A row whose load does not count is in neither.
async fn at_their_places(
    context: &Context,
    of: For<'_>,
    loads: &Loads,
    rows: &[OpenRow],
    withheld: &Arc<Withheld>,
) -> Result<(HashMap<String, GoodRow>, BTreeMap<String, String>)> {
    let mut by_load: BTreeMap<(&str, u64), HashMap<i64, &OpenRow>> = BTreeMap::new();
    for row in rows {
        by_load.entry((row.stream.as_str(), row.sequence)).or_default().insert(row.position, row);
    }
    let (mut good, mut reasons) = (HashMap::new(), BTreeMap::new());
    for ((stream, sequence), rows) in by_load {
        let Some(load) = loads.find(stream, sequence) else { continue };
        let found = pick(context, of, load, Pick::Rows(rows.keys().copied().collect()), withheld).await?;
        for failed in found.failed {
            let Some(row) = rows.get(&failed.position) else { continue };
            reasons.insert(row.fingerprint.clone(), failed.reasons);
        }
        let Some(passing) = found.good else { continue };
        let (keys, hashes) = (passing.column(of.entity.key)?.str()?, passing.column("row_hash")?.i64()?);
        let positions = passing.column(rcm_domain::scd2::POSITION)?.i64()?;
        for ((key, hash), position) in keys.iter().zip(hashes.iter()).zip(positions.iter()) {
            let (Some(key), Some(hash), Some(row)) = (key, hash, position.and_then(|at| rows.get(&at))) else {
                continue;
            };
            good.insert(row.fingerprint.clone(), GoodRow { key: key.to_owned(), hash });
        }
    }
    Ok((good, reasons))
}

/// The loads that a silver table has taken in and that count.
pub(super) struct Loads {
    loads: Vec<Manifest>,
    /// Datasources of streams of which loads were voided since, or are voided no more.
    unsettled: BTreeSet<String>,
}

impl Loads {
    /// # Errors
    /// The store fails, or a log cannot be read.
    pub(super) async fn read(context: &Context, entity: &'static Entity, table: &Table) -> Result<Self> {
        let mut found = Self { loads: Vec::new(), unsettled: BTreeSet::new() };
        for (stream, voided) in Voids::read(context, entity).await?.into_streams() {
            let state = StreamState::read(context, entity, Some(table), stream.clone(), voided).await?;
            let mut loads = LoadLog::new(&context.lake, &stream).after(0).await?;
            loads.retain(|load| load.sequence <= state.taken && !load.was_moved());
            if state.has_other_voids() {
                found.unsettled.extend(loads.iter().map(|load| load.datasource.clone()));
            }
            loads.retain(|load| !state.voided.contains(&load.sequence));
            found.loads.extend(loads);
        }
        Ok(found)
    }

    /// The load that a load's rows belong to: of a correction the one that it corrects. None if it does not count.
    pub(super) fn root_of(&self, stream: &str, sequence: u64) -> Option<&Manifest> {
        let load = self.find(stream, sequence)?;
        load.correction.as_ref().map_or(Some(load), |correction| self.find(&load.stream, correction.sequence))
    }

    fn find(&self, stream: &str, sequence: u64) -> Option<&Manifest> {
        // An entry of version 0.1 names the stream that all datasources shared.
        let was_there = |load: &Manifest| load.entity == stream && load.moved_from == Some(sequence);
        self.loads.iter().find(|load| load.stream == stream && load.sequence == sequence || was_there(load))
    }

    /// Those of some datasources.
    ///
    /// # Errors
    /// `BadConfig` if the table is about to be rebuilt because of voided loads of one of them.
    pub(super) fn of(&self, datasources: &BTreeSet<&str>) -> Result<Vec<Manifest>> {
        if let Some(datasource) = self.unsettled.iter().find(|datasource| datasources.contains(datasource.as_str())) {
            let message = format!(
                "loads of `{datasource}` were voided, or are voided no more, and the table was not made anew since; \
                 hint: rcm run, then ask again"
            );
            return Err(StageError::bad_config(message));
        }
        let wanted = self.loads.iter().filter(|load| datasources.contains(load.datasource.as_str()));
        Ok(wanted.cloned().collect())
    }
}
