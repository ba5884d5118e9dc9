//! How old what the lake holds is.

use chrono::{DateTime, Utc};
use futures::future::try_join_all;
use rcm_model::cdm::ENTITIES;
use rcm_model::event::Metric;
use rcm_platform::bronze::LoadLog;
use rcm_platform::config::{SourceKind, Stream};
use rcm_platform::telemetry::metrics::{LOAD_AGE_HOURS, hours};
use rcm_platform::{Context, StageError, streams};

/// Age of the last load of every stream that a source is configured for; nothing of a stream that
/// has no load yet. Of an entity whose files land also the greatest age of its streams, under its own name: an
/// alarm on it rings when one of several hospitals sends nothing any more.
pub(crate) async fn load_ages(context: &Context, now: DateTime<Utc>) -> Result<Vec<Metric>, StageError> {
    let active = || context.settings.streams.iter().filter(|stream| stream.is_active);
    let ages = active().map(|Stream { name, .. }| async move {
        let last = LoadLog::new(&context.lake, name).last().await?;
        Ok::<_, StageError>(last.map(|load| hours(LOAD_AGE_HOURS, name, now - load.finished_at)))
    });
    let mut ages: Vec<Metric> = try_join_all(ages).await?.into_iter().flatten().collect();
    let oldest = ENTITIES.into_iter().filter_map(|entity| {
        let lands =
            |stream: &&Stream| stream.kind == SourceKind::LandedFiles && streams::is_landed(entity.name, &stream.name);
        let landed: Vec<&str> = active().filter(lands).map(|stream| stream.name.as_str()).collect();
        let of_entity = ages.iter().filter(|age| landed.contains(&age.entity.as_str()));
        let oldest = of_entity.max_by(|a, b| a.value.total_cmp(&b.value))?;
        Some(Metric { entity: entity.name.to_owned(), ..oldest.clone() })
    });
    let oldest: Vec<Metric> = oldest.collect();
    ages.extend(oldest);
    Ok(ages)
}
