//! SCD type 2: a key's history as a function of the *set* of events seen for it.
//!
//! An event is a row of a load: a key, a sequence (modified time, bronze sequence, position in the
//! load) and attributes. A version spans `[effective_from, effective_to)` and keeps every
//! observation of its attributes, so that the order in which events arrive does not matter: a late
//! one finds what it needs to take its place.
//!
//! Of two payloads with one modified time, the one that bronze saw first later wins; the other
//! stays as an empty version. Seeing either of them again changes nothing.
//!
//! A full extract also says which keys are gone. What is kept of that is, per key, from which
//! bronze sequence on it was present or absent (`presence`, on the key's last version); with the
//! list of the stream's full extracts that gives every deletion and return. Bronze numbers the full
//! extracts of a stream in the order of their time; nothing else is asked of the order of loads.

mod events;
mod hash;
mod plan;
mod points;
mod presence;
mod timeline;
mod triage;

pub use events::{LOAD_ID, POSITION, SEQUENCE, events};
pub use hash::bucket_of;
pub use plan::{Extracts, Plan, outcome, plan};
pub use presence::{FullExtract, KeysSeen};
pub use triage::{Triage, triage};

#[cfg(test)]
mod tests;
