//! What the lake does with revenue cycle data, as pure functions on frames.
//!
//! No file, no network, no clock, no environment: a caller passes the time and the rows in and
//! writes what the functions return. The rooms:
//!
//! - [`cdm`]: the rows of a source as rows of the common data model;
//! - [`scd2`]: a key's history as a function of the set of its events;
//! - [`quality`]: rules as data, and the rows they keep out of silver;
//! - [`gold`]: dimensions, facts, and the figures that must agree;
//! - [`kpi`]: the measures finance reads;
//! - [`close`]: closed months, and what has changed their figures since;
//! - [`report`]: what gold says, as figures and sentences;
//! - [`money`]: amounts, to the cent.
//!
//! For `rcm-tables` and the functions of silver and gold. Look first at [`scd2`] for how history is laid
//! out, and at [`kpi`] for what a measure is.
//!
//! ```
//! use chrono::DateTime;
//! use polars::prelude::*;
//! use rcm_domain::cdm::to_model;
//! use rcm_model::cdm::{DEPARTMENTS, Mapping};
//!
//! let mapping = Mapping::parse(
//!     "hos-a.toml",
//!     r#"
//!     datasource = "hos-a"
//!     [entities.departments]
//!     src_dept_id = "DeptID"
//!     name = "Name"
//!     "#,
//! )?;
//! let columns = mapping.columns("departments", "departments.csv").ok_or("not mapped")?;
//! let raw = df!("DeptID" => ["DEPT001"], "Name" => ["Emergency "])?;
//!
//! let rows = to_model(&raw, &DEPARTMENTS, &mapping, columns, DateTime::UNIX_EPOCH)?;
//! assert_eq!(rows.column("dept_key")?.str()?.get(0), Some("DEPT001-hos-a"));
//! assert_eq!(rows.column("name")?.str()?.get(0), Some("Emergency"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod cdm;
pub mod close;
pub mod gold;
pub mod kpi;
pub mod money;
pub mod quality;
pub mod report;
pub mod scd2;
