//! The subset of T-SQL that the server supports.
//!
//! ```text
//! SELECT [TOP n] * | item, …  FROM [schema].[table]
//!   [WHERE condition] [ORDER BY column [OFFSET n ROWS FETCH NEXT n ROWS ONLY]]
//! item       column | CAST(column AS type) | MAX(column) | COUNT_BIG(*)   each [AS name]
//! condition  comparisons and IS [NOT] NULL with AND, OR and brackets
//! operand    column | @P1 | CAST(@P1 AS type) | number | DB_ID()
//! ```

mod evaluate;
mod parse;
#[cfg(test)]
mod tests;
mod words;

pub(crate) use evaluate::{Selection, select};
pub(crate) use parse::parse;

use crate::types::Type;

/// A `SELECT`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Select {
    pub(crate) top: Option<u64>,
    /// The selected columns; all columns if it is empty.
    pub(crate) items: Vec<Item>,
    /// Parts of the table's name.
    pub(crate) table: Vec<String>,
    pub(crate) condition: Option<Condition>,
    pub(crate) order_by: Option<String>,
    pub(crate) offset: Option<Operand>,
    pub(crate) fetch: Option<Operand>,
}

/// One column of a result.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Item {
    pub(crate) what: What,
    pub(crate) name: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum What {
    Column(String),
    Cast(String, Type),
    Max(String),
    Count,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Condition {
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
    Compare(Operand, Comparison, Operand),
    IsNull(Operand),
    IsNotNull(Operand),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Operand {
    Column(String),
    /// Counted from 1.
    Parameter(usize),
    Number(i64),
}
