//! SCD type 2: from the rows of loads to the versions of each key.
//!
//! A version spans `[effective_from, effective_to)`. There are two kinds of sources, which differ in what
//! decides the present:
//!
//! - An **extract** says what the source holds when it is read ([`plan_extracts`]). Loads are applied one after
//!   the other; the row that a load brings is the key's current version, whatever its stamps say. The modified
//!   time only says since when.
//! - A **landed event** comes late, twice and in any order ([`plan_events`]). The timeline is a function of the
//!   *set* of events: (modified time, landed file, position). A version keeps every observation of its
//!   attributes, so that a late event finds what it needs to take its place. Of two payloads with one modified
//!   time the one of the later file wins; the other stays as an empty version. An event that deletes its key
//!   is kept as an empty version that is marked as deleted.

mod columns;
mod events;
mod extract;
mod hash;
mod patch;
mod plan;
mod points;
mod repeated;
mod timeline;
mod triage;
mod write;

pub use events::{IS_DELETE, LOAD_ID, POSITION, SEQUENCE, events};
pub use extract::{COMPARED, ExtractBatch, ExtractLoad, plan_extracts};
pub use hash::bucket_of;
pub(crate) use hash::hash_of;
pub use patch::patched;
pub use plan::{Holdings, Outcome, PROBED, Plan, plan_events};
pub use repeated::repeated_keys;
pub use triage::{Triage, triage};

/// Warning: a row changed although its modified time did not move on.
pub const MODIFIED_GOES_BACK: &str = "modified_goes_back";
/// Warning: two different rows of one load have the same key and modified time.
pub const KEY_REPEATED: &str = "key_repeated";

#[cfg(test)]
mod extract_tests;
#[cfg(test)]
mod tests;
