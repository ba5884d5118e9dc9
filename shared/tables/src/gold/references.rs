//! Rules that compare a silver table with others. They run when silver is complete: a parent may come after its child.

use std::collections::HashMap;

use polars::prelude::*;
use rcm_domain::gold::control::rows_of;
use rcm_domain::gold::fact::is_in_gold;
use rcm_domain::quality::{RuleKind, check_references};
use rcm_model::cdm::{self, Entity};
use rcm_model::event::RuleCount;
use rcm_platform::error::Result;
use rcm_platform::lake;

use super::Tables;
use crate::frames::blocking;
use crate::rulebooks::Rulebooks;

/// The load that a count over all current rows is of.
const ALL_LOADS: &str = "*";

/// Silver tables that the reference rules of an entity look at.
#[must_use]
pub fn parents_of(rulebooks: &Rulebooks, entity: &Entity) -> Vec<String> {
    let rules = rulebooks.of(entity).rules.into_iter();
    let mut parents: Vec<String> =
        rules.filter(|rule| rule.kind == RuleKind::References).filter_map(|rule| rule.entity).collect();
    parents.sort_unstable();
    parents.dedup();
    parents.iter().map(|parent| lake::silver(parent)).collect()
}

/// Counts per rule the current rows of an entity that name a key which its parent does not have now. A parent without
/// a table, because nothing is configured for it, is not checked.
///
/// `silver` has the entity's table and those of [`parents_of`].
///
/// # Errors
/// A table cannot be read.
pub async fn reference_counts(
    rulebooks: &Rulebooks,
    entity: &'static Entity,
    silver: &Tables,
) -> Result<Vec<RuleCount>> {
    let rulebook = rulebooks.of(entity);
    let mut keys = HashMap::new();
    for parent in cdm::ENTITIES {
        let path = lake::silver(parent.name);
        if !parents_of(rulebooks, entity).contains(&path) {
            continue;
        }
        if let Some(rows) = silver.scan_current(&path).await? {
            keys.insert(parent.name, rows.filter(is_in_gold()).select([col(parent.key)]));
        }
    }
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let Some(rows) = silver.scan_current(&lake::silver(entity.name)).await? else { return Ok(Vec::new()) };
    blocking(move || {
        let rows = rows.filter(is_in_gold());
        let checked = rows.clone().select([rows_of(entity)]).collect()?.columns()[0].get(0)?.extract().unwrap_or(0);
        let tallies = check_references(&rows, &rulebook, |parent| Ok(keys.get(parent).cloned()))?;
        let counts = tallies.into_iter().map(|tally| RuleCount {
            entity: entity.name.to_owned(),
            rule: tally.rule,
            severity: tally.severity,
            dimension: tally.dimension,
            load_id: ALL_LOADS.to_owned(),
            checked,
            failed: tally.failed,
        });
        Ok(counts.collect())
    })
    .await
}
