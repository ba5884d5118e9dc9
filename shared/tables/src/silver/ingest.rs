//! The loads that wait, ingested into a table batch by batch.

use rcm_domain::quality::Rulebook;
use rcm_platform::bronze::Manifest;
use rcm_platform::context::Context;
use rcm_platform::error::{Result, StageError};
use rcm_platform::stage::{Failure, Work};
use tokio::sync::OnceCell;

use super::batch_rows::{self, For, Refusal};
use super::record::{self, StreamState, Voids};
use super::shards::Prepared;
use super::target::Target;
use super::{Destination, batch, buckets, ingest_batch, open_for, quarantine_rate};
use crate::delta::Conflicts;
use crate::rulebooks::Rulebooks;

/// Ingests all loads that wait into a table. The first load of a stream that cannot be ingested ends the reading of
/// that stream, and of no other.
pub(super) struct Ingest<'a> {
    context: &'a Context,
    target: &'a Target,
    voids: &'a Voids,
    run_id: &'a str,
    /// Read once, and only if there is something to judge.
    rulebook: OnceCell<Rulebook>,
    /// Whether a large batch is prepared and left to other calls.
    shares_out: bool,
    /// Once a batch has failed, its loads are taken one after the other, to find the one that it failed because of.
    one_by_one: bool,
    taken: Taken,
}

/// What was ingested of the loads that waited, and what was not.
#[derive(Default)]
pub(super) struct Taken {
    pub work: Work,
    pub refusals: Vec<Refusal>,
}

/// What became of some of the loads that wait.
#[derive(Default)]
struct LoadBatch {
    work: Work,
    refusals: Vec<Refusal>,
    /// Whether several loads were tried together, and nothing of them was ingested.
    has_failed: bool,
    /// Whether none is left.
    is_last: bool,
}

impl<'a> Ingest<'a> {
    pub(super) fn new(context: &'a Context, target: &'a Target, voids: &'a Voids, run_id: &'a str) -> Self {
        let (rulebook, taken) = (OnceCell::new(), Taken::default());
        Self { context, target, voids, run_id, rulebook, shares_out: false, one_by_one: false, taken }
    }

    /// Prepares a batch that is large, and leaves it to other calls.
    pub(super) fn sharing_out(self, shares_out: bool) -> Self {
        Self { shares_out, ..self }
    }

    /// Ingests batch after batch until no load waits but those of streams that were refused.
    ///
    /// # Errors
    /// The store fails, or other runs keep committing; with what was done until then.
    pub(super) async fn run(mut self) -> std::result::Result<Taken, Failure> {
        let mut conflicts = Conflicts::default();
        loop {
            match self.next_batch().await {
                Ok(ingested) => {
                    self.taken.work.add(ingested.work);
                    self.taken.refusals.extend(ingested.refusals);
                    self.one_by_one |= ingested.has_failed;
                    if ingested.is_last {
                        return Ok(self.taken);
                    }
                }
                Err(Failure { error, work }) if conflicts.may_retry(&error).await => {
                    // What the rows of quarantine were committed to; the rest is found again.
                    self.taken.work.commits.extend(work.commits);
                }
                Err(Failure { error, work }) => {
                    let Taken { work: mut done, refusals } = self.taken;
                    done.add(work);
                    done.notes.extend(refusals.iter().map(|refusal| refusal.error.to_string()));
                    return Err(Failure { error, work: done });
                }
            }
        }
    }

    /// Takes in the first loads that wait, but for those of streams that were refused before: no more of
    /// them than have `rows_at_once` rows, and one at least.
    async fn next_batch(&self) -> std::result::Result<LoadBatch, Failure> {
        let Self { context, target, voids, run_id, .. } = *self;
        let (target, table) = open_for(context, target).await?;
        let (target, entity) = (&target, target.entity);
        let states = StreamState::all(context, entity, table.as_ref(), voids).await?;
        let (loads, mut refusals) = self.waiting(&states);
        let buckets = buckets(context, entity, table.as_ref(), loads.iter().map(|load| load.rows).sum())?;
        if loads.is_empty() {
            let mut ingested = LoadBatch { refusals, is_last: true, ..LoadBatch::default() };
            if let Some(known) = &table
                && record::is_of_before(known).await?
            {
                let rulebook = self.rulebook().await?;
                let destination =
                    Destination { target, table: Some(known), buckets, states: &states, rulebook, run_id };
                ingested.work.commits.push(record::note(context, &destination).await?);
            }
            return Ok(ingested);
        }
        let mut loads = batch::first_batch(loads, context.settings.sources.silver.rows_at_once);
        if self.one_by_one {
            loads.truncate(1);
        }
        let rulebook = self.rulebook().await?;
        let mut batch =
            batch_rows::read(context, For { entity, path: &target.silver, rulebook, buckets }, loads).await?;
        let (rules, profiles) = (std::mem::take(&mut batch.rules), std::mem::take(&mut batch.profiles));
        let mut work = Work { rules, profiles, ..Work::default() };
        work.notes.append(&mut batch.notes);
        work.metrics.extend(batch.worst_share.map(|share| quarantine_rate(entity, share)));
        refusals.append(&mut batch.refusals);
        let tried = batch.loads.len();
        let Some(first) = batch.loads.first().map(|load| (load.stream.clone(), load.sequence)) else {
            return Ok(LoadBatch { work, refusals, ..LoadBatch::default() });
        };
        let destination = Destination { target, table: table.as_ref(), buckets, states: &states, rulebook, run_id };
        let is_correction = batch.loads.first().is_some_and(Manifest::is_correction);
        if self.shares_out && !is_correction {
            let prepared = Prepared::share_out(context, target, table.as_ref(), buckets, &mut batch, &mut work).await;
            match prepared {
                Ok(None) => {}
                Ok(shared_out) => {
                    work.shared_out = shared_out;
                    return Ok(LoadBatch { work, refusals, is_last: true, ..LoadBatch::default() });
                }
                Err(error) => return Err(Failure { error, work }),
            }
        }
        match ingest_batch(context, &destination, batch, &mut work).await {
            Ok(()) => Ok(LoadBatch { work, refusals, ..LoadBatch::default() }),
            Err(error) if error.is_retryable() => Err(Failure { error, work }),
            // Any of them may be the reason.
            Err(_) if tried > 1 => Ok(LoadBatch { refusals, has_failed: true, ..LoadBatch::default() }),
            Err(error) => {
                let (stream, sequence) = first;
                let error = error.of_load(&stream, sequence);
                refusals.push(Refusal { stream, sequence, error });
                Ok(LoadBatch { work, refusals, ..LoadBatch::default() })
            }
        }
    }

    /// The loads that may be ingested, stream by stream, and a refusal of each that is too large.
    fn waiting(&self, states: &[StreamState]) -> (Vec<Manifest>, Vec<Refusal>) {
        let is_refused = |stream: &str| self.taken.refusals.iter().any(|refusal| refusal.stream == stream);
        // A stream whose voids are not carried out is not gone on with: what is recorded of them would be untrue.
        let open = states.iter().filter(|state| !is_refused(&state.stream) && !state.has_other_voids());
        without_oversized(self.context, open.flat_map(|state| &state.waiting).cloned().collect())
    }

    async fn rulebook(&self) -> Result<&Rulebook> {
        let read = async || Ok::<_, StageError>(Rulebooks::read(&self.context.lake).await?.of(self.target.entity));
        self.rulebook.get_or_try_init(read).await
    }
}

/// The loads without those that are too large to be ingested, and what comes after them in their streams.
fn without_oversized(context: &Context, loads: Vec<Manifest>) -> (Vec<Manifest>, Vec<Refusal>) {
    let limit = context.settings.sources.silver.max_load_rows;
    let mut refusals: Vec<Refusal> = Vec::new();
    let mut left = Vec::with_capacity(loads.len());
    for load in loads {
        if refusals.iter().any(|refusal| refusal.stream == load.stream) {
            continue;
        }
        if load.rows <= limit {
            left.push(load);
            continue;
        }
        let Manifest { stream, sequence, rows, .. } = load;
        let message = format!(
            "load {sequence} of `{stream}` has {rows} rows, more than are taken in at once ({limit}). Raise [silver] \
             max_load_rows in configs/sources.toml, or void the load"
        );
        let error = StageError::threshold_exceeded(message).of_load(&stream, sequence);
        refusals.push(Refusal { stream, sequence, error });
    }
    (left, refusals)
}
