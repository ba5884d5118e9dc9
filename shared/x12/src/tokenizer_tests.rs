use std::fmt::Write as _;
use std::io;

use proptest::prelude::*;

use super::*;
use crate::write::{ClaimPayment, Interchange, ServiceLine, Set};

/// Reads as many bytes at once as the list says, over and over.
struct Trickle<'a> {
    bytes: &'a [u8],
    sizes: &'a [usize],
    reads: usize,
}

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.sizes[self.reads % self.sizes.len()];
        self.reads += 1;
        let length = size.min(buffer.len()).min(self.bytes.len());
        buffer[..length].copy_from_slice(&self.bytes[..length]);
        self.bytes = &self.bytes[length..];
        Ok(length)
    }
}

type IdBodyRaw = (SegmentId, Vec<u8>, Vec<u8>);

fn segments(input: impl Read) -> Result<Vec<IdBodyRaw>, Error> {
    let mut tokenizer = Tokenizer::new(input);
    let mut segments = Vec::new();
    while let Some(segment) = tokenizer.next()? {
        segments.push((segment.id(), segment.body().to_vec(), segment.raw().to_vec()));
    }
    Ok(segments)
}

fn problem(bytes: &[u8]) -> (Problem, Place) {
    match segments(bytes) {
        Err(Error::Format(fault)) => (fault.problem, fault.place),
        other => panic!("{:?}", other.map(|segments| segments.len())),
    }
}

fn file() -> Interchange {
    let line = ServiceLine::new("99213:25", 60_00, 50_00).adjusted("CO", "45", 10_00).segment("DTM*472*20240105");
    let claim = ClaimPayment::new("ISA-7", 1, 60_00, 50_00).segment("NM1*QC*1*ISA*ANNA****MI*M1").line(line);
    Interchange::new(1).set(Set::new("T1").claim(claim))
}

const DELIMITERS: [Delimiters; 4] = [
    Delimiters { element: b'*', component: b':', repetition: Some(b'^'), terminator: b'~' },
    Delimiters { element: b'|', component: b'>', repetition: None, terminator: b'\n' },
    Delimiters { element: 0x1d, component: 0x1f, repetition: Some(0x1e), terminator: 0x1c },
    Delimiters { element: b'*', component: b'\\', repetition: Some(b'!'), terminator: b'\r' },
];

fn any_file() -> impl Strategy<Value = Vec<u8>> {
    let interchange = (0..DELIMITERS.len(), prop::sample::select(vec!["", "\n", "\r\n", " \n\n", "\t"]));
    let padding = prop::sample::select(vec![&b""[..], b"\r\n", b"\0\0", b"\x1a", b"  \n"]);
    let start = prop::sample::select(vec![&b""[..], b"\xef\xbb\xbf", b"\n ", b"\xef\xbb\xbf\r\n"]);
    (start, prop::collection::vec((interchange, padding), 1..4)).prop_map(|(start, interchanges)| {
        let mut bytes = start.to_vec();
        for ((delimiters, line_break), padding) in interchanges {
            bytes.extend(file().delimiters(DELIMITERS[delimiters]).line_break(line_break).to_bytes());
            bytes.extend(padding);
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_raw_of_all_segments_is_the_file_however_it_is_read(
        bytes in any_file(),
        sizes in prop::collection::vec(1_usize..200, 1..5),
    ) {
        let whole = segments(bytes.as_slice()).unwrap();
        let concatenated: Vec<u8> = whole.iter().flat_map(|(_, _, raw)| raw.clone()).collect();
        prop_assert!(concatenated == bytes);
        let trickled = segments(Trickle { bytes: &bytes, sizes: &sizes, reads: 0 }).unwrap();
        prop_assert!(whole == trickled);
    }

    #[test]
    fn any_bytes_give_segments_or_a_fault(bytes in prop::collection::vec(any::<u8>(), 0..300), has_isa: bool) {
        let mut file = if has_isa { file().to_bytes() } else { Vec::new() };
        file.truncate(300);
        file.extend(bytes);
        let mut tokenizer = Tokenizer::new(file.as_slice());
        let mut length = 0;
        while let Ok(Some(segment)) = tokenizer.next() {
            prop_assert_eq!(segment.byte(), length);
            length += segment.raw().len() as u64;
        }
    }
}

#[test]
fn a_segment_that_was_stored_is_the_one_that_was_read() {
    let bytes = [b"\xef\xbb\xbf\n", &file().line_break("\r\n").to_bytes()[..], b"\r\n"].concat();
    let cut = bytes.trim_ascii_end().strip_suffix(b"~").unwrap();
    for bytes in [&bytes[..], cut] {
        let (mut tokenizer, mut room) = (Tokenizer::new(bytes), Vec::new());
        while let Some(read) = tokenizer.next().unwrap() {
            let stored =
                Segment::stored(read.raw(), read.delimiters(), read.position(), read.byte(), &mut room).unwrap();
            assert_eq!(stored.separators, read.separators);
            assert_eq!((stored.id(), stored.position(), stored.byte()), (read.id(), read.position(), read.byte()));
            assert!(stored.body() == read.body() && stored.is_terminated() == read.is_terminated());
        }
    }
    assert!(Segment::stored(b"no segment", Delimiters::default(), 1, 0, &mut Vec::new()).is_none());
}

#[test]
fn the_same_segments_come_with_any_delimiters_and_line_breaks() {
    let expected = segments(file().to_bytes().as_slice()).unwrap();
    for delimiters in DELIMITERS {
        for line_break in ["", "\n", "\r\n"] {
            let bytes = file().delimiters(delimiters).line_break(line_break).to_bytes();
            let read = segments(bytes.as_slice()).unwrap();
            let ids = |segments: &[(SegmentId, _, _)]| segments.iter().map(|segment| segment.0).collect::<Vec<_>>();
            assert_eq!(ids(&read), ids(&expected), "{delimiters:?}");
        }
    }
}

#[test]
fn delimiters_change_between_interchanges() {
    let mut bytes = Vec::new();
    for delimiters in DELIMITERS {
        bytes.extend(file().delimiters(delimiters).to_bytes());
    }
    let mut tokenizer = Tokenizer::new(bytes.as_slice());
    let mut read = Vec::new();
    while let Some(segment) = tokenizer.next().unwrap() {
        if segment.id() == SegmentId::SVC {
            let component = char::from(segment.delimiters().component).to_string();
            assert_eq!(segment.element(1), "HC:99213:25".replace(':', &component).as_bytes());
            read.push(segment.delimiters());
        }
    }
    assert_eq!(read, DELIMITERS);
}

#[test]
fn carriage_return_and_line_feed_may_be_the_terminator() {
    let text = String::from_utf8(file().line_break("").to_bytes()).unwrap();
    let read = segments(text.replace('~', "\r\n").as_bytes()).unwrap();
    assert_eq!(read.len(), text.matches('~').count());
    assert!(read.iter().all(|(_, body, raw)| raw[..] == [&body[..], b"\r\n"].concat()));
}

#[test]
fn a_repeated_terminator_makes_no_segment() {
    let text = String::from_utf8(file().line_break("").to_bytes()).unwrap();
    let read = segments(text.replace("~CLP", "~~\n~CLP").as_bytes()).unwrap();
    assert_eq!(read.len(), text.matches('~').count());
}

#[test]
fn an_isa_with_collapsed_blanks_is_read() {
    let text = String::from_utf8(file().to_bytes()).unwrap().replace("          ", "");
    assert!(text.find('~') < Some(105));
    assert_eq!(segments(text.as_bytes()).unwrap().len(), text.matches('~').count());
}

#[test]
fn the_repetition_separator_of_4010_is_none() {
    for (version, expected) in [(crate::Version::V4010, None), (crate::Version::V5010, Some(b'^'))] {
        let bytes = file().version(version).to_bytes();
        let mut tokenizer = Tokenizer::new(bytes.as_slice());
        assert_eq!(tokenizer.next().unwrap().unwrap().delimiters().repetition, expected);
    }
}

#[test]
fn ids_are_read_in_lower_case() {
    let text = String::from_utf8(file().to_bytes()).unwrap().to_lowercase();
    let ids: Vec<_> = segments(text.as_bytes()).unwrap().into_iter().map(|segment| segment.0).collect();
    assert_eq!((ids[0], ids[1], ids[2]), (SegmentId::ISA, SegmentId::GS, SegmentId::ST));
    assert!(ids.contains(&SegmentId::CLP));
}

#[test]
fn a_file_that_begins_with_no_isa_is_refused() {
    for bytes in ["", "\n\n", "claim,amount\n1,2\n", "ISABELLA,1\n", "GS*HP~"] {
        assert_eq!(problem(bytes.as_bytes()).0, Problem::NoInterchange, "{bytes}");
    }
    assert_eq!(problem(b"ISA*00*").0, Problem::Cut);
    assert_eq!(problem(&[&b"ISA*00*"[..], &[b' '; 300]].concat()).0, Problem::IsaUnreadable);
    let unterminated = String::from_utf8(file().line_break("").to_bytes()).unwrap().replacen(":~", ":", 1);
    assert_eq!(problem(unterminated.as_bytes()).0, Problem::IsaUnreadable);
}

#[test]
fn what_follows_an_interchange_is_an_isa() {
    let mut bytes = file().to_bytes();
    let length = bytes.len() as u64;
    let count = segments(bytes.as_slice()).unwrap().len() as u64;
    bytes.extend_from_slice(b"total 1\n");
    let place = Place { segment: count + 1, byte: length, ..Place::default() };
    assert_eq!(problem(&bytes), (Problem::NoInterchange, place));
}

#[test]
fn a_segment_beyond_the_limit_is_a_fault_with_its_position() {
    let long = ClaimPayment::new("A", 1, 0, 0).segment(&format!("NTE*{}", "x".repeat(500)));
    let bytes = Interchange::new(1).set(Set::new("T1").claim(long)).to_bytes();
    for size in [1, 64, 1 << 20] {
        let sizes = [size];
        let mut tokenizer = Tokenizer::with_limit(Trickle { bytes: &bytes, sizes: &sizes, reads: 0 }, 400);
        let fault = loop {
            match tokenizer.next() {
                Ok(segment) => assert!(segment.is_some()),
                Err(Error::Format(fault)) => break *fault,
                Err(Error::Input(error)) => panic!("{error}"),
            }
        };
        let at = bytes.windows(3).position(|window| window == b"NTE").unwrap() as u64;
        assert_eq!((fault.problem, fault.place.byte), (Problem::SegmentTooLong(400), at));
    }
}

#[test]
fn a_stream_without_terminators_ends_at_the_limit() {
    let isa = file().to_bytes();
    let mut tokenizer = Tokenizer::with_limit((&isa[..106]).chain(io::repeat(b'x')), 1 << 18);
    assert_eq!(tokenizer.next().unwrap().unwrap().id(), SegmentId::ISA);
    let Err(Error::Format(fault)) = tokenizer.next() else { panic!("no fault") };
    assert_eq!((fault.problem, fault.place.segment), (Problem::SegmentTooLong(1 << 18), 2));
    assert!(tokenizer.buffer.capacity() <= 1 << 19);
}

#[test]
fn a_stream_of_any_length_takes_the_room_of_a_chunk() {
    let interchange = file().to_bytes();
    let copies: usize = 20_000;
    let mut stream: Box<dyn Read> = Box::new(io::empty());
    for _ in 0..40 {
        stream = Box::new(stream.chain(io::Cursor::new(interchange.repeat(copies / 40))));
    }
    let mut tokenizer = Tokenizer::new(stream);
    let mut room = 0;
    while tokenizer.next().unwrap().is_some() {
        room = room.max(tokenizer.buffer.capacity());
    }
    assert_eq!(tokenizer.byte, (interchange.len() * copies) as u64);
    assert!(room <= CHUNK, "{room}");
}

#[test]
fn an_input_that_fails_is_no_end_of_the_file() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("gone"))
        }
    }
    let bytes = file().to_bytes();
    assert!(matches!(segments((&bytes[..200]).chain(Broken)), Err(Error::Input(_))));
}

#[test]
fn what_is_said_of_segments_and_faults_has_no_element() {
    let claim = ClaimPayment::new("SECRET", 1, 0, 0).segment("NM1*QC*1*SECRET*SECRET~XY*SECRET");
    let bytes = Interchange::new(1).set(Set::new("SECRET").claim(claim)).to_bytes();
    let text = String::from_utf8(bytes).unwrap().replace("SECRET XY", "SECRET~XY");
    let mut tokenizer = Tokenizer::new(text.as_bytes());
    let mut said = format!("{tokenizer:?}");
    while let Some(segment) = tokenizer.next().unwrap() {
        _ = write!(said, "{segment:?} {} {:?}", segment.id(), segment.delimiters());
    }
    assert!(!said.contains("SECRET") && !said.contains("XY"), "{said}");
    assert!(said.contains("an unknown segment"));

    let no_id = segments(text.replace("SECRET~XY", "~SECRET").as_bytes()).unwrap_err();
    assert!(!format!("{no_id} {no_id:?}").contains("SECRET"));
    assert!(no_id.to_string().starts_with("the file has no segment id after a terminator (segment "));
}
