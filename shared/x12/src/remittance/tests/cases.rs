//! What payers send besides plain payments.

use super::*;
use crate::write::{ClaimPayment, ServiceLine};
use crate::{Delimiters, SetKind, Version};

fn paid(number: &str) -> ClaimPayment {
    ClaimPayment::new(number, 1, 100_00, 80_00).adjusted("CO", "45", 20_00)
}

fn reversal(number: &str) -> ClaimPayment {
    ClaimPayment::new(number, 22, -100_00, -80_00).adjusted("CO", "45", -20_00)
}

#[test]
fn a_reversal_and_its_correction_are_rows_of_their_own_and_sums_are_right() {
    let corrected = ClaimPayment::new("A", 1, 100_00, 90_00).adjusted("CO", "45", 10_00);
    let set = only(Set::new("T").claim(paid("A")).claim(reversal("A")).claim(corrected));
    let rows: Vec<_> = set.claims.iter().map(|claim| &claim.remittance).collect();
    assert_eq!(rows.iter().map(|row| row.paid).sum::<i64>(), 90_00);
    assert_eq!(rows.iter().map(|row| row.is_reversal()).collect::<Vec<_>>(), [false, true, false]);
    let keys: Vec<_> = rows.iter().map(|row| row.key("P")).collect();
    assert_eq!(keys, ["P.P-A.1.1", "P.P-A.22.1", "P.P-A.1.2"]);
    assert_eq!((rows[1].difference(), set.payment.difference()), (0, Some(0)));
}

#[test]
fn a_correction_in_another_interchange_has_its_own_payment() {
    let first = Interchange::new(1).set(Set::new("T1").claim(reversal("A")).provider_adjustment("WO", "A", -80_00));
    let second = Interchange::new(2).set(Set::new("T2").claim(paid("A")).provider_adjustment("WO", "A", 80_00));
    let collected = read(&[first.to_bytes(), second.to_bytes()].concat());
    let payments: Vec<_> = collected.sets.iter().map(|set| (set.payment.key(), set.payment.amount)).collect();
    assert_eq!(payments, [("1512345678.T1".to_owned(), 0), ("1512345678.T2".to_owned(), 0)]);
    assert!(collected.sets.iter().all(|set| set.payment.difference() == Some(0)));
}

#[test]
fn a_denial_that_pays_nothing_may_have_another_status_than_4() {
    let denied =
        ClaimPayment::new("A", 1, 100_00, 0).line(ServiceLine::new("99213", 100_00, 0).adjusted("CO", "197", 100_00));
    let set = only(Set::new("T").claim(denied));
    let claim = &set.claims[0];
    assert_eq!((claim.remittance.status.as_str(), claim.remittance.paid), ("1", 0));
    assert_eq!((claim.adjustments[0].group.as_str(), claim.adjustments[0].reason.as_str()), ("CO", "197"));
    // It moves no money: a notice.
    assert_eq!(
        (set.payment.handling.as_deref(), set.payment.amount, set.payment.difference()),
        (Some("H"), 0, Some(0))
    );
}

#[test]
fn interest_stands_beside_the_claim_and_is_paid_by_the_plb() {
    let set = Set::new("T").claim(paid("A").segment("AMT*I*2.5")).provider_adjustment("L6", "A", -2_50);
    let read = only(set);
    assert_eq!(read.claims[0].remittance.interest, Some(2_50));
    assert_eq!((read.claims[0].remittance.difference(), read.payment.difference()), (0, Some(0)));
    assert_eq!((read.payment.amount, read.provider_adjustments[0].reason.as_str()), (82_50, "L6"));
}

#[test]
fn a_plb_needs_no_claim() {
    let set = only(Set::new("T").provider_adjustment("FB", "OLD", -12_34));
    assert_eq!((set.claims.len(), set.payment.amount, set.payment.difference()), (0, 12_34, Some(0)));
}

#[test]
fn a_trace_that_an_interchange_repeats_has_a_key_of_its_own() {
    let set = || Set::new("T").claim(paid("A"));
    let file = Interchange::new(1).set(set()).set(set());
    let keys = |bytes: &[u8]| read(bytes).sets.iter().map(|set| set.payment.key()).collect::<Vec<_>>();
    assert_eq!(keys(&file.to_bytes()), ["1512345678.T", "1512345678.T.2"]);
    let claims: Vec<_> = read(&file.to_bytes()).sets.iter().map(|set| set.claims[0].remittance.key("")).collect();
    assert_eq!(claims, [".P-A.1.1", ".P-A.1.1"]);
    // Another interchange begins anew: the same set again has the same key.
    assert_eq!(keys(&[file.to_bytes(), file.to_bytes()].concat())[2], "1512345678.T");
}

#[test]
fn an_empty_originator_is_the_id_of_the_payer() {
    let file = text(Set::new("T"))
        .replace("TRN*1*T*1512345678", "TRN*1*T")
        .replace("N1*PR*PAYER ONE", "N1*PR*PAYER ONE*XV*P9");
    assert_eq!(read(file.as_bytes()).sets[0].payment.key(), "P9.T");
    let in_reference =
        text(Set::new("T")).replace("TRN*1*T*1512345678", "TRN*1*T").replace("~N1*PE", "~REF*2U*P8~N1*PE");
    assert_eq!(read(in_reference.as_bytes()).sets[0].payment.key(), "P8.T");
}

/// A file in the form that all other forms must equal.
fn reference() -> Interchange {
    let line = ServiceLine::new("99213:25", 60_00, 40_00).segment("DTM*472*20240105").adjusted("CO", "45", 20_00);
    let claim = ClaimPayment::new("A-1", 1, 60_00, 40_00).segment("NM1*QC*1*DOE*JANE****MI*M-1").line(line);
    let set = Set::new("T").claim(claim).claim(paid("B-2")).provider_adjustment("WO", "R", 1_00);
    Interchange::new(1).set(set).line_break("")
}

/// The rows of a file without their places.
fn rows(bytes: &[u8]) -> Vec<(String, Vec<String>, i64)> {
    let collected = read(bytes);
    assert_eq!((problems(&collected), collected.stopped.is_none()), (vec![], true));
    let of_set = |set: &RemittanceSet| {
        let payment = set.payment.key();
        let mut keys = Vec::new();
        for claim in &set.claims {
            let remittance = claim.remittance.key(&payment);
            keys.extend(claim.lines.iter().map(|line| format!("{} {:?}", line.key(&remittance), line.modifiers)));
            keys.extend(
                claim.adjustments.iter().map(|row| format!("{} {} {}", row.key(&remittance), row.group, row.amount)),
            );
            keys.push(remittance);
        }
        keys.extend(set.provider_adjustments.iter().map(|row| format!("{} {:?}", row.key(&payment), row.reference)));
        (payment, keys, set.payment.amount)
    };
    collected.sets.iter().map(of_set).collect()
}

#[test]
fn byte_order_mark_line_breaks_and_delimiters_change_no_row() {
    let expected = rows(&reference().to_bytes());
    assert_eq!((expected.len(), expected[0].1.len()), (1, 6));
    let marked = [b"\xef\xbb\xbf", &reference().to_bytes()[..]].concat();
    assert_eq!(rows(&marked), expected);
    for line_break in ["\n", "\r\n"] {
        assert_eq!(rows(&reference().line_break(line_break).to_bytes()), expected);
    }
    for (element, component, repetition, terminator) in
        [(b'|', b'>', None, b'\n'), (0x1d, 0x1f, Some(0x1e), 0x1c), (b'+', b'<', Some(b'&'), b'\'')]
    {
        let delimiters = Delimiters { element, component, repetition, terminator };
        assert_eq!(rows(&reference().delimiters(delimiters).to_bytes()), expected, "{delimiters:?}");
    }
}

#[test]
fn delimiters_that_change_between_interchanges_change_no_row() {
    let expected = rows(&reference().to_bytes());
    let other = Delimiters { element: b'|', component: b'*', repetition: Some(b':'), terminator: b'^' };
    let bytes = [reference().to_bytes(), reference().delimiters(other).to_bytes()].concat();
    assert_eq!(rows(&bytes), [expected.clone(), expected].concat());
}

#[test]
fn version_4010_gives_the_rows_of_5010() {
    assert_eq!(rows(&reference().version(Version::V4010).to_bytes()), rows(&reference().to_bytes()));
    let both = [reference().version(Version::V4010).to_bytes(), reference().to_bytes()].concat();
    let versions: Vec<_> = read(&both).sets.iter().map(|set| set.payment.version).collect();
    assert_eq!(versions, [Version::V4010, Version::V5010]);
}

#[test]
fn lower_case_codes_are_those_of_upper_case() {
    let lower = String::from_utf8(reference().to_bytes()).unwrap().to_lowercase();
    let set = &read(lower.as_bytes()).sets[0];
    assert_eq!((set.payment.method.as_deref(), set.payment.payee.npi.as_deref()), (Some("CHK"), Some("1234567893")));
    assert_eq!(set.claims[0].adjustments[0].group, "CO");
    assert_eq!(set.claims[0].lines[0].service_date, date("2024-01-05"));
    // Numbers of claims stay as they are written: matching folds their case.
    assert_eq!(set.claims[0].remittance.claim_number, "a-1");
}

#[test]
fn a_name_in_latin_1_is_read() {
    let mut bytes = reference().to_bytes();
    let at = bytes.windows(9).position(|window| window == b"PAYER ONE").unwrap();
    bytes[at + 1] = 0xc4;
    assert_eq!(read(&bytes).sets[0].payment.payer.name.as_deref(), Some("PÄYER ONE"));
}

#[test]
fn sets_of_other_kinds_are_named_and_passed_over() {
    let file = text(Set::new("T").claim(paid("A"))).replace("ST*835", "ST*837");
    let collected = read(file.as_bytes());
    assert_eq!((collected.sets.len(), collected.other_sets[0].0), (0, SetKind::Submission));
}
