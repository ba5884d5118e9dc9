use std::fmt;
use std::io::{ErrorKind, Read};

use crate::delimiters::{IsaHead, read_isa};
use crate::scan::scan;
use crate::segment::BYTE_ORDER_MARK;
use crate::{Delimiters, Error, Fault, Place, Problem, Segment, SegmentId};

/// The most bytes that a segment may have unless [`Tokenizer::with_limit`] says otherwise: 1 MiB. Real segments have
/// less than a kilobyte.
pub const SEGMENT_LIMIT: usize = 1 << 20;

/// Bytes that are requested from the input at once.
const CHUNK: usize = 1 << 17;

/// Cuts a stream of bytes into segments. It holds one chunk and one segment, whatever the length of the stream, and
/// yields the same segments however the input cuts the stream into reads.
///
/// Delimiters are read from every ISA anew. Line breaks, blanks and repeated terminators after a segment belong to it,
/// as do NUL and the end-of-file byte `0x1A` after an IEA.
pub struct Tokenizer<R> {
    input: R,
    /// `buffer[start..end]` is read and not yet yielded.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// The input has no more bytes.
    is_at_end: bool,
    /// None where an interchange must begin.
    delimiters: Option<Delimiters>,
    /// Of the next segment: offsets from the start of its body.
    separators: Vec<u32>,
    /// Segments yielded, and their bytes.
    position: u64,
    byte: u64,
    limit: usize,
}

/// A segment in the buffer; offsets from the start of its `raw`.
struct Extent {
    id: SegmentId,
    body: usize,
    body_end: usize,
    is_terminated: bool,
    delimiters: Delimiters,
}

impl<R: Read> Tokenizer<R> {
    /// A tokenizer of everything that `input` reads.
    pub fn new(input: R) -> Self {
        Self::with_limit(input, SEGMENT_LIMIT)
    }

    /// As [`Self::new`], with another limit of a segment's bytes, padding included.
    pub fn with_limit(input: R, limit: usize) -> Self {
        Self {
            input,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            is_at_end: false,
            delimiters: None,
            separators: Vec::new(),
            position: 0,
            byte: 0,
            limit,
        }
    }

    /// The next segment; none at the end of the input.
    ///
    /// # Errors
    /// The input cannot be read, no ISA stands where an interchange must begin, a segment is longer than the limit,
    /// or has no id. Ordinals of interchange, group and set in the place of a fault are those that [`crate::Reader`]
    /// adds.
    #[expect(clippy::should_implement_trait, reason = "a segment borrows the buffer, which no Iterator can do")]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Segment<'_>>, Error> {
        let Some(extent) = self.extent()? else { return Ok(None) };
        let raw_end = self.padding_end(extent.body_end + usize::from(extent.is_terminated), &extent)?;
        if raw_end > self.limit {
            return Err(self.fault(Problem::SegmentTooLong(self.limit)));
        }
        let raw = &self.buffer[self.start..self.start + raw_end];
        self.position += 1;
        let segment = Segment {
            raw,
            body: &raw[extent.body..extent.body_end],
            separators: &self.separators,
            id: extent.id,
            position: self.position,
            byte: self.byte,
            is_terminated: extent.is_terminated,
            delimiters: extent.delimiters,
        };
        self.start += raw_end;
        self.byte += raw_end as u64;
        self.delimiters = (extent.id != SegmentId::IEA).then_some(extent.delimiters);
        Ok(Some(segment))
    }

    /// Finds the next segment up to its terminator; none at the end of the input.
    #[inline]
    fn extent(&mut self) -> Result<Option<Extent>, Error> {
        let body = if self.position == 0 { self.leading()? } else { 0 };
        self.separators.clear();
        let (delimiters, searched) = match self.delimiters {
            Some(delimiters) => (delimiters, body),
            None => match self.interchange(body)? {
                Some((delimiters, length)) => (delimiters, body + length),
                None => return Ok(None),
            },
        };
        let Some((body_end, is_terminated)) = self.body_end(body, searched, delimiters)? else { return Ok(None) };
        let bytes = &self.buffer[self.start + body..self.start + body_end];
        match SegmentId::leading(bytes, delimiters.element) {
            Some(id) => Ok(Some(Extent { id, body, body_end, is_terminated, delimiters })),
            None if is_terminated => Err(self.fault(Problem::NoSegmentId)),
            None => Err(self.fault(Problem::Cut)),
        }
    }

    /// The length of a byte order mark and of blanks at the start of the input.
    fn leading(&mut self) -> Result<usize, Error> {
        while self.window().len() < BYTE_ORDER_MARK.len() && self.fill()? {}
        let mut length = if self.window().starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        loop {
            match self.window().get(length).copied() {
                Some(byte) if byte.is_ascii_whitespace() => length += 1,
                None if self.fill()? => {}
                _ => return Ok(length),
            }
        }
    }

    /// Reads the delimiters and elements of the ISA that begins here, and how long it is; none where the input ends
    /// after an interchange.
    fn interchange(&mut self, at: usize) -> Result<Option<(Delimiters, usize)>, Error> {
        loop {
            match read_isa(&self.window()[at..]) {
                IsaHead::Complete(delimiters, length) => {
                    let isa = &self.buffer[self.start + at..self.start + at + length];
                    // Its terminator is where the ISA says, and nowhere before.
                    self.separators
                        .extend((0..).zip(isa).filter(|(_, of)| **of == delimiters.element).map(|(at, _)| at));
                    return Ok(Some((delimiters, length)));
                }
                IsaHead::Wrong(problem) => return Err(self.fault(problem)),
                IsaHead::Incomplete if self.fill()? => {}
                IsaHead::Incomplete if self.window().len() == at && self.position > 0 => return Ok(None),
                IsaHead::Incomplete if self.window().len() == at => return Err(self.fault(Problem::NoInterchange)),
                IsaHead::Incomplete => return Err(self.fault(Problem::Cut)),
            }
        }
    }

    /// Where the body ends, and whether a terminator does it; none where there is no byte left.
    #[inline]
    fn body_end(
        &mut self,
        body: usize,
        mut searched: usize,
        delimiters: Delimiters,
    ) -> Result<Option<(usize, bool)>, Error> {
        let Delimiters { element, terminator, .. } = delimiters;
        loop {
            let rest = &self.buffer[self.start + searched..self.end];
            if let Some(at) = scan(rest, searched - body, element, terminator, &mut self.separators) {
                return Ok(Some((searched + at, true)));
            }
            searched += rest.len();
            if !self.fill()? {
                let length = self.window().trim_ascii_end().len();
                return Ok((length > 0).then_some((length, false)));
            }
        }
    }

    /// Where the padding after a segment ends, which is where the next one begins.
    #[inline]
    fn padding_end(&mut self, mut at: usize, extent: &Extent) -> Result<usize, Error> {
        let (is_last, terminator) = (extent.id == SegmentId::IEA, extent.delimiters.terminator);
        loop {
            match self.window().get(at).copied() {
                Some(byte) if byte.is_ascii_whitespace() || byte == terminator => at += 1,
                Some(0 | 0x1a) if is_last => at += 1,
                None if self.fill()? => {}
                _ => return Ok(at),
            }
        }
    }

    /// What is read and not yet yielded.
    fn window(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Reads more bytes behind the window; false where there are none.
    fn fill(&mut self) -> Result<bool, Error> {
        if self.is_at_end {
            return Ok(false);
        }
        if self.end - self.start > self.limit {
            return Err(self.fault(Problem::SegmentTooLong(self.limit)));
        }
        if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            // A window that fills half of the buffer is a long segment.
            if self.end * 2 >= self.buffer.len() {
                self.buffer.resize(self.buffer.len().max(CHUNK / 2) * 2, 0);
            }
        }
        loop {
            match self.input.read(&mut self.buffer[self.end..]) {
                Ok(length) => {
                    self.end += length;
                    self.is_at_end = length == 0;
                    return Ok(length > 0);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::Input(error)),
            }
        }
    }

    /// A fault of the segment that would come next.
    fn fault(&self, problem: Problem) -> Error {
        let place = Place { segment: self.position + 1, byte: self.byte, ..Place::default() };
        Fault::new(problem, None, place).into()
    }
}

impl<R> fmt::Debug for Tokenizer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { position, byte, .. } = self;
        write!(f, "Tokenizer(after segment {position}, byte {byte})")
    }
}

#[cfg(test)]
#[path = "tokenizer_tests.rs"]
mod tests;
