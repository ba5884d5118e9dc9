//! Databases that speak TDS: SQL Server, Azure SQL, RDS for SQL Server, Babelfish.

mod column;
mod connection;
mod failure;
mod moment;
mod value;

use chrono::NaiveDateTime;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use tiberius::error::Error;
use tiberius::{ColumnData, Query, QueryItem, Row};

use self::column::SqlServerType;
use self::failure::explain;
use super::database::{Address, Cell, Column, Connection, SourceRow, SourceType, Statement, Step, TableName};
use crate::config::{DatabaseLimits, Emr};
use crate::context::Context;
use crate::error::{Result, StageError};

/// A connection to SQL Server.
pub(super) struct SqlServerConnection {
    client: connection::Client,
    /// The database and the table, for messages.
    place: String,
}

impl Connection for SqlServerConnection {
    type Type = SqlServerType;
    type Row = Row;

    fn limits(settings: &Emr) -> DatabaseLimits {
        settings.sql_server.limits()
    }

    async fn connect(context: &Context, address: Address<'_>) -> Result<Self> {
        Ok(Self { client: connection::connect(context, address).await?, place: address.place.to_owned() })
    }

    async fn columns(&mut self, table: &TableName) -> Result<Vec<Column<SqlServerType>>> {
        let name = table.quoted(SqlServerType::DIALECT.quotes);
        let columns = self.client.column_metadata(&name, &["*"]).await;
        let columns = columns.map_err(|error| explain(&self.place, Step::ReadingColumns, &error))?;
        Ok(columns.iter().map(column::described).collect())
    }

    async fn first_value(
        &mut self,
        step: Step,
        statement: Statement<SqlServerType>,
    ) -> Result<Option<ColumnData<'static>>> {
        let row = match query(statement).query(&mut self.client).await {
            Ok(answer) => answer.into_row().await,
            Err(error) => Err(error),
        };
        let row = row.map_err(|error| explain(&self.place, step, &error))?;
        let value = row.and_then(|row| row.into_iter().next());
        Ok(value.filter(|value| !value::is_null(value)))
    }

    async fn count(&mut self, step: Step, statement: Statement<SqlServerType>) -> Result<i64> {
        match self.first_value(step, statement).await? {
            Some(ColumnData::I64(Some(count))) => Ok(count),
            _ => Ok(0),
        }
    }

    async fn rows(&mut self, statement: Statement<SqlServerType>) -> Result<BoxStream<'_, Result<Row>>> {
        let Self { client, place } = self;
        let failed = |error: Error| explain(place, Step::ReadingRows, &error);
        let answer = query(statement).query(client).await.map_err(failed)?;
        let rows = answer.try_filter_map(async |item| match item {
            QueryItem::Row(row) => Ok(Some(row)),
            QueryItem::Metadata(_) => Ok(None),
        });
        Ok(rows.map_err(failed).boxed())
    }
}

impl SourceRow<SqlServerType> for Row {
    fn cells(&self, columns: &[Column<SqlServerType>]) -> Result<Vec<Cell<'_>>> {
        let cells = Row::cells(self).zip(columns.iter().map(Some).chain(std::iter::repeat(None)));
        let cells = cells.map(|((described, value), column)| {
            let cell = column.and_then(|column| value::cell(column.bronze, value));
            let changed = || format!("column `{}` changed its type while it was read", described.name());
            cell.ok_or_else(|| StageError::broken_contract(changed()))
        });
        cells.collect()
    }

    fn moment(&self, index: usize, _: &SqlServerType) -> Option<NaiveDateTime> {
        self.get_column_data(index).ok().and_then(moment::read)
    }
}

fn query(statement: Statement<SqlServerType>) -> Query<'static> {
    let mut query = Query::new(statement.text);
    statement.parameters.into_iter().for_each(|value| query.bind(value));
    query
}
