use super::*;
use crate::Version;
use crate::write::{ClaimPayment, Interchange, ServiceLine, Set};

/// The outlines of the whole sets, and whether the stream was read to its end.
fn read(bytes: &[u8]) -> (Vec<SetOutline>, bool) {
    let mut sets = Vec::new();
    let result = outline(bytes, &mut |set| sets.push(set));
    (sets, result.is_ok())
}

fn owner(npi: &str, tax_id: &str) -> Owner {
    Owner { npi: text(npi.as_bytes()), tax_id: text(tax_id.as_bytes()) }
}

fn of_one_set(body: &str, kind: &str) -> Vec<Owner> {
    let bytes = Interchange::new(1).set(Set::new("T")).line_break("").to_bytes();
    let text = String::from_utf8(bytes).unwrap();
    let (start, end) = (text.find("BPR").unwrap(), text.find("SE*").unwrap());
    let text = [&text[..start], body, &text[end..]].concat().replace("ST*835", &format!("ST*{kind}"));
    let (mut sets, is_whole) = read(text.as_bytes());
    assert!(is_whole && sets.len() == 1);
    sets.remove(0).owners
}

fn file() -> Vec<u8> {
    let line = ServiceLine::new("99213", 10_00, 8_00).adjusted("CO", "45", 2_00);
    let claim = ClaimPayment::new("A", 1, 10_00, 8_00).line(line);
    let first = Set::new("T1").claim(claim.clone()).claim(claim);
    let second = Set::new("T2").payee("HOSPITAL B", "1999999984", "111222333").provider_adjustment("WO", "R", 1_00);
    let both = Interchange::new(1).set(first.clone()).set(second);
    [both.to_bytes(), Interchange::new(2).version(Version::V4010).set(first).to_bytes()].concat()
}

#[test]
fn every_set_tells_whose_it_is_and_what_it_must_give() {
    let (sets, is_whole) = read(&file());
    assert!(is_whole);
    let owners: Vec<_> = sets.iter().flat_map(|set| set.owners.clone()).collect();
    let expected = [owner("1234567893", "987654321"), owner("1999999984", "111222333"), owner("", "987654321")];
    assert!(owners == expected);
    let kinds: Vec<_> = sets.iter().map(|set| (set.header.kind, set.header.version)).collect();
    let kind = SetKind::Remittance;
    assert_eq!(kinds, [(kind, Version::V5010), (kind, Version::V5010), (kind, Version::V4010)]);
    let counts = sets.iter().map(|set| set.counts).sum::<Counts>();
    assert_eq!((sets[0].counts.claims, sets[1].counts.provider_adjustments), (2, 1));
    assert_eq!(counts, Counts::of(file().as_slice()).unwrap());
}

#[test]
fn the_bytes_of_a_set_are_its_segments() {
    let file = file();
    for set in read(&file).0 {
        let bytes = &file[set.bytes.start as usize..set.bytes.end as usize];
        assert!(bytes.starts_with(b"ST*835*") && bytes.ends_with(b"~\n"));
        assert_eq!(
            (bytes.split(|byte| *byte == b'~').count() as u64 - 1, set.st.byte),
            (set.segments, set.bytes.start)
        );
    }
}

#[test]
fn a_set_that_names_two_providers_has_two_owners() {
    let both = "N1*PE*A*XX*1234567893~REF*TJ*987654321~LX*1~N1*PE*B*FI*111222333~CLP*A*1*0*0~N1*PE*A*XX*1234567893~REF*TJ*987654321~";
    assert!(of_one_set(both, "835") == [owner("1234567893", "987654321"), owner("", "111222333")]);
}

#[test]
fn the_owner_of_a_submission_is_its_billing_provider() {
    let body = "NM1*41*2*SENDER*****46*S1~HL*1**20*1~NM1*85*2*HOSPITAL*****XX*1234567893~N3*STREET~REF*EI*987654321~\
                NM1*87*2~REF*EI*000000000~HL*2*1*22*0~NM1*IL*1*DOE*JANE****MI*M1~CLM*A*100~\
                HL*3**20*1~NM1*85*2*OTHER*****XX*1999999984~REF*SY*123456789~CLM*B*100~REF*EI*000000000~";
    assert!(of_one_set(body, "837") == [owner("1234567893", "987654321"), owner("1999999984", "")]);
    let status = "HL*1**19*1~NM1*85*2*HOSPITAL*****FI*987654321~TRN*1*X~REF*TJ*000000000~";
    assert!(of_one_set(status, "277") == [owner("", "987654321")]);
}

#[test]
fn a_set_without_a_provider_or_of_another_kind_has_no_owner() {
    assert!(of_one_set("N1*PR*PAYER*XV*P1~REF*TJ*000000000~N1*PE*HOSPITAL~CLP*A*1*0*0~", "835").is_empty());
    assert!(of_one_set("N1*PE*HOSPITAL*XX*1234567893~", "999").is_empty());
}

#[test]
fn of_a_file_that_is_cut_the_whole_sets_are_told() {
    let file = file();
    let (whole, _) = read(&file);
    for length in 0..file.len() {
        let (sets, _) = read(&file[..length]);
        // The line break after the last SE may be cut.
        let is_told = |set: &&SetOutline| set.bytes.end <= length as u64 + 1;
        let expected: Vec<_> = whole.iter().filter(is_told).map(|set| (set.st, set.counts, &set.owners)).collect();
        assert!(sets.iter().map(|set| (set.st, set.counts, &set.owners)).eq(expected), "{length} bytes");
    }
}

#[test]
fn what_is_said_of_an_owner_has_no_id() {
    let said = format!("{:?}", read(&file()).0);
    assert!(!said.contains("1234567893") && !said.contains("987654321"), "{said}");
}
