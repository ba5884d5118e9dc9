//! What the page shows, in its order.

use chrono::{DateTime, NaiveDate, Utc};
use rcm_model::report_config::ReportConfig;

use super::facts::Facts;
use super::figures::{self, Figure, Style};
use super::{findings, sections};

/// Hospitals that have a page of their own in the report, the largest first; the others are in the tables of all.
pub const MOST_HOSPITALS: usize = 12;

/// What the report is made for, beside gold.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    pub config: &'a ReportConfig,
    pub as_of: NaiveDate,
    pub made_at: DateTime<Utc>,
    pub run: &'a RunFacts,
}

/// What the last run says of the data, without a value of a row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFacts {
    pub checks: u64,
    /// Control checks that failed: table, what was compared, what was expected and found.
    pub failed_checks: Vec<String>,
    /// Rows in quarantine by table and rule.
    pub quarantine: Vec<QuarantineLine>,
    /// What figures leave out, and what a person should know.
    pub notes: Vec<String>,
}

/// Rows of a table that failed a rule and are in quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantineLine {
    pub entity: String,
    pub rule: String,
    pub rows: u64,
}

/// The report.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    pub title: String,
    /// `31 October 2024`.
    pub as_of: String,
    /// `7 Nov 2024, 02:14 UTC`.
    pub made_at: String,
    pub notice: Notice,
    /// Names of payers, in the order of the highlight.
    pub payers: Vec<String>,
    /// All hospitals, then each of them.
    pub scopes: Vec<Scope>,
    pub behind: Behind,
}

/// What is missing, or that nothing is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub is_late: bool,
    pub finding: String,
    pub rest: String,
}

/// The figures of all hospitals or of one.
#[derive(Debug, Clone, PartialEq)]
pub struct Scope {
    /// `all`, `h1`, `h2`, …: also without script a part of the page is shown or hidden by it.
    pub id: String,
    pub name: String,
    pub hero: Hero,
    pub tiles: Vec<Tile>,
    pub change: Change,
    pub age: Age,
    pub days: Days,
    pub collection: Collection,
    pub denials: Denials,
    pub speed: Speed,
    /// None as long as no month is closed.
    pub closed: Option<Closed>,
}

/// The finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hero {
    pub finding: String,
    /// What it is due to.
    pub culprit: Option<String>,
    pub lede: Vec<Span>,
}

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    pub text: String,
    pub is_bold: bool,
}

/// How a figure moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Worse,
    Better,
    Steady,
}

impl Tone {
    /// The class of the page's style.
    #[must_use]
    pub fn class(self) -> &'static str {
        match self {
            Self::Worse => "worse",
            Self::Better => "better",
            Self::Steady => "flat",
        }
    }
}

/// One of the five figures.
#[derive(Debug, Clone, PartialEq)]
pub struct Tile {
    pub name: &'static str,
    pub figure: Figure,
    pub delta: String,
    pub tone: Tone,
    /// Numerator and denominator, and the target.
    pub of: String,
    /// Values of the last month ends, the oldest first; none where there is none.
    pub trend: Vec<Option<f64>>,
}

/// A line of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    pub name: String,
    /// Place of its payer in [`Report::payers`].
    pub payer: Option<usize>,
    pub is_hot: bool,
    pub is_total: bool,
    pub cells: Vec<Figure>,
    /// The bar before the cells: from and to, in per cent of its width, and whether it is a rise.
    pub bar: Option<(f64, f64, bool)>,
}

/// A table with a name, and headings of its columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    pub caption: String,
    pub of: String,
    pub headings: Vec<String>,
    pub lines: Vec<Line>,
}

/// What changed the balance.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    pub kicker: String,
    pub finding: String,
    /// Opening balance, billed, paid, closing balance: sign before it, figure, name.
    pub equation: Vec<(&'static str, Figure, String)>,
    pub table: Table,
    pub source: String,
}

/// A bar of shares that are 100 % together.
#[derive(Debug, Clone, PartialEq)]
pub struct Stack {
    pub name: String,
    pub is_total: bool,
    /// Share of each age bucket, with its amount.
    pub shares: Vec<(f64, Figure)>,
    pub total: Figure,
    pub over_90: String,
}

/// How old the balance is.
#[derive(Debug, Clone, PartialEq)]
pub struct Age {
    pub finding: String,
    pub lede: String,
    pub stacks: Vec<Stack>,
    pub table: Table,
    pub source: String,
}

/// A line of a chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    pub name: String,
    pub kind: SeriesKind,
    pub values: Vec<Option<f64>>,
}

/// What a line of a chart is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeriesKind {
    Total,
    Hot,
    Other,
}

/// How many days of billing are owed.
#[derive(Debug, Clone, PartialEq)]
pub struct Days {
    pub finding: String,
    /// Names of the month ends.
    pub months: Vec<String>,
    pub series: Vec<Series>,
    pub target: Option<f64>,
    pub tables: Vec<Table>,
    pub source: String,
}

/// A share beside what it is held against.
#[derive(Debug, Clone, PartialEq)]
pub struct Bullet {
    pub name: String,
    pub of: String,
    pub share: Option<f64>,
    pub figure: Figure,
    pub target: Option<f64>,
    /// Shares of the hospitals.
    pub dots: Vec<(String, f64)>,
}

/// How much is collected.
#[derive(Debug, Clone, PartialEq)]
pub struct Collection {
    pub finding: String,
    pub bullets: Vec<Bullet>,
    pub table: Table,
    pub source: String,
}

/// The denials of a payer, month by month.
#[derive(Debug, Clone, PartialEq)]
pub struct Multiple {
    pub name: String,
    pub payer: Option<usize>,
    pub figure: Figure,
    pub of: String,
    pub is_hot: bool,
    pub values: Vec<Option<f64>>,
}

/// What payers deny.
#[derive(Debug, Clone, PartialEq)]
pub struct Denials {
    pub finding: String,
    pub months: Vec<String>,
    /// The highest rate, so that all are drawn on one scale.
    pub most: f64,
    pub multiples: Vec<Multiple>,
    pub table: Table,
    pub source: String,
}

/// A range of days.
#[derive(Debug, Clone, PartialEq)]
pub struct Range {
    pub name: String,
    /// Its name in a sentence.
    pub said: String,
    pub payer: Option<usize>,
    /// Median and 90th percentile, in days; none if there are too few payments.
    pub days: Option<(f64, f64)>,
    pub figure: Figure,
}

/// How long payments take, and how much there is.
#[derive(Debug, Clone, PartialEq)]
pub struct Speed {
    pub finding: String,
    pub of: String,
    pub most: f64,
    pub ranges: Vec<Range>,
    pub table: Table,
    pub source: String,
}

/// What has changed the figures of closed months.
#[derive(Debug, Clone, PartialEq)]
pub struct Closed {
    pub finding: String,
    /// Month by month, and what the change of one of them is made of.
    pub tables: Vec<Table>,
    /// Every measure of every month, for the workbook.
    pub measures: Table,
    pub source: String,
}

/// How far a table of a hospital reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feed {
    pub name: String,
    pub newest: String,
    pub age: String,
    pub is_late: bool,
    pub rows: Figure,
    pub undated: Figure,
}

/// What the figures are made of, for the data team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behind {
    pub kicker: String,
    pub finding: String,
    pub feeds: Vec<Feed>,
    pub late: usize,
    pub quarantine: Vec<(String, String, Figure)>,
    pub quarantined: Figure,
    pub checks: u64,
    pub failed_checks: Vec<String>,
    pub notes: Vec<String>,
    /// How each figure is made, and what it leaves out.
    pub definitions: Vec<(&'static str, String)>,
}

impl Report {
    /// The report of a date.
    #[must_use]
    pub fn of(facts: &Facts, about: About<'_>) -> Self {
        let style =
            Style { currency: about.config.currency.clone(), small_cells: about.config.materiality.small_cells };
        let maker = sections::Maker::new(facts, about, style);
        let feeds = maker.feeds();
        Self {
            title: about.config.title.clone(),
            as_of: figures::long_date(about.as_of),
            made_at: format!(
                "{} {}, {} UTC",
                figures::short_date(about.made_at.date_naive()),
                about.made_at.format("%Y"),
                about.made_at.format("%H:%M")
            ),
            notice: findings::notice(&maker, &feeds),
            payers: maker.payers.clone(),
            scopes: maker.scopes(),
            behind: maker.behind(feeds),
        }
    }
}
