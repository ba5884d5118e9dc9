//! How old what the lake holds is.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use futures::future::try_join_all;
use rcm_model::cdm::{ICD_CODES, NPI};
use rcm_model::event::Figure;
use rcm_model::load_config::LoadRow;
use rcm_platform::bronze::LoadLog;
use rcm_platform::telemetry::metrics::{LOAD_AGE_HOURS, hours};
use rcm_platform::{Context, StageError};

/// Age of the last load of every stream that a source is configured for; nothing of a stream that
/// has no load yet.
pub(crate) async fn load_ages(context: &Context, now: DateTime<Utc>) -> Result<Vec<Figure>, StageError> {
    let ages = streams(context).into_iter().map(|stream| async move {
        let last = LoadLog::new(&context.lake, &stream).last().await?;
        Ok::<_, StageError>(last.map(|load| hours(LOAD_AGE_HOURS, &stream, now - load.finished_at)))
    });
    Ok(try_join_all(ages).await?.into_iter().flatten().collect())
}

fn streams(context: &Context) -> BTreeSet<String> {
    let settings = &context.settings;
    let extracts = settings.load_config.iter().filter(|row| row.is_active).map(LoadRow::stream);
    let feeds = settings.sources.feeds.iter().map(|feed| feed.entity.clone());
    let npi = settings.sources.npi.as_ref().map(|_| NPI.name.to_owned());
    let icd = settings.sources.icd.as_ref().map(|_| ICD_CODES.name.to_owned());
    extracts.chain(feeds).chain(npi).chain(icd).collect()
}
