//! `numeric` as it is sent: groups of four decimal digits.

use super::value::Reader;

const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const NEGATIVE_INFINITY: u16 = 0xF000;

/// A number, or what is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numeric {
    /// Digits with as many of them after the point as were asked for.
    Digits(i128),
    /// `NaN`, `Infinity` or `-Infinity`.
    NoNumber(&'static str),
}

/// Reads a value with `scale` digits after the point; none if the bytes are no number, or one with more digits.
pub(super) fn read(bytes: &[u8], scale: i8) -> Option<Numeric> {
    let mut reader = Reader::of(bytes);
    let (groups, weight, sign, _) = (reader.i16()?, reader.i16()?, reader.u16()?, reader.u16()?);
    match sign {
        NAN => return Some(Numeric::NoNumber("NaN")),
        INFINITY => return Some(Numeric::NoNumber("Infinity")),
        NEGATIVE_INFINITY => return Some(Numeric::NoNumber("-Infinity")),
        _ => {}
    }
    let mut sum: i128 = 0;
    for group in 0..i32::from(groups) {
        let digits = i128::from(reader.i16()?);
        if digits != 0 {
            sum = sum.checked_add(shifted(digits, 4 * (i32::from(weight) - group) + i32::from(scale))?)?;
        }
    }
    Some(Numeric::Digits(if sign == NEGATIVE { -sum } else { sum }))
}

/// A number times a power of ten; none if it is not whole or too large.
fn shifted(digits: i128, exponent: i32) -> Option<i128> {
    let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
    if exponent >= 0 {
        return digits.checked_mul(power);
    }
    (digits % power == 0).then(|| digits / power)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn sent(weight: i16, sign: u16, groups: &[i16]) -> Vec<u8> {
        let head = [groups.len() as i16, weight, sign as i16, 0];
        head.iter().chain(groups).flat_map(|number| number.to_be_bytes()).collect()
    }

    #[rstest]
    #[case::zero(0, 0, &[], 2, 0)]
    #[case::whole(0, 0, &[12], 0, 12)]
    #[case::with_a_fraction(0, 0, &[12, 3_400], 2, 1_234)]
    #[case::negative(1, NEGATIVE, &[1, 2_345, 6_700], 2, -1_234_567)]
    #[case::small(-1, 0, &[5], 4, 5)]
    #[case::with_zeros_that_are_not_sent(2, 0, &[1], 1, 1_000_000_000)]
    #[case::least(-10, 0, &[100], 38, 1)]
    fn digits_are_those_that_the_server_has(
        #[case] weight: i16,
        #[case] sign: u16,
        #[case] groups: &[i16],
        #[case] scale: i8,
        #[case] expected: i128,
    ) {
        assert_eq!(read(&sent(weight, sign, groups), scale), Some(Numeric::Digits(expected)));
    }

    #[rstest]
    #[case::more_digits_after_the_point(0, &[1, 2_345], 2)]
    #[case::more_digits_than_fit(12, &[1], 0)]
    fn a_digit_is_never_lost(#[case] weight: i16, #[case] groups: &[i16], #[case] scale: i8) {
        assert_eq!(read(&sent(weight, 0, groups), scale), None);
    }

    #[test]
    fn what_is_no_number_says_so() {
        assert_eq!(read(&sent(0, NAN, &[]), 2), Some(Numeric::NoNumber("NaN")));
        assert_eq!(read(&sent(0, NEGATIVE_INFINITY, &[]), 2), Some(Numeric::NoNumber("-Infinity")));
        assert_eq!(read(&[0, 1], 2), None);
    }
}
