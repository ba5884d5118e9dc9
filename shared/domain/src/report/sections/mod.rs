//! The sections of the report, each of all hospitals or of one.

mod age;
mod change;
mod closed;
mod collection;
mod days;
mod denials;
mod speed;
mod tiles;

use std::collections::BTreeMap;

use chrono::{Datelike, Days as DaysOf, Months, NaiveDate};

use super::facts::{ClaimRow, Facts, FeedRow, TrendRow, UNKNOWN};
use super::figures::{self, Figure, Style, month};
use super::findings;
use super::series::{Point, points};
use super::view::{About, Behind, Feed, Line, MOST_HOSPITALS, Scope};

/// Month ends back to which a change is told.
pub(super) const MONTHS_BACK: usize = 3;

/// The first age bucket that counts as old.
pub(super) const OLD_FROM: usize = 3;
/// Months of a chart of denials.
const MONTHS: u32 = 13;

/// Makes the sections.
pub(super) struct Maker<'a> {
    pub facts: &'a Facts,
    pub about: About<'a>,
    pub style: Style,
    /// Datasources, that with the largest balance first.
    pub hospitals: Vec<String>,
    /// Payers, that with the largest balance first.
    pub payers: Vec<String>,
}

/// What a scope looks at.
#[derive(Clone, Copy)]
pub(super) struct Selected<'a> {
    pub maker: &'a Maker<'a>,
    /// One hospital; none for all.
    pub hospital: Option<&'a str>,
}

impl<'a> Maker<'a> {
    pub(in crate::report) fn new(facts: &'a Facts, about: About<'a>, style: Style) -> Self {
        let last = facts.trend.iter().map(|row| row.month_end).max();
        let now = || facts.trend.iter().filter(|row| Some(row.month_end) == last);
        let of_trend = |name: fn(&TrendRow) -> &String| now().map(move |row| (name(row).clone(), row.sums.balance));
        let of_claims = |name: fn(&ClaimRow) -> &String| facts.claims.iter().map(move |row| (name(row).clone(), 0));
        Self {
            hospitals: largest_first(of_trend(|row| &row.datasource).chain(of_claims(|row| &row.datasource))),
            payers: largest_first(of_trend(|row| &row.payer).chain(of_claims(|row| &row.payer))),
            facts,
            about,
            style,
        }
    }

    pub(in crate::report) fn hospital_name(&self, datasource: &str) -> String {
        self.about.config.hospital(datasource).to_owned()
    }

    fn payer(&self, name: &str) -> Option<usize> {
        self.payers.iter().position(|payer| payer == name)
    }

    pub(in crate::report) fn scopes(&self) -> Vec<Scope> {
        let all = self.scope("all".to_owned(), None);
        let alone = self.hospitals.len() < 2;
        let hospitals = self.hospitals.iter().take(if alone { 0 } else { MOST_HOSPITALS }).enumerate();
        let each = hospitals.map(|(number, hospital)| self.scope(format!("h{}", number + 1), Some(hospital)));
        std::iter::once(all).chain(each).collect()
    }

    fn scope(&self, id: String, hospital: Option<&str>) -> Scope {
        let selected = Selected { maker: self, hospital };
        Scope {
            id,
            name: hospital.map_or_else(|| "All hospitals".to_owned(), |hospital| self.hospital_name(hospital)),
            hero: findings::hero(selected),
            tiles: selected.tiles(),
            change: selected.change(),
            age: selected.age(),
            days: selected.days(),
            collection: selected.collection(),
            denials: selected.denials(),
            speed: selected.speed(),
            closed: selected.closed(),
        }
    }

    /// How far the tables of each hospital reach.
    pub(in crate::report) fn feeds(&self) -> Vec<(&'a FeedRow, Feed)> {
        self.facts.feeds.iter().map(|row| (row, self.feed(row))).collect()
    }

    /// Days between the newest row of a feed and D.
    fn age(&self, row: &FeedRow) -> Option<i64> {
        row.newest.map(|newest| (self.about.as_of - newest).num_days())
    }

    fn is_late(&self, row: &FeedRow) -> bool {
        let allowed = self.about.config.days_of_feed(&format!("{}/{}", row.datasource, row.entity));
        self.age(row).is_none_or(|age| age > i64::from(allowed))
    }

    fn feed(&self, row: &FeedRow) -> Feed {
        Feed {
            name: format!("{}, {}", self.hospital_name(&row.datasource), row.entity),
            newest: row.newest.map_or_else(|| "none".to_owned(), figures::long_date),
            age: self
                .age(row)
                .map_or_else(String::new, |days| format!("{days} {}", if days == 1 { "day" } else { "days" })),
            is_late: self.is_late(row),
            rows: self.style.count(row.rows),
            undated: self.style.count(row.undated),
        }
    }

    pub(in crate::report) fn behind(&self, feeds: Vec<(&FeedRow, Feed)>) -> Behind {
        let run = self.about.run;
        let rows: u64 = run.quarantine.iter().map(|line| line.rows).sum();
        let feeds: Vec<Feed> = feeds.into_iter().map(|(_, feed)| feed).collect();
        let late = feeds.iter().filter(|feed| feed.is_late).count();
        let on_time = feeds.len() - late;
        let checks = if run.failed_checks.is_empty() {
            format!("all {} control checks agree", run.checks)
        } else {
            format!("{} of {} control checks failed", run.failed_checks.len(), run.checks)
        };
        Behind {
            kicker: "The data behind it".to_owned(),
            finding: format!("{on_time} of {} feeds are on time, and {checks}", feeds.len()),
            late,
            quarantine: (run.quarantine.iter())
                .map(|line| (line.entity.clone(), line.rule.clone(), self.style.count(line.rows)))
                .collect(),
            quarantined: self.style.count(rows),
            checks: run.checks,
            failed_checks: run.failed_checks.clone(),
            notes: run.notes.clone(),
            definitions: findings::definitions(self),
            feeds,
        }
    }

    /// The last month that had ended at D.
    pub(in crate::report) fn last_month(&self) -> NaiveDate {
        let first = first_of(self.about.as_of);
        let has_ended = first_of(self.about.as_of + DaysOf::new(1)) != first;
        if has_ended { first } else { back(first, 1) }
    }
}

/// Names, that with the largest sum first; that of rows without one last.
fn largest_first(given: impl Iterator<Item = (String, i128)>) -> Vec<String> {
    let mut sums: BTreeMap<String, i128> = BTreeMap::new();
    for (name, sum) in given {
        *sums.entry(name).or_default() += sum;
    }
    let mut names: Vec<(String, i128)> = sums.into_iter().collect();
    names.sort_by_key(|(name, sum)| (name == UNKNOWN, -sum, name.clone()));
    names.into_iter().map(|(name, _)| name).collect()
}

fn first_of(date: NaiveDate) -> NaiveDate {
    date.with_day(1).unwrap_or(date)
}

/// The first of a month some months before.
fn back(first: NaiveDate, months: u32) -> NaiveDate {
    first.checked_sub_months(Months::new(months)).unwrap_or(first)
}

/// Claims of a month: how many, and how many were denied.
type Denied = (u64, u64);

impl<'a> Selected<'a> {
    fn is_wanted(&self, datasource: &str) -> bool {
        self.hospital.is_none_or(|hospital| hospital == datasource)
    }

    pub(in crate::report) fn points(&self) -> Vec<Point> {
        points(self.maker.facts, |row| self.is_wanted(&row.datasource))
    }

    fn points_of(&self, hospital: &str) -> Vec<Point> {
        points(self.maker.facts, |row| row.datasource == hospital)
    }

    /// The point that changes are told from, and its place.
    pub(in crate::report) fn base(points: &[Point]) -> Option<(usize, Point)> {
        let at = points.len().checked_sub(MONTHS_BACK + 1).or_else(|| (!points.is_empty()).then_some(0))?;
        Some((at, points[at]))
    }

    /// `July`, for the month end that changes are told from.
    pub(in crate::report) fn since(points: &[Point]) -> String {
        Self::base(points).map_or_else(String::new, |(_, point)| month(point.end).to_owned())
    }

    /// The parts that the scope has: hospitals, or the payers of one.
    fn hospitals(&self) -> Vec<&'a str> {
        let all = self.maker.hospitals.iter().map(String::as_str);
        all.filter(|hospital| self.is_wanted(hospital)).collect()
    }

    pub(in crate::report) fn is_of_all(&self) -> bool {
        self.hospital.is_none() && self.maker.hospitals.len() > 1
    }

    /// What of the change since the base each hospital and payer has, the largest rise first.
    pub(in crate::report) fn changes(&self) -> Vec<(String, String, i128, i128)> {
        let points = self.points();
        let Some((_, base)) = Self::base(&points) else { return Vec::new() };
        let last = points[points.len() - 1].end;
        let mut found: BTreeMap<(&str, &str), (i128, i128)> = BTreeMap::new();
        for row in self.maker.facts.trend.iter().filter(|row| self.is_wanted(&row.datasource)) {
            let of_both = found.entry((&row.datasource, &row.payer)).or_default();
            if row.month_end == base.end {
                of_both.0 += row.sums.balance;
            } else if row.month_end == last {
                of_both.1 += row.sums.balance;
            }
        }
        let mut changes: Vec<(String, String, i128, i128)> = (found.into_iter())
            .map(|((hospital, payer), (before, now))| (hospital.to_owned(), payer.to_owned(), now - before, now))
            .collect();
        changes.sort_by_key(|(hospital, payer, change, _)| (-change, hospital.clone(), payer.clone()));
        changes
    }

    /// `claims of Brookside are late`: whose feed of an entity the figures lack the newest rows of.
    fn late(&self, entity: &str) -> Option<String> {
        let feeds = self.maker.facts.feeds.iter().filter(|row| row.entity == entity && self.is_wanted(&row.datasource));
        let late: Vec<&FeedRow> = feeds.filter(|row| self.maker.is_late(row)).collect();
        match late[..] {
            [] => None,
            [one] => Some(format!("{entity} of {} are late", self.maker.hospital_name(&one.datasource))),
            [..] => Some(format!("{entity} of {} hospitals are late", late.len())),
        }
    }

    /// `Medicaid at Brookside`, in a sentence.
    fn part_said(&self, hospital: &str, payer: &str) -> String {
        if self.is_of_all() { format!("{payer} at {}", self.maker.hospital_name(hospital)) } else { payer.to_owned() }
    }

    /// `Medicaid, Brookside`, or `Medicaid` where there is one hospital.
    fn part_name(&self, hospital: &str, payer: &str) -> String {
        if self.is_of_all() { format!("{payer}, {}", self.maker.hospital_name(hospital)) } else { payer.to_owned() }
    }
}

impl Line {
    /// A line without a bar.
    pub(super) fn of(name: String, cells: Vec<Figure>) -> Self {
        Self { name, payer: None, is_hot: false, is_total: false, cells, bar: None }
    }
}
