//! Which events say something new, and for which keys that takes more than the current version.

use chrono::{DateTime, Utc};
use polars::prelude::*;
use rcm_model::cdm::Entity;

use super::presence::KeysSeen;
use crate::cdm::timestamp;

/// What the current versions alone say about a batch of events.
#[derive(Debug)]
pub struct Triage {
    /// Events that the current versions do not know.
    pub fresh: DataFrame,
    /// Column `key`: keys whose whole history is needed, since an event, a deletion or a return
    /// may belong before their current version, or they have none.
    pub need_history: DataFrame,
}

fn moment(moment: DateTime<Utc>) -> Expr {
    lit(moment.timestamp_micros()).cast(timestamp())
}

/// Looks at a batch of events with the current versions of its buckets at hand.
///
/// An event after everything that the current version has observed only extends or ends it; that
/// is the common case, and needs no closed version to be read.
///
/// # Errors
/// A frame lacks a column.
pub fn triage(entity: &Entity, current: &DataFrame, events: &DataFrame, seen: &KeysSeen) -> PolarsResult<Triage> {
    let key = || col(entity.key);
    let observed = current
        .clone()
        .lazy()
        .select([key(), col("row_hash"), col("observations")])
        .join(events.clone().lazy(), [key()], [key()], JoinArgs::new(JoinType::Semi))
        .explode(by_name(["observations"], true, false), ExplodeOptions { empty_as_null: false, keep_nulls: false })
        .select([
            key(),
            col("row_hash"),
            col("observations").struct_().field_by_name("modified_at").alias("src_modified_at"),
        ]);
    let identity = [key(), col("src_modified_at"), col("row_hash")];
    let fresh =
        events.clone().lazy().join(observed, identity.clone(), identity, JoinArgs::new(JoinType::Anti)).collect()?;
    // A version of a key that came back starts later than its attributes were modified.
    let starts_later = col("effective_from").gt(col("src_modified_at"));
    let latest = when(starts_later).then(col("effective_from")).otherwise(col("src_modified_at")).alias("latest");
    let of_key = current.clone().lazy().select([key().alias("key"), latest.clone()]);
    let late = fresh
        .clone()
        .lazy()
        .group_by([key().alias("key")])
        .agg([col("src_modified_at").min().alias("earliest")])
        .join(of_key, [col("key")], [col("key")], JoinArgs::new(JoinType::Left))
        .filter(col("latest").is_null().or(col("earliest").lt_eq(col("latest"))))
        .select([col("key")]);
    let mut sets = vec![late];
    for extract in &seen.extracts {
        let of_source = col("datasource").eq(lit(extract.datasource.clone()));
        let of_extract = of_source.clone().and(col("sequence").eq(lit(extract.sequence)));
        let held = seen.keys.clone().lazy().filter(of_extract).select([col("key")]);
        let alive = current.clone().lazy().filter(of_source.clone()).select([key().alias("key")]);
        // Of a key that lives on although an extract missed it, it must be kept that this one has it.
        let was_missed = col("presence").list().last().struct_().field_by_name("present").not();
        let missed = current.clone().lazy().filter(of_source.clone().and(was_missed)).select([key().alias("key")]);
        // One that was read before what the current version says comes late, as an event may.
        let is_ahead = latest.clone().gt_eq(moment(extract.extracted_at));
        let ahead = current.clone().lazy().filter(of_source.clone().and(is_ahead)).select([key().alias("key")]);
        sets.push(held.clone().join(ahead, [col("key")], [col("key")], JoinArgs::new(JoinType::Semi)));
        sets.push(held.clone().join(missed, [col("key")], [col("key")], JoinArgs::new(JoinType::Semi)));
        sets.push(alive.clone().join(held.clone(), [col("key")], [col("key")], JoinArgs::new(JoinType::Anti)));
        sets.push(held.join(alive, [col("key")], [col("key")], JoinArgs::new(JoinType::Anti)));
    }
    let need_history = concat(sets, UnionArgs::default())?.unique(None, UniqueKeepStrategy::Any).collect()?;
    Ok(Triage { fresh, need_history })
}
