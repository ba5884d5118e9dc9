//! Data quality: rules as data, and what they say about the rows of one load.
//!
//! A rule of severity `error` keeps a row out of silver; one of severity `warn` only counts.

mod assess;
mod rule;
mod trial;

pub use assess::{Assessment, Tally, assess, check_references};
pub use rule::{Kind, Rule, RuleError, Rulebook, Severity};
