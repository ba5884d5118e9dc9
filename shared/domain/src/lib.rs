//! What the lake does with revenue cycle data, as pure functions on frames.
//!
//! No file, no network, no clock, no environment: a caller passes the time and the rows in and
//! carries the answer out. The rooms:
//!
//! - [`cdm`]: the rows of a source as rows of the common data model;
//! - [`scd2`]: a key's history as a function of the set of its events;
//! - [`quality`]: rules as data, and the rows they keep out of silver;
//! - [`gold`]: dimensions, facts, and the figures that must agree;
//! - [`kpi`]: the measures finance reads;
//! - [`money`]: amounts, to the cent.

pub mod cdm;
pub mod gold;
pub mod kpi;
pub mod money;
pub mod quality;
pub mod scd2;
