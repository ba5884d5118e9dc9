//! The sets of an 835 as rows, one claim at a time.
//!
//! [`read`] reads a stream and tells a sink what it finds. A set is whole, and its rows count, once its
//! [`Event::Payment`] has come, which is the last of the set; [`collect`] keeps whole sets in memory. [`Machine`] does
//! the same for segments that were stored one by one.
//!
//! Nothing is left out silently: claims, lines, triplets and pairs of the rows and of [`Event::Unreadable`] are as many
//! as [`Counts`] counts without this module. Nothing is invented either: a set, claim or line that does not balance
//! comes with its difference.

mod claim;
mod collect;
mod header;
mod machine;
mod provider;
mod rows;
mod view;

#[cfg(test)]
mod tests;

use std::io::Read;

pub use self::collect::{Collected, RemittanceSet, collect};
pub use self::machine::Machine;
pub use self::rows::{Claim, ClaimAdjustment, Party, Payment, ProviderAdjustment, Remittance, RemittanceLine};
use crate::{Counts, Error, Fault, Place, Reader, SetKind};

/// What the sets of a file tell, in the order of the file.
#[derive(Debug)]
pub enum Event<'a> {
    /// A claim with its lines and adjustments.
    Claim(&'a Claim),
    /// A pair of a PLB.
    ProviderAdjustment(&'a ProviderAdjustment),
    /// Segments that give no row.
    Unreadable(Unreadable),
    /// The set is whole.
    Payment(&'a Payment),
    /// A set of another kind begins. Its segments are passed over.
    OtherSet(SetKind, Place),
    /// Something that is taken as it is and should be looked at.
    Warning(Fault),
}

/// Segments from which no row can be made, for a person to look at. Nothing of them is in another row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// What they are.
    pub what: UnreadableRows,
    /// Why, and where.
    pub fault: Fault,
    /// Ordinals of the first and the last segment in the file.
    pub first: u64,
    /// See `first`.
    pub last: u64,
    /// The rows that they would have given.
    pub counts: Counts,
}

/// What cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnreadableRows {
    /// A whole set, whose payment has no key or no amount. Instead of an [`Event::Payment`] this is its last event,
    /// and takes the place of all others of the set.
    Set,
    /// A claim with its lines and adjustments.
    Claim,
    /// A pair of a PLB.
    ProviderAdjustment,
    /// A line or adjustments that stand in no claim.
    Stray,
}

/// Reads all sets of a stream.
///
/// # Errors
/// As [`Reader::next`]. The set that an error falls into is not whole: what the sink was told of it must be dropped.
pub fn read(input: impl Read, sink: &mut dyn FnMut(Event<'_>)) -> Result<(), Error> {
    let mut reader = Reader::new(input);
    let mut machine = Machine::default();
    while let Some(located) = reader.next()? {
        machine.push(&located.segment, located.step, sink);
    }
    Ok(())
}
