use super::*;
use crate::Reader;
use crate::write::{ClaimPayment, Interchange, Set};

fn file() -> String {
    let set = |trace: &str| Set::new(trace).claim(ClaimPayment::new("A", 1, 100, 100));
    let bytes = Interchange::new(7).set(set("T1")).set(set("T2")).line_break("").to_bytes();
    String::from_utf8(bytes).unwrap()
}

/// The whole sets of a file, its warnings, and why it was not read to its end.
fn read(bytes: &[u8]) -> (u32, Vec<Fault>, Option<Fault>) {
    let mut reader = Reader::new(bytes);
    let (mut sets, mut warnings) = (0, Vec::new());
    loop {
        match reader.next() {
            Ok(Some(located)) => {
                sets += u32::from(located.step.role == Role::SetEnd);
                warnings.extend(located.step.warning(located.segment.id()));
            }
            Ok(None) => return (sets, warnings, None),
            Err(Error::Format(fault)) => return (sets, warnings, Some(*fault)),
            Err(Error::Input(error)) => panic!("{error}"),
        }
    }
}

fn sent_at() -> NaiveDateTime {
    "2024-02-01T08:30:00".parse().unwrap()
}

fn stopped(bytes: &[u8]) -> (u32, Problem) {
    let (sets, _, fault) = read(bytes);
    (sets, fault.unwrap().problem)
}

#[test]
fn segments_are_placed_in_interchange_group_and_set() {
    let bytes = [file(), file()].concat();
    let mut reader = Reader::new(bytes.as_bytes());
    let mut places = Vec::new();
    while let Some(located) = reader.next().unwrap() {
        let (place, role) = (located.step.place, located.step.role);
        assert_eq!((place.segment, place.byte), (located.segment.position(), located.segment.byte()));
        if role != Role::Body {
            places.push((role, place.interchange, place.group, place.set));
        }
    }
    let header = SetHeader { kind: SetKind::Remittance, version: Version::V5010, sent_at: Some(sent_at()) };
    let expected = |first: u32| {
        let set = |set: u32| [(Role::Set(header), first, first, set), (Role::SetEnd, first, first, set)];
        let begin = [(Role::Interchange, first, 0, 0), (Role::Group, first, first, 0)];
        let end = [(Role::GroupEnd, first, first, 0), (Role::InterchangeEnd, first, 0, 0)];
        [&begin[..], &set(2 * first - 1), &set(2 * first), &end].concat()
    };
    assert_eq!(places, [expected(1), expected(2)].concat());
}

#[test]
fn wrong_counts_are_warnings_with_the_right_ones() {
    let wrong = file().replace("SE*10*0001", "SE*4242*0001").replace("GE*2*", "GE*x*").replace("IEA*1*", "IEA**");
    let (sets, warnings, fault) = read(wrong.as_bytes());
    assert_eq!((sets, fault), (2, None));
    let problems: Vec<_> = warnings.iter().map(|warning| warning.problem).collect();
    assert_eq!(problems, [Problem::Count(10), Problem::Count(2), Problem::Count(1)]);
    assert!(warnings[0].to_string().starts_with("SE01 does not hold the number that there is, which is 10 (segment "));
    assert!(!format!("{warnings:?}").contains("4242"));
}

#[test]
fn control_numbers_that_differ_stop_the_file() {
    let cases = [("SE*10*0001", "SE*10*0009", 0), ("GE*2*7", "GE*2*8", 2), ("IEA*1*000000007", "IEA*1*000000008", 2)];
    for (right, wrong, sets) in cases {
        assert_eq!(stopped(file().replace(right, wrong).as_bytes()), (sets, Problem::ControlNumber), "{wrong}");
    }
    // Leading zeros are no difference.
    assert_eq!(read(file().replace("SE*10*0001", "SE*10*1").as_bytes()).2, None);
}

#[test]
fn a_set_without_its_trailer_is_not_whole() {
    let cases = [
        ("SE*10*0002~", 1, Problem::OutOfPlace),
        ("SE*10*0001~", 0, Problem::OutOfPlace),
        ("GE*2*7~", 2, Problem::OutOfPlace),
        ("IEA*1*000000007~", 2, Problem::Cut),
        ("GS*", 0, Problem::OutOfPlace),
        ("ST*835*0001~", 0, Problem::OutOfPlace),
    ];
    for (missing, sets, problem) in cases {
        // What becomes of a GS is a segment that stands nowhere.
        let with = if missing == "GS*" { "LX*" } else { "" };
        assert_eq!(stopped(file().replace(missing, with).as_bytes()), (sets, problem), "{missing}");
    }
}

#[test]
fn the_last_terminator_may_be_missing_and_no_other() {
    let whole = file();
    assert_eq!(read(whole.trim_end_matches('~').as_bytes()), (2, vec![], None));
    for (next, sets, last) in [("~GE", 1, SegmentId::SE), ("~SE", 0, SegmentId::CLP), ("~ST", 0, SegmentId::GS)] {
        let cut = &whole[..whole.find(next).unwrap()];
        let (read, _, fault) = read(cut.as_bytes());
        let fault = fault.unwrap();
        assert_eq!((read, fault.problem, fault.segment), (sets, Problem::Cut, Some(last)), "{next}");
    }
}

#[test]
fn receipts_of_interchanges_and_sets_of_other_kinds_are_passed() {
    let receipt = "~TA1*000000001*240101*0830*A*000~GS*";
    let other = file().replace("~GS*", receipt).replace("ST*835*0001", "ST*999*0001");
    let (sets, warnings, fault) = read(other.as_bytes());
    assert_eq!((sets, warnings.len(), fault), (2, 0, None));
}

#[test]
fn a_group_says_version_and_time_of_its_sets() {
    let header = |text: &str| {
        let mut reader = Reader::new(text.as_bytes());
        loop {
            let located = reader.next().unwrap().unwrap();
            if let Role::Set(header) = located.step.role {
                return header;
            }
        }
    };
    let read = header(&file());
    assert_eq!((read.kind, read.version), (SetKind::Remittance, Version::V5010));
    assert_eq!(read.sent_at, Some(sent_at()));
    assert_eq!(header(&file().replace("005010X221A1", "004010X091")).version, Version::V4010);
    assert_eq!(header(&file().replace("005010X221A1", "008020X322")).version, Version::Other);
    assert_eq!(header(&file().replace("*0830*7*", "*2530*7*")).sent_at, None);
}

#[test]
fn a_fault_names_segment_set_and_position_and_no_element() {
    let wrong = file().replace("SE*10*0002", "SE*10*SECRET");
    let fault = read(wrong.as_bytes()).2.unwrap();
    let said = format!("{fault} {fault:?}");
    assert!(said.starts_with("SE02 is not the control number of the header (segment 22 at byte "), "{said}");
    assert!(said.contains(", set 2)") && !said.contains("SECRET"), "{said}");
}

#[test]
fn a_fault_of_the_tokenizer_names_the_set_that_is_open() {
    for (before, ordinals) in [("CLP", (1, 1, 1)), ("GE", (1, 1, 0)), ("IEA", (1, 0, 0))] {
        let wrong = file().replacen(&format!("~{before}*"), &format!("~no segment*~{before}*"), 1);
        let fault = read(wrong.as_bytes()).2.unwrap();
        let Place { interchange, group, set, .. } = fault.place;
        assert_eq!((fault.problem, (interchange, group, set)), (Problem::NoSegmentId, ordinals), "{before}");
    }
}
