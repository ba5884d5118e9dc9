//! A small SQL Server for tests.
//!
//! It speaks TDS 7.4 over a socket like a real server: pre-login, LOGIN7 with its password, TLS, batches and
//! `sp_executesql` with parameters. It keeps tables in memory, evaluates the conditions of a `SELECT` (the subset of
//! T-SQL that `sql` describes), sends every type, and fails on request: it refuses a login, returns an error, delays a
//! response, or closes the connection in the middle of a response. Look first at
//! `functions/emr-extract/src/sql_server_tests/hospital.rs`, which starts one.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test ends where its server cannot work"
)]

mod encode;
mod fault;
mod login;
mod packet;
mod rpc;
mod server;
mod session;
mod sql;
mod tls;
mod tokens;
mod types;
mod value;

pub use fault::Fault;
pub use login::Login;
pub use server::{PASSWORD, TdsServer, USER};
pub use tokens::SqlError;
pub use types::{Column, Type};
pub use value::{Row, Value};
