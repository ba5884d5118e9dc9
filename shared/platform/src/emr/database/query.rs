//! The statements of an extract. Names are quoted, values are bound.

use chrono::{NaiveDateTime, TimeDelta};

use super::{Clock, Column, SourceType, TableName};

/// A statement and the values of its parameters.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::emr) struct Statement<T: SourceType> {
    pub(in crate::emr) text: String,
    pub(in crate::emr) parameters: Vec<T::Value>,
}

/// Rows of an incremental load, on the clock of the watermark column.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Window<T: SourceType> {
    pub(super) column: Column<T>,
    pub(super) clock: Clock,
    /// The last load's watermark; none for the first load.
    pub(super) last: Option<NaiveDateTime>,
    pub(super) overlap: TimeDelta,
    /// The latest watermark of the source that is not in the future, and its own value of it.
    pub(super) high: Option<(NaiveDateTime, T::Value)>,
    /// A later watermark is a mistyped one.
    pub(super) until: NaiveDateTime,
}

/// One of the ranges of keys that a table is read in: `after < key <= to`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shard<T: SourceType> {
    column: Column<T>,
    after: Option<T::Value>,
    to: Option<T::Value>,
}

impl<T: SourceType> Statement<T> {
    fn new() -> Self {
        Self { text: String::new(), parameters: Vec::new() }
    }

    fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Binds a value and names its parameter.
    fn bind(&mut self, value: T::Value) -> String {
        self.parameters.push(value);
        format!("{}{}", T::DIALECT.parameter, self.parameters.len())
    }
}

impl<T: SourceType> Window<T> {
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

    fn condition(&self, statement: &mut Statement<T>) -> String {
        let column = self.column.quoted();
        let mut ways = Vec::new();
        if let Some((_, high)) = &self.high {
            let after = self.last.map(|last| {
                let parameter = statement.bind(self.column.kind.bind(last - self.overlap));
                format!("{column} > {parameter} AND ")
            });
            let high = statement.bind(high.clone());
            ways.push(format!("({}{column} <= {high})", after.unwrap_or_default()));
        }
        // Rows that no watermark tells apart come with every load that has others too.
        if self.has_newer() || self.last.is_none() {
            let until = statement.bind(self.column.kind.bind(self.until));
            ways.push(format!("{column} IS NULL OR {column} > {until}"));
        }
        format!("({})", ways.join(" OR "))
    }
}

impl<T: SourceType> Shard<T> {
    /// The ranges between some keys, which are in order.
    pub(super) fn between(column: &Column<T>, keys: &[T::Value]) -> Vec<Self> {
        let starts = std::iter::once(None).chain(keys.iter().cloned().map(Some));
        let ends = keys.iter().cloned().map(Some).chain(std::iter::once(None));
        starts.zip(ends).map(|(after, to)| Self { column: column.clone(), after, to }).collect()
    }

    fn condition(&self, statement: &mut Statement<T>) -> Option<String> {
        let column = self.column.quoted();
        let mut compare = |operator: &str, key: &T::Value| {
            let parameter = statement.bind(key.clone());
            format!("{column} {operator} {}", self.column.kind.compared(parameter))
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
pub(super) fn rows<T: SourceType>(
    table: &TableName,
    columns: &[Column<T>],
    window: Option<&Window<T>>,
    shard: Option<&Shard<T>>,
) -> Statement<T> {
    let list: Vec<String> = columns.iter().map(Column::selected).collect();
    let mut statement = Statement::new();
    statement.push(&format!("SELECT {} FROM {}", list.join(", "), table.quoted(T::DIALECT.quotes)));
    let window = window.map(|window| window.condition(&mut statement));
    let shard = shard.and_then(|shard| shard.condition(&mut statement));
    let conditions: Vec<String> = window.into_iter().chain(shard).collect();
    if !conditions.is_empty() {
        statement.push(&format!(" WHERE {}", conditions.join(" AND ")));
    }
    statement
}

/// The latest watermark that is not later than a moment.
pub(super) fn high<T: SourceType>(table: &TableName, column: &Column<T>, until: NaiveDateTime) -> Statement<T> {
    let mut statement = Statement::new();
    let (name, until) = (column.quoted(), statement.bind(column.kind.bind(until)));
    statement.push(&format!("SELECT MAX({name}) FROM {} WHERE {name} <= {until}", table.quoted(T::DIALECT.quotes)));
    statement
}

/// Number of the rows of a load that have a key.
pub(super) fn count<T: SourceType>(table: &TableName, key: &Column<T>, window: Option<&Window<T>>) -> Statement<T> {
    let mut statement = Statement::new();
    statement.push(&format!("SELECT {} FROM {}", T::DIALECT.count, table.quoted(T::DIALECT.quotes)));
    push_keyed(&mut statement, key, window);
    statement
}

/// The key that so many rows of a load come before.
pub(super) fn key_at<T: SourceType>(
    table: &TableName,
    key: &Column<T>,
    window: Option<&Window<T>>,
    offset: i64,
) -> Statement<T> {
    let mut statement = Statement::new();
    let name = key.quoted();
    statement.push(&format!("SELECT {name} FROM {}", table.quoted(T::DIALECT.quotes)));
    push_keyed(&mut statement, key, window);
    statement.push(&format!(" ORDER BY {name} OFFSET {offset} ROWS FETCH NEXT 1 ROWS ONLY"));
    statement
}

fn push_keyed<T: SourceType>(statement: &mut Statement<T>, key: &Column<T>, window: Option<&Window<T>>) {
    let name = key.quoted();
    let window = window.map(|window| format!("{} AND ", window.condition(statement)));
    statement.push(&format!(" WHERE {}{name} IS NOT NULL", window.unwrap_or_default()));
}
