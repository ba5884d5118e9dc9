//! The command line as a library: the state machine in one process, demo data in, tables on the
//! terminal out.

pub mod command;
pub mod defaults;
pub mod demo;
pub mod functions;
pub mod history;
pub mod kpis;
pub mod landing;
pub mod pipeline;
pub mod print;
pub mod run;
pub mod stand_in;
pub mod status;
