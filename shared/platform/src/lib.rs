//! All input and output of the lake: the object store, the bronze load log, Delta tables,
//! configuration, logs, and the one place that knows Lambda.

pub mod bootstrap;
pub mod bronze;
pub mod bronze_file;
pub mod bronze_rows;
pub mod config;
pub mod context;
pub mod crypto;
pub mod csv_stream;
pub mod delta;
pub mod emr;
pub mod error;
pub mod frames;
pub mod gold;
pub mod http;
pub mod lake;
pub mod load;
mod lost_keys;
pub mod quarantine;
pub mod secrets;
pub mod silver;
pub mod stage;
mod storage_error;
pub mod telemetry;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use context::Context;
pub use error::StageError;
pub use lake::Lake;
