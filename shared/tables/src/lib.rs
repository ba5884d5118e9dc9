//! The lake's tables: Delta logs and data files, and how silver and gold are made and read.
//!
//! For the functions of silver and gold, audit and maintenance, and for whoever reads a table from Rust.
//! Look first at [`silver::run`], the silver stage of every entity, and at [`delta::Table`], through which
//! every table is opened and read.

pub mod audit;
mod chunks;
pub mod conditions;
pub mod delta;
pub mod desk;
pub mod frames;
pub mod gold;
#[doc(hidden)]
pub mod kernels;
pub mod quarantine;
pub mod rulebooks;
pub mod silver;
pub mod standstill;
