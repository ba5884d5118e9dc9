//! Databases that speak TDS: SQL Server, Azure SQL, RDS for SQL Server, Babelfish.
//!
//! An extract is read as a stream, row group by row group, so that its memory does not depend on
//! the table's length. It becomes a load whole or not at all: a connection that is lost in the
//! middle starts it again from its first row.

mod batch;
mod column;
mod connection;
mod failure;
mod identifier;
mod moment;
mod query;
mod retry;
mod rows;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use futures::FutureExt;
use rcm_model::cdm::{self, Entity};
use rcm_model::load_config::LoadType;
use tiberius::ColumnData;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use self::column::Column;
use self::connection::Client;
use self::failure::{Step, explain};
use self::identifier::{Identifier, TableName};
use self::query::{Shard, Statement, Window};
use self::rows::{Reading, RowSummary};
use super::{CLOCK_SKEW, Extract, Table};
use crate::bronze::{MALFORMED, POSITION, SourceObject, Watermark};
use crate::bronze_file;
use crate::context::Context;
use crate::error::{Result, StageError};
use crate::load::{self, Rows, printable};

/// Batches that wait for the writer.
const BATCHES_AHEAD: usize = 2;

/// What is known of an extract before a connection is opened.
struct Plan<'a> {
    context: &'a Context,
    table: &'a Table<'a>,
    name: TableName,
    /// The column that an incremental load follows.
    watermark: Option<Identifier>,
    zone: Tz,
    /// The database and the table, for messages.
    place: String,
}

pub(super) async fn extract(context: &Context, table: &Table<'_>) -> Result<Extract> {
    let plan = Plan::of(context, table)?;
    // The driver's futures are deep; unboxed, the compiler gives up on those of the function around.
    retry::retried(&context.settings.sources.emr.sql_server, || plan.attempt().boxed()).await
}

impl<'a> Plan<'a> {
    fn of(context: &'a Context, table: &'a Table<'a>) -> Result<Self> {
        let row = table.row;
        let watermark = match row.loadtype {
            LoadType::Full => None,
            LoadType::Incremental => Some(Identifier::parse(&row.watermark)?),
        };
        let zone = match &table.mapping.time_zone {
            Some(name) => name.parse().map_err(|_| {
                StageError::bad_config(format!("cdm/{}: there is no time zone `{name}`", table.mapping.datasource))
            })?,
            None => Tz::UTC,
        };
        let place = format!("database `{}`, table `{}`", printable(&row.database), printable(&row.tablename));
        Ok(Self { context, table, name: TableName::parse(&row.tablename)?, watermark, zone, place })
    }

    async fn attempt(&self) -> Result<Extract> {
        let mut client = self.connect().await?;
        let columns = self.columns(&mut client).await?;
        let window = self.window(&mut client, &columns).await?;
        if let Some(window) = &window
            && !window.has_newer()
            && (window.high.is_none() || window.overlap.is_zero())
            && window.last.is_some()
        {
            return Ok(Extract::NothingNew(self.no_newer_row()));
        }
        let shards = self.shards(client, &columns, window.as_ref()).await?;
        self.read(Reading::new(self.place.clone(), columns, window), shards).await
    }

    async fn connect(&self) -> Result<Client> {
        let source = connection::DatabaseAddress { name: &self.table.row.database, place: &self.place };
        connection::connect(self.context, source).await
    }

    /// The table's columns.
    ///
    /// # Errors
    /// `BrokenContract` if one is missing that the mapping or the watermark names.
    async fn columns(&self, client: &mut Client) -> Result<Vec<Column>> {
        let described = client.column_metadata(&self.name.quoted(), &["*"]).await;
        let described = described.map_err(|error| explain(&self.place, Step::ReadingColumns, &error))?;
        let columns: Vec<Column> = described.iter().map(Column::of).collect();
        let has = |name: &str| columns.iter().any(|column| column.name.name() == name);
        let mapped = self.table.mapping.entity_columns(self.table.subject.entity);
        let missing = mapped.and_then(|mapped| mapped.resolve(has).err()).unwrap_or_default();
        let watermark = self.watermark.as_ref().map(Identifier::name).filter(|name| !has(name));
        let broken = |reason: String| StageError::broken_contract(format!("{}: {reason}", self.place));
        if let Some(reason) = load::lacks(missing.into_iter().chain(watermark.map(|name| format!("`{name}`")))) {
            return Err(broken(reason));
        }
        if has(POSITION) || has(MALFORMED) {
            let reason = format!("has a column `{POSITION}` or `{MALFORMED}`: these names are taken by the lake");
            return Err(broken(reason));
        }
        Ok(columns)
    }

    /// The rows that an incremental load takes.
    async fn window(&self, client: &mut Client, columns: &[Column]) -> Result<Option<Window>> {
        let Some(watermark) = &self.watermark else { return Ok(None) };
        let found = columns.iter().find(|column| column.name == *watermark);
        let Some((column, kind)) = found.and_then(|column| Some((column, column.moment?))) else {
            let reason = format!("the watermark `{}` is of a type that has no date", watermark.name());
            return Err(StageError::broken_contract(format!("{}: {reason}", self.place)));
        };
        let stream = self.table.subject.stream;
        let overlap = TimeDelta::days(self.context.settings.sources.emr.overlap_days(stream).into());
        let until = kind.on_clock(self.table.subject.started_at + CLOCK_SKEW, self.zone);
        let high = query::high(&self.name, column, kind, until);
        let high = first_value(client, high).await.map_err(|error| explain(&self.place, Step::ReadingHigh, &error))?;
        Ok(Some(Window {
            column: column.clone(),
            kind,
            last: self.last_watermark().map(|last| kind.on_clock(last, self.zone)),
            overlap,
            high: high.and_then(|value| Some((moment::read(&value)?, value))),
            until,
        }))
    }

    /// Where the last load ended; nowhere if it followed another column.
    fn last_watermark(&self) -> Option<DateTime<Utc>> {
        let last = self.table.last?.watermark.as_ref()?;
        if Identifier::parse(&last.column).ok()? == *self.watermark.as_ref()? { last.to } else { None }
    }

    /// Connections, each with the statement of its range of keys.
    async fn shards(
        &self,
        mut client: Client,
        columns: &[Column],
        window: Option<&Window>,
    ) -> Result<Vec<(Client, Statement)>> {
        let shards = match self.shard_column(columns)? {
            None => Vec::new(),
            Some(column) => self.cut(&mut client, column, window).await?,
        };
        let statement = |shard: Option<&Shard>| query::rows(&self.name, columns, window, shard);
        let mut connected = vec![(client, statement(shards.first()))];
        for shard in shards.iter().skip(1) {
            connected.push((self.connect().await?, statement(Some(shard))));
        }
        Ok(connected)
    }

    /// The column that the ranges are cut by; none if the table is read in one.
    fn shard_column<'c>(&self, columns: &'c [Column]) -> Result<Option<&'c Column>> {
        let (emr, subject) = (&self.context.settings.sources.emr, &self.table.subject);
        if emr.shards(subject.stream) <= 1 {
            return Ok(None);
        }
        let id = cdm::entity(subject.entity).map_or("", Entity::id);
        let name = if let Some(name) = emr.shard_column(subject.stream) {
            Identifier::parse(name)?
        } else {
            let has = |name: &str| columns.iter().any(|column| column.name.name() == name);
            let id = self.table.mapping.source_column(subject.entity, id);
            Identifier::known(id.and_then(|id| id.found(has)).unwrap_or_default())
        };
        let found = columns.iter().find(|column| column.name == name);
        let missing = || format!("{}: there is no shard_column `{}`", self.place, name.name());
        found.map(Some).ok_or_else(|| StageError::bad_config(missing()))
    }

    /// Ranges of keys with about as many rows each.
    async fn cut(&self, client: &mut Client, column: &Column, window: Option<&Window>) -> Result<Vec<Shard>> {
        let failed = |error: &tiberius::error::Error| explain(&self.place, Step::FindingShards, error);
        let counted = first_value(client, query::count(&self.name, column, window)).await;
        let Some(ColumnData::I64(Some(count))) = counted.map_err(|error| failed(&error))? else {
            return Ok(Vec::new());
        };
        let shards = i64::from(self.context.settings.sources.emr.shards(self.table.subject.stream)).min(count);
        let mut keys: Vec<ColumnData<'static>> = Vec::new();
        for shard in 1..shards {
            let statement = query::key_at(&self.name, column, window, count * shard / shards);
            let key = first_value(client, statement).await.map_err(|error| failed(&error))?;
            keys.extend(key.filter(|key| keys.last() != Some(key)));
        }
        Ok(Shard::between(column, &keys))
    }

    async fn read(&self, reading: Reading, shards: Vec<(Client, Statement)>) -> Result<Extract> {
        let (load_id, data_key) = load::new_file(self.context, self.table.subject.stream);
        let (sender, batches) = mpsc::channel(BATCHES_AHEAD);
        let reading = Arc::new(reading);
        let sending = AbortOnDropHandle::new(tokio::spawn(rows::send(Arc::clone(&reading), shards, sender)));
        let stopped = |_| StageError::source_unavailable(format!("{}: the reading task stopped", self.place));
        let verdict = async { sending.await.map_err(stopped)? };
        let found = bronze_file::write(&self.context.lake, &data_key, batches, verdict).await?;
        let rows = self.rows(&reading, &found, load_id, data_key);
        if let Some(why) = self.why_nothing_new(&rows, &found) {
            load::discard(self.context, &rows).await?;
            return Ok(Extract::NothingNew(why));
        }
        let ahead = (found.ahead > 0).then(|| {
            let column = &self.table.row.watermark;
            format!("{} rows have a `{column}` in the future: the next load takes them again", found.ahead)
        });
        Ok(Extract::Rows(Box::new(rows), ahead.into_iter().collect()))
    }

    fn rows(&self, reading: &Reading, found: &RowSummary, load_id: String, data_key: String) -> Rows {
        let names: Vec<String> = reading.columns.iter().map(|column| column.name.name().to_owned()).collect();
        let row = self.table.row;
        Rows {
            load_id,
            data_key,
            source: SourceObject {
                name: format!("{}.{}", row.database, row.tablename),
                size: None,
                last_modified: None,
            },
            content_hash: reading.hash(found.all),
            rows: found.all.rows,
            malformed: 0,
            watermark: reading.window.as_ref().map(|window| Watermark {
                column: row.watermark.clone(),
                from: self.last_watermark(),
                to: window.reached().map(|reached| window.kind.to_utc(reached, self.zone)).max(self.last_watermark()),
                settled: None,
                overlap_hash: (!window.overlap.is_zero()).then(|| reading.hash(found.read_again)),
            }),
            unmapped_columns: load::unmapped(&names, self.table.mapping.source_columns(self.table.subject.entity)),
        }
    }

    /// Why rows that were read are none that the lake does not hold.
    fn why_nothing_new(&self, rows: &Rows, found: &RowSummary) -> Option<String> {
        if rows.watermark.is_some() && rows.rows == 0 {
            return Some(self.no_newer_row());
        }
        let last = self.table.last.filter(|last| last.kind == self.table.subject.kind)?;
        let is_same = last.content_hash == rows.content_hash;
        let overlap_hash =
            |watermark: &Option<Watermark>| watermark.as_ref().and_then(|watermark| watermark.overlap_hash.clone());
        let only_read_again = found.all == found.read_again
            && overlap_hash(&rows.watermark).is_some_and(|hash| overlap_hash(&last.watermark) == Some(hash));
        (is_same || only_read_again)
            .then(|| format!("`{}` has not changed since load {}", printable(&rows.source.name), last.sequence))
    }

    fn no_newer_row(&self) -> String {
        let row = self.table.row;
        let name = format!("{}.{}", row.database, row.tablename);
        format!("`{}` has no row that is newer than the last load", printable(&name))
    }
}

/// The first value of the first row of an answer; none where it is null.
async fn first_value(
    client: &mut Client,
    statement: Statement,
) -> std::result::Result<Option<ColumnData<'static>>, tiberius::error::Error> {
    let row = statement.into_query().query(client).await?.into_row().await?;
    let value = row.and_then(|row| row.into_iter().next());
    Ok(value.filter(|value| !is_null(value)))
}

fn is_null(value: &ColumnData<'_>) -> bool {
    match value {
        ColumnData::U8(value) => value.is_none(),
        ColumnData::I16(value) => value.is_none(),
        ColumnData::I32(value) => value.is_none(),
        ColumnData::I64(value) => value.is_none(),
        ColumnData::F32(value) => value.is_none(),
        ColumnData::F64(value) => value.is_none(),
        ColumnData::Bit(value) => value.is_none(),
        ColumnData::String(value) => value.is_none(),
        ColumnData::Guid(value) => value.is_none(),
        ColumnData::Binary(value) => value.is_none(),
        ColumnData::Numeric(value) => value.is_none(),
        ColumnData::Xml(value) => value.is_none(),
        ColumnData::DateTime(value) => value.is_none(),
        ColumnData::SmallDateTime(value) => value.is_none(),
        ColumnData::Time(value) => value.is_none(),
        ColumnData::Date(value) => value.is_none(),
        ColumnData::DateTime2(value) => value.is_none(),
        ColumnData::DateTimeOffset(value) => value.is_none(),
    }
}
