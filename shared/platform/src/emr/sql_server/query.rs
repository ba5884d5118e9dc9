//! The statements of an extract. Names are quoted, values are bound.

use chrono::{NaiveDateTime, TimeDelta};
use tiberius::{ColumnData, Query};

use super::column::Column;
use super::identifier::TableName;
use super::moment::MomentKind;

/// A statement and the values of its parameters.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Statement {
    text: String,
    parameters: Vec<ColumnData<'static>>,
}

/// Rows of an incremental load, on the clock of the watermark column.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Window {
    pub(super) column: Column,
    pub(super) kind: MomentKind,
    /// The last load's watermark; none for the first load.
    pub(super) last: Option<NaiveDateTime>,
    pub(super) overlap: TimeDelta,
    /// The latest watermark of the source that is not in the future, and its own value of it.
    pub(super) high: Option<(NaiveDateTime, ColumnData<'static>)>,
    /// A later watermark is a mistyped one.
    pub(super) until: NaiveDateTime,
}

/// One of the ranges of keys that a table is read in: `after < key <= to`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shard {
    column: Column,
    after: Option<ColumnData<'static>>,
    to: Option<ColumnData<'static>>,
}

impl Statement {
    pub(super) fn into_query(self) -> Query<'static> {
        let mut query = Query::new(self.text);
        self.parameters.into_iter().for_each(|value| query.bind(value));
        query
    }

    fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Binds a value and names its parameter.
    fn bind(&mut self, value: ColumnData<'static>) -> String {
        self.parameters.push(value);
        format!("@P{}", self.parameters.len())
    }
}

impl Window {
    /// Whether the source has a row that is newer than the last load.
    pub(super) fn has_newer(&self) -> bool {
        self.high.as_ref().is_some_and(|(high, _)| self.last.is_none_or(|last| *high > last))
    }

    /// Where the next load starts from.
    pub(super) fn reached(&self) -> Option<NaiveDateTime> {
        self.high.as_ref().map(|(high, _)| *high).max(self.last)
    }

    /// Whether the next load reads a row again if nothing newer comes.
    pub(super) fn is_read_again(&self, moment: NaiveDateTime) -> bool {
        self.reached().is_some_and(|reached| moment > reached - self.overlap && moment <= reached)
    }

    fn condition(&self, statement: &mut Statement) -> String {
        let column = self.column.name.quoted();
        let mut ways = Vec::new();
        if let Some((_, high)) = &self.high {
            let after = self.last.map(|last| {
                let parameter = statement.bind(self.kind.bind(last - self.overlap));
                format!("{column} > {parameter} AND ")
            });
            let high = statement.bind(high.clone());
            ways.push(format!("({}{column} <= {high})", after.unwrap_or_default()));
        }
        // Rows that no watermark tells apart come with every load that has others too.
        if self.has_newer() || self.last.is_none() {
            let until = statement.bind(self.kind.bind(self.until));
            ways.push(format!("{column} IS NULL OR {column} > {until}"));
        }
        format!("({})", ways.join(" OR "))
    }
}

impl Shard {
    /// The ranges between some keys, which are in order.
    pub(super) fn between(column: &Column, keys: &[ColumnData<'static>]) -> Vec<Self> {
        let starts = std::iter::once(None).chain(keys.iter().cloned().map(Some));
        let ends = keys.iter().cloned().map(Some).chain(std::iter::once(None));
        starts.zip(ends).map(|(after, to)| Self { column: column.clone(), after, to }).collect()
    }

    fn condition(&self, statement: &mut Statement) -> Option<String> {
        let column = self.column.name.quoted();
        let mut compare = |operator: &str, key: &ColumnData<'static>| {
            let parameter = statement.bind(key.clone());
            format!("{column} {operator} {}", self.column.compared_with(parameter))
        };
        match (&self.after, &self.to) {
            (None, None) => None,
            (None, Some(to)) => Some(format!("({} OR {column} IS NULL)", compare("<=", to))),
            (Some(after), None) => Some(compare(">", after)),
            (Some(after), Some(to)) => Some(format!("{} AND {}", compare(">", after), compare("<=", to))),
        }
    }
}

/// All rows of a load, or those of one shard of it.
pub(super) fn rows(table: &TableName, columns: &[Column], window: Option<&Window>, shard: Option<&Shard>) -> Statement {
    let list: Vec<String> = columns.iter().map(Column::selected).collect();
    let mut statement = Statement::default();
    statement.push(&format!("SELECT {} FROM {}", list.join(", "), table.quoted()));
    let window = window.map(|window| window.condition(&mut statement));
    let shard = shard.and_then(|shard| shard.condition(&mut statement));
    let conditions: Vec<String> = window.into_iter().chain(shard).collect();
    if !conditions.is_empty() {
        statement.push(&format!(" WHERE {}", conditions.join(" AND ")));
    }
    statement
}

/// The latest watermark that is not later than a moment.
pub(super) fn high(table: &TableName, column: &Column, kind: MomentKind, until: NaiveDateTime) -> Statement {
    let mut statement = Statement::default();
    let (name, until) = (column.name.quoted(), statement.bind(kind.bind(until)));
    statement.push(&format!("SELECT MAX({name}) FROM {} WHERE {name} <= {until}", table.quoted()));
    statement
}

/// Number of the rows of a load that have a key.
pub(super) fn count(table: &TableName, key: &Column, window: Option<&Window>) -> Statement {
    let mut statement = Statement::default();
    statement.push(&format!("SELECT COUNT_BIG(*) FROM {}", table.quoted()));
    push_keyed(&mut statement, key, window);
    statement
}

/// The key that so many rows of a load come before.
pub(super) fn key_at(table: &TableName, key: &Column, window: Option<&Window>, offset: i64) -> Statement {
    let mut statement = Statement::default();
    let name = key.name.quoted();
    statement.push(&format!("SELECT {name} FROM {}", table.quoted()));
    push_keyed(&mut statement, key, window);
    let offset = statement.bind(ColumnData::I64(Some(offset)));
    statement.push(&format!(" ORDER BY {name} OFFSET {offset} ROWS FETCH NEXT 1 ROWS ONLY"));
    statement
}

fn push_keyed(statement: &mut Statement, key: &Column, window: Option<&Window>) {
    let name = key.name.quoted();
    let window = window.map(|window| format!("{} AND ", window.condition(statement)));
    statement.push(&format!(" WHERE {}{name} IS NOT NULL", window.unwrap_or_default()));
}
