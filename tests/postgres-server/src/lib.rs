//! A real PostgreSQL for tests.
//!
//! The server runs in a temporary folder, on a free port of this machine, and ends with the value that started it. Its
//! programs are those of `target/tools/postgres`, which `bash tests/aws/install-tools.sh postgres` installs, or of
//! `/usr/lib/postgresql`. Started by root it runs as another user, since PostgreSQL refuses root. Clients reach it
//! through a [`Proxy`], which counts connections and loses one on request.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test ends where its server cannot work"
)]

mod programs;
mod proxy;
mod server;

pub use proxy::Proxy;
pub use server::{DATABASE, Owner, PASSWORD, PostgresServer, USER};
