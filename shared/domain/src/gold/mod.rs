//! Gold: dimensions with their versions, facts with the keys of the versions valid at the time of
//! service, and the figures that must agree before a table is committed.

pub mod control;
pub mod date;
pub mod dimension;
pub mod fact;
mod registry;

use polars::prelude::*;

pub use dimension::{DIMENSIONS, Dimension};
pub use fact::{FACTS, Fact};

/// Surrogate key of the unknown member: what a row points to whose key no dimension knows.
pub const UNKNOWN_SK: i64 = 0;
/// Durable key of the unknown member.
pub const UNKNOWN_KEY: &str = "unknown";

/// The columns of `schema`, in its order and of its types.
///
/// # Errors
/// A column is missing, or a value does not fit its type.
pub fn conform(rows: LazyFrame, schema: &Schema) -> PolarsResult<DataFrame> {
    let columns: Vec<Expr> = schema.iter().map(|(name, dtype)| col(name.clone()).strict_cast(dtype.clone())).collect();
    rows.select(columns).collect()
}
