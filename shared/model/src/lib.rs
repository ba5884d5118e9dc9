//! What the lake knows about revenue cycle data before a row is read, as plain values.
//!
//! No file, no network, no clock, no environment, and no frames either: every function links this
//! much. The rooms:
//!
//! - [`cdm`]: the common data model, one [`cdm::Entity`] per silver table, and the mapping of a
//!   hospital's own columns onto it;
//! - [`codes`]: syntax and check digits of NPI, ICD-10 and CPT codes;
//! - [`event`]: what the functions are called with and what they answer;
//! - [`load_config`]: the table of sources, `load_config.csv`.

pub mod cdm;
pub mod codes;
pub mod event;
pub mod load_config;
