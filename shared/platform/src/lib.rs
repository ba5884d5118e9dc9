//! Input and output of the lake up to bronze: the object store, the sources, the bronze load log,
//! configuration, logs, and the one place that knows Lambda.
//!
//! Nothing here works on frames, so that a function that plans, extracts or pulls links no engine for
//! them. What does is `rcm-tables`.
//!
//! For every function. Look first at [`Context`], which a handler is handed, at [`lake`] for where objects
//! lie, and at [`bronze`] for what a load is. [`bootstrap`] hosts a handler on Lambda.

pub mod backoff;
pub mod bootstrap;
pub mod bronze;
pub mod bronze_file;
pub mod bronze_rows;
pub mod config;
pub mod context;
pub mod corrections;
pub mod crypto;
pub mod csv_stream;
pub mod emr;
pub mod error;
pub mod http;
mod keys;
pub mod lake;
pub mod landing;
pub mod load;
mod lost_keys;
pub mod secrets;
pub mod stage;
pub mod standstill;
mod storage_error;
pub mod streams;
pub mod telemetry;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod voids;

pub use context::Context;
pub use error::StageError;
pub use lake::Lake;
