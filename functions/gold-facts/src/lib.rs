//! Silver → the facts: what holds now, with the keys of the versions that were valid on its day.
//!
//! [`handle`] says which are due; [`rcm_domain::gold::fact`] says what is in one.

use polars::prelude::*;
use rcm_domain::gold::control::{self, Totals};
use rcm_domain::gold::fact::{LOOKUPS, timeline};
use rcm_domain::gold::{Dimension, FACTS, Fact};
use rcm_model::cdm::Entity;
use rcm_model::event::{ControlCheck, StageInput, StageReport};
use rcm_platform::stage::{self, Failure, Work};
use rcm_platform::{Context, StageError, lake};
use rcm_tables::frames::blocking;
use rcm_tables::gold::{
    SUBJECT, Tables, Target, collect_results, parents_of, record_of_zones, reference_counts, retry_on_conflict, zones,
};
use rcm_tables::rulebooks::Rulebooks;

/// Rebuilds the facts whose silver table or dimensions have changed. A fact without a silver table
/// is not made.
///
/// # Errors
/// `ControlCheckFailed` if a fact would not have the rows and sums of current silver; the others
/// are committed.
pub async fn handle(context: Context, input: StageInput) -> Result<StageReport, StageError> {
    let work = retry_on_conflict(|| rebuild(&context, &input.run_id));
    stage::report(&context, "gold-facts", &input.run_id, SUBJECT, work).await
}

async fn rebuild(context: &Context, run_id: &str) -> Result<Work, Failure> {
    let rulebooks = Rulebooks::read(&context.lake).await?;
    let facts = Tables::open(&context.lake, FACTS.iter().map(|fact| lake::gold(fact.table))).await?;
    let dimensions = LOOKUPS.iter().map(|dimension| lake::gold(dimension.table));
    let parents = FACTS.iter().flat_map(|fact| parents_of(&rulebooks, fact.entity));
    let silver = FACTS.iter().map(|fact| lake::silver(fact.entity.name));
    let sources = Tables::open(&context.lake, silver.chain(dimensions).chain(parents)).await?;
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
    let days = Days { timelines: timelines(&sources).await?, zones };
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
#[derive(Clone)]
struct Days {
    timelines: [DataFrame; 3],
    /// Of the datasources whose days are not those of UTC.
    zones: Vec<(String, TimeZone)>,
}

/// The timelines of the dimensions. They are read from gold, so that a fact never points to a
/// version that its reader does not find.
async fn timelines(sources: &Tables) -> Result<[DataFrame; 3], StageError> {
    let [patient, provider, department] = LOOKUPS;
    Ok([
        timeline_of(patient, sources).await?,
        timeline_of(provider, sources).await?,
        timeline_of(department, sources).await?,
    ])
}

async fn timeline_of(dimension: &'static Dimension, sources: &Tables) -> Result<DataFrame, StageError> {
    let versions = sources.scan(&lake::gold(dimension.table)).await?;
    let versions = versions.unwrap_or_else(|| DataFrame::empty_with_schema(&dimension.schema()).lazy());
    blocking(move || Ok(timeline(dimension, versions)?)).await
}

async fn rebuild_fact(
    rulebooks: &Rulebooks,
    fact: &'static Fact,
    target: Target<'_>,
    sources: &Tables,
    days: &Days,
) -> Result<Work, StageError> {
    let source = lake::silver(fact.entity.name);
    let (mut files, mut figures) = (Vec::new(), Figures::default());
    if let Some(silver) = sources.get(&source) {
        for bucket in sources.current_buckets(&source) {
            let rows = silver.scan(&bucket).await?;
            let days = days.clone();
            let (part, found) = blocking(move || build(fact, rows, &days)).await?;
            figures = figures.and(found);
            files.extend(target.write(&part, &[]).await?);
        }
    }
    let mut work = Work {
        checks: figures.checks(target.path(), fact.entity),
        rules: reference_counts(rulebooks, fact.entity, sources).await?,
        ..Work::default()
    };
    if control::failures(&work.checks).is_none() {
        work.commits.push(target.overwrite(&fact.schema(), files).await?);
    }
    Ok(work)
}

/// Figures of a fact and of the silver rows it was made from.
#[derive(Default)]
struct Figures {
    silver: Totals,
    fact: Totals,
    duplicate_keys: u64,
    duplicate_versions: u64,
}

impl Figures {
    fn and(self, more: Self) -> Self {
        Self {
            silver: self.silver.and(more.silver),
            fact: self.fact.and(more.fact),
            duplicate_keys: self.duplicate_keys + more.duplicate_keys,
            duplicate_versions: self.duplicate_versions + more.duplicate_versions,
        }
    }

    fn checks(&self, path: &str, entity: &Entity) -> Vec<ControlCheck> {
        let mut checks = control::fact_equals_silver(path, entity, &self.silver, &self.fact);
        checks.push(control::no_duplicates(path, &[entity.key], self.duplicate_keys));
        checks.push(control::no_duplicates(path, &[entity.surrogate], self.duplicate_versions));
        checks
    }
}

/// The rows of one bucket; no key is in two.
fn build(fact: &Fact, rows: LazyFrame, days: &Days) -> Result<(DataFrame, Figures), StageError> {
    let entity = fact.entity;
    let silver = Totals::of_silver(rows.clone(), entity)?;
    let part = fact.build(rows, &days.timelines, &days.zones)?;
    let figures = Figures {
        silver,
        fact: Totals::of(part.clone().lazy(), entity)?,
        duplicate_keys: control::duplicates(&part, &[entity.key])?,
        duplicate_versions: control::duplicates(&part, &[entity.surrogate])?,
    };
    Ok((part, figures))
}
