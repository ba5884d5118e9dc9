//! Money: `decimal(18,2)`, in the currency of the source; `decimal(38,2)` where it is a sum.

use polars::prelude::*;

/// Digits of an amount.
pub const PRECISION: usize = 18;
/// Digits after the point: cents.
pub const SCALE: usize = 2;

/// Digits of a sum: as many amounts as a lake can hold never have more.
pub const SUM_PRECISION: usize = 38;

/// The type of every amount in silver and in the facts.
#[must_use]
pub fn dtype() -> DataType {
    DataType::Decimal(PRECISION, SCALE)
}

/// The type of every sum of amounts in gold.
#[must_use]
pub fn sum_dtype() -> DataType {
    DataType::Decimal(SUM_PRECISION, SCALE)
}

/// Nought, as an amount.
pub fn zero() -> Expr {
    lit(0).cast(dtype())
}

/// Renders cents as an amount with two decimals: `-105` is `-1.05`.
#[must_use]
pub fn format_cents(cents: i128) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    let cents = cents.unsigned_abs();
    format!("{sign}{}.{:02}", cents / 100, cents % 100)
}

/// Returns the ratio of two sums, or `None` if the second is zero.
#[must_use]
pub fn ratio(numerator: i128, denominator: i128) -> Option<f64> {
    (denominator != 0).then(|| numerator as f64 / denominator as f64)
}

/// Reads a text as an amount in cents, half a cent away from zero: `12.345` is 1235, `1e3` is 100000. None where it
/// is no number, or one that the type cannot hold.
#[must_use]
pub fn parse_cents(text: &str) -> Option<i128> {
    let text = text.trim();
    let (is_negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (digits, exponent) = match digits.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
        None => (digits, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    // Digits up to the cents, by where the exponent puts the point.
    let cents_at = i64::try_from(whole.len()).ok()? + i64::from(exponent) + SCALE as i64;
    let mut cents: i128 = 0;
    let all = whole.bytes().chain(fraction.bytes());
    for byte in all.clone().take(usize::try_from(cents_at).unwrap_or(0)) {
        cents = cents.checked_mul(10)?.checked_add(i128::from(byte - b'0'))?;
    }
    let missing = cents_at - i64::try_from(whole.len() + fraction.len()).ok()?;
    if cents != 0 && missing > 0 {
        cents = cents.checked_mul(10_i128.checked_pow(u32::try_from(missing).ok()?)?)?;
    }
    let next = if cents_at < 0 { None } else { all.clone().nth(usize::try_from(cents_at).ok()?) };
    if next.is_some_and(|byte| byte >= b'5') {
        cents += 1;
    }
    (cents < 10_i128.pow(PRECISION as u32)).then_some(if is_negative { -cents } else { cents })
}

/// Sum of a money column in cents; nulls count as zero.
///
/// # Errors
/// The column is missing or no decimal with two digits after the point.
pub fn sum_cents(frame: &DataFrame, column: &str) -> PolarsResult<i128> {
    let series = frame.column(column)?.as_materialized_series();
    Ok(series.decimal()?.physical().iter().flatten().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_to_the_cent() {
        let cases = [
            ("988.3699951171875", Some(98_837)),
            ("12", Some(1200)),
            (".5", Some(50)),
            ("12.", Some(1200)),
            ("-0.004", Some(0)),
            ("-0.005", Some(-1)),
            ("12.345", Some(1235)),
            ("0012.3449999", Some(1234)),
            ("1e3", Some(100_000)),
            ("1.5E-2", Some(2)),
            ("1e-9", Some(0)),
            ("5e-3", Some(1)),
            ("+7.10", Some(710)),
            ("9999999999999999.99", Some(999_999_999_999_999_999)),
            ("10000000000000000", None),
            ("1e40", None),
            ("many", None),
            ("1,234.50", None),
            ("", None),
            (".", None),
            ("1.2.3", None),
            ("--1", None),
        ];
        for (text, cents) in cases {
            assert_eq!(parse_cents(text), cents, "{text}");
        }
    }

    #[test]
    fn cents_keep_their_leading_zero_and_sign() {
        assert_eq!(format_cents(417_348_391), "4173483.91");
        assert_eq!(format_cents(-5), "-0.05");
    }
}
