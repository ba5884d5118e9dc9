use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use polars::prelude::*;
use rcm_domain::cdm::{NPI, PROVIDERS, timestamp};
use rcm_domain::codes::is_npi;
use rcm_platform::bronze::{LoadLog, Manifest};
use rcm_platform::config::{self, NpiSearch};
use rcm_platform::delta::{Table, scan_parquet};
use rcm_platform::frames::blocking;
use rcm_platform::gold::Tables;
use rcm_platform::http::npi::NUMBER;
use rcm_platform::{Context, StageError, lake};

/// The searches that no load holds, or an old one.
pub(crate) async fn searches<'a>(
    context: &Context,
    options: &'a config::Npi,
    source_name: impl Fn(&NpiSearch) -> String,
) -> Result<Vec<&'a NpiSearch>, StageError> {
    let loads = LoadLog::new(&context.lake, NPI.name).after(0).await?;
    let oldest = oldest(context, options);
    let is_known = |name: &str| loads.iter().any(|load| load.source.name == name && load.extracted_at > oldest);
    Ok(options.searches.iter().filter(|search| !is_known(&source_name(search))).collect())
}

/// Identifiers of the current providers that the lake does not know, or has not asked for lately,
/// in order; none where silver has no providers yet.
pub(crate) async fn numbers(context: &Context, options: &config::Npi) -> Result<Option<Vec<String>>, StageError> {
    let (providers, known) = (lake::silver(PROVIDERS.name), lake::silver(NPI.name));
    let tables = Tables::open(&context.lake, [providers.clone(), known.clone()]).await?;
    let Some(wanted) = tables.scan_current(&providers).await? else { return Ok(None) };
    let wanted = texts(wanted.filter(col("is_deleted").not()), "npi").await?;
    let mut wanted: BTreeSet<String> = wanted.into_iter().filter(|number| is_npi(number)).collect();
    let oldest = oldest(context, options);
    if let Some(known) = tables.scan_current(&known).await? {
        let asked_lately = col("src_modified_at").gt(lit(oldest.timestamp_micros()).cast(timestamp()));
        for number in texts(known.filter(asked_lately), NPI.key).await? {
            wanted.remove(&number);
        }
    }
    for number in waiting(context, tables.get(&known), oldest).await? {
        wanted.remove(&number);
    }
    Ok(Some(wanted.into_iter().collect()))
}

/// Identifiers that bronze has and silver has not taken in yet.
async fn waiting(context: &Context, silver: Option<&Table>, oldest: DateTime<Utc>) -> Result<Vec<String>, StageError> {
    let taken = match silver {
        Some(table) => table.transaction(NPI.name).await?.unwrap_or(0).unsigned_abs(),
        None => 0,
    };
    let loads = LoadLog::new(&context.lake, NPI.name).after(taken).await?;
    let files: Vec<String> = loads
        .into_iter()
        .filter(|load: &Manifest| load.extracted_at > oldest)
        .flat_map(|load| load.data_files)
        .collect();
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let arguments = ScanArgsParquet { glob: false, ..ScanArgsParquet::default() };
    texts(scan_parquet(&context.lake, &files, arguments).await?, NUMBER).await
}

/// Answers from before this time are asked for again.
fn oldest(context: &Context, options: &config::Npi) -> DateTime<Utc> {
    context.now() - TimeDelta::days(options.max_age_days.into())
}

async fn texts(rows: LazyFrame, column: &'static str) -> Result<Vec<String>, StageError> {
    blocking(move || {
        let found = rows.select([col(column)]).collect()?;
        Ok(found.column(column)?.str()?.iter().flatten().map(str::to_owned).collect())
    })
    .await
}
