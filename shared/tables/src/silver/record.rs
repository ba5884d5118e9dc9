//! What a silver table records of how it was made, beside its rows: how far it has ingested every stream, which
//! loads it left out, and the mappings and rules of its rows. Each is a Delta application transaction, so that it
//! changes with the rows or not at all.

use std::collections::{BTreeMap, BTreeSet};

use rcm_domain::cdm::silver_schema;
use rcm_domain::quality::Rulebook;
use rcm_model::cdm::{Entity, Mapping};
use rcm_model::event::TableCommit;
use rcm_platform::bronze::{LoadLog, Manifest};
use rcm_platform::context::Context;
use rcm_platform::error::Result;
use rcm_platform::streams;
use rcm_platform::voids::{self, Decision};
use xxhash_rust::xxh3::xxh3_64;

use super::target::Target;
use super::{Destination, PARTITION_COLUMNS};
use crate::delta::{self, Change, Table};

/// Application of the rules' fingerprint.
pub(super) const RULES: &str = "rules";
/// Application that counts how often the table was made anew.
pub(super) const REBUILDS: &str = "rebuilds";

/// Application of the fingerprint of a datasource's mapping.
pub(super) fn mapping_of(datasource: &str) -> String {
    format!("mapping:{datasource}")
}

/// Application that says, by 1, that rows of a datasource may have been hashed with other tracked columns than those of
/// the recorded mapping.
fn hashed_otherwise(datasource: &str) -> String {
    format!("hashed_otherwise:{datasource}")
}

/// Application of the loads of a stream that are left out.
fn voids_of(stream: &str) -> String {
    format!("voids:{stream}")
}

/// Fingerprint of what a mapping says of an entity: another one if rows may come out otherwise.
pub(super) fn mapping_fingerprint(mapping: &Mapping, entity: &Entity) -> i64 {
    number(mapping.canonical(entity))
}

/// Fingerprint of the rules that keep rows out of the table.
pub(super) fn rules_fingerprint(rulebook: &Rulebook) -> i64 {
    number(&rulebook.canonical_errors())
}

fn number(text: &str) -> i64 {
    (xxh3_64(text.as_bytes()) & i64::MAX.unsigned_abs()) as i64
}

/// The loads of an entity's streams that are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Voids {
    /// Numbers of the voided loads, of every stream.
    by_stream: BTreeMap<String, Vec<u64>>,
    /// Whether anything was ever decided about a load, be it taken back since.
    pub has_decisions: bool,
}

impl Voids {
    /// Reads what was decided about the loads of an entity's streams.
    ///
    /// # Errors
    /// The store fails, or a decision cannot be read.
    pub(super) async fn read(context: &Context, entity: &Entity) -> Result<Self> {
        let mut voids = Self { by_stream: BTreeMap::new(), has_decisions: false };
        for stream in streams::of_entity(context, entity).await? {
            let decisions = voids::decisions(&context.lake, &stream).await?;
            voids.has_decisions |= !decisions.is_empty();
            let voided = decisions.into_iter().filter(|(_, mark)| mark.decision == Decision::Void);
            voids.by_stream.insert(stream, voided.map(|(load, _)| load).collect());
        }
        Ok(voids)
    }

    /// Every stream, and the numbers of its voided loads.
    pub(super) fn streams(&self) -> impl Iterator<Item = (&String, &Vec<u64>)> {
        self.by_stream.iter()
    }

    /// As [`Voids::streams`], by value.
    pub(super) fn into_streams(self) -> impl Iterator<Item = (String, Vec<u64>)> {
        self.by_stream.into_iter()
    }

    fn of(&self, stream: &str) -> Vec<u64> {
        self.by_stream.get(stream).cloned().unwrap_or_default()
    }
}

/// A stream of an entity, held against its table.
#[derive(Debug, Clone)]
pub(super) struct StreamState {
    pub stream: String,
    /// Number of the last load that the table has; 0 if it has none.
    pub taken: u64,
    /// Whether that number was found in what version 0.1 recorded, and is to be recorded under the stream's own name.
    pub is_carried: bool,
    /// Loads after it that are not voided.
    pub waiting: Vec<Manifest>,
    /// Numbers of the voided loads.
    pub voided: Vec<u64>,
    /// Numbers of loads after it that were moved to the streams of their datasources.
    moved: Vec<u64>,
    /// What the table records of the loads that it left out.
    recorded_voids: i64,
}

impl StreamState {
    /// Reads what a table has of every configured stream of its entity.
    ///
    /// # Errors
    /// The store fails, or a log cannot be read.
    pub(super) async fn all(
        context: &Context,
        entity: &'static Entity,
        table: Option<&Table>,
        voids: &Voids,
    ) -> Result<Vec<Self>> {
        let mut states = Vec::new();
        for stream in context.settings.streams_of(entity) {
            let voided = voids.of(&stream.name);
            states.push(Self::read(context, entity, table, stream.name.clone(), voided).await?);
        }
        Ok(states)
    }

    /// Reads what a table has of a stream, of which some loads are voided.
    ///
    /// # Errors
    /// The store fails, or the log cannot be read.
    pub(super) async fn read(
        context: &Context,
        entity: &'static Entity,
        table: Option<&Table>,
        stream: String,
        voided: Vec<u64>,
    ) -> Result<Self> {
        let log = LoadLog::new(&context.lake, &stream);
        let Reached { taken, is_carried } = reached(context, entity, table, &stream).await?;
        let mut waiting = log.after(taken).await?;
        let moved = waiting.iter().filter(|load| load.was_moved()).map(|load| load.sequence).collect();
        waiting.retain(|load| !load.was_moved() && !voided.contains(&load.sequence));
        let recorded_voids = match table {
            Some(table) => table.transaction(&voids_of(&stream)).await?.unwrap_or(0),
            None => 0,
        };
        Ok(Self { stream, taken, is_carried, waiting, voided, moved, recorded_voids })
    }

    /// Whether the table holds what a voided load brought, or lacks what one brought that is voided no more.
    pub(super) fn has_other_voids(&self) -> bool {
        self.voids_up_to(self.taken) != self.recorded_voids
    }

    /// What is recorded of the loads left out by a table that has ingested the stream up to a load.
    fn voids_up_to(&self, taken: u64) -> i64 {
        let voided: Vec<String> = self.voided.iter().filter(|load| **load <= taken).map(ToString::to_string).collect();
        if voided.is_empty() { 0 } else { number(&voided.join(",")) }
    }

    /// What is recorded of the stream when it is ingested up to a load. Where the table has rows of a voided load,
    /// or lacks those of one that counts again, only a rebuild settles it.
    pub(super) fn record(&self, taken: u64) -> Vec<(String, i64)> {
        let voids = if self.has_other_voids() { self.recorded_voids } else { self.voids_up_to(taken) };
        self.record_with(taken, voids)
    }

    /// What a table that was made anew without the voided loads records in place of this one.
    pub(super) fn record_anew(&self, taken: u64) -> Vec<(String, i64)> {
        self.record_with(taken, self.voids_up_to(taken))
    }

    fn record_with(&self, taken: u64, voids: i64) -> Vec<(String, i64)> {
        let own = (self.stream.clone(), taken as i64);
        let voids = (voids != self.recorded_voids).then(|| (voids_of(&self.stream), voids));
        std::iter::once(own).chain(voids).collect()
    }

    /// How far the stream is ingested if it is so up to a load, and what follows is voided or moved.
    pub(super) fn past_voided(&self, taken: u64) -> u64 {
        let next_waiting = self.waiting.iter().map(|load| load.sequence).find(|sequence| *sequence > taken);
        let last_voided =
            self.voided.iter().chain(&self.moved).filter(|load| next_waiting.is_none_or(|next| **load < next)).max();
        last_voided.map_or(taken, |last| taken.max(*last))
    }
}

/// Datasources of the loads of a stream.
pub(super) async fn datasources_of(context: &Context, stream: &str) -> Result<BTreeSet<String>> {
    let loads = LoadLog::new(&context.lake, stream).after(0).await?.into_iter();
    Ok(loads.filter(|load| !load.was_moved()).map(|load| load.datasource).collect())
}

/// Number of the last load of a stream that its entity's table has; 0 if it has none.
///
/// # Errors
/// The store fails, or a log cannot be read.
pub async fn taken_of(context: &Context, entity: &'static Entity, stream: &str) -> Result<u64> {
    let table = Table::open(&context.lake, &Target::of(entity).silver).await?;
    Ok(reached(context, entity, table.as_ref(), stream).await?.taken)
}

/// Number of the last load of a stream that a table of an entity has; 0 if it has none.
///
/// # Errors
/// The store fails, or a log cannot be read.
pub(super) async fn taken_by(context: &Context, entity: &'static Entity, table: &Table, stream: &str) -> Result<u64> {
    Ok(reached(context, entity, Some(table), stream).await?.taken)
}

/// What a table records that has no load of a stream, so that all of them wait once the stream is configured.
pub(super) fn never_taken(stream: &str) -> [(String, i64); 2] {
    [(stream.to_owned(), 0), (voids_of(stream), 0)]
}

/// How far a table has ingested a stream.
#[derive(Debug, Clone, Copy, Default)]
struct Reached {
    /// Number of the last load that the table has; 0 if it has none.
    taken: u64,
    /// Whether that number was found in what version 0.1 recorded, under the name of the stream that the landed files
    /// of all datasources shared.
    is_carried: bool,
}

async fn reached(context: &Context, entity: &'static Entity, table: Option<&Table>, stream: &str) -> Result<Reached> {
    let Some(table) = table else { return Ok(Reached::default()) };
    if let Some(taken) = table.transaction(stream).await? {
        return Ok(Reached { taken: taken.unsigned_abs(), is_carried: false });
    }
    // Version 0.1 recorded nothing in a table that a rebuild makes.
    if table.path() != Target::of(entity).silver || !streams::is_landed(entity.name, stream) {
        return Ok(Reached::default());
    }
    let Some(shared) = table.transaction(entity.name).await? else { return Ok(Reached::default()) };
    let loads = LoadLog::new(&context.lake, stream).after(0).await?;
    let was_taken = |load: &&Manifest| load.moved_from.is_some_and(|sequence| sequence <= shared.unsigned_abs());
    let taken = loads.iter().take_while(was_taken).count() as u64;
    // Recorded even where it is 0: the number of the shared stream goes on with the registries' loads.
    Ok(Reached { taken, is_carried: !loads.is_empty() })
}

/// Fingerprints of today's mappings of some datasources, and of the rules.
pub(super) fn fingerprints<'a>(
    context: &Context,
    entity: &Entity,
    rulebook: &Rulebook,
    datasources: impl Iterator<Item = &'a str>,
) -> BTreeMap<String, i64> {
    let mut fingerprints = BTreeMap::from([(RULES.to_owned(), rules_fingerprint(rulebook))]);
    for datasource in datasources {
        if let Ok(mapping) = context.settings.mapping(datasource) {
            fingerprints.insert(mapping_of(datasource), mapping_fingerprint(mapping, entity));
        }
    }
    fingerprints
}

/// The fingerprints that a commit of loads records: of their datasources and the rules, those that the table lacks;
/// of a table of version 0.1, which records none, those of every datasource that it has rows of. One that the table
/// records otherwise stays as it is: rows of before are in the table.
///
/// # Errors
/// The store fails, or a log cannot be read.
pub(super) async fn unrecorded(
    context: &Context,
    destination: &Destination<'_>,
    loads: &[Manifest],
) -> Result<Vec<(String, i64)>> {
    let Destination { target, table, states, rulebook, .. } = *destination;
    let mut datasources: BTreeSet<String> = loads.iter().map(|load| load.datasource.clone()).collect();
    let is_of_before = match table {
        Some(table) => is_of_before(table).await?,
        None => false,
    };
    for state in states.iter().filter(|state| is_of_before && state.taken > 0) {
        datasources.extend(datasources_of(context, &state.stream).await?);
    }
    let mut unrecorded = fingerprints(context, target.entity, rulebook, datasources.iter().map(String::as_str));
    if let Some(table) = table {
        for application in unrecorded.clone().into_keys() {
            if table.transaction(&application).await?.is_some() {
                unrecorded.remove(&application);
            }
        }
        for datasource in &datasources {
            let mark = hashed_otherwise(datasource);
            let is_marked = table.transaction(&mark).await? == Some(1);
            if !is_marked && may_hash_otherwise(context, target.entity, table, datasource).await? {
                unrecorded.insert(mark, 1);
            }
        }
    }
    Ok(unrecorded.into_iter().collect())
}

/// Whether rows of a datasource in a table may have been hashed with other tracked columns than those of today's
/// mapping: it has rows of another mapping, or had when another version of the product made it.
///
/// # Errors
/// The log cannot be read.
pub(super) async fn may_hash_otherwise(
    context: &Context,
    entity: &Entity,
    table: &Table,
    datasource: &str,
) -> Result<bool> {
    if table.transaction(&hashed_otherwise(datasource)).await? == Some(1) {
        return Ok(true);
    }
    let Ok(mapping) = context.settings.mapping(datasource) else { return Ok(false) };
    let recorded = table.transaction(&mapping_of(datasource)).await?;
    Ok(match recorded {
        Some(recorded) => recorded != mapping_fingerprint(mapping, entity),
        None => is_of_before(table).await?,
    })
}

/// What a table records that was made anew with today's mappings, of those marks that it has.
///
/// # Errors
/// The log cannot be read.
pub(super) async fn hashed_alike(context: &Context, table: &Table) -> Result<Vec<(String, i64)>> {
    let mut marks = Vec::new();
    for mapping in context.settings.mappings() {
        let mark = hashed_otherwise(&mapping.datasource);
        if table.transaction(&mark).await? == Some(1) {
            marks.push((mark, 0));
        }
    }
    Ok(marks)
}

/// Whether a table was made by version 0.1, and not changed since.
///
/// # Errors
/// The log cannot be read.
pub(super) async fn is_of_before(table: &Table) -> Result<bool> {
    Ok(table.transaction(RULES).await?.is_none())
}

/// Writes down, in a commit that changes no row, what a table of version 0.1 does not record: from then on a change
/// of its mappings and rules is noticed.
///
/// # Errors
/// The store fails, or another run commits.
pub(super) async fn note(context: &Context, destination: &Destination<'_>) -> Result<TableCommit> {
    let Destination { target, table, states, run_id, .. } = *destination;
    let mut transactions = unrecorded(context, destination, &[]).await?;
    let carried = states.iter().filter(|state| state.is_carried);
    transactions.extend(carried.flat_map(|state| state.record(state.taken)));
    let schema = silver_schema(target.entity);
    let change = Change {
        schema: &schema,
        partition_by: &PARTITION_COLUMNS,
        properties: &[],
        add: Vec::new(),
        remove: Vec::new(),
        transactions,
        run_id,
    };
    let committed = delta::commit(&context.lake, &target.silver, table, change).await?;
    Ok(TableCommit { table: target.silver.clone(), version: committed.version, rows: 0 })
}

/// Those fingerprints that a table records otherwise.
///
/// # Errors
/// The log cannot be read.
pub(super) async fn outdated(table: &Table, fingerprints: BTreeMap<String, i64>) -> Result<Vec<String>> {
    let mut outdated = Vec::new();
    for (application, fingerprint) in fingerprints {
        if table.transaction(&application).await?.is_some_and(|recorded| recorded != fingerprint) {
            outdated.push(application);
        }
    }
    Ok(outdated)
}
