//! Closed months: the figures of a month's end that were published, and what has changed them since.
//!
//! A closing keeps the figures ([`closed_schema`]) and what every transaction said of the month's end
//! ([`rows_of`]): the versions of silver that it was made from are removed after some weeks. Later the rows of today are
//! held against those that were kept ([`Comparison`]). The changes are applied to the kept rows one after the other, and
//! each change of a figure belongs to the row that was changed then. So the parts add up to the difference, also where a
//! charge that came late takes back another one, whose own row has not changed.
//!
//! *As known today* is what the current versions say, as in the facts. A row that came, was paid or was deleted after the
//! month's end counts with its service date and its date of payment, as in `kpi_ar_trend`.

mod charge;
mod compare;
mod figures;
mod replay;
mod rows;
mod tables;
#[cfg(test)]
mod tests;

pub use compare::{Closing, Compared, Comparison, Matched};
pub use figures::{ByDatasource, Figures, MEASURES, Totals};
pub use replay::Part;
pub use rows::{FACT_COLUMNS, REVERSAL_COLUMNS, reversal_groups, rows_of, rows_schema};
pub use tables::{
    CLOSED_MONTHS, ClosedFigures, RESTATEMENTS, Reopening, Restated, check, closed_schema, open_closings, reopened,
    restatement_rows, restatement_schema,
};

/// A part of a restatement without a load: the product computes a figure in another way than when it was published.
pub const NO_LOAD: &str = "";
