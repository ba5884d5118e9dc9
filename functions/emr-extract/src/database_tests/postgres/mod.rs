//! What PostgreSQL has of its own.

mod connecting;
mod database;
mod failing;
mod types;
mod values;

pub(super) use database::{PostgresDatabase, SCHEMA};
