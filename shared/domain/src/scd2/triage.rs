//! Which events say something new, and for which keys that takes more than the current version.

use polars::prelude::*;
use rcm_model::cdm::Entity;

use super::events::SEQUENCE;

/// What the current versions alone say about a batch of events.
#[derive(Debug)]
pub struct Triage {
    /// Events that the current versions do not know, or only from a later load. The column `_known` says which.
    pub fresh: DataFrame,
    /// Column `key`: keys whose whole history is needed, since an event may belong before their current
    /// version, or they have none.
    pub need_history: DataFrame,
}

/// Whether a current version says the same of the same moment, from a load with a higher ordinal.
pub(super) const KNOWN: &str = "_known";

/// Looks at a batch of events with the current versions of its buckets at hand.
///
/// An event after everything that the current version has observed only extends or ends it; that
/// is the common case, and needs no closed version to be read.
///
/// # Errors
/// A frame lacks a column.
pub fn triage(entity: &Entity, current: &DataFrame, events: &DataFrame) -> PolarsResult<Triage> {
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
            col("observations").struct_().field_by_name("sequence").alias("seen_in"),
        ]);
    let identity = [key(), col("src_modified_at"), col("row_hash")];
    let observed = observed.group_by(identity.clone()).agg([col("seen_in").min()]);
    // Of what was said twice, the first file that says it decides a tie, although it may come last.
    let fresh = events
        .clone()
        .lazy()
        .join(observed, identity.clone(), identity, JoinArgs::new(JoinType::Left))
        .filter(col("seen_in").is_null().or(col(SEQUENCE).lt(col("seen_in"))))
        .with_column(col("seen_in").is_not_null().alias(KNOWN))
        .drop(by_name(["seen_in"], true, false))
        .collect()?;
    // A version of a key that came back starts later than its attributes were modified.
    let starts_later = col("effective_from").gt(col("src_modified_at"));
    let latest = when(starts_later).then(col("effective_from")).otherwise(col("src_modified_at")).alias("latest");
    let of_key = current.clone().lazy().select([key().alias("key"), latest]);
    let late = fresh
        .clone()
        .lazy()
        .group_by([key().alias("key")])
        .agg([col("src_modified_at").min().alias("earliest")])
        .join(of_key, [col("key")], [col("key")], JoinArgs::new(JoinType::Left))
        .filter(col("latest").is_null().or(col("earliest").lt_eq(col("latest"))))
        .select([col("key")]);
    Ok(Triage { fresh, need_history: late.collect()? })
}
