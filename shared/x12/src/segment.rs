use std::fmt;

use crate::delimiters::{IsaHead, read_isa};
use crate::scan::scan;
use crate::{Delimiters, Text};

/// The id of a segment: two or three letters and digits, in upper case.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SegmentId(u32);

macro_rules! known_segments {
    ($($id:ident)*) => {
        impl SegmentId {
            $(pub const $id: Self = Self::known(stringify!($id));)*
        }
        /// Ids that a message may name. Any other could be a name that stands after a stray terminator.
        const KNOWN: &[(SegmentId, &str)] = &[$((SegmentId::$id, stringify!($id))),*];
    };
}

known_segments! {
    ISA IEA GS GE ST SE TA1
    AMT BHT BPR CAS CLM CLP CUR DTM DTP HI HL LQ LX MIA MOA N1 N2 N3 N4 NM1 NTE PER PLB PRV QTY RDM REF SBR STC SV1 SV2
    SVC SVD TRN TS2 TS3
}

impl SegmentId {
    /// Reads an id in either case; none where the bytes are no segment id.
    #[must_use]
    #[inline]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        match *bytes {
            [first, second] => Self::of(first, second, b' '),
            [first, second, third] if third.is_ascii_alphanumeric() => Self::of(first, second, third),
            _ => None,
        }
    }

    /// The id that a body begins with.
    #[inline]
    pub(crate) fn leading(body: &[u8], separator: u8) -> Option<Self> {
        match *body {
            [first, second, end, ..] if end == separator => Self::new(&[first, second]),
            [first, second, third, end, ..] if end == separator => Self::new(&[first, second, third]),
            _ => Self::new(body),
        }
    }

    #[inline]
    fn of(first: u8, second: u8, third: u8) -> Option<Self> {
        let is_id = first.is_ascii_alphabetic() && second.is_ascii_alphanumeric();
        let upper = [first, second, third].map(|byte| byte.to_ascii_uppercase());
        is_id.then_some(Self::padded(upper))
    }

    const fn known(name: &str) -> Self {
        let name = name.as_bytes();
        Self::padded([name[0], name[1], if name.len() > 2 { name[2] } else { b' ' }])
    }

    /// Of three bytes, the last of which may be a blank. A number is compared at once.
    const fn padded([first, second, third]: [u8; 3]) -> Self {
        Self(u32::from_be_bytes([0, first, second, third]))
    }

    /// The id as it stands in the file, in upper case. A message names a segment by its `Display`, which knows which
    /// ids are none of the standard.
    #[must_use]
    pub fn to_text(self) -> Text {
        self.0.to_be_bytes()[1..].trim_ascii_end().iter().map(|byte| char::from(*byte)).collect()
    }
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = KNOWN.iter().find(|(id, _)| id == self).map_or("an unknown segment", |(_, name)| name);
        f.write_str(name)
    }
}

impl fmt::Debug for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// One segment of a file.
#[derive(Clone, Copy)]
pub struct Segment<'a> {
    pub(crate) raw: &'a [u8],
    pub(crate) body: &'a [u8],
    /// Offsets of the element separators in `body`.
    pub(crate) separators: &'a [u32],
    pub(crate) id: SegmentId,
    pub(crate) position: u64,
    pub(crate) byte: u64,
    pub(crate) is_terminated: bool,
    pub(crate) delimiters: Delimiters,
}

/// UTF-8 files of some systems begin with it.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl<'a> Segment<'a> {
    /// A segment that was stored as its [`Self::raw`], with the delimiters of its interchange; none where the bytes are
    /// no segment. It is the one that the tokenizer yielded. `room` is for its elements, and can be used again.
    #[must_use]
    pub fn stored(
        raw: &'a [u8],
        delimiters: Delimiters,
        position: u64,
        byte: u64,
        room: &'a mut Vec<u32>,
    ) -> Option<Self> {
        room.clear();
        let start = raw.strip_prefix(BYTE_ORDER_MARK).unwrap_or(raw).trim_ascii_start();
        let end = match read_isa(start) {
            IsaHead::Complete(_, length) => {
                room.extend((0..).zip(&start[..length]).filter(|(_, of)| **of == delimiters.element).map(|(at, _)| at));
                Some(length)
            }
            _ => scan(start, 0, delimiters.element, delimiters.terminator, room),
        };
        let body = end.map_or_else(|| start.trim_ascii_end(), |end| &start[..end]);
        let id = SegmentId::leading(body, delimiters.element)?;
        Some(Self { raw, body, separators: room, id, position, byte, is_terminated: end.is_some(), delimiters })
    }

    /// Every byte from the start of this segment to the start of the next: the body, its terminator, line breaks and
    /// other padding after it. The first segment of a file begins with the file, so with a byte order mark if there
    /// is one. The `raw` of all segments, one after the other, is the file.
    #[must_use]
    pub const fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The bytes from the segment id to the last byte before the terminator.
    #[must_use]
    pub const fn body(&self) -> &'a [u8] {
        self.body
    }

    /// The segment id.
    #[must_use]
    pub const fn id(&self) -> SegmentId {
        self.id
    }

    /// Ordinal in the file, from 1.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Offset of `raw` in the file.
    #[must_use]
    pub const fn byte(&self) -> u64 {
        self.byte
    }

    /// Whether a terminator follows. The last segment of a file may lack it.
    #[must_use]
    pub const fn is_terminated(&self) -> bool {
        self.is_terminated
    }

    /// The delimiters of the interchange.
    #[must_use]
    pub const fn delimiters(&self) -> Delimiters {
        self.delimiters
    }

    /// How many elements follow the segment id.
    #[must_use]
    #[inline]
    pub const fn len(&self) -> usize {
        self.separators.len()
    }

    /// Whether the segment is its id alone.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.separators.is_empty()
    }

    /// An element without blanks around it, counted from 1; empty where there is none.
    #[must_use]
    #[inline]
    pub fn element(&self, number: usize) -> &'a [u8] {
        let Some(start) = number.checked_sub(1).and_then(|at| self.separators.get(at)) else { return &[] };
        let end = self.separators.get(number).map_or(self.body.len(), |end| *end as usize);
        self.body[*start as usize + 1..end].trim_ascii()
    }
}

impl fmt::Debug for Segment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, position, byte, raw, .. } = self;
        write!(f, "Segment({id}, position {position}, byte {byte}, {} bytes)", raw.len())
    }
}
