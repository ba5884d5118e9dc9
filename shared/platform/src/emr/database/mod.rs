//! What all databases have in common: an extract of one of their tables.
//!
//! An extract is read as a stream, row group by row group, so that its memory does not depend on
//! the table's length. It becomes a load whole or not at all: a connection that is lost in the
//! middle starts it again from its first row.
//!
//! A kind of database is a [`Connection`]: how it connects, what it tells of a table's columns, and how it runs a
//! statement. Its [`SourceType`] says how a column is selected and compared, and its [`SourceRow`] what bronze keeps
//! of a row. Windows, ranges of keys, statements, batches, hashes, secrets and retries are here.

mod batch;
mod clock;
mod column;
mod extract;
mod identifier;
mod query;
mod retry;
mod rows;
mod secret;
mod step;

use std::fmt;

use chrono::NaiveDateTime;
use futures::stream::BoxStream;

pub(super) use self::batch::{Cell, hexadecimal};
pub(super) use self::clock::Clock;
pub(super) use self::column::{BronzeType, Column};
pub(super) use self::extract::{columns, extract};
pub(super) use self::identifier::{Identifier, Quotes, TableName};
pub(super) use self::query::Statement;
pub(super) use self::secret::{Login, LoginOutcome, SecretFields, log_in};
pub(super) use self::step::Step;
use crate::config::{DatabaseLimits, Emr};
use crate::context::Context;
use crate::error::Result;

/// How a kind of database writes names and parameters.
#[derive(Debug)]
pub(super) struct Dialect {
    pub(super) quotes: Quotes,
    /// What stands before the number of a parameter.
    pub(super) parameter: &'static str,
    /// A count of rows as a 64-bit integer.
    pub(super) count: &'static str,
}

/// The type of a column as its database has it.
pub(super) trait SourceType: Clone + fmt::Debug + PartialEq + Send + Sync + 'static {
    /// A value as the database sends it and takes it back.
    type Value: Clone + fmt::Debug + PartialEq + Send + Sync + 'static;

    const DIALECT: &'static Dialect;

    /// The column in the list of a `SELECT`; `name` is quoted.
    fn selected(&self, name: &str) -> String;

    /// A parameter that is compared with the column in the column's own order.
    fn compared(&self, parameter: String) -> String {
        parameter
    }

    /// The clock of the column's moments; none if it keeps no moments and cannot be a watermark.
    fn clock(&self) -> Option<Clock>;

    /// A parameter of the column's own type, so that an index can be used and nothing is rounded up.
    fn bind(&self, moment: NaiveDateTime) -> Self::Value;

    /// The moment of a value, on the column's clock; none where it is null or no moment.
    fn moment(&self, value: &Self::Value) -> Option<NaiveDateTime>;
}

/// A row as a driver gives it.
pub(super) trait SourceRow<T>: Send {
    /// What bronze keeps of the row, in the order of `columns`.
    ///
    /// # Errors
    /// `BrokenContract` if a value is not of its column's type.
    fn cells(&self, columns: &[Column<T>]) -> Result<Vec<Cell<'_>>>;

    /// The moment in the column at `index`, whose type is `kind`; none where it is null.
    fn moment(&self, index: usize, kind: &T) -> Option<NaiveDateTime>;
}

/// The database and the table of an extract.
#[derive(Debug, Clone, Copy)]
pub(super) struct Address<'a> {
    /// Name of the database in `load_config.csv`.
    pub(super) database: &'a str,
    /// The database and the table, for messages.
    pub(super) place: &'a str,
}

/// A connection that is logged in. Its errors name the place and the step, and no value of a row.
pub(super) trait Connection: Sized + Send + 'static {
    type Type: SourceType;
    type Row: SourceRow<Self::Type>;

    /// Timeouts and retries of this kind of database.
    fn limits(settings: &Emr) -> DatabaseLimits;

    /// Connects and logs in.
    ///
    /// # Errors
    /// `SourceUnavailable`, `Throttled` or `Timeout` if the server does not answer; `BadConfig` if the
    /// secret cannot be used, the login is refused or the certificate is not trusted.
    fn connect(context: &Context, address: Address<'_>) -> impl Future<Output = Result<Self>> + Send;

    /// Opens another connection that reads the same table beside this one.
    ///
    /// # Errors
    /// As [`Connection::connect`].
    fn beside(&mut self, context: &Context, address: Address<'_>) -> impl Future<Output = Result<Self>> + Send {
        let _ = self;
        Self::connect(context, address)
    }

    /// The columns of a table.
    ///
    /// # Errors
    /// `BrokenContract` if there is no such table.
    fn columns(&mut self, table: &TableName) -> impl Future<Output = Result<Vec<Column<Self::Type>>>> + Send;

    /// The first value of the first row of an answer; none where it is null.
    fn first_value(
        &mut self,
        step: Step,
        statement: Statement<Self::Type>,
    ) -> impl Future<Output = Result<Option<ValueOf<Self>>>> + Send;

    /// The rows that a statement counts.
    fn count(&mut self, step: Step, statement: Statement<Self::Type>) -> impl Future<Output = Result<i64>> + Send;

    /// Sends the statement of an extract. Rows come as they are asked for: none but a few are in memory.
    fn rows(
        &mut self,
        statement: Statement<Self::Type>,
    ) -> impl Future<Output = Result<BoxStream<'_, Result<Self::Row>>>> + Send;
}

/// A value of a kind of database.
pub(super) type ValueOf<C> = <<C as Connection>::Type as SourceType>::Value;
