//! Files that are cut at any byte, or damaged anywhere.

use proptest::prelude::*;

use super::*;
use crate::remittance::{Event, read as read_events};
use crate::write::{ClaimPayment, ServiceLine};
use crate::{Delimiters, Error, SetKind, outline};

fn set(trace: &str) -> Set {
    let line = ServiceLine::new("99213:25", 60_00, 40_00).segment("DTM*472*20240105").adjusted("CO", "45", 20_00);
    let claim = ClaimPayment::new("A-1", 1, 60_00, 40_00).segment("NM1*QC*1*DOE*JANE****MI*M-1").line(line);
    Set::new(trace).claim(claim.clone()).claim(claim).provider_adjustment("WO", "R", 1_00)
}

/// Two interchanges with three sets and different delimiters.
fn file(line_break: &'static str) -> Vec<u8> {
    let other = Delimiters { element: b'|', component: b'>', repetition: None, terminator: b'\n' };
    let first = Interchange::new(10).line_break(line_break).set(set("T1")).set(set("T2"));
    let second = Interchange::new(110).delimiters(other).line_break(line_break).set(set("T3"));
    [first.to_bytes(), second.to_bytes()].concat()
}

/// Checks that a prefix gives the first sets of the whole file, and that it is refused unless it ends with an interchange.
fn check(whole: &Collected, bytes: &[u8], length: usize) {
    let prefix = collect(&bytes[..length]);
    assert_eq!(prefix.sets, whole.sets[..prefix.sets.len()], "{length} bytes");
    assert!(problems(&prefix).is_empty(), "{length} bytes");
    match prefix.stopped {
        None => assert!(matches!(prefix.sets.len(), 2 | 3), "{length} bytes"),
        Some(Error::Format(fault)) => {
            assert!(matches!(fault.problem, Problem::Cut | Problem::NoInterchange | Problem::ControlNumber), "{fault}");
        }
        Some(Error::Input(error)) => panic!("{error}"),
    }
}

#[test]
fn every_prefix_of_a_file_is_refused_or_gives_whole_sets() {
    let bytes = file("\r\n");
    let whole = collect(bytes.as_slice());
    assert_eq!((whole.sets.len(), whole.stopped.is_none()), (3, true));
    for length in 0..=bytes.len() {
        check(&whole, &bytes, length);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_prefix_of_any_form_of_a_file_is_refused_or_gives_whole_sets(
        line_break in prop::sample::select(vec!["", "\n", "\r\n"]),
        marked: bool,
        length in any::<prop::sample::Index>(),
    ) {
        let bytes = [if marked { &b"\xef\xbb\xbf"[..] } else { b"" }, &file(line_break)].concat();
        check(&collect(bytes.as_slice()), &bytes, length.index(bytes.len() + 1));
    }

    #[test]
    fn of_a_damaged_file_every_row_of_the_whole_sets_is_accounted_for(
        damages in prop::collection::vec((any::<prop::sample::Index>(), damage()), 1..6),
    ) {
        let mut bytes = file("");
        for (at, (length, instead)) in damages {
            let at = at.index(bytes.len());
            let end = (at + length).min(bytes.len());
            bytes.splice(at..end, instead.bytes());
        }
        let mut expected = Counts::default();
        let outlined = outline(bytes.as_slice(), &mut |set| {
            if set.header.kind == SetKind::Remittance {
                expected += set.counts;
            }
        });
        let collected = collect(bytes.as_slice());
        prop_assert_eq!(collected.counts(), expected);
        prop_assert_eq!(collected.stopped.is_some(), outlined.is_err());
        for set in &collected.sets {
            prop_assert_eq!(set.payment.claims, set.claims.len() as u64);
            prop_assert_eq!(set.payment.unreadable, set.unreadable.len() as u64);
        }
    }
}

/// How many bytes are replaced, and by what.
fn damage() -> impl Strategy<Value = (usize, &'static str)> {
    let instead = [
        "",
        "*",
        "~",
        ":",
        "x",
        "CLP*1*1*2*3~",
        "~SVC*HC:1*1*1~CAS*CO*45",
        "~LX*1~",
        "~PLB*1**WO*1~",
        "~N1*PE*A~",
        "\n",
    ];
    (0_usize..8, prop::sample::select(instead.to_vec()))
}

#[test]
fn the_rows_of_a_set_that_is_cut_come_before_the_error_and_no_payment_does() {
    let bytes = file("");
    let cut = bytes.windows(4).position(|window| window == b"PLB*").unwrap();
    let (mut claims, mut payments) = (0, 0);
    let result = read_events(&bytes[..cut], &mut |event| match event {
        Event::Claim(_) => claims += 1,
        Event::Payment(_) => payments += 1,
        _ => {}
    });
    assert!(matches!(result, Err(Error::Format(fault)) if fault.problem == Problem::Cut));
    assert_eq!((claims, payments), (1, 0));
}
