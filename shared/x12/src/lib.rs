//! X12 interchanges as hospitals receive them from payers, read as a stream.
//!
//! No frames, no files, no network, no clock: bytes come from any [`std::io::Read`], values go out. The layers, each
//! of which works without the ones after it:
//!
//! - [`Tokenizer`]: bytes → [`Segment`]s. Every byte of a file belongs to the `raw` of exactly one segment;
//! - [`Counts`]: how many claims, lines and adjustments a file has, counted by segment id alone;
//! - [`Reader`]: segments → segments with their [`Place`] in interchanges, groups and sets, the envelope checked;
//! - [`outline`]: the whole sets of a file: where they lie, whose they are, how many rows they must give;
//! - [`remittance`]: the sets of an 835, version 4010 or 5010 → rows: payments, remittances, lines, adjustments;
//! - [`mod@write`]: made-up 835 files, for tests and the demo.
//!
//! An error, a warning and the `Debug` of every type name a segment, its position and its set, and never what an
//! element holds: elements are patients' data.
//!
//! ```
//! use rcm_x12::remittance;
//! use rcm_x12::write::{ClaimPayment, Interchange, Set};
//!
//! let claim = ClaimPayment::new("A-1", 1, 100_00, 80_00).adjusted("CO", "45", 20_00);
//! let file = Interchange::new(1).set(Set::new("TRACE-1").claim(claim)).to_bytes();
//!
//! let collected = remittance::collect(file.as_slice());
//! let set = &collected.sets[0];
//! assert_eq!(set.payment.key(), "1512345678.TRACE-1");
//! assert_eq!(set.payment.difference(), Some(0));
//! assert_eq!(set.claims[0].adjustments[0].amount, 20_00);
//! assert!(collected.stopped.is_none());
//! ```

mod counts;
mod delimiters;
mod envelope;
mod fault;
mod outline;
mod place;
mod reader;
pub mod remittance;
mod scan;
mod segment;
mod tokenizer;
mod values;
pub mod write;

pub use counts::Counts;
pub use delimiters::Delimiters;
pub use envelope::{Envelope, Role, SetHeader, SetKind, Step, Version};
pub use fault::{Error, Fault, Problem};
pub use outline::{Owner, SetOutline, outline};
pub use place::Place;
pub use reader::{Located, Reader};
pub use segment::{Segment, SegmentId};
pub use tokenizer::{SEGMENT_LIMIT, Tokenizer};
pub use values::{Cents, Text, Thousandths};
