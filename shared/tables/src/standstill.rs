//! Everything in a lake that waits for a person.

use rcm_model::standstill::Standstill;
use rcm_platform::{Context, StageError};

use crate::silver;

/// Finds the landed files, loads and tables that wait for a person.
///
/// # Errors
/// The store fails, or a log cannot be read.
pub async fn find(context: &Context) -> Result<Vec<Standstill>, StageError> {
    let mut standstills = rcm_platform::standstill::files(context).await?;
    standstills.extend(silver::standstills(context).await?);
    standstills.sort_by(|a, b| (a.kind, &a.subject).cmp(&(b.kind, &b.subject)));
    Ok(standstills)
}
