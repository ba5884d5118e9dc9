//! Where each value of a row comes from.

use super::*;
use crate::Version;
use crate::write::{ClaimPayment, ServiceLine};

fn claim() -> ClaimPayment {
    let line = ServiceLine::new("99213:25:59", 60_00, 40_00)
        .segment("DTM*472*20240105")
        .adjusted("CO", "45", 15_00)
        .adjusted("PR", "1", 5_00)
        .segment("REF*6R*L-1")
        .segment("AMT*B6*45")
        .segment("LQ*HE*N130")
        .segment("LQ*HE*N20");
    ClaimPayment::new("A-1", 1, 100_00, 70_00)
        .patient_share(15_00)
        .adjusted("PR", "2", 10_00)
        .segment("NM1*QC*1*DOE*JANE****MI*M-1")
        .segment("NM1*82*1*ROE*RICHARD****XX*1234567893")
        .segment("NM1*TT*2*PAYER TWO*****PI*99")
        .segment("MOA***MA01*MA18")
        .segment("REF*F8*P-0")
        .segment("DTM*232*20240105")
        .segment("DTM*233*20240106")
        .segment("DTM*050*20240110")
        .segment("AMT*I*1.25")
        .line(line)
        .line(ServiceLine::new("J1885", 40_00, 40_00).segment("DTM*150*20240105").segment("DTM*151*20240106"))
        .line(ServiceLine::new("", 0, 0))
}

#[test]
fn a_payment_is_read_from_the_header_of_its_set() {
    let set = only(Set::new("TRACE-9").claim(claim()).segment("CUR*PR*CAD").segment("REF*EV*X"));
    let payment = &set.payment;
    assert_eq!((payment.key().as_str(), payment.amount), ("1512345678.TRACE-9", 70_00));
    assert_eq!((payment.handling.as_deref(), payment.method.as_deref()), (Some("I"), Some("CHK")));
    assert_eq!((payment.payment_date, payment.production_date), (date("2024-02-01"), date("2024-02-01")));
    assert_eq!((payment.version, payment.sent_at.to_string().as_str()), (Version::V5010, "2024-02-01 08:30:00"));
    assert_eq!((payment.currency.as_deref(), payment.payer.name.as_deref()), (Some("CAD"), Some("PAYER ONE")));
    assert_eq!((payment.claims, payment.unreadable, payment.place.set), (1, 0, 1));
}

#[test]
fn the_payee_tells_whose_a_set_is_by_npi_and_tax_id() {
    let payee = only(Set::new("T").payee("HOSPITAL B", "1999999984", "111222333")).payment.payee;
    assert_eq!((payee.npi.as_deref(), payee.tax_id.as_deref()), (Some("1999999984"), Some("111222333")));
    let of_payer = text(Set::new("T")).replace("~N1*PE", "~REF*TJ*000000000~N1*PE");
    assert_eq!(read(of_payer.as_bytes()).sets[0].payment.payee.tax_id.as_deref(), Some("987654321"));
    // 4010: the tax id alone, in the N1.
    let old =
        Interchange::new(1).version(Version::V4010).set(Set::new("T").payee("HOSPITAL B", "1999999984", "111222333"));
    let payee = read(&old.to_bytes()).sets.remove(0).payment.payee;
    assert_eq!((payee.npi, payee.tax_id.as_deref()), (None, Some("111222333")));
}

#[test]
fn a_remittance_is_read_from_the_loop_of_its_claim() {
    let remittance = only(Set::new("T").claim(claim())).claims.remove(0).remittance;
    assert_eq!(remittance.key("P"), "P.P-A-1.1.1");
    assert_eq!((remittance.claim_number.as_str(), remittance.status.as_str()), ("A-1", "1"));
    assert_eq!((remittance.charge, remittance.paid, remittance.patient_share), (100_00, 70_00, Some(15_00)));
    assert_eq!((remittance.filing.as_deref(), remittance.facility.as_deref()), (Some("12"), Some("11")));
    assert_eq!((remittance.frequency.as_deref(), remittance.member_id.as_deref()), (Some("1"), Some("M-1")));
    assert_eq!(remittance.rendering_npi.as_deref(), Some("1234567893"));
    assert_eq!(remittance.forwarded_to.as_deref(), Some("PAYER TWO"));
    assert_eq!(remittance.original_claim_number.as_deref(), Some("P-0"));
    assert_eq!((remittance.service_from, remittance.service_to), (date("2024-01-05"), date("2024-01-06")));
    assert_eq!((remittance.received_date, remittance.interest), (date("2024-01-10"), Some(1_25)));
    assert_eq!((remittance.remarks.as_deref(), remittance.adjusted), (Some("MA01 MA18"), 30_00));
}

#[test]
fn a_line_is_read_from_the_loop_of_its_service() {
    let lines = only(Set::new("T").claim(claim())).claims.remove(0).lines;
    let [first, second, third] = &lines[..] else { panic!("{}", lines.len()) };
    assert_eq!((first.key("R").as_str(), first.procedure.as_deref()), ("R.1", Some("99213")));
    assert_eq!((first.procedure_kind.as_deref(), first.modifiers.as_deref()), (Some("HC"), Some("25 59")));
    assert_eq!((first.charge, first.paid, first.adjusted, first.units), (60_00, 40_00, 20_00, Some(1_000)));
    assert_eq!((first.line_number.as_deref(), first.allowed), (Some("L-1"), Some(45_00)));
    assert_eq!((first.service_date, first.remarks.as_deref()), (date("2024-01-05"), Some("N130 N20")));
    assert_eq!((second.service_date, second.service_to), (date("2024-01-05"), date("2024-01-06")));
    assert_eq!((third.procedure.as_deref(), third.modifiers.as_deref(), third.ordinal), (None, None, 3));
}

#[test]
fn a_line_of_revenue_has_its_code_in_either_place() {
    for svc in ["SVC*NU:0450*10*10", "SVC*HC:99281*10*10*0450"] {
        let file = text(Set::new("T").claim(ClaimPayment::new("A", 1, 10_00, 10_00).segment(svc)));
        let line = read(file.as_bytes()).sets.remove(0).claims.remove(0).lines.remove(0);
        assert_eq!((line.revenue_code.as_deref(), line.procedure.is_some()), (Some("0450"), svc.contains("HC")));
    }
}

#[test]
fn every_triplet_of_a_cas_is_a_row_and_gaps_are_none() {
    let cas = "CAS*CO*45*10*1**  **97*-2.50*-1*16*0*****18*3";
    let set = only(Set::new("T").claim(ClaimPayment::new("A", 1, 20_00, 9_50).segment(cas).adjusted("PR", "1", 0)));
    let rows: Vec<_> = set.claims[0].adjustments.iter().map(|row| (row.key("R"), row.amount, row.quantity)).collect();
    let expected = [
        ("R.1.1", 0, None),
        ("R.2.1", 10_00, Some(1_000)),
        ("R.2.3", -2_50, Some(-1_000)),
        ("R.2.4", 0, None),
        ("R.2.6", 3_00, None),
    ];
    assert_eq!(rows, expected.map(|(key, amount, quantity)| (key.to_owned(), amount, quantity)));
    assert_eq!(set.claims[0].adjustments[1].group, "CO");
}

#[test]
fn adjustments_of_claim_and_lines_are_told_apart() {
    let adjustments = only(Set::new("T").claim(claim())).claims.remove(0).adjustments;
    let keys: Vec<_> = adjustments.iter().map(|row| (row.line, row.key("R"))).collect();
    let expected = [(None, "R.1.1"), (Some(1), "R.1.1.1"), (Some(1), "R.1.2.1")];
    assert_eq!(keys, expected.map(|(line, key)| (line, key.to_owned())));
}

#[test]
fn every_pair_of_a_plb_is_a_row_with_its_reference() {
    let mut set = Set::new("T").claim(ClaimPayment::new("A", 1, 100_00, 100_00));
    for number in 1..=7 {
        set = set.provider_adjustment("WO", &format!("R{number}"), number * 100);
    }
    let read = only(set);
    let rows: Vec<_> = read.provider_adjustments.iter().map(|row| (row.ordinal, row.amount)).collect();
    assert_eq!(rows, (1..=7).map(|number| (number, i64::from(number) * 100)).collect::<Vec<_>>());
    let last = &read.provider_adjustments[6];
    assert_eq!((last.reason.as_str(), last.reference.as_deref()), ("WO", Some("R7")));
    assert_eq!((last.key("P").as_str(), last.period_end), ("P.7", date("2024-12-31")));
    assert_eq!((read.payment.amount, read.payment.difference()), (72_00, Some(0)));
}

#[test]
fn a_header_of_claims_gives_its_provider() {
    let set = Set::new("T").claim(claim()).claim(ClaimPayment::new("B", 1, 0, 0));
    let file = text(set).replace("LX*1~", "LX*1~TS3*PROV-3*11*20241231*1*100~TS2~").replace("~CLP*B*", "~LX*2~CLP*B*");
    let providers: Vec<_> =
        read(file.as_bytes()).sets[0].claims.iter().map(|claim| claim.remittance.provider.clone()).collect();
    assert_eq!(providers, [Some("PROV-3".into()), None]);
    let without = text(Set::new("T").claim(claim())).replace("LX*1~", "");
    assert_eq!(read(without.as_bytes()).sets[0].claims.len(), 1);
}

#[test]
fn a_social_security_number_is_in_no_row() {
    let claim =
        ClaimPayment::new("A", 1, 0, 0).segment("NM1*QC*1*DOE*JANE****34*123456789").segment("REF*SY*123456789");
    assert_eq!(only(Set::new("T").claim(claim)).claims[0].remittance.member_id, None);
}
