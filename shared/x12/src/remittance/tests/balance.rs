//! Whether sets, claims and lines balance to the cent.

use super::*;
use crate::write::{ClaimPayment, ServiceLine};

#[test]
fn a_set_balances_at_all_three_levels() {
    let line = ServiceLine::new("99213", 60_00, 40_00).adjusted("CO", "45", 15_50).adjusted("PR", "1", 4_50);
    let claim = ClaimPayment::new("A", 1, 60_00, 35_01).adjusted("OA", "23", 4_99).line(line);
    let set = only(Set::new("T").claim(claim).provider_adjustment("L6", "", -1));
    let claim = &set.claims[0];
    assert_eq!((claim.lines[0].difference(), claim.remittance.difference()), (0, 0));
    assert_eq!((set.payment.difference(), set.payment.amount), (Some(0), 35_02));
}

#[test]
fn what_does_not_balance_is_told_to_the_cent_and_nothing_is_invented() {
    let line = ServiceLine::new("99213", 60_00, 40_00).adjusted("CO", "45", 19_99);
    let claim = ClaimPayment::new("A", 1, 60_00, 41_00).line(line);
    let set = only(Set::new("T").claim(claim).stating(50_00));
    let claim = &set.claims[0];
    assert_eq!(claim.lines[0].difference(), 1);
    assert_eq!(claim.remittance.difference(), 60_00 - 19_99 - 41_00);
    assert_eq!(set.payment.difference(), Some(41_00 - 50_00));
    assert_eq!((claim.adjustments.len(), set.provider_adjustments.len()), (1, 0));
}

#[test]
fn a_debit_is_a_negative_payment() {
    let claim = ClaimPayment::new("A", 22, -100_00, -80_00).adjusted("CO", "45", -20_00);
    let debit = text(Set::new("T").claim(claim).stating(80_00)).replace("*80*C*", "*80*D*");
    let set = &read(debit.as_bytes()).sets[0];
    assert_eq!((set.payment.amount, set.payment.difference()), (-80_00, Some(0)));
}

#[test]
fn sums_are_exact_beyond_the_largest_amount() {
    let largest = 999_999_999_999_999_999;
    let claims = (0..12).fold(Set::new("T").stating(0), |set, number| {
        set.claim(ClaimPayment::new(&number.to_string(), 1, largest, largest).adjusted("CO", "45", largest))
    });
    // The writer would have to sum up what no amount can hold.
    let file = text(claims);
    let set = &read(file.as_bytes()).sets[0];
    assert_eq!(set.payment.difference(), Some(12 * i128::from(largest)));
    assert_eq!(set.claims[0].remittance.difference(), -i128::from(largest));
}

#[test]
fn a_set_of_which_an_amount_is_none_has_no_difference() {
    let claims = |paid: &str| {
        let set =
            Set::new("T").claim(ClaimPayment::new("A", 1, 10_00, 10_00)).claim(ClaimPayment::new("B", 1, 7_00, 7_00));
        text(set).replace("CLP*B*1*7*7*", &format!("CLP*B*1*7*{paid}*"))
    };
    assert_eq!(read(claims("").as_bytes()).sets[0].payment.difference(), None);
    // A claim that is unreadable otherwise still has its payment in the sum.
    let other = claims("7").replace("CLP*B*1*7*7*", "CLP*B**7*7*");
    let set = &read(other.as_bytes()).sets[0];
    assert_eq!((set.payment.difference(), set.claims.len(), set.payment.unreadable), (Some(0), 1, 1));
    let plb = text(Set::new("T").provider_adjustment("WO", "R", 5_00)).replace("WO:R*5", "WO:R*x");
    assert_eq!(read(plb.as_bytes()).sets[0].payment.difference(), None);
}
