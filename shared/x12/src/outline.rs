use std::fmt;
use std::io::Read;
use std::ops::Range;

use crate::values::text;
use crate::{Counts, Error, Place, Reader, Role, Segment, SegmentId, SetHeader, SetKind, Text};

/// One whole set before its rows are read: what it is, where it lies, whose it is, and how many rows it must give.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SetOutline {
    /// Of the ST.
    pub st: Place,
    /// From ST to what follows SE, in the file.
    pub bytes: Range<u64>,
    /// ST to SE.
    pub segments: u64,
    /// Kind, version and time.
    pub header: SetHeader,
    /// Every provider that the set is for. There is one, unless a sender puts several into a set.
    pub owners: Vec<Owner>,
    /// Counted without the loops of the set.
    pub counts: Counts,
}

/// By which ids a set names the provider that it is for: the payee of an 835 (N1*PE, REF*TJ), the billing provider of an
/// 837 or a 277 (NM1*85, REF*EI or REF*TJ).
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Owner {
    /// National provider identifier.
    pub npi: Option<Text>,
    /// Employer's tax id. A social security number is left out.
    pub tax_id: Option<Text>,
}

/// Tells the whole sets of a stream, of every kind. It holds one of them.
///
/// A file may hold sets of several hospitals. This is the first pass over it, after which it is known whose they are.
///
/// # Errors
/// As [`Reader::next`]. Sets that were told before are whole.
pub fn outline(input: impl Read, sink: &mut dyn FnMut(SetOutline)) -> Result<(), Error> {
    let mut reader = Reader::new(input);
    let (mut set, mut owner) = (SetOutline::default(), None);
    while let Some(located) = reader.next()? {
        let (segment, step) = (located.segment, located.step);
        match step.role {
            Role::Set(header) => {
                let bytes = segment.byte()..segment.byte();
                set = SetOutline { st: step.place, bytes, header, segments: 1, ..SetOutline::default() };
            }
            Role::Body => {
                set.segments += 1;
                set.counts += Counts::of_segment(&segment).unwrap_or_default();
                read_owner(&segment, set.header.kind, &mut owner, &mut set.owners);
            }
            Role::SetEnd => {
                set.segments += 1;
                set.bytes.end = segment.byte() + segment.raw().len() as u64;
                add(&mut set.owners, owner.take());
                sink(std::mem::take(&mut set));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Reads what a segment says of the owner. `open` is the owner whose loop is read.
fn read_owner(segment: &Segment<'_>, kind: SetKind, open: &mut Option<Owner>, owners: &mut Vec<Owner>) {
    let (begins, entity) = match kind {
        SetKind::Remittance => (SegmentId::N1, "PE"),
        SetKind::Submission | SetKind::ClaimStatus => (SegmentId::NM1, "85"),
        SetKind::Receipt | SetKind::Other => return,
    };
    let is = |number: usize, code: &str| segment.element(number).eq_ignore_ascii_case(code.as_bytes());
    let id = segment.id();
    let ends = [SegmentId::LX, SegmentId::CLP, SegmentId::HL, SegmentId::CLM, SegmentId::TRN].contains(&id);
    if id == begins || ends {
        add(owners, open.take());
    }
    if id == begins && is(1, entity) {
        // The id stands one element after its qualifier: N103 and N104, NM108 and NM109.
        let at = if begins == SegmentId::N1 { 3 } else { 8 };
        let value = || text(segment.element(at + 1));
        let mut owner = Owner::default();
        if is(at, "XX") {
            owner.npi = value();
        } else if is(at, "FI") || is(at, "24") {
            owner.tax_id = value();
        }
        *open = Some(owner);
    } else if let Some(owner) = open
        && id == SegmentId::REF
        && (is(1, "TJ") || is(1, "EI"))
        && owner.tax_id.is_none()
    {
        owner.tax_id = text(segment.element(2));
    }
}

/// Adds an owner that has an id and is none of those before.
fn add(owners: &mut Vec<Owner>, owner: Option<Owner>) {
    if let Some(owner) = owner.filter(|owner| *owner != Owner::default() && !owners.contains(owner)) {
        owners.push(owner);
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Owner")
    }
}

#[cfg(test)]
#[path = "outline_tests.rs"]
mod tests;
