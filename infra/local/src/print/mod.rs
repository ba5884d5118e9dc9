//! Output for people: the progress of a run, and tables as text.
//!
//! Only [`Progress`] prints, to standard error. Every other function returns text that ends with a line break, and the
//! binary prints it. Much of the text comes from sources: control characters are replaced.

mod checks;
mod demo;
mod diff;
mod figures;
mod history;
mod history_at;
mod hospital;
mod json;
mod kpi_table;
mod kpis;
mod loads;
mod profile;
mod progress;
mod quarantine;
mod replayed;
mod rows;
mod run_plan;
mod standstills;
mod status;
mod summary;
mod table;

pub use checks::{checks, explanations};
pub use demo::{DemoEnd, demo_end, demo_files};
pub use diff::diff;
pub use history::{History, Observation, QuarantinedRow, Version, history};
pub use history_at::{AsOf, as_of};
pub use hospital::hospital;
pub use json::json;
pub use kpi_table::{Cell, KpiTable};
pub use kpis::{ALL, AgingRow, ClaimsRow, CollectionRow, DaysInArRow, Kpis, aging_rows, kpis};
pub use loads::loads;
pub use profile::profile;
pub use progress::{Progress, Running};
pub use quarantine::{quarantine, quarantined};
pub use replayed::replayed;
pub use rows::rows;
pub use run_plan::run_plan;
pub use standstills::standstills;
pub use status::{QuarantineStatus, Status, StreamStatus, TableStatus, status};
pub use summary::{PassedOver, maintenance, passed_over, summary};
