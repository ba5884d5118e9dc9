//! Reads loads of bronze: their rows in the model's columns, checked by the rules.

mod left_out;
mod picked;
mod source;

use std::collections::HashSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::{StreamExt, stream};
use polars::prelude::*;
use rcm_domain::cdm::{UNPARSEABLE, UNREADABLE, to_model, wanted_rows};
use rcm_domain::quality::{FailedRows, LoadFacts, LoadNature, NotRun, Rulebook, assess};
use rcm_domain::scd2;
use rcm_model::cdm::{Entity, EntityMapping};
use rcm_model::event::{LoadProfile, RuleCount, Severity};
use rcm_platform::bronze::{MALFORMED, Manifest, POSITION};
use rcm_platform::context::Context;
use rcm_platform::error::{Result, StageError};
use serde::{Deserialize, Serialize};

use self::left_out::withheld_rows;
pub(super) use self::picked::{Pick, Picked, judge_rows, pick};
pub(super) use self::source::LoadSource;
use self::source::OpenLoad;
use super::incoming::{ByBucket, Incoming};
use super::named;
use super::nature::{Nature, is_full};
use super::portions::Portion;
use crate::frames::blocking;
use crate::quarantine::{self, Withheld};

/// Rows of a portion of a load: as many as a row group of bronze has at most.
const PORTION_ROWS: usize = 128 * 1024;
/// Portions of a load that are worked on at the same time.
const AT_ONCE: usize = 2;

/// Rows of some loads of one nature, ready to be ingested.
pub(super) struct BatchRows {
    /// The loads.
    pub loads: Vec<Manifest>,
    /// One per stream that was not read to its end.
    pub refusals: Vec<Refusal>,
    /// Good rows as events, load by load.
    pub incoming: Incoming,
    /// Rows for the quarantine table.
    pub quarantined: DataFrame,
    /// Keys that rows of full extracts name although they are in quarantine: see [`named::named_keys`].
    pub named: DataFrame,
    /// Rows per load, in the order of the loads.
    pub tallies: Vec<RowCounts>,
    pub rules: Vec<RuleCount>,
    pub profiles: Vec<LoadProfile>,
    /// Notes on the loads for people.
    pub notes: Vec<String>,
    /// Largest share of a load's rows that failed an error rule, also of a load that was refused.
    pub worst_share: Option<f64>,
}

impl BatchRows {
    /// No loads yet. `path` is that of the silver table.
    pub(super) fn new(context: &Context, path: &str) -> Self {
        Self {
            loads: Vec::new(),
            refusals: Vec::new(),
            incoming: Incoming::new(context, path),
            quarantined: DataFrame::default(),
            named: DataFrame::default(),
            tallies: Vec::new(),
            rules: Vec::new(),
            profiles: Vec::new(),
            notes: Vec::new(),
            worst_share: None,
        }
    }
}

/// A load that could not be ingested. The loads behind it in its stream wait.
pub(super) struct Refusal {
    pub stream: String,
    /// Number of the load.
    pub sequence: u64,
    pub error: StageError,
}

/// Rows of one load.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct RowCounts {
    /// Rows that the mapping's `where` leaves out; they are in none of the other numbers.
    pub left_out: u64,
    pub read: u64,
    pub quarantined: u64,
}

impl RowCounts {
    fn add(&mut self, more: Self) {
        self.left_out += more.left_out;
        self.read += more.read;
        self.quarantined += more.quarantined;
    }

    fn quarantine(self) -> Failed {
        Failed { failed: self.quarantined, checked: self.read }
    }
}

/// Place of a load among the others, and of its rows in the table.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// See [`super::order::ordinal`].
    ordinal: i64,
    /// Buckets of the table.
    buckets: u32,
}

/// What a load brings beside its good rows.
struct ReadLoad {
    named: DataFrame,
    /// Entries of the quarantine table.
    quarantined: DataFrame,
    tally: RowCounts,
    rules: Vec<RuleCount>,
    profile: LoadProfile,
    not_run: Vec<NotRun>,
    /// Columns that it has under several of their names.
    notes: Vec<String>,
}

/// A portion of a load whose rows were checked by the rules.
struct Judged {
    good: ByBucket,
    named: DataFrame,
    tally: RowCounts,
    rules: Vec<FailedRows>,
    profile: LoadProfile,
    not_run: Vec<NotRun>,
    /// Of each row that failed: `key`, `reasons` and its position. None if no row failed.
    failed: Option<DataFrame>,
}

/// Rows that were checked, and those of them that failed.
#[derive(Debug, Clone, Copy)]
struct Failed {
    failed: u64,
    checked: u64,
}

impl Failed {
    /// None if no row was checked.
    fn share(self) -> Option<f64> {
        (self.checked > 0).then(|| self.failed as f64 / self.checked as f64)
    }
}

/// The table that the rows of loads are for.
#[derive(Clone, Copy)]
pub(super) struct For<'a> {
    pub entity: &'static Entity,
    /// Path of the silver table.
    pub path: &'a str,
    pub rulebook: &'a Rulebook,
    /// Buckets of the table.
    pub buckets: u32,
}

/// Reads loads of bronze. A load that lacks what its mapping names, or of which too many rows fail, is refused: the
/// later loads of its stream are not read, those of other streams are.
///
/// # Errors
/// The store fails.
pub(super) async fn read(context: &Context, of: For<'_>, loads: Vec<Manifest>) -> Result<BatchRows> {
    let (mut named, mut quarantined) = (Vec::new(), Vec::new());
    let mut batch = BatchRows::new(context, of.path);
    let withheld = Arc::new(Withheld::read(context, of.entity).await?);
    for load in loads {
        if batch.refusals.iter().any(|refusal| refusal.stream == load.stream) {
            continue;
        }
        let outcome = match read_load(context, of, &load, &withheld, &mut batch.incoming).await {
            Ok(read) => {
                batch.rules.extend(read.rules.iter().cloned());
                let shares = batch.worst_share.into_iter().chain(read.tally.quarantine().share());
                batch.worst_share = shares.reduce(f64::max);
                check_thresholds(&read, &load, of.rulebook).map(|()| read)
            }
            Err(error) => Err(error),
        };
        match outcome {
            Ok(read) => {
                named.push(read.named.lazy());
                quarantined.push(read.quarantined.lazy());
                batch.notes.extend(notes(&load, &read.tally, &read.not_run));
                batch.notes.extend(read.notes);
                if !load.is_correction() {
                    batch.profiles.push(read.profile);
                }
                batch.tallies.push(read.tally);
                batch.loads.push(load);
            }
            Err(error) if error.is_retryable() => {
                batch.incoming.discard(context).await;
                return Err(error);
            }
            Err(error) => {
                batch.incoming.refuse(&load.load_id);
                let error = error.of_load(&load.stream, load.sequence);
                batch.refusals.push(Refusal { stream: load.stream, sequence: load.sequence, error });
            }
        }
    }
    if batch.loads.is_empty() {
        batch.incoming.discard(context).await;
        return Ok(batch);
    }
    if let Err(error) = batch.incoming.end(context).await {
        batch.incoming.discard(context).await;
        return Err(error);
    }
    let all = |frames: Vec<LazyFrame>| -> Result<DataFrame> { Ok(concat(frames, UnionArgs::default())?.collect()?) };
    (batch.quarantined, batch.named) = blocking(move || Ok((all(quarantined)?, all(named)?))).await?;
    Ok(batch)
}

/// Returns the notes on a load: rows that are left out, and rules that do not run.
fn notes(load: &Manifest, tally: &RowCounts, not_run: &[NotRun]) -> Vec<String> {
    let Manifest { stream, sequence, datasource, .. } = load;
    let mut notes = Vec::new();
    if tally.left_out > 0 {
        notes.push(format!("load {sequence} of `{stream}`: `where` leaves out {} rows", tally.left_out));
    }
    notes.extend(not_run.iter().map(|NotRun { rule, column }| {
        format!("rule `{rule}` does not run for {datasource}: its mapping has no `{column}`")
    }));
    notes
}

/// Reads a load portion by portion: its good rows go to `incoming`.
async fn read_load(
    context: &Context,
    of: For<'_>,
    load: &Manifest,
    withheld: &Arc<Withheld>,
    incoming: &mut Incoming,
) -> Result<ReadLoad> {
    let OpenLoad { files, portioning, source, rulebook, place, notes } = OpenLoad::of(context, of, load).await?;
    let mut read = ReadLoad {
        named: named::none()?,
        quarantined: DataFrame::empty_with_schema(&quarantine::schema()),
        tally: RowCounts::default(),
        rules: Vec::new(),
        profile: source.empty_profile(),
        not_run: Vec::new(),
        notes,
    };
    let mut failed_by_rule: Vec<FailedRows> = Vec::new();
    let portions = files.portions(portioning, PORTION_ROWS).into_iter();
    let judged = portions.map(|portion| {
        judge(portion, source.clone(), Arc::clone(&rulebook), place, Arc::clone(withheld), context.now())
    });
    let mut judged = stream::iter(judged).buffered(AT_ONCE);
    while let Some(of_portion) = judged.next().await {
        let (Judged { good, named, tally, rules, profile, not_run, .. }, quarantined) = of_portion?;
        incoming.push(context, good).await?;
        read.named.vstack_mut(&named)?;
        if let Some(quarantined) = quarantined {
            read.quarantined.vstack_mut(&quarantined)?;
        }
        read.tally.add(tally);
        read.profile.add(&profile);
        read.not_run = not_run;
        for of_rule in rules {
            match failed_by_rule.iter_mut().find(|known| known.rule == of_rule.rule) {
                Some(known) => known.failed += of_rule.failed,
                None => failed_by_rule.push(of_rule),
            }
        }
    }
    let checked = read.tally.read;
    let count = |of_rule: FailedRows| RuleCount {
        entity: of.entity.name.to_owned(),
        rule: of_rule.rule,
        severity: of_rule.severity,
        dimension: of_rule.dimension,
        load_id: load.load_id.clone(),
        checked,
        failed: of_rule.failed,
    };
    read.rules = failed_by_rule.into_iter().map(count).collect();
    Ok(read)
}

/// Reads a portion of a load and checks its rows by the rules; beside them the entries of the quarantine table for those
/// that failed.
async fn judge(
    portion: Portion,
    source: LoadSource,
    rulebook: Arc<Rulebook>,
    place: Place,
    withheld: Arc<Withheld>,
    now: DateTime<Utc>,
) -> Result<(Judged, Option<DataFrame>)> {
    let raw = portion.read(&source.raw_columns()).await?;
    let out = withheld_rows(&portion, &raw, &source, &withheld).await?;
    let load = Arc::clone(&source.load);
    let mut judged = blocking(move || apply_rules(raw, &source, &rulebook, place, &out)).await?;
    let Some(failed) = judged.failed.take() else { return Ok((judged, None)) };
    let raw = portion.read_all().await?;
    let quarantined = blocking(move || entries(raw, &failed, &load, now)).await?;
    Ok((judged, Some(quarantined)))
}

/// Returns the rows that the mapping's `where` takes. A record that does not fit its header stays, for the quarantine.
fn without_unwanted(raw: DataFrame, columns: &EntityMapping) -> Result<DataFrame> {
    let Some(wanted) = wanted_rows(&raw, columns)? else { return Ok(raw) };
    let malformed = raw.column(MALFORMED)?.is_not_null();
    Ok(raw.filter(&(&wanted | &malformed))?)
}

/// Returns when the rows of a load were written: the time of the extract or of the landed file, whichever is later. The
/// clock of a file's sender may be ahead.
fn time_of(load: &Manifest) -> DateTime<Utc> {
    let landed = load.source.last_modified.filter(|_| Nature::of(load) == Nature::Event);
    load.extracted_at.max(landed.unwrap_or(load.extracted_at))
}

/// Reason of a row that passes the rules and that a person has decided to leave out.
const LEFT_OUT: &str = "left_out";

/// Checks the rows of a load by the rules. Rows at the positions in `out` fail in any case.
fn apply_rules(
    raw: DataFrame,
    source: &LoadSource,
    rulebook: &Rulebook,
    place: Place,
    out: &HashSet<i64>,
) -> Result<Judged> {
    let LoadSource { entity, mapping, columns, load } = source;
    let in_load = raw.height();
    let raw = without_unwanted(raw, columns)?;
    let model = to_model(&raw, entity, mapping, columns, load.extracted_at)?;
    let profile = source.profile(&model)?;
    let records = raw.column(MALFORMED)?.str()?.clone();
    let malformed = records.is_not_null();
    let positions = raw.column(POSITION)?.i64()?.clone();
    let read = raw.height() as u64;
    // It is as large as what was made of it.
    drop(raw);
    let facts = LoadFacts {
        nature: if Nature::of(load) == Nature::Event { LoadNature::Event } else { LoadNature::Extract },
        extracted_at: time_of(load),
        columns: &source.model_columns(),
        key_headers: &source.key_headers(),
    };
    let mut assessment = assess(&model, &malformed, entity, rulebook, &facts)?;
    if !out.is_empty() {
        let is_out = |at: Option<i64>| at.is_some_and(|at| out.contains(&at));
        let reasons = assessment.reasons.iter().zip(positions.iter());
        assessment.reasons = reasons.map(|(reason, at)| reason.or(is_out(at).then_some(LEFT_OUT))).collect();
    }
    let good = assessment.reasons.is_null();
    let keys = model.column(entity.key)?.clone();

    let (rows, positions, failed) = if good.all() {
        (model, positions, None)
    } else {
        let all = df!(
            "key" => keys.as_materialized_series().clone(),
            "reasons" => assessment.reasons.into_series(),
            POSITION => positions.clone().into_series(),
        )?;
        (model.filter(&good)?, positions.filter(&good)?, Some(all.filter(&!&good)?))
    };
    let rows = rows.drop_many([UNPARSEABLE, UNREADABLE]);
    let of_load = (place.ordinal, load.load_id.as_str());
    let events = scd2::events(&rows, positions, entity, &columns.untracked(entity), of_load, place.buckets)?;
    let quarantined = failed.as_ref().map_or(0, |failed| failed.height() as u64);
    let named = match &failed {
        Some(failed) if is_full(load) => {
            named::named_keys(failed.column("key")?.str()?, &records, source, place.buckets)?
        }
        _ => named::none()?,
    };
    Ok(Judged {
        good: ByBucket::of(&events)?,
        named,
        tally: RowCounts { left_out: in_load as u64 - read, read, quarantined },
        rules: assessment.tallies,
        profile,
        not_run: assessment.not_run,
        failed,
    })
}

/// Returns the quarantine entries of rows that failed, with all columns of bronze.
fn entries(raw: DataFrame, failed: &DataFrame, load: &Manifest, now: DateTime<Utc>) -> Result<DataFrame> {
    let position = [col(POSITION)];
    let wanted = failed.clone().lazy().select([col(POSITION), col("key"), col("reasons")]);
    let rows = raw
        .lazy()
        .rename(["key", "reasons"], ["key (source)", "reasons (source)"], false)
        .join(wanted, position.clone(), position, JoinArgs::new(JoinType::Inner))
        .sort([POSITION], SortMultipleOptions::default())
        .collect()?;
    let keys = rows.column("key")?.str()?.clone();
    let reasons = rows.column("reasons")?.str()?.clone();
    quarantine::entries(&rows.drop_many(["key", "reasons"]), &keys, &reasons, load, now)
}

/// Checks that no more rows failed than the entity's rules allow.
fn check_thresholds(found: &ReadLoad, load: &Manifest, rulebook: &Rulebook) -> Result<()> {
    for count in &found.rules {
        let rule = rulebook.rules.iter().find(|rule| rule.id == count.rule);
        let Some(allowed) = rule.and_then(|rule| rule.max_failed_share) else { continue };
        let rows = Failed { failed: count.failed, checked: count.checked };
        check_share(&format!("rule `{}`", count.rule), load, rows, allowed)?;
    }
    let Some(allowed) = rulebook.quarantine_limit(found.tally.read) else { return Ok(()) };
    check_share("quarantine", load, found.tally.quarantine(), allowed)
        .map_err(|error| error.with_advice(&advice(&found.rules)))
}

/// Returns advice on a load of which too much was quarantined: the rule that most rows failed, and what to do.
fn advice(rules: &[RuleCount]) -> String {
    let errors = rules.iter().filter(|count| count.severity == Severity::Error);
    let Some(most) = errors.max_by_key(|count| count.failed) else { return String::new() };
    let RuleCount { entity, rule, failed, .. } = most;
    format!(
        "; most rows, {failed}, failed rule `{rule}`. hint: compare the load's columns with its mapping; if its rows are \
         right, correct the rule or raise max_quarantined_share in quality/{entity}.toml"
    )
}

fn check_share(what: &str, load: &Manifest, rows: Failed, allowed: f64) -> Result<()> {
    if rows.share().is_none_or(|share| share <= allowed) {
        return Ok(());
    }
    let Failed { failed, checked } = rows;
    let load_id = &load.load_id;
    let message = format!("{what} took {failed} of {checked} rows of load {load_id}; allowed is a share of {allowed}");
    Err(StageError::threshold_exceeded(message))
}
