//! The lake's tables: Delta logs and data files, and how silver and gold are made and read.

pub mod delta;
pub mod frames;
pub mod gold;
pub mod quarantine;
pub mod rulebooks;
pub mod silver;
