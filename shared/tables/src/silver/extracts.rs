//! The full extracts of an entity's streams, and which keys the new ones hold.

use polars::prelude::*;
use rcm_domain::scd2::{FullExtract, KeysSeen};
use rcm_platform::bronze::Manifest;
use rcm_platform::config::LoadKind;
use rcm_platform::error::Result;

use super::intake::Intake;
use super::order::Order;

/// The full extracts of an entity's streams.
pub(super) struct FullExtracts {
    /// All that the table has taken in or is taking in.
    pub all: Vec<FullExtract>,
    /// Those that it is taking in.
    new: Vec<FullExtract>,
}

impl FullExtracts {
    /// Of the loads that the table has taken in, and of those that it is taking in.
    pub(super) fn of(before: &[Manifest], loads: &[Manifest], order: &Order) -> Self {
        let extract = |load: &Manifest| FullExtract {
            datasource: load.datasource.clone(),
            sequence: order.place(load),
            extracted_at: load.extracted_at,
        };
        let extracts = |loads: &[Manifest]| loads.iter().filter(|load| is_one(load)).map(extract).collect::<Vec<_>>();
        let new = extracts(loads);
        Self { all: [extracts(before), new.clone()].concat(), new }
    }

    /// Whether a key that no event names may be ended.
    pub(super) fn may_end_keys(&self) -> bool {
        !self.new.is_empty()
    }

    /// The new ones, and their keys in one bucket.
    pub(super) fn seen_in(&self, bucket: i32, intake: &Intake) -> Result<KeysSeen> {
        if self.new.is_empty() {
            return Ok(KeysSeen::none());
        }
        let keys = intake.keys_seen.clone().lazy().filter(col("bucket").eq(lit(bucket)));
        let keys = keys
            .select([col("key"), col("datasource"), col("sequence")])
            .unique(None, UniqueKeepStrategy::Any)
            .collect()?;
        Ok(KeysSeen { extracts: self.new.clone(), keys })
    }
}

/// Whether what a load lacks is gone. A row that does not fit the header may be of any key: with one
/// of them in a load nobody can tell.
pub(super) fn is_one(load: &Manifest) -> bool {
    load.kind == LoadKind::Snapshot && load.malformed == 0
}

/// What is to be said of whole tables that end no keys.
pub(super) fn notes(loads: &[Manifest]) -> impl Iterator<Item = String> {
    let unclear = loads.iter().filter(|load| load.kind == LoadKind::Snapshot && load.malformed > 0);
    unclear.map(|load| {
        let Manifest { stream, sequence, malformed, .. } = load;
        format!("load {sequence} of `{stream}` deletes no keys: rows that do not fit its header: {malformed}")
    })
}
