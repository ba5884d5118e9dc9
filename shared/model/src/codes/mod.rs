//! Syntax and check digits of the codes that claims speak in.

/// ICD-10 code: a letter, a digit, a digit or letter, then up to four more after an optional point.
/// Source: WHO ICD-10 volume 2 and the CMS ICD-10-CM coding guidelines.
pub const ICD10_PATTERN: &str = r"^[A-Z][0-9][0-9A-Z](\.?[0-9A-Z]{1,4})?$";

/// CPT code: five characters, four digits and a digit or a letter (categories I to III).
/// Source: CMS, List of CPT/HCPCS Codes.
pub const CPT_PATTERN: &str = r"^[0-9]{4}[0-9A-Z]$";

/// Sum of the constant prefix 80840 that turns an NPI into a card number.
const NPI_PREFIX_SUM: u32 = 24;

/// Whether a text has the form of an NPI: ten digits, whatever the last one says.
#[must_use]
pub fn is_npi(text: &str) -> bool {
    text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether an NPI has ten digits, the last of which is the Luhn check digit over 80840 and the
/// first nine. Source: CMS, Requirements for National Provider Identifier Check Digit.
#[must_use]
pub fn is_valid_npi(npi: &str) -> bool {
    let digits: Option<Vec<u32>> = npi.chars().map(|c| c.to_digit(10)).collect();
    let Some(digits) = digits.filter(|digits| digits.len() == 10) else { return false };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| if place % 2 == 1 { doubled(*digit) } else { *digit })
        .sum();
    (sum + NPI_PREFIX_SUM).is_multiple_of(10)
}

fn doubled(digit: u32) -> u32 {
    let doubled = digit * 2;
    if doubled > 9 { doubled - 9 } else { doubled }
}

/// Whether a text can be a phone number: at least seven digits, and no negative number.
#[must_use]
pub fn is_plausible_phone(phone: &str) -> bool {
    let digits = phone.chars().filter(char::is_ascii_digit).count();
    let negative = phone.strip_prefix('-').is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.'));
    digits >= 7 && !negative
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("1234567893", true)] // the worked example of CMS
    #[case("1234567890", false)]
    #[case("123456789", false)]
    #[case("12345678O3", false)]
    fn npi_check_digit_is_luhn_over_80840(#[case] npi: &str, #[case] expected: bool) {
        assert_eq!(is_valid_npi(npi), expected);
    }

    #[rstest::rstest]
    #[case("555-0100", true)]
    #[case("+1-630-555-0100x0769", true)]
    #[case("555-01", false)]
    #[case("-5550100123", false)]
    fn a_phone_needs_seven_digits_and_no_minus_before_a_number(#[case] phone: &str, #[case] expected: bool) {
        assert_eq!(is_plausible_phone(phone), expected);
    }
}
