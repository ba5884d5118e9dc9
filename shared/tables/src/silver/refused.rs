//! Loads that a silver table did not ingest, and why: `silver/<entity>/_refused/<stream>.json`.

use chrono::{DateTime, Utc};
use rcm_model::cdm::Entity;
use rcm_platform::bronze::{from_json, to_json};
use rcm_platform::context::Context;
use rcm_platform::error::Result;
use rcm_platform::lake;
use serde::{Deserialize, Serialize};

use super::batch_rows::Refusal;

/// The first load of a stream that was not ingested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RefusedLoad {
    pub stream: String,
    pub sequence: u64,
    /// Name of the error.
    pub error: String,
    pub reason: String,
    /// When it was refused for the first time.
    pub since: DateTime<Utc>,
}

/// Writes down the loads that were refused. One that was refused before keeps its time.
///
/// # Errors
/// The store fails.
pub(super) async fn write_down(context: &Context, entity: &Entity, refusals: &[Refusal]) -> Result<()> {
    for refusal in refusals {
        let known = read(context, entity, &refusal.stream).await?.filter(|known| known.sequence == refusal.sequence);
        let refused = RefusedLoad {
            stream: refusal.stream.clone(),
            sequence: refusal.sequence,
            error: refusal.error.name().to_owned(),
            reason: refusal.error.to_string(),
            since: known.as_ref().map_or_else(|| context.now(), |known| known.since),
        };
        if known.as_ref() != Some(&refused) {
            context.lake.put(&key(entity, &refusal.stream), to_json(&refused)?).await?;
        }
    }
    Ok(())
}

/// What was written down of a stream last. It may be of a load that has been ingested or voided since.
///
/// # Errors
/// The store fails, or it cannot be read.
pub(super) async fn read(context: &Context, entity: &Entity, stream: &str) -> Result<Option<RefusedLoad>> {
    let key = key(entity, stream);
    let Some(json) = context.lake.get_if_exists(&key).await? else { return Ok(None) };
    from_json(&key, &json).map(Some)
}

fn key(entity: &Entity, stream: &str) -> String {
    format!("{}/_refused/{}.json", lake::silver(entity.name), stream.replace('/', "~"))
}
