//! Extracts from databases.
//!
//! What every database must do is a test on all of them (`connecting`, `failing`, `incremental`, `whole_tables`,
//! `silver`): on a SQL Server in this process, and on a PostgreSQL that the test starts. What one of them has of its
//! own is in the folder of its name.
//!
//! SQL Server is the one that `RCM_TEST_SQLSERVER` names
//! (`mssql://user:password@host:1433/database?encrypt=required&trust=true`), if it does, in a schema of its own
//! that is dropped afterwards; without it one in this process, which also does wrong on
//! purpose where that is what a test is about.

mod connecting;
mod failing;
mod hospital;
mod incremental;
mod postgres;
mod silver;
mod sql_server;
mod whole_tables;
