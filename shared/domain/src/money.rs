//! Money: `decimal(18,2)`, in the currency of the source.

use polars::prelude::*;

/// Digits of an amount.
pub const PRECISION: usize = 18;
/// Digits after the point: cents.
pub const SCALE: usize = 2;

/// The type of every amount in silver and gold.
#[must_use]
pub fn dtype() -> DataType {
    DataType::Decimal(PRECISION, SCALE)
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

/// Sum of a money column in cents; nulls count as nought.
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
    fn cents_keep_their_leading_zero_and_sign() {
        assert_eq!(format_cents(417_348_391), "4173483.91");
        assert_eq!(format_cents(-5), "-0.05");
    }
}
