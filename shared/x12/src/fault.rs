use std::fmt;
use std::io;

use crate::{Place, SegmentId};

/// Why reading stopped. What came before stays good: whole sets before the fault are whole.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The input could not be read.
    #[error("the input cannot be read: {0}")]
    Input(#[from] io::Error),
    /// The bytes are no X12 from here on.
    #[error(transparent)]
    Format(Box<Fault>),
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::Format(Box::new(fault))
    }
}

/// Something wrong at one place of a file: the cause of an [`Error`], of rows that cannot be read, or of a warning.
/// Its text names segment, element number and place, and never what an element holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub struct Fault {
    /// What is wrong.
    pub problem: Problem,
    /// The segment; none where there is no segment to name.
    pub segment: Option<SegmentId>,
    /// The number of the element, from 1; none where the fault is of the whole segment.
    pub element: Option<u8>,
    /// Where the segment stands; of the ST if the fault makes a whole set unreadable.
    pub place: Place,
}

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Problem {
    /// No ISA stands where an interchange must begin.
    NoInterchange,
    /// An ISA does not have 16 elements followed by a terminator, or its delimiters cannot be told apart.
    IsaUnreadable,
    /// A segment is longer than the limit, in bytes.
    SegmentTooLong(usize),
    /// What stands between two terminators does not begin with a segment id.
    NoSegmentId,
    /// The file ends before its last segment, set, group or interchange does.
    Cut,
    /// A segment that does not belong where it stands.
    OutOfPlace,
    /// The control number of a trailer is not that of its header.
    ControlNumber,
    /// The count of a trailer is not the number there is, which this is.
    Count(u64),
    /// A set is of a version that is not read.
    Version,
    /// A set lacks a segment.
    SegmentMissing,
    /// An element is empty that must not be.
    ElementMissing,
    /// An element is no amount of at most 18 digits.
    Amount,
    /// An element is no quantity of at most 18 digits.
    Quantity,
    /// An element is no date.
    Date,
    /// An amount has digits after the cents, and was rounded half away from zero.
    Rounded,
    /// A claim has more rows than the limit, which this is.
    ClaimTooLarge(usize),
}

impl Fault {
    pub(crate) const fn new(problem: Problem, segment: Option<SegmentId>, place: Place) -> Self {
        Self { problem, segment, element: None, place }
    }

    pub(crate) const fn of_element(mut self, element: usize) -> Self {
        self.element = Some(if element > u8::MAX as usize { u8::MAX } else { element as u8 });
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.segment, self.element) {
            (Some(segment), Some(element)) => write!(f, "{segment}{element:02} ")?,
            (Some(segment), None) => write!(f, "{segment} ")?,
            (None, _) => write!(f, "the file ")?,
        }
        match self.problem {
            Problem::NoInterchange => write!(f, "has no ISA where an interchange must begin"),
            Problem::IsaUnreadable => write!(f, "does not have 16 elements and delimiters that can be told apart"),
            Problem::SegmentTooLong(limit) => write!(f, "has a segment of more than {limit} bytes"),
            Problem::NoSegmentId => write!(f, "has no segment id after a terminator"),
            Problem::Cut => write!(f, "ends before its last interchange does"),
            Problem::OutOfPlace => write!(f, "does not belong where it stands"),
            Problem::ControlNumber => write!(f, "is not the control number of the header"),
            Problem::Count(counted) => write!(f, "does not hold the number that there is, which is {counted}"),
            Problem::Version => write!(f, "is of a version other than 4010 and 5010"),
            Problem::SegmentMissing => write!(f, "is missing"),
            Problem::ElementMissing => write!(f, "is empty"),
            Problem::Amount => write!(f, "is no amount of at most 18 digits"),
            Problem::Quantity => write!(f, "is no quantity of at most 18 digits"),
            Problem::Date => write!(f, "is no date"),
            Problem::Rounded => write!(f, "has digits after the cents, and was rounded"),
            Problem::ClaimTooLarge(limit) => write!(f, "begins a claim of more than {limit} rows"),
        }?;
        write!(f, " ({})", self.place)
    }
}
