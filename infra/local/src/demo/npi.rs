//! National provider identifiers: ten digits, the last of them a check digit.

use rand::Rng;

use super::dice::Dice;

/// An identifier whose check digit is right. It starts with 2, where none is given out so far.
pub(super) fn npi(dice: &mut Dice) -> String {
    let body = dice.random_range(200_000_000_u64..300_000_000);
    format!("{body}{}", check_digit(body))
}

/// The same with a wrong check digit, as after a slip of the hand.
pub(super) fn mistyped_npi(dice: &mut Dice) -> String {
    let body = dice.random_range(200_000_000_u64..300_000_000);
    format!("{body}{}", (check_digit(body) + 1) % 10)
}

/// Check digit of nine digits: the Luhn formula over the prefix 80840 of health cards and the body
/// (45 CFR 162.406).
fn check_digit(body: u64) -> u64 {
    let mut rest = 80_840_000_000_000 + body;
    let (mut sum, mut doubled) = (0, true);
    while rest > 0 {
        let digit = if doubled { rest % 10 * 2 } else { rest % 10 };
        sum += digit / 10 + digit % 10;
        rest /= 10;
        doubled = !doubled;
    }
    (10 - sum % 10) % 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_digit_is_that_of_the_example_in_the_standard() {
        assert_eq!(check_digit(123_456_789), 3);
    }
}
