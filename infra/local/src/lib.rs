//! The command line as a library: runs the pipeline in one process, generates demo data, and prints tables on
//! the terminal.
//!
//! It is used by `rcm`, and by tests that run the whole pipeline. Look first at [`run::run`], which calls the
//! functions in the order of [`pipeline::PIPELINE`]; [`command`] has the commands, and [`demo`] generates the data.

pub mod command;
pub mod defaults;
pub mod demo;
pub mod diff;
pub mod doctor;
pub mod explain;
pub mod functions;
pub mod hint;
pub mod history;
pub mod hospital;
pub mod kpis;
pub mod landing;
pub mod masking;
pub mod output;
pub mod pipeline;
pub mod print;
pub mod profile;
pub mod quarantine;
pub mod readings;
pub mod run;
pub mod run_plan;
pub mod schema;
pub mod sql;
pub mod stand_in;
pub mod status;
