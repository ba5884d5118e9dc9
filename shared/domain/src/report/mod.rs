//! The report: what gold says, as figures and sentences. No HTML: the function `gold-report` makes a page of it.
//!
//! Sentences are rules with figures in them; a finding needs to be more than chance and more than little. Look first at
//! [`Report::of`].

pub mod facts;
pub mod figures;
mod findings;
mod sections;
mod series;
#[cfg(test)]
mod tests;
mod view;

pub use view::*;
