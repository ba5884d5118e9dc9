//! The tables of closed months: what was published, and what it would be as known today.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, Utc};
use polars::prelude::*;
use rcm_model::event::ControlCheck;

use super::NO_LOAD;
use super::compare::Compared;
use super::figures::{ByDatasource, Figures, MEASURES};
use super::replay::Part;
use crate::cdm::timestamp;
use crate::gold::{conform, control};
use crate::kpi::measure::{amount, count, date, text};
use crate::money;

/// Published figures: one row per closing, datasource and measure.
pub const CLOSED_MONTHS: &str = "kpi_closed_months";
/// What has changed them: one row per month end, datasource, measure, part and load.
pub const RESTATEMENTS: &str = "kpi_restatements";
/// What one row of [`RESTATEMENTS`] is of.
const GRAIN: [&str; 5] = ["month_end", "datasource", "measure", "part", "load_id"];
/// The part of a figure that nothing has changed.
const UNCHANGED: &str = "unchanged";

/// Columns of [`CLOSED_MONTHS`]. `fact_version` and `silver_version` are the versions of `gold/fact_transactions` and
/// `silver/transactions` that the figures were made from. A closing that was taken back has the columns `reopened_…`.
#[must_use]
pub fn closed_schema() -> Schema {
    Schema::from_iter([
        date("month_end"),
        text("closing"),
        moment("closed_at"),
        text("closed_by"),
        text("datasource"),
        text("measure"),
        amount("published"),
        count("fact_version"),
        count("silver_version"),
        moment("reopened_at"),
        text("reopened_by"),
        text("reopened_why"),
    ])
}

/// Columns of [`RESTATEMENTS`]. `published` and `now` are the figure of the month end, datasource and measure, on each of
/// its rows; the `difference` of its rows add up to `now` − `published`.
#[must_use]
pub fn restatement_schema() -> Schema {
    Schema::from_iter([
        date("known_on"),
        date("month_end"),
        text("datasource"),
        text("measure"),
        amount("published"),
        amount("now"),
        text("part"),
        text("load_id"),
        amount("difference"),
    ])
}

fn moment(name: &'static str) -> Field {
    Field::new(name.into(), timestamp())
}

/// A closing, and the figures that it published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedFigures {
    pub month_end: NaiveDate,
    /// Identifier of the closing.
    pub closing: String,
    pub closed_at: DateTime<Utc>,
    pub closed_by: String,
    pub published: ByDatasource,
}

impl ClosedFigures {
    /// The rows of [`CLOSED_MONTHS`], of one row per datasource and measure.
    ///
    /// # Errors
    /// An amount does not fit its type.
    pub fn rows(&self, fact_version: i64, silver_version: i64) -> PolarsResult<DataFrame> {
        let each = || {
            self.published.iter().flat_map(|(datasource, figures)| {
                let values = MEASURES.into_iter().zip(figures.values());
                values.map(move |(measure, value)| (datasource, measure, value))
            })
        };
        let rows = DataFrame::new_infer_height(vec![
            Column::new("datasource".into(), each().map(|(datasource, ..)| datasource).collect::<Vec<_>>()),
            Column::new("measure".into(), each().map(|(_, measure, _)| measure).collect::<Vec<_>>()),
            cents("published", each().map(|(.., value)| value)),
        ])?;
        let nothing = |field: Field| lit(NULL).cast(field.dtype().clone()).alias(field.name().clone());
        let rows = rows.lazy().with_columns([
            lit(self.month_end).alias("month_end"),
            lit(self.closing.clone()).alias("closing"),
            lit(self.closed_at.timestamp_micros()).cast(timestamp()).alias("closed_at"),
            lit(self.closed_by.clone()).alias("closed_by"),
            lit(fact_version).alias("fact_version"),
            lit(silver_version).alias("silver_version"),
            nothing(moment("reopened_at")),
            nothing(text("reopened_by")),
            nothing(text("reopened_why")),
        ]);
        conform(rows, &closed_schema())
    }
}

/// The closings of [`CLOSED_MONTHS`] that were not taken back, the earliest month first.
///
/// # Errors
/// The rows are not of [`closed_schema`], or have a measure that there is not.
pub fn open_closings(rows: &DataFrame) -> PolarsResult<Vec<ClosedFigures>> {
    let rows = rows
        .clone()
        .lazy()
        .filter(col("reopened_at").is_null())
        .sort(["month_end", "closing"], SortMultipleOptions::default())
        .collect()?;
    let texts = |name: &str| PolarsResult::Ok(rows.column(name)?.str()?.clone());
    let (closings, by, datasources) = (texts("closing")?, texts("closed_by")?, texts("datasource")?);
    let measures = texts("measure")?;
    let ends = rows.column("month_end")?.date()?.physical().clone();
    let at = rows.column("closed_at")?.datetime()?.physical().clone();
    let published = rows.column("published")?.as_materialized_series().decimal()?.physical().clone();
    let mut found: Vec<ClosedFigures> = Vec::new();
    for row in 0..rows.height() {
        let closing = closings.get(row).unwrap_or_default();
        if found.last().is_none_or(|last| last.closing != closing) {
            found.push(ClosedFigures {
                month_end: ends.get(row).and_then(NaiveDate::from_epoch_days).unwrap_or_default(),
                closing: closing.to_owned(),
                closed_at: at.get(row).and_then(DateTime::from_timestamp_micros).unwrap_or_default(),
                closed_by: by.get(row).unwrap_or_default().to_owned(),
                published: ByDatasource::default(),
            });
        }
        let (mut figures, measure) = (Figures::default(), measures.get(row).unwrap_or_default());
        let unknown = || polars_err!(ComputeError: "`{CLOSED_MONTHS}` has a measure that there is not: `{measure}`");
        *figures.value_mut(measure).ok_or_else(unknown)? = published.get(row).unwrap_or(0);
        if let Some(last) = found.last_mut() {
            last.published.add(datasources.get(row).unwrap_or_default(), figures);
        }
    }
    Ok(found)
}

/// That a closing is taken back.
#[derive(Debug, Clone)]
pub struct Reopening {
    pub at: DateTime<Utc>,
    pub by: String,
    pub why: String,
}

/// The rows of [`CLOSED_MONTHS`], of which one closing is taken back.
///
/// # Errors
/// The rows are not of [`closed_schema`].
pub fn reopened(rows: &DataFrame, closing: &str, reopening: &Reopening) -> PolarsResult<DataFrame> {
    let is_meant = || col("closing").eq(lit(closing.to_owned()));
    let set = |value: Expr, name: &'static str| when(is_meant()).then(value).otherwise(col(name)).alias(name);
    let rows = rows.clone().lazy().with_columns([
        set(lit(reopening.at.timestamp_micros()).cast(timestamp()), "reopened_at"),
        set(lit(reopening.by.clone()), "reopened_by"),
        set(lit(reopening.why.clone()), "reopened_why"),
    ]);
    conform(rows, &closed_schema())
}

/// A closed month, and what has changed it.
#[derive(Debug, Clone)]
pub struct Restated {
    pub month_end: NaiveDate,
    pub published: ByDatasource,
    pub compared: Compared,
}

/// One row of [`RESTATEMENTS`].
struct Line<'a> {
    month_end: NaiveDate,
    datasource: &'a str,
    measure: usize,
    published: i128,
    now: i128,
    /// What changed it, by which load, and by how much.
    change: Option<(Part, &'a str, i128)>,
}

impl Restated {
    /// The figures of a datasource, a line for each of their parts.
    fn lines<'a>(&'a self, datasource: &'a str) -> Vec<Line<'a>> {
        let (published, now) = (self.published.of(datasource), self.compared.now.of(datasource));
        // Not zero if the rows that were kept have other figures now than when they were published.
        let computed_otherwise = self.compared.then.of(datasource) - published;
        let mut changes = BTreeMap::from([((Part::ChangedRules, NO_LOAD), computed_otherwise)]);
        for ((of, part, load), change) in &self.compared.changes {
            if of == datasource {
                *changes.entry((*part, load.as_str())).or_default() += *change;
            }
        }
        let mut lines = Vec::new();
        for measure in 0..MEASURES.len() {
            let (published, now) = (published.values()[measure], now.values()[measure]);
            let line = |change| Line { month_end: self.month_end, datasource, measure, published, now, change };
            let parts = changes.iter().map(|((part, load), change)| (*part, *load, change.values()[measure]));
            let parts: Vec<_> = parts.filter(|(.., difference)| *difference != 0).collect();
            if parts.is_empty() {
                lines.push(line(None));
            }
            lines.extend(parts.into_iter().map(|part| line(Some(part))));
        }
        lines
    }

    fn datasources(&self) -> BTreeSet<&str> {
        self.published.iter().chain(self.compared.now.iter()).map(|(datasource, _)| datasource).collect()
    }
}

/// The rows of [`RESTATEMENTS`], as known on a day.
///
/// # Errors
/// An amount does not fit its type.
pub fn restatement_rows(restated: &[Restated], known_on: NaiveDate) -> PolarsResult<DataFrame> {
    let lines: Vec<Line<'_>> = restated
        .iter()
        .flat_map(|month| month.datasources().into_iter().flat_map(move |datasource| month.lines(datasource)))
        .collect();
    let each = || lines.iter();
    let part = |line: &Line<'_>| line.change.map_or(UNCHANGED, |(part, ..)| part.as_str()).to_owned();
    let load = |line: &Line<'_>| line.change.map_or(NO_LOAD, |(_, load, _)| load).to_owned();
    let rows = DataFrame::new_infer_height(vec![
        Column::new("month_end".into(), each().map(|line| line.month_end).collect::<Vec<_>>()),
        Column::new("datasource".into(), each().map(|line| line.datasource).collect::<Vec<_>>()),
        Column::new("measure".into(), each().map(|line| MEASURES[line.measure]).collect::<Vec<_>>()),
        cents("published", each().map(|line| line.published)),
        cents("now", each().map(|line| line.now)),
        Column::new("part".into(), each().map(part).collect::<Vec<_>>()),
        Column::new("load_id".into(), each().map(load).collect::<Vec<_>>()),
        cents("difference", each().map(|line| line.change.map_or(0, |(.., difference)| difference))),
    ])?;
    let rows = rows.lazy().with_columns([lit(known_on).alias("known_on")]);
    conform(rows.sort(GRAIN, SortMultipleOptions::default()), &restatement_schema())
}

/// Checks of the rows of [`RESTATEMENTS`]: what was published and the differences are the figures of today, measure by
/// measure, and no row is there twice.
///
/// # Errors
/// The rows are not of [`restatement_schema`].
pub fn check(path: &str, rows: &DataFrame, restated: &[Restated]) -> PolarsResult<Vec<ControlCheck>> {
    let mut checks = vec![control::no_duplicates(path, &GRAIN, control::duplicates(rows, &GRAIN)?)];
    for (place, measure) in MEASURES.into_iter().enumerate() {
        let sum = |figures: fn(&Restated) -> Figures| -> i128 {
            restated.iter().map(|month| figures(month).values()[place]).sum()
        };
        let of_measure = rows.clone().lazy().filter(col("measure").eq(lit(measure))).collect()?;
        let published = sum(|month| month.published.total());
        let expected = sum(|month| month.compared.now.total());
        let actual = published + money::sum_cents(&of_measure, "difference")?;
        checks.push(control::same_cents(path, &format!("published and differences of {measure}"), expected, actual));
    }
    Ok(checks)
}

fn cents(name: &str, values: impl Iterator<Item = i128>) -> Column {
    let cents: Int128Chunked = values.map(Some).collect();
    cents.with_name(name.into()).into_decimal_unchecked(money::SUM_PRECISION, money::SCALE).into_column()
}
