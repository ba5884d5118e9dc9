use std::io::Read;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

use crate::{Error, Segment, SegmentId, Tokenizer};

/// How many rows a file must give, counted by segment ids and elements alone. Loops are not known here, so that a fault
/// of the code that knows them cannot hide a row: its rows and those that it could not read must be as many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// CLP: claims that an 835 pays or denies.
    pub claims: u64,
    /// SVC: their lines.
    pub lines: u64,
    /// Triplets of CAS that hold anything.
    pub adjustments: u64,
    /// Pairs of PLB that hold anything.
    pub provider_adjustments: u64,
    /// CLM: claims that an 837 submits.
    pub submissions: u64,
}

impl Counts {
    /// Counts a whole stream.
    ///
    /// # Errors
    /// As [`Tokenizer::next`].
    pub fn of(input: impl Read) -> Result<Self, Error> {
        let mut tokenizer = Tokenizer::new(input);
        let mut counts = Self::default();
        while let Some(segment) = tokenizer.next()? {
            counts += Self::of_segment(&segment).unwrap_or_default();
        }
        Ok(counts)
    }

    /// Counts one segment; none where it is of no kind that counts.
    #[inline]
    #[must_use]
    pub fn of_segment(segment: &Segment<'_>) -> Option<Self> {
        let none = Self::default();
        match segment.id() {
            SegmentId::CLP => Some(Self { claims: 1, ..none }),
            SegmentId::SVC => Some(Self { lines: 1, ..none }),
            SegmentId::CAS => Some(Self { adjustments: groups(segment, 2, 3), ..none }),
            SegmentId::PLB => Some(Self { provider_adjustments: groups(segment, 3, 2), ..none }),
            SegmentId::CLM => Some(Self { submissions: 1, ..none }),
            _ => None,
        }
    }
}

/// Counts the groups of `size` elements from `first` on that are not all empty.
fn groups(segment: &Segment<'_>, first: usize, size: usize) -> u64 {
    let is_empty = |at: usize| (at..at + size).all(|element| segment.element(element).is_empty());
    (first..=segment.len()).step_by(size).filter(|at| !is_empty(*at)).count() as u64
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            claims: self.claims + other.claims,
            lines: self.lines + other.lines,
            adjustments: self.adjustments + other.adjustments,
            provider_adjustments: self.provider_adjustments + other.provider_adjustments,
            submissions: self.submissions + other.submissions,
        }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), Self::add)
    }
}
