//! What the lake knows about revenue cycle data before a row is read, as plain values.
//!
//! No file, no network, no clock, no environment, and no frames either: every function links this
//! much. The rooms:
//!
//! - [`cdm`]: the common data model, one [`cdm::Entity`] per silver table, and the mapping of a
//!   hospital's own columns onto it;
//! - [`codes`]: syntax and check digits of NPI, ICD-10 and CPT codes;
//! - [`event`]: what the functions are called with and what they return;
//! - [`load_config`]: the table of sources, `load_config.csv`;
//! - [`month`]: a month of the calendar;
//! - [`report_config`]: what the report calls things, `report.toml`;
//! - [`standstill`]: what waits for a person.
//!
//! For every package of the workspace. Look first at [`cdm::ENTITIES`], the list that functions, tables and
//! the template follow from.
//!
//! ```
//! use chrono::NaiveDate;
//! use rcm_model::cdm::{DateReader, Mapping};
//!
//! let mapping = Mapping::parse(
//!     "hos-a.toml",
//!     r#"
//!     datasource = "hos-a"
//!     date_formats = ["%m/%d/%Y"]
//!     [entities.patients]
//!     src_patient_id = "PatientID"
//!     dob = "BirthDate"
//!     "#,
//! )?;
//! let born = mapping.source_column("patients", "dob");
//! assert_eq!(born.and_then(|column| column.found(|name| name == "BirthDate")), Some("BirthDate"));
//!
//! let dates = DateReader::of(&mapping)?;
//! assert_eq!(dates.date("11/07/1984"), NaiveDate::from_ymd_opt(1984, 11, 7));
//! assert_eq!(dates.date("1984-11-07T08:30"), NaiveDate::from_ymd_opt(1984, 11, 7));
//! assert_eq!(dates.date("soon"), None);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod cdm;
pub mod codes;
pub mod event;
pub mod load_config;
pub mod month;
pub mod report_config;
pub mod standstill;
