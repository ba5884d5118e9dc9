//! What cannot be read, and what is said of it.

use super::*;
use crate::remittance::{Unreadable, UnreadableRows};
use crate::write::{ClaimPayment, ServiceLine};

fn file() -> String {
    let line = ServiceLine::new("99213", 100_00, 80_00).segment("DTM*472*20240105").adjusted("CO", "45", 20_00);
    let set = Set::new("T")
        .claim(ClaimPayment::new("A", 1, 100_00, 80_00).segment("DTM*050*20240110").line(line))
        .claim(ClaimPayment::new("B", 1, 50_00, 50_00))
        .provider_adjustment("WO", "R", 1_00);
    text(set)
}

/// What is unreadable of a file in which something was replaced.
fn unreadable(right: &str, wrong: &str) -> Vec<Unreadable> {
    let file = file();
    assert!(file.contains(right), "{right}");
    let collected = read(file.replace(right, wrong).as_bytes());
    let of_sets = collected.sets.iter().flat_map(|set| &set.unreadable);
    of_sets.chain(&collected.unreadable_sets).cloned().collect()
}

#[test]
fn a_claim_with_a_fault_is_unreadable_with_all_its_rows_and_no_other() {
    let cases = [
        ("CLP*A*1*100*80*", "CLP*A*1*100**", "CLP04 is empty"),
        ("CLP*A*1*100*80*", "CLP*A*1*1O0*80*", "CLP03 is no amount of at most 18 digits"),
        ("CLP*A*1*100*80*", "CLP*A**100*80*", "CLP02 is empty"),
        ("CAS*CO*45*20", "CAS*CO*45", "CAS03 is empty"),
        ("CAS*CO*45*20", "CAS*CO**20", "CAS02 is empty"),
        ("CAS*CO*45*20", "CAS**45*20", "CAS01 is empty"),
        ("CAS*CO*45*20", "CAS*CO*45*20*many", "CAS04 is no quantity of at most 18 digits"),
        ("99213*100*80**1", "99213*100***1", "SVC03 is empty"),
        ("DTM*050*20240110", "DTM*050*20240230", "DTM02 is no date"),
        ("DTM*472*20240105", "DTM*472*soon", "DTM02 is no date"),
    ];
    for (right, wrong, said) in cases {
        let found = unreadable(right, wrong);
        let [unreadable] = &found[..] else { panic!("{wrong}: {found:?}") };
        assert_eq!(unreadable.what, UnreadableRows::Claim, "{wrong}");
        assert!(unreadable.fault.to_string().starts_with(said), "{}", unreadable.fault);
        assert_eq!((unreadable.counts.claims, unreadable.counts.lines), (1, 1), "{wrong}");
        // CLP, DTM, SVC, DTM, CAS.
        assert_eq!(unreadable.last - unreadable.first, 4, "{wrong}");
    }
}

#[test]
fn a_set_without_amount_or_key_is_unreadable_as_a_whole() {
    let cases = [
        ("BPR*I*129*", "BPR*I**", "BPR02 is empty"),
        ("BPR*I*129*", "BPX*I*129*", "BPR is missing"),
        ("************20240201", "************20241301", "BPR16 is no date"),
        ("TRN*1*T*1512345678", "TRN*1**1512345678", "TRN02 is empty"),
        ("TRN*1*T*1512345678", "TRN*1*T", "TRN03 is empty"),
        ("TRN*1*T*1512345678~", "", "TRN is missing"),
        ("DTM*405*20240201", "DTM*405*2024", "DTM02 is no date"),
        ("005010X221A1", "003070", "GS08 is of a version other than 4010 and 5010"),
        ("*20240201*0830*", "*20240201*late*", "GS04 is no date"),
    ];
    for (right, wrong, said) in cases {
        let found = unreadable(right, wrong);
        let [unreadable] = &found[..] else { panic!("{wrong}: {found:?}") };
        assert_eq!(unreadable.what, UnreadableRows::Set, "{wrong}");
        assert!(unreadable.fault.to_string().starts_with(said), "{}", unreadable.fault);
        assert_eq!((unreadable.counts.claims, unreadable.counts.provider_adjustments), (2, 1), "{wrong}");
    }
}

#[test]
fn a_pair_of_a_plb_with_a_fault_is_unreadable_alone() {
    for (right, wrong) in [("WO:R*1", "WO:R"), ("WO:R*1", ":R*1"), ("*20241231*", "*20249931*")] {
        let found = unreadable(right, wrong);
        let [unreadable] = &found[..] else { panic!("{wrong}: {found:?}") };
        assert_eq!((unreadable.what, unreadable.first), (UnreadableRows::ProviderAdjustment, unreadable.last));
    }
}

#[test]
fn lines_and_adjustments_outside_a_claim_are_unreadable_and_not_lost() {
    for at in ["LX*1~", "WO:R*1~"] {
        let found = unreadable(at, &format!("{at}CAS*CO*45*1**97*2~SVC*HC:1*1*1~"));
        let counts: Vec<_> =
            found.iter().map(|stray| (stray.what, stray.counts.adjustments, stray.counts.lines)).collect();
        assert_eq!(counts, [(UnreadableRows::Stray, 2, 0), (UnreadableRows::Stray, 0, 1)], "{at}");
    }
    let file = file().replace("LX*1~", "LX*1~CAS*CO*45*1~").replace("WO:R*1~", "WO:R*1**1~");
    assert_eq!(read(file.as_bytes()).sets[0].payment.unreadable, 2);
    // Before the header has ended, and the header has a fault.
    let found = unreadable("TRN*1*T*1512345678", "CAS*CO*45*1");
    assert_eq!((found.len(), found[0].what, found[0].counts.adjustments), (1, UnreadableRows::Set, 2));
    let unreadable = Set::new("T1").segment("CAS*CO*45*1").segment("TRN*1");
    let both = Interchange::new(1).set(unreadable).set(Set::new("T2")).line_break("").to_bytes();
    let both = String::from_utf8(both).unwrap().replacen("TRN*1*T1", "TRN*1*", 1);
    let collected = read(both.as_bytes());
    assert_eq!((collected.unreadable_sets.len(), collected.sets[0].unreadable.len()), (1, 0));
}

#[test]
fn parties_that_come_again_are_warnings_and_the_first_ones_count() {
    let changed = file().replace("~CLP*B*", "~N1*PR*PAYER TWO~N1*PE*OTHER*XX*1999999984~CLP*B*");
    let again = file().replace("~LX*1~", "~N1*PE*OTHER*XX*1999999984~REF*TJ*000000000~LX*1~");
    for (file, warnings) in [(changed, 2), (again, 1)] {
        let collected = read(file.as_bytes());
        // The count of segments no longer holds either.
        let out_of_place: Vec<_> = problems(&collected).into_iter().filter(|of| *of == Problem::OutOfPlace).collect();
        assert_eq!(out_of_place.len(), warnings);
        let set = &collected.sets[0];
        assert_eq!((set.claims.len(), set.payment.payer.name.as_deref()), (2, Some("PAYER ONE")));
        assert_eq!(set.payment.payee.npi.as_deref(), Some("1234567893"));
        assert_eq!(set.payment.payee.tax_id.as_deref(), Some("987654321"));
    }
}

#[test]
fn an_amount_beyond_the_cent_is_rounded_and_said() {
    let collected = read(file().replace("CAS*CO*45*20", "CAS*CO*45*19.995").as_bytes());
    assert_eq!(problems(&collected), [Problem::Rounded]);
    assert_eq!(collected.sets[0].claims[0].adjustments[0].amount, 20_00);
    assert!(
        collected.warnings[0].to_string().starts_with("CAS03 has digits after the cents, and was rounded (segment ")
    );
}

#[test]
fn a_claim_without_end_is_a_fault_and_takes_no_more_room() {
    let line = ServiceLine::new("99213", 0, 0);
    let endless = (0..=super::super::claim::CLAIM_LIMIT)
        .fold(ClaimPayment::new("A", 1, 0, 0), |claim, _| claim.line(line.clone()));
    let set =
        read(&Interchange::new(1).set(Set::new("T").claim(endless).claim(ClaimPayment::new("B", 1, 0, 0))).to_bytes())
            .sets
            .remove(0);
    assert!(matches!(set.unreadable[0].fault.problem, Problem::ClaimTooLarge(_)));
    assert_eq!((set.unreadable[0].counts.lines, set.claims.len()), (super::super::claim::CLAIM_LIMIT as u64 + 1, 1));
}

#[test]
fn nothing_that_is_said_of_rows_has_an_element() {
    let line =
        ServiceLine::new("SECRET", 7777_77, 7777_77).adjusted("SECRET", "SECRET", 7777_77).segment("LQ*HE*SECRET");
    let claim =
        ClaimPayment::new("SECRET", 1, 7777_77, 7777_77).segment("NM1*QC*1*SECRET*SECRET****MI*SECRET").line(line);
    let set = || {
        Set::new("SECRET")
            .payer("SECRET", "SECRET")
            .payee("SECRET", "SECRET", "SECRET")
            .claim(claim.clone())
            .provider_adjustment("SECRET", "SECRET", 7777_77)
    };
    let broken = text(set()).replace("*7777.77*7777.77**12", "*SECRET*7777.77**12");
    let unkeyed = text(set()).replace("TRN*1*SECRET", "TRN*1*");
    for file in [text(set()), broken, unkeyed] {
        let collected = read(file.as_bytes());
        let events: Vec<_> = collected.sets.iter().flat_map(|set| &set.claims).collect();
        let rows: Vec<_> = events.iter().map(|claim| (&claim.remittance, &claim.lines, &claim.adjustments)).collect();
        let parties: Vec<_> = collected.sets.iter().map(|set| &set.payment.payee).collect();
        let mut said = format!("{collected:?} {rows:?} {parties:?}");
        for set in &collected.sets {
            set.unreadable.iter().for_each(|unreadable| said += &unreadable.fault.to_string());
        }
        assert!(!said.contains("SECRET") && !said.contains("7777"), "{said}");
    }
}
