use std::fmt;

use chrono::NaiveDateTime;

use crate::values::{date_time, number};
use crate::{Error, Fault, Place, Problem, Segment, SegmentId};

/// What a transaction set is, by ST01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SetKind {
    /// 835: a payment and its remittances.
    Remittance,
    /// 837: submitted claims.
    Submission,
    /// 277: the state of claims, among them the 277CA.
    ClaimStatus,
    /// 997 or 999: the receipt of sets.
    Receipt,
    /// Any other.
    #[default]
    Other,
}

/// Version of a set, by GS08.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Version {
    /// 004010, with or without addenda.
    V4010,
    /// 005010, with or without addenda.
    V5010,
    /// Any other.
    #[default]
    Other,
}

/// What ST and the GS before it say of a set.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct SetHeader {
    /// By ST01.
    pub kind: SetKind,
    /// By GS08.
    pub version: Version,
    /// When the group was made, GS04 and GS05, on the sender's clock; none where they are no date and time.
    pub sent_at: Option<NaiveDateTime>,
}

/// What a segment is in the envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// ISA: an interchange begins.
    Interchange,
    /// TA1: the receipt of an earlier interchange, outside groups.
    Receipt,
    /// GS: a group begins.
    Group,
    /// ST: a set begins.
    Set(SetHeader),
    /// A segment between ST and SE.
    #[default]
    Body,
    /// SE: the set is whole.
    SetEnd,
    /// GE.
    GroupEnd,
    /// IEA.
    InterchangeEnd,
}

/// What the envelope makes of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Step {
    /// Where the segment stands.
    pub place: Place,
    /// What it is.
    pub role: Role,
    /// How many groups, sets or segments there are, where a trailer has another number.
    pub miscounted: Option<u64>,
}

impl Step {
    /// What to say of a trailer whose number is wrong.
    #[must_use]
    pub fn warning(&self, trailer: SegmentId) -> Option<Fault> {
        Some(Fault::new(Problem::Count(self.miscounted?), Some(trailer), self.place).of_element(1))
    }
}

/// Checks ISA, GS, ST and their trailers, segment by segment: nesting, control numbers and counts.
///
/// A control number that differs is a fault, a count that differs is a warning: real files have wrong counts.
#[derive(Debug, Default)]
pub struct Envelope {
    /// Of the last segment; the ordinals of its place are of what is open after it.
    last: Step,
    /// The last ordinals that were given.
    ordinals: Place,
    interchange: Option<Open>,
    group: Option<Open>,
    set: Option<Open>,
    header: SetHeader,
}

/// An interchange, group or set whose trailer has not come.
struct Open {
    /// Its control number, without leading zeros.
    control: Vec<u8>,
    /// Groups of an interchange, sets of a group, segments of a set.
    parts: u64,
}

impl Envelope {
    /// Takes the next segment of a file.
    ///
    /// # Errors
    /// The segment does not belong where it stands, its control number is not that of its header, or the file ends
    /// in it. Only the last IEA of a file may lack its terminator.
    #[inline]
    pub fn push(&mut self, segment: &Segment<'_>) -> Result<&Step, Error> {
        match &mut self.set {
            // Most segments. The place has the ordinals of the segment before.
            Some(set) if segment.is_terminated() && !is_of_envelope(segment.id()) => {
                set.parts += 1;
                self.last.place.segment = segment.position();
                self.last.place.byte = segment.byte();
                self.last.role = Role::Body;
            }
            _ => self.push_of_envelope(segment)?,
        }
        Ok(&self.last)
    }

    fn push_of_envelope(&mut self, segment: &Segment<'_>) -> Result<(), Error> {
        self.last = Step { place: self.placed(segment), ..Step::default() };
        if !segment.is_terminated() && segment.id() != SegmentId::IEA {
            return Err(self.fault(Problem::Cut, segment));
        }
        let are_open = (self.interchange.is_some(), self.group.is_some(), self.set.is_some());
        self.last.role = match (segment.id(), are_open) {
            (SegmentId::ISA, (false, ..)) => {
                self.ordinals.interchange += 1;
                self.interchange = Some(Open::new(segment.element(13)));
                Role::Interchange
            }
            (SegmentId::TA1, (true, false, _)) => Role::Receipt,
            (SegmentId::GS, (true, false, _)) => {
                self.ordinals.group += 1;
                self.group = Some(Open::new(segment.element(6)));
                count_part(&mut self.interchange);
                self.header = group_header(segment);
                Role::Group
            }
            (SegmentId::ST, (_, true, false)) => {
                self.ordinals.set += 1;
                self.set = Some(Open { parts: 1, ..Open::new(segment.element(2)) });
                count_part(&mut self.group);
                self.header.kind = set_kind(segment.element(1));
                Role::Set(self.header)
            }
            (SegmentId::SE, (.., true)) => {
                count_part(&mut self.set);
                let set = self.set.take();
                self.end(set, segment)?;
                Role::SetEnd
            }
            (SegmentId::GE, (_, true, false)) => {
                let group = self.group.take();
                self.end(group, segment)?;
                Role::GroupEnd
            }
            (SegmentId::IEA, (true, false, _)) => {
                let interchange = self.interchange.take();
                self.end(interchange, segment)?;
                Role::InterchangeEnd
            }
            _ => return Err(self.fault(Problem::OutOfPlace, segment)),
        };
        // A trailer still stands in what it ends.
        if segment.id() == SegmentId::ISA || matches!(self.last.role, Role::Group | Role::Set(_)) {
            self.last.place = self.placed(segment);
        }
        Ok(())
    }

    /// Takes the end of the file.
    ///
    /// # Errors
    /// An interchange has not ended.
    pub fn finish(&self) -> Result<(), Error> {
        if self.interchange.is_none() {
            return Ok(());
        }
        let Place { segment, byte, .. } = self.last.place;
        Err(Fault::new(Problem::Cut, None, Place { segment, byte, ..self.open() }).into())
    }

    /// Where a segment stands, by what is open.
    fn placed(&self, segment: &Segment<'_>) -> Place {
        Place { segment: segment.position(), byte: segment.byte(), ..self.open() }
    }

    /// The ordinals of what is open.
    fn open(&self) -> Place {
        let Place { interchange, group, set, .. } = self.ordinals;
        let shown = |is_open: bool, ordinal: u32| if is_open { ordinal } else { 0 };
        Place {
            interchange: shown(self.interchange.is_some(), interchange),
            group: shown(self.group.is_some(), group),
            set: shown(self.set.is_some(), set),
            ..Place::default()
        }
    }

    /// Checks a trailer. Its first element is a count, its second the control number of the header.
    fn end(&mut self, open: Option<Open>, trailer: &Segment<'_>) -> Result<(), Error> {
        let Some(open) = open else { return Err(self.fault(Problem::OutOfPlace, trailer)) };
        if open.control != significant(trailer.element(2)) {
            let fault = Fault::new(Problem::ControlNumber, Some(trailer.id()), self.last.place);
            return Err(fault.of_element(2).into());
        }
        if number(trailer.element(1)).map(u64::from) != Some(open.parts) {
            self.last.miscounted = Some(open.parts);
        }
        Ok(())
    }

    fn fault(&self, problem: Problem, segment: &Segment<'_>) -> Error {
        Fault::new(problem, Some(segment.id()), self.last.place).into()
    }

    /// Adds the ordinals of the interchange, group and set that are open to a fault of the tokenizer.
    pub(crate) fn locate(&self, error: Error) -> Error {
        match error {
            Error::Format(mut fault) => {
                let Place { segment, byte, .. } = fault.place;
                fault.place = Place { segment, byte, ..self.open() };
                Error::Format(fault)
            }
            input @ Error::Input(_) => input,
        }
    }
}

impl Open {
    fn new(control: &[u8]) -> Self {
        Self { control: significant(control).to_vec(), parts: 0 }
    }
}

impl fmt::Debug for SetHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SetHeader({:?}, {:?})", self.kind, self.version)
    }
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Open({} parts)", self.parts)
    }
}

/// Whether a segment begins or ends an interchange, a group or a set.
fn is_of_envelope(id: SegmentId) -> bool {
    use SegmentId as Id;
    matches!(id, Id::ISA | Id::IEA | Id::GS | Id::GE | Id::ST | Id::SE)
}

fn count_part(of: &mut Option<Open>) {
    if let Some(open) = of {
        open.parts += 1;
    }
}

/// A control number without leading zeros, which some senders leave out of the trailer.
fn significant(control: &[u8]) -> &[u8] {
    let zeros = control.iter().take_while(|byte| **byte == b'0').count();
    &control[zeros..]
}

fn group_header(gs: &Segment<'_>) -> SetHeader {
    let version = match gs.element(8) {
        [b'0', b'0', b'4', b'0', b'1', b'0', ..] => Version::V4010,
        [b'0', b'0', b'5', b'0', b'1', b'0', ..] => Version::V5010,
        _ => Version::Other,
    };
    SetHeader { kind: SetKind::Other, version, sent_at: date_time(gs.element(4), gs.element(5)) }
}

fn set_kind(st01: &[u8]) -> SetKind {
    match st01 {
        b"835" => SetKind::Remittance,
        b"837" => SetKind::Submission,
        b"277" => SetKind::ClaimStatus,
        b"997" | b"999" => SetKind::Receipt,
        _ => SetKind::Other,
    }
}

#[cfg(test)]
#[path = "envelope_tests.rs"]
mod tests;
