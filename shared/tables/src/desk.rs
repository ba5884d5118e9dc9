//! What people decide about rows in quarantine: the log of their decisions, and the rows that are meant.

mod decisions;
mod rows;

pub use decisions::{Action, Decision, Decisions, NewDecision, rulebook_hash};
pub use rows::{OpenRow, open_rows, rules_of};
