//! What a run shows a person: progress while it goes on, and tables as text.
//!
//! Apart from [`Progress`], which draws on standard error, nothing here prints: every function
//! answers text that ends with a line break, and the binary writes it. Much of what is shown is a source's
//! words: no control character of them gets through.

mod demo;
mod figures;
mod history;
mod kpis;
mod progress;
mod status;
mod summary;
mod table;

pub use demo::demo_files;
pub use history::{History, QuarantinedRow, Version, history};
pub use kpis::{ALL, AgingRow, ClaimsRow, CollectionRow, DaysInArRow, Kpis, aging_rows, kpis};
pub use progress::{Progress, Running};
pub use status::{QuarantineStatus, Status, StreamStatus, TableStatus, status};
pub use summary::{PassedOver, maintenance, passed_over, summary};
