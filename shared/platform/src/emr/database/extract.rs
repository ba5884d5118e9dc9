//! One extract of one table: which rows it takes, over how many connections, and what of them is new.

use std::marker::PhantomData;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use futures::FutureExt;
use rcm_model::cdm::{self, Entity};
use rcm_model::load_config::{LoadRow, LoadType};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::query::{self, Shard, Statement, Window};
use super::retry;
use super::rows::{self, Reading, RowSummary};
use super::{Address, Column, Connection, Identifier, SourceType, Step, TableName, ValueOf};
use crate::bronze::{MALFORMED, POSITION, SourceObject, Watermark};
use crate::bronze_file;
use crate::context::Context;
use crate::emr::{CLOCK_SKEW, Extract, Table};
use crate::error::{Result, StageError};
use crate::load::{self, Rows, printable};

/// Batches that wait for the writer.
const BATCHES_AHEAD: usize = 2;

/// What is known of an extract before a connection is opened.
struct Plan<'a, C> {
    kind: PhantomData<fn() -> C>,
    context: &'a Context,
    table: &'a Table<'a>,
    name: TableName,
    /// The column that an incremental load follows.
    watermark: Option<Identifier>,
    zone: Tz,
    /// The database and the table, for messages.
    place: String,
}

/// Extracts a table of a database of the kind of `C`.
///
/// # Errors
/// The database does not answer, or is not what the configuration says it is.
pub(in crate::emr) async fn extract<C: Connection>(context: &Context, table: &Table<'_>) -> Result<Extract> {
    let plan = Plan::<C>::of(context, table)?;
    let limits = C::limits(&context.settings.sources.emr);
    // The drivers' futures are deep; unboxed, the compiler gives up on those of the function around.
    retry::retried(&limits, || plan.attempt().boxed()).await
}

/// Returns the names of a table's columns. Connects once: whoever asks sees at once what is wrong.
///
/// # Errors
/// The database does not answer, refuses the login, or has no such table.
pub(in crate::emr) async fn columns<C: Connection>(context: &Context, row: &LoadRow) -> Result<Vec<String>> {
    let place = place_of(row);
    let name = TableName::parse(C::Type::DIALECT.quotes, &row.tablename)?;
    let read = async {
        let mut connection = C::connect(context, Address { database: &row.database, place: &place }).await?;
        connection.columns(&name).await
    };
    let columns = read.boxed().await?;
    Ok(columns.into_iter().map(|column| column.name.name().to_owned()).collect())
}

/// The database and the table, for messages.
fn place_of(row: &LoadRow) -> String {
    format!("database `{}`, table `{}`", printable(&row.database), printable(&row.tablename))
}

impl<'a, C: Connection> Plan<'a, C> {
    fn of(context: &'a Context, table: &'a Table<'a>) -> Result<Self> {
        let row = table.row;
        let watermark = match row.loadtype {
            LoadType::Full => None,
            LoadType::Incremental => Some(Self::identifier(&row.watermark)?),
        };
        let zone = match &table.mapping.time_zone {
            Some(name) => name.parse().map_err(|_| {
                StageError::bad_config(format!("cdm/{}: there is no time zone `{name}`", table.mapping.datasource))
            })?,
            None => Tz::UTC,
        };
        let place = place_of(row);
        let name = TableName::parse(C::Type::DIALECT.quotes, &row.tablename)?;
        Ok(Self { kind: PhantomData, context, table, name, watermark, zone, place })
    }

    fn identifier(text: &str) -> Result<Identifier> {
        Identifier::parse(C::Type::DIALECT.quotes, text)
    }

    fn address(&self) -> Address<'_> {
        Address { database: &self.table.row.database, place: &self.place }
    }

    async fn attempt(&self) -> Result<Extract> {
        let mut connection = C::connect(self.context, self.address()).await?;
        let columns = connection.columns(&self.name).await?;
        self.check(&columns)?;
        let window = self.window(&mut connection, &columns).await?;
        if let Some(window) = &window
            && !window.has_newer()
            && (window.high.is_none() || window.overlap.is_zero())
            && window.last.is_some()
        {
            return Ok(Extract::NothingNew(self.no_newer_row()));
        }
        let shards = self.shards(connection, &columns, window.as_ref()).await?;
        self.read(Reading::new(columns, window), shards).await
    }

    /// Checks that a table has the columns that the mapping and the watermark name.
    ///
    /// # Errors
    /// `BrokenContract` if one is missing, or has a name that the lake needs.
    fn check(&self, columns: &[Column<C::Type>]) -> Result<()> {
        let has = |name: &str| columns.iter().any(|column| column.name.name() == name);
        let mapped = self.table.mapping.entity_columns(self.table.entity());
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
        Ok(())
    }

    /// The rows that an incremental load takes.
    async fn window(&self, connection: &mut C, columns: &[Column<C::Type>]) -> Result<Option<Window<C::Type>>> {
        let Some(watermark) = &self.watermark else { return Ok(None) };
        let found = columns.iter().find(|column| column.name == *watermark);
        let Some((column, clock)) = found.and_then(|column| Some((column, column.kind.clock()?))) else {
            let reason = format!("the watermark `{}` is of a type that has no date", watermark.name());
            return Err(StageError::broken_contract(format!("{}: {reason}", self.place)));
        };
        let stream = self.table.subject.stream;
        let overlap = TimeDelta::days(self.context.settings.sources.emr.overlap_days(stream).into());
        let until = clock.local(self.table.subject.started_at + CLOCK_SKEW, self.zone);
        let high = connection.first_value(Step::ReadingHigh, query::high(&self.name, column, until)).await?;
        Ok(Some(Window {
            column: column.clone(),
            clock,
            last: self.last_watermark().map(|last| clock.local(last, self.zone)),
            overlap,
            high: high.and_then(|value| Some((column.kind.moment(&value)?, value))),
            until,
        }))
    }

    /// Where the last load ended; nowhere if it followed another column.
    fn last_watermark(&self) -> Option<DateTime<Utc>> {
        let last = self.table.last?.watermark.as_ref()?;
        if Self::identifier(&last.column).ok()? == *self.watermark.as_ref()? { last.to } else { None }
    }

    /// Connections, each with the statement of its range of keys.
    async fn shards(
        &self,
        mut connection: C,
        columns: &[Column<C::Type>],
        window: Option<&Window<C::Type>>,
    ) -> Result<Vec<(C, Statement<C::Type>)>> {
        let shards = match self.shard_column(columns)? {
            None => Vec::new(),
            Some(column) => self.cut(&mut connection, column, window).await?,
        };
        let statement = |shard: Option<&Shard<C::Type>>| query::rows(&self.name, columns, window, shard);
        let mut others = Vec::new();
        for shard in shards.iter().skip(1) {
            others.push((connection.beside(self.context, self.address()).await?, statement(Some(shard))));
        }
        let mut connected = vec![(connection, statement(shards.first()))];
        connected.append(&mut others);
        Ok(connected)
    }

    /// The column that the ranges are cut by; none if the table is read in one.
    fn shard_column<'c>(&self, columns: &'c [Column<C::Type>]) -> Result<Option<&'c Column<C::Type>>> {
        let (emr, subject) = (&self.context.settings.sources.emr, &self.table.subject);
        if emr.shards(subject.stream) <= 1 {
            return Ok(None);
        }
        let id = cdm::entity(self.table.entity()).map_or("", Entity::id);
        let name = if let Some(name) = emr.shard_column(subject.stream) {
            Self::identifier(name)?
        } else {
            let has = |name: &str| columns.iter().any(|column| column.name.name() == name);
            let id = self.table.mapping.source_column(self.table.entity(), id);
            Identifier::known(id.and_then(|id| id.found(has)).unwrap_or_default())
        };
        let found = columns.iter().find(|column| column.name == name);
        let missing = || format!("{}: there is no shard_column `{}`", self.place, name.name());
        found.map(Some).ok_or_else(|| StageError::bad_config(missing()))
    }

    /// Ranges of keys with about as many rows each.
    async fn cut(
        &self,
        connection: &mut C,
        column: &Column<C::Type>,
        window: Option<&Window<C::Type>>,
    ) -> Result<Vec<Shard<C::Type>>> {
        let step = Step::FindingShards;
        let count = connection.count(step, query::count(&self.name, column, window)).await?;
        let shards = i64::from(self.context.settings.sources.emr.shards(self.table.subject.stream)).min(count);
        let mut keys: Vec<ValueOf<C>> = Vec::new();
        for shard in 1..shards {
            let statement = query::key_at(&self.name, column, window, count * shard / shards);
            let key = connection.first_value(step, statement).await?;
            keys.extend(key.filter(|key| keys.last() != Some(key)));
        }
        Ok(Shard::between(column, &keys))
    }

    async fn read(&self, reading: Reading<C::Type>, shards: Vec<(C, Statement<C::Type>)>) -> Result<Extract> {
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

    fn rows(&self, reading: &Reading<C::Type>, found: &RowSummary, load_id: String, data_key: String) -> Rows {
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
            malformed: found.malformed,
            watermark: reading.window.as_ref().map(|window| Watermark {
                column: row.watermark.clone(),
                from: self.last_watermark(),
                to: window.reached().map(|reached| window.clock.to_utc(reached, self.zone)).max(self.last_watermark()),
                settled: None,
                overlap_hash: (!window.overlap.is_zero()).then(|| reading.hash(found.read_again)),
            }),
            unmapped_columns: load::unmapped(&names, self.table.mapping.source_columns(self.table.entity())),
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
