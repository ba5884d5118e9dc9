//! Data quality: rules as data, and what they say about the rows of one load.
//!
//! A rule of severity `error` keeps a row out of silver; one of severity `warn` only counts.

mod assess;
mod builtin;
mod drift;
mod rule;
mod sql;
mod trial;

pub(crate) use sql::{expression, looks_at_other_rows};

pub use assess::{Assessment, FailedRows, LoadFacts, LoadNature, NotRun, assess, check_references};
pub use drift::{DRIFT_LOADS, drift};
pub use rule::{Rule, RuleError, RuleKind, Rulebook};
