//! Syntax and check digits of the codes that claims speak in.

/// ICD-10 code: a letter, two of which one at least is a digit and the other may be a letter, then up to four more
/// after an optional point. Source: WHO ICD-10 volume 2 and the ICD-10-CM tabular list of CMS, whose second
/// character may be a letter from the fiscal year 2026 on (`QA0.0101`).
pub const ICD10_PATTERN: &str = r"^[A-Z]([0-9][0-9A-Z]|[A-Z][0-9])(\.?[0-9A-Z]{1,4})?$";

/// CPT code, four digits and a digit or a letter (categories I to III), or HCPCS code of level II, a letter and four
/// digits. Source: CMS, List of CPT/HCPCS Codes.
pub const CPT_PATTERN: &str = r"^([0-9]{4}[0-9A-Z]|[A-Z][0-9]{4})$";

/// Whether a text has the form of an NPI: ten digits, whatever the last one says.
#[must_use]
pub fn is_npi(text: &str) -> bool {
    text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether an NPI has ten digits, the last of which is the check digit of the first nine.
#[must_use]
pub fn is_valid_npi(npi: &str) -> bool {
    let parts = npi.split_at_checked(9).filter(|_| is_npi(npi));
    parts.is_some_and(|(body, last)| npi_check_digit(body).is_some_and(|digit| last.parse() == Ok(digit)))
}

/// Returns the check digit of the first nine digits of an NPI, none where they are not nine digits: the Luhn formula
/// over the prefix 80840 of health cards and the nine. Source: CMS, Requirements for National Provider Identifier
/// Check Digit (45 CFR 162.406).
#[must_use]
pub fn npi_check_digit(body: &str) -> Option<u32> {
    /// What the prefix adds to the sum.
    const PREFIX_SUM: u32 = 24;
    if body.len() != 9 {
        return None;
    }
    // Every other digit is doubled, from the last one on.
    let values = body.chars().enumerate().map(|(place, digit)| {
        let digit = digit.to_digit(10)?;
        let doubled = if place % 2 == 0 { digit * 2 } else { digit };
        Some(doubled / 10 + doubled % 10)
    });
    let sum = values.sum::<Option<u32>>()? + PREFIX_SUM;
    Some((10 - sum % 10) % 10)
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
    #[case("123456789", Some(3))] // the worked example of CMS
    #[case("000000000", Some(6))] // only the prefix counts
    #[case("12345678", None)]
    #[case("1234567893", None)]
    #[case("12345678O", None)]
    #[case("1234567é", None)]
    fn only_nine_digits_have_a_check_digit(#[case] body: &str, #[case] expected: Option<u32>) {
        assert_eq!(npi_check_digit(body), expected);
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
