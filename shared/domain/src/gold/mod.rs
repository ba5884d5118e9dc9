//! Gold: dimensions with their versions, facts with the keys of the versions valid at the time of
//! service, and the figures that must agree before a table is committed.

pub mod control;
pub mod date;
pub mod dimension;
pub mod fact;
pub mod held;
mod lookup;
mod registry;

use polars::prelude::*;

pub use dimension::{DIMENSIONS, Dimension};
pub use fact::{FACTS, Fact};
pub use lookup::Lookup;

/// Surrogate key of the unknown member: what a row points to whose key no dimension knows.
pub const UNKNOWN_SK: i64 = 0;
/// Durable key of the unknown member.
pub const UNKNOWN_KEY: &str = "unknown";

/// The columns of `schema`, in its order and of its types.
///
/// # Errors
/// A column is missing, or a value does not fit its type: the error names the column.
pub fn conform(rows: LazyFrame, schema: &Schema) -> PolarsResult<DataFrame> {
    let columns: Vec<Expr> = schema.iter().map(|(name, dtype)| col(name.clone()).strict_cast(dtype.clone())).collect();
    let conformed = rows.clone().select(columns).collect();
    conformed.map_err(|error| unfit(rows, schema).unwrap_or(error))
}

/// Names the first column with a value that its type does not hold.
fn unfit(rows: LazyFrame, schema: &Schema) -> Option<PolarsError> {
    let rows = rows.collect().ok()?;
    schema.iter().find_map(|(name, dtype)| {
        let is_unfit = rows.column(name).ok()?.strict_cast(dtype).is_err();
        is_unfit.then(|| polars_err!(AssertionError: "column `{name}` has a value that {dtype} cannot hold"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money;

    #[test]
    fn a_sum_that_its_column_cannot_hold_is_told_with_the_column_and_without_the_sum() {
        let schema = Schema::from_iter([
            Field::new("rows".into(), DataType::Int64),
            Field::new("balance".into(), money::dtype()),
        ]);
        let rows = df!("rows" => [1], "balance" => [i64::MAX]).unwrap().lazy();
        let error = conform(rows, &schema).unwrap_err().to_string();
        assert!(error.contains("column `balance` has a value that") && !error.contains("92233"), "{error}");
    }
}
