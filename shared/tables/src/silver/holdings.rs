//! Control checks after a full extract: what the table holds of the datasource, against what the extract shows.

use std::collections::BTreeMap;

use polars::prelude::*;
use rcm_domain::money;
use rcm_domain::scd2::Holdings;
use rcm_model::cdm::{ColumnType, Entity};
use rcm_model::event::ControlCheck;
use rcm_platform::bronze::Manifest;
use rcm_platform::error::Result;

/// Keys, rows and amounts of one datasource: in an extract, and in the table.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub shown: Holdings,
    pub rows: u64,
    pub keys: u64,
    /// In cents, in the order of the entity's amounts.
    pub sums: Vec<i128>,
}

impl Held {
    /// Returns what the current rows of a bucket hold of the extract's datasource.
    ///
    /// # Errors
    /// The rows lack a column.
    pub(super) fn of(shown: Holdings, current: &DataFrame, entity: &Entity) -> Result<Self> {
        let is_of_source = current.column("datasource")?.str()?.equal(shown.datasource.as_str());
        let rows = current.filter(&is_of_source)?;
        let sums = amounts(entity).map(|name| money::sum_cents(&rows, name)).collect::<PolarsResult<_>>()?;
        let keys = rows.column(entity.key)?.n_unique()? as u64;
        Ok(Self { shown, rows: rows.height() as u64, keys, sums })
    }

    fn add(&mut self, other: &Self) {
        self.shown.keys += other.shown.keys;
        self.rows += other.rows;
        self.keys += other.keys;
        for (sum, more) in
            self.shown.sums.iter_mut().zip(&other.shown.sums).chain(self.sums.iter_mut().zip(&other.sums))
        {
            *sum += more;
        }
    }
}

fn amounts(entity: &Entity) -> impl Iterator<Item = &'static str> {
    entity.tracked.iter().filter(|column| column.kind == ColumnType::Money).map(|column| column.name)
}

/// Returns the control checks of all full extracts of a batch: after each, the current versions of its datasource have
/// the keys, rows and amounts of its good rows, and of the versions that stand for rows in quarantine.
pub(super) fn checks<'a>(
    path: &str,
    entity: &Entity,
    loads: &[Manifest],
    buckets: impl Iterator<Item = &'a Held>,
) -> Vec<ControlCheck> {
    let mut of_loads: BTreeMap<&str, Held> = BTreeMap::new();
    for held in buckets {
        match of_loads.get_mut(held.shown.load_id.as_str()) {
            Some(sum) => sum.add(held),
            None => {
                of_loads.insert(&held.shown.load_id, held.clone());
            }
        }
    }
    let mut checks = Vec::new();
    for load in loads {
        let Some(held) = of_loads.get(load.load_id.as_str()) else { continue };
        let of_load = format!("of {} after load {} of {}", load.datasource, load.sequence, load.stream);
        checks.push(ControlCheck::equal(path, &format!("current keys {of_load}"), &held.shown.keys, &held.keys));
        checks.push(ControlCheck::equal(path, &format!("current rows {of_load}"), &held.shown.keys, &held.rows));
        for ((name, shown), sum) in amounts(entity).zip(&held.shown.sums).zip(&held.sums) {
            let [shown, sum] = [shown, sum].map(|cents| money::format_cents(*cents));
            checks.push(ControlCheck::equal(path, &format!("sum of {name} {of_load}"), &shown, &sum));
        }
    }
    checks
}
