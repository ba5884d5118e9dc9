//! National provider identifiers: ten digits, the last of them a check digit.

use rand::Rng;
use rcm_model::codes::npi_check_digit;

use super::dice::Dice;

/// Returns an identifier with a valid check digit. It starts with 2; no such identifiers are assigned so far.
pub(super) fn npi(dice: &mut Dice) -> String {
    with_check_digit(dice, 0)
}

/// Returns the identifier with a wrong check digit, as after a typing error.
pub(super) fn mistyped_npi(dice: &mut Dice) -> String {
    with_check_digit(dice, 1)
}

/// An identifier whose check digit is too high by so much.
fn with_check_digit(dice: &mut Dice, too_high_by: u32) -> String {
    let body = dice.random_range(200_000_000_u64..300_000_000).to_string();
    let digit = npi_check_digit(&body).unwrap_or_default();
    format!("{body}{}", (digit + too_high_by) % 10)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rcm_model::codes::{is_npi, is_valid_npi};

    use super::*;

    #[test]
    fn the_check_digit_is_that_of_the_example_in_the_standard() {
        assert_eq!(npi_check_digit("123456789"), Some(3));
    }

    #[test]
    fn a_mistyped_identifier_is_wrong_in_its_check_digit_alone() {
        let mut dice = Dice::seed_from_u64(1);
        for _ in 0..50 {
            assert!(is_valid_npi(&npi(&mut dice)));
            let mistyped = mistyped_npi(&mut dice);
            assert!(is_npi(&mistyped) && !is_valid_npi(&mistyped), "{mistyped}");
        }
    }
}
