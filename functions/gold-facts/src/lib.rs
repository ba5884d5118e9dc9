//! Silver → the facts: what holds now, with the keys of the versions that were valid on its day.
//!
//! [`handle`] says which are due; [`rcm_domain::gold::fact`] says what is in one.

mod bucket;

use std::sync::Arc;

use polars::prelude::*;
use rcm_domain::gold::control;
use rcm_domain::gold::fact::{LOOKUPS, timeline};
use rcm_domain::gold::{Dimension, FACTS, Fact, Lookup};
use rcm_model::event::{StageInput, StageReport};
use rcm_platform::stage::{self, Failure, Work};
use rcm_platform::{Context, StageError, lake};
use rcm_tables::delta::DataFile;
use rcm_tables::frames::blocking;
use rcm_tables::gold::{
    Due, SUBJECT, Tables, Target, collect_results, parents_of, record_of_zones, reference_counts, retry_on_conflict,
    two_at_once, zones,
};
use rcm_tables::rulebooks::Rulebooks;
use xxhash_rust::xxh3::xxh3_64;

use self::bucket::{FactBuckets, Made};

/// Application under which a commit records which versions of the dimensions its rows may point to.
const LOOKUPS_RECORD: &str = "rcm.lookups";

/// Makes the buckets of the facts anew of which the silver files or the versions that rows point to have changed. A fact
/// without a silver table is not made.
///
/// # Errors
/// `ControlCheckFailed` if a fact would not have the rows and sums of current silver; the others
/// are committed.
pub async fn handle(context: Context, input: StageInput) -> Result<StageReport, StageError> {
    let work = retry_on_conflict(|| rebuild(&context, &input.run_id));
    stage::report(&context, "gold-facts", &input.run_id, SUBJECT, work).await
}

/// What each fact is made from, and what of that has changed since it was made. Writes nothing.
///
/// # Errors
/// A log, or the rules, cannot be read.
pub async fn due(context: &Context) -> Result<Vec<Due>, StageError> {
    let rulebooks = Rulebooks::read(&context.lake).await?;
    let (facts, sources) = open(context, &rulebooks).await?;
    let zones = zones(context);
    let mut due = Vec::new();
    for fact in &FACTS {
        let tables = sources_of(&rulebooks, fact);
        let made_from = tables.iter().map(|path| sources.made_from(path)).chain([record_of_zones(&zones)]).collect();
        let of_fact = Target::new(context, "", &facts, lake::gold(fact.table), made_from).due().await?;
        let lacks = Some(lake::silver(fact.entity.name)).filter(|silver| sources.get(silver).is_none());
        due.push(Due { lacks: lacks.into_iter().collect(), ..of_fact });
    }
    Ok(due)
}

/// Opens the facts, then what they are made from.
async fn open(context: &Context, rulebooks: &Rulebooks) -> Result<(Tables, Tables), StageError> {
    let facts = Tables::open(&context.lake, FACTS.iter().map(|fact| lake::gold(fact.table))).await?;
    let sources = FACTS.iter().flat_map(|fact| sources_of(rulebooks, fact));
    let sources = Tables::open(&context.lake, sources).await?;
    Ok((facts, sources))
}

async fn rebuild(context: &Context, run_id: &str) -> Result<Work, Failure> {
    let rulebooks = Rulebooks::read(&context.lake).await?;
    let (facts, sources) = open(context, &rulebooks).await?;
    let zones = zones(context);
    let (mut due, mut notes) = (Vec::new(), Vec::new());
    for fact in &FACTS {
        if sources.get(&lake::silver(fact.entity.name)).is_none() {
            notes.push(format!("there is no {}: nothing has come in for it", lake::silver(fact.entity.name)));
            continue;
        }
        let tables = sources_of(&rulebooks, fact);
        let made_from = tables.iter().map(|path| sources.made_from(path)).chain([record_of_zones(&zones)]).collect();
        let target = Target::new(context, run_id, &facts, lake::gold(fact.table), made_from);
        if target.is_due().await? {
            due.push((fact, target));
        }
    }
    if due.is_empty() {
        return Ok(Work { notes, ..Work::default() });
    }
    let days = Arc::new(Days::read(&sources, zones).await?);
    let mut done = vec![Ok(Work { notes, ..Work::default() })];
    for (fact, target) in due {
        done.push(rebuild_fact(&rulebooks, fact, target, &sources, &days).await);
    }
    collect_results(done)
}

/// Tables that a fact is made from, and those that its reference rules look at.
fn sources_of(rulebooks: &Rulebooks, fact: &Fact) -> Vec<String> {
    let dimensions = LOOKUPS.iter().map(|dimension| lake::gold(dimension.table));
    std::iter::once(lake::silver(fact.entity.name))
        .chain(dimensions)
        .chain(parents_of(rulebooks, fact.entity))
        .collect()
}

/// What tells which version was valid on a row's day.
struct Days {
    lookups: [Lookup; 3],
    /// Of the datasources whose days are not those of UTC.
    zones: Vec<(String, TimeZone)>,
}

impl Days {
    /// Reads the validity periods of the dimensions. They are read from gold, so that a fact never points to a version
    /// that its reader does not find.
    async fn read(sources: &Tables, zones: Vec<(String, TimeZone)>) -> Result<Self, StageError> {
        let [patient, provider, department] = LOOKUPS;
        let lookups =
            [lookup(patient, sources).await?, lookup(provider, sources).await?, lookup(department, sources).await?];
        Ok(Self { lookups, zones })
    }

    /// What a commit records of files whose rows point to the versions of now: a hash of all versions and of the files. A
    /// table that was restored has other files.
    fn fingerprint(&self, mut files: Vec<String>) -> i64 {
        files.sort_unstable();
        let versions = self.lookups.each_ref().map(Lookup::fingerprint);
        xxh3_64(format!("{versions:?} {files:?}").as_bytes()).cast_signed()
    }
}

async fn lookup(dimension: &'static Dimension, sources: &Tables) -> Result<Lookup, StageError> {
    let versions = sources.scan(&lake::gold(dimension.table)).await?;
    let versions = versions.unwrap_or_else(|| DataFrame::empty_with_schema(&dimension.schema()).lazy());
    blocking(move || Ok(Lookup::new(&timeline(dimension, versions)?)?)).await
}

async fn rebuild_fact(
    rulebooks: &Rulebooks,
    fact: &'static Fact,
    mut target: Target<'_>,
    sources: &Tables,
    days: &Arc<Days>,
) -> Result<Work, StageError> {
    let source = lake::silver(fact.entity.name);
    let paths = |files: &[DataFile]| files.iter().map(DataFile::path).collect::<Vec<_>>();
    let of_files = days.fingerprint(paths(target.files()));
    let is_pointing_right = target.has_recorded(LOOKUPS_RECORD, of_files).await?;
    let mut made = Made::default();
    if let Some(silver) = sources.get(&source) {
        let of_fact = FactBuckets { fact, silver, target: &target, days, is_pointing_right };
        let buckets = sources.current_buckets(&source).into_iter();
        let work = buckets.map(|bucket| of_fact.make(bucket));
        made = two_at_once(work, made, |made: Made, of_bucket| async move { Ok(made.and(of_bucket)) }).await?;
    }
    let mut work = Work {
        checks: made.figures.checks(target.path(), fact.entity),
        rules: reference_counts(rulebooks, fact.entity, sources).await?,
        ..Work::default()
    };
    if control::failures(&work.checks).is_none() {
        let new = made.add.iter().map(|file| file.path().to_owned());
        let files = paths(&made.kept).into_iter().chain(new).collect();
        target.record(LOOKUPS_RECORD, days.fingerprint(files));
        work.commits.push(target.replace_buckets(&fact.table_schema(), &made.kept, made.add).await?);
    }
    Ok(work)
}
