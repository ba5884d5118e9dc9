//! Extracts from a database that speaks TDS.
//!
//! What any SQL Server must do is tested on the one that `RCM_TEST_SQLSERVER` names
//! (`mssql://user:password@host:1433/database?encrypt=required&trust=true`), in a schema of its own
//! that is dropped afterwards; without it on a server in this process, which also does wrong on
//! purpose where that is what a test is about.

mod connecting;
mod failing;
mod hospital;
mod incremental;
mod types;
mod whole_tables;
