//! What SQL Server has of its own.

mod connecting;
mod failing;
mod named;
mod statements;
mod types;

pub(super) use named::NamedServer;
