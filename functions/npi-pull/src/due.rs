use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use rcm_model::cdm::{NPI, PROVIDERS, SourceColumn};
use rcm_model::codes::is_npi;
use rcm_platform::bronze::{self, Manifest};
use rcm_platform::bronze_file::for_each_text;
use rcm_platform::config::{self, NpiSearch};
use rcm_platform::http::npi::NUMBER;
use rcm_platform::{Context, StageError, voids};

/// The registry's loads that are young enough for their answers not to be asked for again.
pub(crate) async fn known(context: &Context, options: &config::Npi) -> Result<Vec<Manifest>, StageError> {
    let oldest: DateTime<Utc> = context.now() - TimeDelta::days(options.max_age_days.into());
    let mut loads = voids::valid_loads(&context.lake, NPI.name).await?;
    loads.retain(|load| load.extracted_at > oldest);
    Ok(loads)
}

/// The searches that no known load holds.
pub(crate) fn searches<'a>(
    options: &'a config::Npi,
    known: &[Manifest],
    source_name: impl Fn(&NpiSearch) -> String,
) -> Vec<&'a NpiSearch> {
    let is_known = |name: &str| known.iter().any(|load| load.source.name == name);
    options.searches.iter().filter(|search| !is_known(&source_name(search))).collect()
}

/// Identifiers of the providers that no known load holds, in order; none where no earlier run brought
/// providers. Those that the run itself brings come while it asks, sooner or later than the question.
pub(crate) async fn numbers(
    context: &Context,
    known: &[Manifest],
    run_id: &str,
) -> Result<Option<Vec<String>>, StageError> {
    let mut providers = Vec::new();
    for stream in context.settings.streams_of(&PROVIDERS) {
        let mut loads = voids::valid_loads(&context.lake, &stream.name).await?;
        loads.retain(|load| load.run_id != run_id);
        let datasources: BTreeSet<&str> = loads.iter().map(|load| load.datasource.as_str()).collect();
        let last = datasources.iter().flat_map(|datasource| bronze::since_last_snapshot(&loads, datasource));
        providers.extend(last.cloned());
    }
    if providers.is_empty() {
        return Ok(None);
    }
    let mut numbers = BTreeSet::new();
    for load in &providers {
        // Of a hospital without a mapping its extract says so; the others' providers are asked for.
        let Ok(mapping) = context.settings.mapping(&load.datasource) else { continue };
        let Some(column) = mapping.source_column(PROVIDERS.name, "npi") else { continue };
        for_each_number(context, load, column, |number| _ = is_npi(number) && numbers.insert(number.to_owned()))
            .await?;
    }
    for load in known {
        for_each_number(context, load, &NUMBER.into(), |number| _ = numbers.remove(number)).await?;
    }
    Ok(Some(numbers.into_iter().collect()))
}

async fn for_each_number(
    context: &Context,
    load: &Manifest,
    column: &SourceColumn,
    mut found: impl FnMut(&str),
) -> Result<(), StageError> {
    for file in &load.data_files {
        // Tables that came out of a spreadsheet have their numbers as floats.
        let whole = |number: &str| found(number.trim().strip_suffix(".0").unwrap_or(number.trim()));
        for_each_text(&context.lake, file, column, whole).await?;
    }
    Ok(())
}
