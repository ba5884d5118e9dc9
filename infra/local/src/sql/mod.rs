//! Asks the lake in SQL: a query of tables of all layers, run by Polars over lazy scans.

mod statement;
mod views;

use std::collections::BTreeMap;

use chrono::NaiveDate;
use polars::prelude::*;
use polars::sql::SQLContext;
use rcm_platform::error::ErrorKind;
use rcm_platform::load::printable;
use rcm_platform::{Context, StageError};
use rcm_tables::frames::blocking;

pub use self::statement::{LAYERS, Statement, TableName};
use self::views::Views;
pub(crate) use self::views::of_source_column;
use crate::masking::Masking;

/// Characters of what the engine says at most.
const LONGEST_REASON: usize = 300;

/// What is asked.
#[derive(Debug)]
pub struct Question<'a> {
    pub sql: &'a str,
    /// The date whose versions `silver.<entity>_current` has, and whose rows KPI tables have.
    pub as_of: Option<NaiveDate>,
    /// Whether identifying columns are shown as they are.
    pub with_values: bool,
}

/// A query that can be run.
pub struct Planned {
    pub statement: Statement,
    plan: LazyFrame,
}

/// The rows of an answer.
#[derive(Debug)]
pub struct Answered {
    pub rows: DataFrame,
    /// Whether there are more rows than were asked for.
    pub is_cut: bool,
}

/// Reads a query and opens its tables. No row is read.
///
/// # Errors
/// `BadConfig` if the query cannot be read, or names a table or a column that there is not; a table cannot be opened. No
/// message has a text or a number of the query.
pub async fn plan(context: &Context, question: &Question<'_>) -> Result<Planned, StageError> {
    let statement = Statement::parse(question.sql)?;
    let masking = if question.with_values { None } else { Some(Masking::of(context).await?) };
    let views = Views { context, masking, as_of: question.as_of };
    let mut scans = BTreeMap::new();
    for (name, table) in &statement.tables {
        let mut scan = views.open(table).await?;
        let columns = scan.collect_schema()?.iter_names().map(ToString::to_string).collect();
        scans.insert(name.clone(), Scan { rows: scan, label: table.to_string(), columns });
    }
    let (text, literals) = (statement.text.clone(), statement.literals.clone());
    let plan = blocking(move || planned(&text, &literals, &scans)).await.map_err(broken)?;
    Ok(Planned { statement, plan })
}

/// A table of a query, opened.
struct Scan {
    rows: LazyFrame,
    label: String,
    columns: Vec<String>,
}

fn planned(text: &str, literals: &[String], scans: &BTreeMap<String, Scan>) -> Result<LazyFrame, StageError> {
    let mut sql = SQLContext::new();
    for (name, table) in scans {
        sql.register(name, table.rows.clone());
    }
    let planned = sql.execute(text).and_then(|mut plan| plan.collect_schema().map(|_| plan));
    planned.map_err(|error| cannot_run(&error, literals, scans))
}

impl Planned {
    /// Runs the query; of its rows at most `limit`.
    ///
    /// # Errors
    /// A file cannot be read, or the query fails on a row, which is not told.
    pub async fn answer(self, limit: Option<usize>) -> Result<Answered, StageError> {
        // One more, to see whether there are more.
        let plan = match limit {
            Some(limit) => self.plan.limit(limit.saturating_add(1).min(IdxSize::MAX as usize) as IdxSize),
            None => self.plan,
        };
        let rows = blocking(move || collected(plan).map_err(failed_on_rows)).await.map_err(broken)?;
        let is_cut = limit.is_some_and(|limit| rows.height() > limit);
        Ok(Answered { rows: if is_cut { rows.head(limit) } else { rows }, is_cut })
    }
}

/// Runs a plan in memory: the streaming engine cannot sort amounts when only the first rows are wanted.
///
/// Rows of several files that are only counted are added up by the optimizer in a type that Polars is built without here.
/// So a plan that has it goes without the pushdown of columns, file by file.
fn collected(plan: LazyFrame) -> PolarsResult<DataFrame> {
    if plan.clone().describe_optimized_plan()?.contains("cast(UInt128)") {
        return Ok(plan.with_projection_pushdown(false).collect_with_engine(Engine::Streaming)?.unwrap_single());
    }
    plan.collect()
}

/// The engine panics on some queries, which is no fault of the lake.
fn broken(error: StageError) -> StageError {
    match error.kind() {
        ErrorKind::Internal => {
            StageError::bad_config("the engine breaks on this query; hint: write it in another way".to_owned())
        }
        _ => error,
    }
}

/// Why a query ended in the middle. What the engine says may quote a value: only its kind goes on.
fn failed_on_rows(error: PolarsError) -> StageError {
    match root(&error) {
        PolarsError::IO { .. } => error.into(),
        PolarsError::ComputeError(_) | PolarsError::InvalidOperation(_) | PolarsError::SchemaMismatch(_) => {
            let message = "the query fails on some row, whose value is not shown; hint: does every value fit its cast?";
            StageError::bad_config(message.to_owned())
        }
        _ => StageError::bad_config("the query fails on its rows; hint: write it in another way".to_owned()),
    }
}

/// Why a query cannot be run, with no text or number of it.
fn cannot_run(error: &PolarsError, literals: &[String], scans: &BTreeMap<String, Scan>) -> StageError {
    let message = match root(error) {
        PolarsError::ColumnNotFound(_) | PolarsError::SchemaFieldNotFound(_) => {
            let columns = scans.values().map(|scan| format!("{} has {}", scan.label, scan.columns.join(", ")));
            format!(
                "the query names a column that its tables do not have; hint: texts are in single quotes; {}",
                columns.collect::<Vec<_>>().join("; ")
            )
        }
        other => format!("the query cannot be run: {}", without(&other.to_string(), literals)),
    };
    StageError::bad_config(message)
}

fn root(error: &PolarsError) -> &PolarsError {
    match error {
        PolarsError::Context { error, .. } | PolarsError::ExprContext { error, .. } => root(error),
        error => error,
    }
}

/// The first line of a message, without what was written in the query.
fn without(message: &str, literals: &[String]) -> String {
    let line = printable(message.lines().next().unwrap_or_default());
    let mut line =
        literals.iter().filter(|literal| !literal.is_empty()).fold(line, |line, literal| line.replace(literal, "…"));
    line.truncate(line.floor_char_boundary(LONGEST_REASON));
    line
}
