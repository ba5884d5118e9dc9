//! Output for people: the progress of a run, and tables as text.
//!
//! Only [`Progress`] prints, to standard error. Every other function returns text that ends with a line break, and the
//! binary prints it. Much of the text comes from sources: control characters are replaced.

mod demo;
mod figures;
mod history;
mod kpi_table;
mod kpis;
mod loads;
mod progress;
mod quarantine;
mod replayed;
mod standstills;
mod status;
mod summary;
mod table;

pub use demo::demo_files;
pub use history::{History, QuarantinedRow, Version, history};
pub use kpi_table::{Cell, KpiTable};
pub use kpis::{ALL, AgingRow, ClaimsRow, CollectionRow, DaysInArRow, Kpis, aging_rows, kpis};
pub use loads::loads;
pub use progress::{Progress, Running};
pub use quarantine::{quarantine, quarantined};
pub use replayed::replayed;
pub use standstills::standstills;
pub use status::{QuarantineStatus, Status, StreamStatus, TableStatus, status};
pub use summary::{PassedOver, maintenance, passed_over, summary};
