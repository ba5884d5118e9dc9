//! What the lake knows about revenue cycle data, as pure functions on values and frames.
//!
//! No file, no network, no clock, no environment: a caller passes the time and the rows in and
//! carries the answer out. The rooms:
//!
//! - [`cdm`]: the common data model, one [`cdm::Entity`] per silver table, and the mapping of a
//!   hospital's own columns onto it;
//! - [`scd2`]: a key's history as a function of the set of its events;
//! - [`quality`]: rules as data, and the rows they keep out of silver;
//! - [`kpi`]: the measures finance reads;
//! - [`codes`]: syntax and check digits of NPI, ICD-10 and CPT codes;
//! - [`event`]: what the functions are called with and what they answer;
//! - [`load_config`]: the table of sources, `load_config.csv`.

pub mod cdm;
pub mod codes;
pub mod event;
pub mod gold;
pub mod kpi;
pub mod load_config;
pub mod money;
pub mod quality;
pub mod scd2;
