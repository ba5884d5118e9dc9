use std::fmt;

/// Where a segment stands in a file. Ordinals count from 1 through the whole file; 0 is "in none".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Place {
    /// Ordinal of the segment.
    pub segment: u64,
    /// Offset of the first byte of the segment's `raw`.
    pub byte: u64,
    /// Ordinal of the interchange, ISA to IEA.
    pub interchange: u32,
    /// Ordinal of the functional group, GS to GE.
    pub group: u32,
    /// Ordinal of the transaction set, ST to SE.
    pub set: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "segment {} at byte {}", self.segment, self.byte)?;
        if self.set > 0 { write!(f, ", set {}", self.set) } else { write!(f, ", outside a set") }
    }
}
