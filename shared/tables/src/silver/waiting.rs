//! The loads that the next run of a silver stage takes in.

use rcm_model::cdm::Entity;
use rcm_platform::bronze::Manifest;
use rcm_platform::context::Context;
use rcm_platform::error::Result;
use rcm_platform::lake;

use super::record::{StreamState, Voids};
use super::refused;
use crate::delta::Table;

/// The loads of a stream that a silver table does not have.
#[derive(Debug, Clone, PartialEq)]
pub struct WaitingLoads {
    pub stream: String,
    /// Number of the last load that the table has; 0 if it has none.
    pub taken: u64,
    /// Loads after it that are not voided, in their order.
    pub loads: Vec<Manifest>,
    /// Why the first of them was refused, if it was.
    pub refused: Option<String>,
    /// Whether loads were voided, or are voided no more, since the table was made: it is made anew first.
    pub is_rebuilt: bool,
}

/// Returns the streams of an entity of which a run takes something in, by their names. Writes nothing.
///
/// # Errors
/// The store fails, or a log cannot be read.
pub async fn waiting(context: &Context, entity: &'static Entity) -> Result<Vec<WaitingLoads>> {
    let table = Table::open(&context.lake, &lake::silver(entity.name)).await?;
    let mut found = Vec::new();
    for (stream, voided) in Voids::read(context, entity).await?.into_streams() {
        let state = StreamState::read(context, entity, table.as_ref(), stream, voided).await?;
        let is_rebuilt = state.has_other_voids();
        let Some(first) = state.waiting.first().map(|load| load.sequence) else {
            if is_rebuilt {
                let StreamState { stream, taken, .. } = state;
                found.push(WaitingLoads { stream, taken, loads: Vec::new(), refused: None, is_rebuilt });
            }
            continue;
        };
        let refused = refused::read(context, entity, &state.stream).await?.filter(|refused| refused.sequence == first);
        let refused = refused.map(|refused| format!("{}: {}", refused.error, refused.reason));
        let StreamState { stream, taken, waiting: loads, .. } = state;
        found.push(WaitingLoads { stream, taken, loads, refused, is_rebuilt });
    }
    Ok(found)
}
