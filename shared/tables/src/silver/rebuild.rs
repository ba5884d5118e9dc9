//! A silver table made anew from all loads in bronze.
//!
//! The loads are taken into a table of its own, in a folder `rebuild-<number>-<what it is made with>` below the one
//! of the entity, with the code of every other run. When it has all of them, one commit replaces the files of the
//! entity's table by its files. Until then readers see the old table. A rebuild that broke off is resumed: its
//! table says how far it came.

use std::fmt::Write;

use chrono::TimeDelta;
use object_store::ObjectMeta;
use rcm_domain::cdm::silver_schema;
use rcm_domain::quality::Rulebook;
use rcm_model::cdm::Entity;
use rcm_model::event::TableCommit;
use rcm_platform::bronze::{LoadLog, Manifest};
use rcm_platform::context::Context;
use rcm_platform::error::{Result, StageError};
use rcm_platform::stage::{Failure, Work};
use tracing::warn;
use xxhash_rust::xxh3::xxh3_64;

use super::batch_rows::Refusal;
use super::corrections;
use super::ingest::{Ingest, Taken};
use super::lost::{self, Lost};
use super::record::{self, REBUILDS, StreamState, Voids};
use super::target::Target;
use super::{BUCKETS_PROPERTY, PARTITION_COLUMNS, buckets};
use crate::delta::{self, Change, Conflicts, NewFile, Table};
use crate::desk::Decisions;
use crate::quarantine;
use crate::rulebooks::Rulebooks;

/// Raised when the code makes other rows of the same loads, so that a table of before is not gone on with.
const MAKING: u32 = 2;
/// How names of folders begin that rebuilds work in.
const FOLDER: &str = "rebuild-";
/// Days after which a rebuild that broke off is begun anew: vacuum takes its files for leftovers after some more.
const RESUMED_WITHIN_DAYS: i64 = 14;

/// What a table is made anew because of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// Somebody asked for it.
    Asked {
        /// Whether rows that the configuration no longer names a source of are left out.
        force: bool,
    },
    /// A load was voided whose rows the table has, or one is voided no more whose rows it lacks.
    Voids,
}

/// Why an entity's table has to be made anew without being asked; none if it need not be.
///
/// # Errors
/// The store fails, or a log cannot be read.
pub(super) async fn cause(context: &Context, entity: &'static Entity, voids: &Voids) -> Result<Option<Cause>> {
    if !voids.has_decisions {
        return Ok(None);
    }
    let Some(table) = Table::open(&context.lake, &Target::of(entity).silver).await? else { return Ok(None) };
    for (stream, voided) in voids.streams() {
        let state = StreamState::read(context, entity, Some(&table), stream.clone(), voided.clone()).await?;
        if state.has_other_voids() {
            return Ok(Some(Cause::Voids));
        }
    }
    Ok(None)
}

/// Makes an entity's table anew from all loads that are not voided, and replaces it in one commit.
///
/// # Errors
/// A load that the table has cannot be ingested: the table stays as it is. The store fails: the next call goes on
/// from where this one came to.
pub(super) async fn rebuild(
    context: &Context,
    entity: &'static Entity,
    run_id: &str,
    cause: Cause,
) -> std::result::Result<Work, Failure> {
    let own = Target::of(entity);
    let rulebook = Rulebooks::read(&context.lake).await?.of(entity);
    let mut work = Work::default();
    let mut conflicts = Conflicts::default();
    loop {
        let Some(table) = Table::open(&context.lake, &own.silver).await? else {
            work.notes.push(format!("`{}` is not there yet: there is nothing to make anew", own.silver));
            return Ok(work);
        };
        let voids = Voids::read(context, entity).await?;
        let rebuild = Rebuild { context, own: &own, table: &table, rulebook: &rulebook, voids: &voids, run_id };
        let lost = lost::find(context, entity, &table, &voids).await?;
        if !lost.is_empty() && cause != (Cause::Asked { force: true }) {
            return Err(Failure { error: lost.refusal(entity), work });
        }
        let folder = rebuild.folder().await?;
        rebuild.sweep(&folder).await;
        let staging = Target::of_rebuild(entity, &folder);
        let taken = match Ingest::new(context, &staging, &voids, run_id).run().await {
            Ok(taken) => taken,
            Err(Failure { error, work: done }) => {
                work.add(done);
                return Err(Failure { error, work });
            }
        };
        let Taken { work: done, refusals } = taken;
        work.add(Work { commits: Vec::new(), ..done });
        match rebuild.replace(&staging, &folder, &refusals, &lost).await {
            Ok(Replaced { commits, open_gone }) => {
                work.commits.extend(commits);
                work.notes.push(match cause {
                    Cause::Asked { .. } => format!("`{}` was made anew from bronze", own.silver),
                    Cause::Voids => format!("`{}` was made anew: loads were voided, or are voided no more", own.silver),
                });
                work.notes.extend(lost.note(entity));
                if open_gone > 0 {
                    let note = "rows that left quarantine, since they pass or their load is voided";
                    work.notes.push(format!("{note}: {open_gone}"));
                }
                return Ok(work);
            }
            Err(error) if conflicts.may_retry(&error).await => {}
            Err(error) => return Err(Failure { error, work }),
        }
    }
}

/// A table that is made anew.
struct Rebuild<'a> {
    context: &'a Context,
    own: &'a Target,
    /// As it is before.
    table: &'a Table,
    rulebook: &'a Rulebook,
    voids: &'a Voids,
    run_id: &'a str,
}

/// What replacing a table came to.
struct Replaced {
    commits: Vec<TableCommit>,
    /// Open rows of the quarantine table that are in it no more.
    open_gone: u64,
}

impl Rebuild<'_> {
    async fn rebuilds(&self) -> Result<i64> {
        Ok(self.table.transaction(REBUILDS).await?.unwrap_or(0))
    }

    /// The folder of the next rebuild with the mappings, rules and voided loads of today.
    async fn folder(&self) -> Result<String> {
        let Self { context, own, rulebook, .. } = self;
        let decisions = Decisions::of(context, own.entity.name).last_number().await?;
        let datasources = context.settings.mappings().map(|mapping| mapping.datasource.as_str());
        let mut made_with = format!(
            "{MAKING} {} {:?} {:?}",
            context.settings.sources.silver.buckets(own.entity.name),
            own.entity.tracked.iter().map(|column| column.name).collect::<Vec<_>>(),
            record::fingerprints(context, own.entity, rulebook, datasources)
        );
        if decisions > 0 {
            // What was decided about rows in quarantine meanwhile may leave others out.
            _ = write!(made_with, "\ndecisions {decisions}");
        }
        for (stream, voided) in self.voids.streams() {
            _ = write!(made_with, "\n{stream} {voided:?}");
        }
        for stream in context.settings.streams_of(own.entity) {
            _ = write!(made_with, "\n{}", stream.name);
        }
        Ok(format!("{FOLDER}{}-{:016x}", self.rebuilds().await? + 1, xxh3_64(made_with.as_bytes())))
    }

    /// Removes what rebuilds left that nobody goes on with, and this one if it broke off long ago. What cannot be
    /// removed is left to vacuum.
    async fn sweep(&self, folder: &str) {
        if let Err(error) = self.try_sweep(folder).await {
            warn!(error = error.name(), message = %error, "leftovers of rebuilds are not removed");
        }
    }

    async fn try_sweep(&self, folder: &str) -> Result<()> {
        let Self { context, own, .. } = self;
        let done = self.rebuilds().await?;
        for name in context.lake.folders(&own.silver).await? {
            let number = name.strip_prefix(FOLDER).and_then(|rest| rest.split('-').next()?.parse::<i64>().ok());
            let Some(number) = number else { continue };
            let below = format!("{}/{name}", own.silver);
            let is_old = self.is_old(&below).await?;
            if number <= done {
                remove(context, &format!("{below}/_delta_log"), |_| true).await?;
                remove(context, &format!("{}/{name}", own.quarantine), |_| true).await?;
            } else if is_old || name != folder && self.is_idle(&below).await? {
                remove(context, &below, |_| true).await?;
                remove(context, &format!("{}/{name}", own.quarantine), |_| true).await?;
            }
        }
        Ok(())
    }

    /// Whether a rebuild was begun so long ago that vacuum may soon take its first files for leftovers.
    async fn is_old(&self, path: &str) -> Result<bool> {
        let first = self.context.lake.list(path).await?.iter().map(|meta| meta.last_modified).min();
        Ok(first.is_some_and(|first| self.context.now() - first > TimeDelta::days(RESUMED_WITHIN_DAYS)))
    }

    /// Whether nobody has written there for a day: until then another run may be at work.
    async fn is_idle(&self, path: &str) -> Result<bool> {
        let last = self.context.lake.list(path).await?.iter().map(|meta| meta.last_modified).max();
        Ok(last.is_none_or(|last| self.context.now() - last > TimeDelta::days(1)))
    }

    /// Loads that correct rows, and are not voided.
    async fn corrections(&self) -> Result<Vec<Manifest>> {
        let mut corrections = Vec::new();
        for (stream, voided) in self.voids.streams() {
            let loads = LoadLog::new(&self.context.lake, stream).after(0).await?.into_iter();
            corrections.extend(loads.filter(|load| load.is_correction() && !voided.contains(&load.sequence)));
        }
        Ok(corrections)
    }

    /// Replaces the rows of the entity's tables by those of the ones that were made anew.
    async fn replace(&self, staging: &Target, folder: &str, refusals: &[Refusal], lost: &Lost) -> Result<Replaced> {
        let Self { context, own, table, rulebook, voids, run_id } = *self;
        if Voids::read(context, own.entity).await? != *voids {
            // Something was decided while the table was made: it begins anew, in another folder.
            return Err(StageError::commit_conflict(format!("loads of `{}` were voided meanwhile", own.silver)));
        }
        let staged = Table::open(&context.lake, &staging.silver).await?;
        let mut transactions = vec![(REBUILDS.to_owned(), self.rebuilds().await? + 1)];
        transactions.extend(lost.streams.iter().flat_map(|stream| record::never_taken(stream)));
        for (stream, voided) in voids.streams().filter(|(stream, _)| !lost.streams.contains(*stream)) {
            let read = |table| StreamState::read(context, own.entity, table, stream.clone(), voided.clone());
            let (made, before) = (read(staged.as_ref()).await?, read(Some(table)).await?);
            let reached = made.past_voided(made.taken);
            if reached >= before.taken {
                transactions.extend(before.record_anew(reached).into_iter().filter(|_| reached > 0));
                continue;
            }
            // A run has taken more into the table meanwhile: it is read again.
            let Some(refusal) = refusals.iter().find(|refusal| refusal.stream == *stream) else {
                return Err(StageError::commit_conflict(format!("`{stream}` was gone on with meanwhile")));
            };
            let message = format!(
                "`{}` is not made anew and stays as it is: load {} of `{stream}`, which it has, cannot be taken in \
                 today: {}",
                own.silver,
                reached + 1,
                refusal.error
            );
            return Err(StageError::threshold_exceeded(message));
        }
        let datasources = context.settings.mappings().map(|mapping| mapping.datasource.as_str());
        transactions.extend(record::fingerprints(context, own.entity, rulebook, datasources));
        transactions.extend(record::hashed_alike(context, table).await?);
        let entries = Table::open_with(&context.lake, &staging.quarantine, &quarantine::schema()).await?;
        let corrections = self.corrections().await?;
        let corrected = corrections.iter().filter_map(|load| load.correction.as_ref());
        let corrected: Vec<String> = corrected.flat_map(|correction| correction.fingerprints.clone()).collect();
        let replaced = quarantine::replace(context, &own.quarantine, entries.as_ref(), &corrected, run_id).await?;
        let settled =
            corrections::settle_all(context, &own.quarantine, &corrections, entries.as_ref(), rulebook, run_id).await?;
        let files = staged.as_ref().map_or(&[][..], Table::files);
        let add: Vec<NewFile> = files.iter().map(|file| NewFile::below(folder, file)).collect();
        let rows = add.iter().map(|file| file.rows).sum();
        let kept: Vec<String> = files.iter().map(|file| format!("{}/{}", staging.silver, file.path())).collect();
        let buckets = buckets(context, own.entity, staged.as_ref(), 0)?;
        let change = Change {
            schema: &silver_schema(own.entity),
            partition_by: &PARTITION_COLUMNS,
            properties: &[(BUCKETS_PROPERTY, buckets.to_string())],
            add,
            remove: table.files().to_vec(),
            transactions,
            run_id,
        };
        let committed = delta::commit_anew(&context.lake, &own.silver, table, change).await?;
        let swept = async {
            remove(context, &staging.silver, |meta| !kept.iter().any(|key| key == meta.location.as_ref())).await?;
            remove(context, &staging.quarantine, |_| true).await
        };
        if let Err(error) = swept.await {
            warn!(error = error.name(), message = %error, "what a rebuild needs no more is not removed");
        }
        let own_commit = TableCommit { table: own.silver.clone(), version: committed.version, rows };
        let commits = replaced.commit.into_iter().chain(settled).chain([own_commit]).collect();
        Ok(Replaced { commits, open_gone: replaced.open_gone })
    }
}

async fn remove(context: &Context, below: &str, unwanted: impl Fn(&ObjectMeta) -> bool) -> Result<()> {
    let listed = context.lake.list(below).await?.into_iter().filter(|meta| unwanted(meta));
    context.lake.delete_all(listed.map(|meta| String::from(meta.location)).collect()).await
}
