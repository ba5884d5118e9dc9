//! PostgreSQL, RDS for PostgreSQL, Aurora: databases that speak its protocol.
//!
//! All statements of an extract run in one transaction that reads one snapshot, also those of several connections.

mod column;
mod connection;
mod failure;
mod numeric;
mod tls;
mod value;

use chrono::NaiveDateTime;
use futures::stream::{self, BoxStream, StreamExt};
use tokio_postgres::Row;

use self::column::PostgresType;
use self::connection::Session;
use self::value::{PostgresValue, RawBytes};
use super::database::{Address, Cell, Column, Connection, SourceRow, SourceType, Statement, Step, TableName};
use crate::config::{DatabaseLimits, Emr};
use crate::context::Context;
use crate::error::{Result, StageError};

/// A connection to PostgreSQL.
pub(super) struct PostgresConnection {
    session: Session,
}

impl Connection for PostgresConnection {
    type Type = PostgresType;
    type Row = Row;

    fn limits(settings: &Emr) -> DatabaseLimits {
        settings.postgres.limits()
    }

    async fn connect(context: &Context, address: Address<'_>) -> Result<Self> {
        let session = connection::connect(context, address).await?;
        session.begin(None).await?;
        Ok(Self { session })
    }

    async fn beside(&mut self, context: &Context, address: Address<'_>) -> Result<Self> {
        let snapshot = self.session.export_snapshot().await?;
        let session = connection::connect(context, address).await?;
        session.begin(Some(&snapshot)).await?;
        Ok(Self { session })
    }

    async fn columns(&mut self, table: &TableName) -> Result<Vec<Column<PostgresType>>> {
        let text = format!("SELECT * FROM {}", table.quoted(PostgresType::DIALECT.quotes));
        let statement = self.session.prepare(Step::ReadingColumns, &text).await?;
        Ok(statement.columns().iter().map(column::described).collect())
    }

    async fn first_value(&mut self, step: Step, statement: Statement<PostgresType>) -> Result<Option<PostgresValue>> {
        let row = self.session.first_row(step, statement).await?;
        Ok(row.and_then(|row| RawBytes::of(&row, 0).map(PostgresValue::from)))
    }

    async fn count(&mut self, step: Step, statement: Statement<PostgresType>) -> Result<i64> {
        let row = self.session.first_row(step, statement).await?;
        Ok(row.and_then(|row| row.try_get(0).ok()).unwrap_or_default())
    }

    async fn rows(&mut self, statement: Statement<PostgresType>) -> Result<BoxStream<'_, Result<Row>>> {
        let answer = self.session.send(statement).await?;
        let rows = stream::try_unfold((&mut self.session, answer), |(session, mut answer)| async move {
            let row = session.next_row(&mut answer).await?;
            Ok(row.map(|row| (row, (session, answer))))
        });
        Ok(rows.boxed())
    }
}

impl SourceRow<PostgresType> for Row {
    fn cells(&self, columns: &[Column<PostgresType>]) -> Result<Vec<Cell<'_>>> {
        let changed = || StageError::broken_contract("the table's columns changed while it was read".to_owned());
        let cell = |(index, column): (usize, &Column<PostgresType>)| {
            let Some(value) = RawBytes::of(self, index) else { return Ok(Cell::Null) };
            let broken = || format!("column `{}` has a value that its type does not have", column.name.name());
            value::cell(column.kind.form(), value).ok_or_else(|| StageError::broken_contract(broken()))
        };
        if self.len() == columns.len() { columns.iter().enumerate().map(cell).collect() } else { Err(changed()) }
    }

    fn moment(&self, index: usize, kind: &PostgresType) -> Option<NaiveDateTime> {
        value::moment(kind.form(), RawBytes::of(self, index)?)
    }
}
