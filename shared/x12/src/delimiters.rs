use crate::Problem;

/// The bytes that separate the parts of an interchange. Each interchange declares its own in its ISA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Delimiters {
    /// Between two elements of a segment; the byte after `ISA`.
    pub element: u8,
    /// Between two components of an element; ISA16.
    pub component: u8,
    /// Between two repetitions of an element; ISA11, and none where that is a letter, as in version 4010.
    pub repetition: Option<u8>,
    /// After every segment; the byte after ISA16. It is CR where segments end with CR LF.
    pub terminator: u8,
}

impl Default for Delimiters {
    fn default() -> Self {
        Self { element: b'*', component: b':', repetition: Some(b'^'), terminator: b'~' }
    }
}

/// Elements of an ISA.
const ELEMENTS: usize = 16;
/// An ISA has 106 bytes by the standard. Real ones have collapsed or additional blanks.
const LONGEST_ISA: usize = 256;

/// What the first bytes of an interchange say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum IsaHead {
    /// The delimiters, and the length of the segment up to its terminator.
    Complete(Delimiters, usize),
    /// More bytes are needed.
    Incomplete,
    /// It is no ISA.
    Wrong(Problem),
}

/// Reads the delimiters from bytes that begin with an ISA, in either case.
///
/// The elements are found by the separator and not by their width, so that an ISA with collapsed blanks is read.
pub(crate) fn read_isa(bytes: &[u8]) -> IsaHead {
    let start = &bytes[..bytes.len().min(3)];
    if !start.eq_ignore_ascii_case(&b"ISA"[..start.len()]) {
        return IsaHead::Wrong(Problem::NoInterchange);
    }
    let Some(&element) = bytes.get(3) else { return IsaHead::Incomplete };
    // A word such as ISABELLA begins no interchange.
    if element.is_ascii_alphanumeric() {
        return IsaHead::Wrong(Problem::NoInterchange);
    }
    let head = &bytes[..bytes.len().min(LONGEST_ISA)];
    let mut separators = [0_usize; ELEMENTS];
    let mut found = 0;
    let at_element = head.iter().enumerate().filter(|(_, byte)| **byte == element).map(|(at, _)| at);
    for (separator, at) in separators.iter_mut().zip(at_element) {
        *separator = at;
        found += 1;
    }
    let end = separators[ELEMENTS - 1] + 2;
    if found < ELEMENTS || end >= head.len() {
        let is_whole = bytes.len() >= LONGEST_ISA;
        return if is_whole { IsaHead::Wrong(Problem::IsaUnreadable) } else { IsaHead::Incomplete };
    }
    let (component, terminator) = (head[end - 1], head[end]);
    let repetition = match &head[separators[10] + 1..separators[11]] {
        [byte] if is_delimiter(*byte) && ![element, component, terminator].contains(byte) => Some(*byte),
        _ => None,
    };
    let are_distinct = element != component && element != terminator && component != terminator;
    let is_terminator = is_delimiter(terminator) || matches!(terminator, b'\r' | b'\n');
    if are_distinct && is_terminator && is_delimiter(element) && is_delimiter(component) {
        IsaHead::Complete(Delimiters { element, component, repetition, terminator }, end)
    } else {
        IsaHead::Wrong(Problem::IsaUnreadable)
    }
}

/// Whether a byte can separate elements or components.
fn is_delimiter(byte: u8) -> bool {
    !byte.is_ascii_alphanumeric() && !matches!(byte, b' ' | b'\r' | b'\n' | 0)
}
