//! The hospitals' tables: one extract of one of them, into Parquet that no manifest names yet.

mod database;
mod files;
mod postgres;
mod sql_server;

use chrono::TimeDelta;
use rcm_model::cdm::Mapping;
use rcm_model::load_config::LoadRow;

use self::postgres::PostgresConnection;
use self::sql_server::SqlServerConnection;
use crate::bronze::{Manifest, SourceObject};
use crate::config::EmrKind;
use crate::context::Context;
use crate::error::Result;
use crate::load::{Rows, Subject};

/// How far a hospital's clock may go before ours. A later watermark is taken for a mistyped one: its row
/// is loaded, but the next extract does not start from it.
const CLOCK_SKEW: TimeDelta = TimeDelta::hours(1);

/// One table of one hospital that is to be extracted.
#[derive(Debug, Clone, Copy)]
pub struct Table<'a> {
    pub subject: Subject<'a>,
    pub row: &'a LoadRow,
    pub mapping: &'a Mapping,
    /// The load that this one comes after.
    pub last: Option<&'a Manifest>,
}

impl<'a> Table<'a> {
    /// The entity that its rows are of.
    fn entity(&self) -> &'a str {
        self.mapping.entity_of(self.subject.entity)
    }
}

/// What an extract brought.
#[derive(Debug, Clone)]
pub enum Extract {
    /// Nothing that the lake does not hold, and why.
    NothingNew(String),
    /// Rows, and what a person should know of them.
    Rows(Box<Rows>, Vec<String>),
}

/// Returns the names of a table's columns as the source has them today. Logs in where it is a database.
///
/// # Errors
/// The source does not answer, refuses the login, or has no such table.
pub async fn columns(context: &Context, row: &LoadRow) -> Result<Vec<String>> {
    match kind_of(context, row) {
        EmrKind::Files => files::columns(context, row).await,
        EmrKind::SqlServer => database::columns::<SqlServerConnection>(context, row).await,
        EmrKind::Postgres => database::columns::<PostgresConnection>(context, row).await,
    }
}

/// Returns the extract file of a table, with its size and time. None where the table is read from a database.
///
/// # Errors
/// `BrokenContract` if there is no such file; the store fails.
pub async fn file_of(context: &Context, row: &LoadRow) -> Result<Option<SourceObject>> {
    match kind_of(context, row) {
        EmrKind::Files => files::source_of(context, row).await.map(Some),
        EmrKind::SqlServer | EmrKind::Postgres => Ok(None),
    }
}

/// What a table is read from. A folder that the environment names goes before what the configuration says.
#[must_use]
pub fn kind_of(context: &Context, row: &LoadRow) -> EmrKind {
    if context.environment.emr_dir.is_some() {
        EmrKind::Files
    } else {
        context.settings.sources.emr.kind_of(&row.datasource)
    }
}

/// Extracts a table: all of it, or what is newer than the last load's watermark, as its row says.
///
/// # Errors
/// The source does not answer, or is not what the configuration says it is.
pub async fn extract(context: &Context, table: &Table<'_>) -> Result<Extract> {
    match kind_of(context, table.row) {
        EmrKind::Files => files::extract(context, table).await,
        EmrKind::SqlServer => database::extract::<SqlServerConnection>(context, table).await,
        EmrKind::Postgres => database::extract::<PostgresConnection>(context, table).await,
    }
}
