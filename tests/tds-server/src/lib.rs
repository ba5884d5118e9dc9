//! A small SQL Server for tests.
//!
//! It speaks TDS 7.4 over a socket as a real one does: pre-login, LOGIN7 with its password, TLS,
//! batches and `sp_executesql` with parameters. It keeps tables in memory, evaluates the conditions
//! of a `SELECT` (the little of T-SQL that `sql` describes), sends every type, and does wrong what it
//! is told to: refuses a login, fails, waits, hangs up in the middle of an answer.
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
