//! Silver → the dimensions: every version of every key, and the calendar.
//!
//! [`handle`] says which are due; [`rcm_domain::gold::dimension`] says what is in one.

use polars::prelude::*;
use rcm_domain::cdm::silver_schema;
use rcm_domain::gold::{DIMENSIONS, Dimension, FACTS, control, date};
use rcm_model::event::{StageInput, StageReport};
use rcm_platform::stage::{self, Failure, Work};
use rcm_platform::{Context, StageError, lake};
use rcm_tables::frames::blocking;
use rcm_tables::gold::{
    Due, SUBJECT, Tables, Target, collect_results, parents_of, reference_counts, retry_on_conflict,
};
use rcm_tables::rulebooks::Rulebooks;

/// Rebuilds the dimensions whose silver tables have changed. A dimension without a silver table
/// holds the unknown member alone.
///
/// # Errors
/// `ControlCheckFailed` if a dimension would have a key twice; the others are committed.
pub async fn handle(context: Context, input: StageInput) -> Result<StageReport, StageError> {
    let work = retry_on_conflict(|| rebuild(&context, &input.run_id));
    stage::report(&context, "gold-dimensions", &input.run_id, SUBJECT, work).await
}

/// What each dimension is made from, and what of that has changed since it was made. Writes nothing.
///
/// # Errors
/// A log, or the rules, cannot be read.
pub async fn due(context: &Context) -> Result<Vec<Due>, StageError> {
    let (gold, silver) = open(context).await?;
    let rulebooks = Rulebooks::read(&context.lake).await?;
    let mut due = Vec::new();
    for dimension in DIMENSIONS {
        let made_from = made_from(dimension, &rulebooks, &silver);
        due.push(Target::new(context, "", &gold, lake::gold(dimension.table), made_from).due().await?);
    }
    due.push(Target::new(context, "", &gold, lake::gold(date::TABLE), dates_made_from(&silver)).due().await?);
    Ok(due)
}

/// Opens the dimensions, then what they are made from.
async fn open(context: &Context) -> Result<(Tables, Tables), StageError> {
    let tables = DIMENSIONS.iter().map(|dimension| dimension.table).chain([date::TABLE]);
    let gold = Tables::open(&context.lake, tables.map(lake::gold)).await?;
    let entities = DIMENSIONS.iter().map(|dimension| dimension.entity).chain(FACTS.iter().map(|fact| fact.entity));
    let silver = Tables::open(&context.lake, entities.map(|entity| lake::silver(entity.name))).await?;
    Ok((gold, silver))
}

/// What the commit of a dimension records.
fn made_from(dimension: &Dimension, rulebooks: &Rulebooks, silver: &Tables) -> Vec<(String, i64)> {
    let source = lake::silver(dimension.entity.name);
    let registry = dimension.registry.map(|registry| lake::silver(registry.name));
    let paths = std::iter::once(source).chain(parents_of(rulebooks, dimension.entity)).chain(registry);
    paths.map(|path| silver.made_from(&path)).collect()
}

/// What the commit of the calendar records.
fn dates_made_from(silver: &Tables) -> Vec<(String, i64)> {
    FACTS.iter().map(|fact| silver.made_from(&lake::silver(fact.entity.name))).collect()
}

async fn rebuild(context: &Context, run_id: &str) -> Result<Work, Failure> {
    let (gold, silver) = open(context).await?;
    let rulebooks = Rulebooks::read(&context.lake).await?;
    let mut done = Vec::new();
    for dimension in DIMENSIONS {
        done.push(rebuild_dimension(context, run_id, dimension, &rulebooks, (&gold, &silver)).await);
    }
    done.push(rebuild_dates(context, run_id, &gold, &silver).await);
    collect_results(done)
}

async fn rebuild_dimension(
    context: &Context,
    run_id: &str,
    dimension: &'static Dimension,
    rulebooks: &Rulebooks,
    (gold, silver): (&Tables, &Tables),
) -> Result<Work, StageError> {
    let entity = dimension.entity;
    let source = lake::silver(entity.name);
    let registry = dimension.registry.map(|registry| lake::silver(registry.name));
    let made_from = made_from(dimension, rulebooks, silver);
    let target = Target::new(context, run_id, gold, lake::gold(dimension.table), made_from);
    if !target.is_due().await? {
        return Ok(Work::default());
    }
    let versions = silver.scan(&source).await?;
    let versions = versions.unwrap_or_else(|| DataFrame::empty_with_schema(&silver_schema(entity)).lazy());
    let registry = match registry {
        Some(registry) => silver.scan_current(&registry).await?,
        None => None,
    };
    let path = target.path().to_owned();
    let (rows, checks) = blocking(move || {
        let rows = dimension.build(versions, registry)?;
        let current = rows.clone().lazy().filter(col("is_current")).select([col(entity.key)]).collect()?;
        let versions = control::duplicates(&rows, &[entity.surrogate])?;
        let members = control::duplicates(&current, &[entity.key])?;
        let checks = vec![
            control::no_duplicates(&path, &[entity.surrogate], versions),
            control::no_duplicates(&path, &[entity.key, "is_current"], members),
        ];
        Ok((rows, checks))
    })
    .await?;
    let mut work = Work { checks, rules: reference_counts(rulebooks, entity, silver).await?, ..Work::default() };
    if control::failures(&work.checks).is_none() {
        let new = target.write(&rows, &[]).await?.into_iter().collect();
        work.commits.push(target.overwrite(&dimension.schema(), new).await?);
    }
    Ok(work)
}

async fn rebuild_dates(context: &Context, run_id: &str, gold: &Tables, silver: &Tables) -> Result<Work, StageError> {
    let target = Target::new(context, run_id, gold, lake::gold(date::TABLE), dates_made_from(silver));
    if !target.is_due().await? {
        return Ok(Work::default());
    }
    let mut span = None;
    for fact in &FACTS {
        let Some(rows) = silver.scan_current(&lake::silver(fact.entity.name)).await? else { continue };
        span = date::joined(span, blocking(move || Ok(date::span(rows, fact.entity)?)).await?);
    }
    let rows = date::build(span)?;
    let duplicates = control::duplicates(&rows, &["date_sk"])?;
    let mut work =
        Work { checks: vec![control::no_duplicates(target.path(), &["date_sk"], duplicates)], ..Work::default() };
    if control::failures(&work.checks).is_none() {
        let new = target.write(&rows, &[]).await?.into_iter().collect();
        work.commits.push(target.overwrite(&date::schema(), new).await?);
    }
    Ok(work)
}
