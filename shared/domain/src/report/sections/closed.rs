//! What has changed the figures of closed months.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Datelike, NaiveDate};

use super::Selected;
use crate::close::{MEASURES, Part};
use crate::kpi::days_in_ar::PERIOD_DAYS;
use crate::money::ratio;
use crate::report::figures::{Figure, days, month, month_and_year, none, percent};
use crate::report::view::{Closed, Line, Table};

/// Months in the table, the last ones.
const MOST_MONTHS: usize = 13;
/// Parts of a change with a line of their own.
const MOST_PARTS: usize = 6;
/// The measures that the page shows; the workbook has all of them.
const BALANCE: &str = "balance";
const PERIOD: &str = "amount_in_period";

/// A closed month of a scope, in cents.
#[derive(Debug, Default)]
struct Month<'a> {
    /// As published and as known today, by measure.
    figures: BTreeMap<&'a str, (i128, i128)>,
    /// What has changed the balance, by part and hospital.
    parts: BTreeMap<(&'a str, &'a str), i128>,
}

impl Month<'_> {
    fn of(&self, measure: &str) -> (i128, i128) {
        self.figures.get(measure).copied().unwrap_or_default()
    }

    /// What the balance has changed by.
    fn difference(&self) -> i128 {
        let (published, now) = self.of(BALANCE);
        now - published
    }

    /// Days in AR as published and as known today.
    fn days(&self) -> [Figure; 2] {
        let ((balance, now), (period, period_now)) = (self.of(BALANCE), self.of(PERIOD));
        let of = |balance, period| ratio(balance, period).map(|share| share * f64::from(PERIOD_DAYS));
        [of(balance, period), of(now, period_now)].map(|value| value.map_or_else(none, |value| days(value, 1)))
    }

    /// Parts of the change of the balance, the largest first.
    fn largest_parts(&self) -> Vec<(&str, &str, i128)> {
        let mut parts: Vec<_> =
            self.parts.iter().map(|((part, hospital), change)| (*part, *hospital, *change)).collect();
        parts.retain(|(.., change)| *change != 0);
        parts.sort_by_key(|(.., change)| std::cmp::Reverse(change.unsigned_abs()));
        parts
    }
}

impl Selected<'_> {
    /// None as long as no month is closed.
    pub(super) fn closed(&self) -> Option<Closed> {
        let months = self.closed_months();
        let last = *months.keys().next_back()?;
        let told = months.iter().rev().find(|(_, of_month)| self.is_restated(of_month)).map(|(end, _)| *end);
        let changed = || months.iter().rev().find(|(_, of_month)| of_month.difference() != 0).map(|(end, _)| *end);
        let mut tables = vec![self.balances(&months)];
        if let Some(end) = told.or_else(changed) {
            tables.push(self.parts(end, &months[&end]));
        }
        Some(Closed {
            finding: match told {
                Some(end) => self.restated(end, &months[&end]),
                None => self.stands(last, &months[&last]),
            },
            tables,
            measures: self.measures(&months),
            source:
                "From kpi_restatements: the receivables at the end of each closed month as they were published when it \
                     was closed, and as they are known today. All parts by load are in that table."
                    .to_owned(),
        })
    }

    fn closed_months(&self) -> BTreeMap<NaiveDate, Month<'_>> {
        let mut months: BTreeMap<NaiveDate, Month<'_>> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for row in self.maker.facts.restatements.iter().filter(|row| self.is_wanted(&row.datasource)) {
            let of_month = months.entry(row.month_end).or_default();
            // The figure stands on the row of each of its parts.
            if seen.insert((row.month_end, &row.datasource, &row.measure)) {
                let (published, now) = of_month.figures.entry(row.measure.as_str()).or_default();
                (*published, *now) = (*published + row.published, *now + row.now);
            }
            if row.measure == BALANCE {
                *of_month.parts.entry((row.part.as_str(), row.datasource.as_str())).or_default() += row.difference;
            }
        }
        months
    }

    fn is_restated(&self, of_month: &Month<'_>) -> bool {
        let (published, difference) = (of_month.of(BALANCE).0, of_month.difference());
        let share = ratio(difference, published).map_or(f64::INFINITY, f64::abs);
        difference != 0 && share >= self.maker.about.config.materiality.restated
    }

    /// `September was restated by +$0.4 M since it was closed; of it +$0.3 M late charges of Brook`.
    fn restated(&self, end: NaiveDate, of_month: &Month<'_>) -> String {
        let (style, difference) = (&self.maker.style, of_month.difference());
        let whole = style.change(difference).whole();
        let finding = format!("{} was restated by {whole} since it was closed", self.name_of(end));
        let least = self.maker.about.config.materiality.culprit;
        let largest = of_month.largest_parts().into_iter().find(|(.., change)| (*change > 0) == (difference > 0));
        match largest.filter(|(.., change)| ratio(*change, difference).is_some_and(|share| share >= least)) {
            Some((part, hospital, change)) => {
                let cause = self.cause(part, hospital, " of ");
                let of_it = self.maker.style.change(change).whole();
                let of_it = if change == difference { "all of it".to_owned() } else { format!("of it {of_it}") };
                format!("{finding}; {of_it} {cause}")
            }
            None => finding,
        }
    }

    fn stands(&self, end: NaiveDate, of_month: &Month<'_>) -> String {
        let name = self.name_of(end);
        match of_month.difference() {
            0 => format!("{name} stands as it was closed"),
            difference => {
                let by = self.maker.style.change(difference).whole();
                format!("{name} is little changed since it was closed: {by}")
            }
        }
    }

    /// `September`, with its year if that is another one than the report's.
    fn name_of(&self, end: NaiveDate) -> String {
        let name = month(end);
        if end.year() == self.maker.about.as_of.year() { name.to_owned() } else { format!("{name} {}", end.year()) }
    }

    /// `late charges, Brook`, or `late charges` where there is one hospital.
    fn cause(&self, part: &str, hospital: &str, between: &str) -> String {
        let words = words(part);
        if self.is_of_all() {
            format!("{words}{between}{}", self.maker.hospital_name(hospital))
        } else {
            words.to_owned()
        }
    }

    fn balances(&self, months: &BTreeMap<NaiveDate, Month<'_>>) -> Table {
        let style = &self.maker.style;
        let line = |(end, of_month): (&NaiveDate, &Month<'_>)| {
            let ((published, now), [then, today]) = (of_month.of(BALANCE), of_month.days());
            let change = style.change(of_month.difference());
            let cells = vec![style.short(published), style.short(now), change, then, today];
            Line { is_hot: self.is_restated(of_month), ..Line::of(month_and_year(*end), cells) }
        };
        let headings = ["Month", "published", "known today", "restated by", "days published", "days today"];
        Table {
            caption: "Receivables of closed months".to_owned(),
            of: "at the end of the month".to_owned(),
            headings: headings.map(str::to_owned).to_vec(),
            lines: months.iter().rev().take(MOST_MONTHS).map(line).collect(),
        }
    }

    fn parts(&self, end: NaiveDate, of_month: &Month<'_>) -> Table {
        let (style, difference) = (&self.maker.style, of_month.difference());
        let cells = |change: i128| {
            vec![style.change(change), ratio(change, difference).map_or_else(none, |share| percent(share, 0))]
        };
        let parts = of_month.largest_parts();
        let mut lines: Vec<Line> = parts
            .iter()
            .take(MOST_PARTS)
            .map(|(part, hospital, change)| Line::of(capitalized(&self.cause(part, hospital, ", ")), cells(*change)))
            .collect();
        let others = parts.get(MOST_PARTS..).unwrap_or_default();
        if !others.is_empty() {
            let name = format!("{} {}", others.len(), if others.len() == 1 { "other" } else { "others" });
            lines.push(Line::of(name, cells(others.iter().map(|(.., change)| change).sum())));
        }
        lines.push(Line { is_total: true, ..Line::of("Restated by".to_owned(), cells(difference)) });
        Table {
            caption: format!("What changed {} since it was closed", self.name_of(end)),
            of: String::new(),
            headings: ["What", "change", "of it"].map(str::to_owned).to_vec(),
            lines,
        }
    }

    fn measures(&self, months: &BTreeMap<NaiveDate, Month<'_>>) -> Table {
        let style = &self.maker.style;
        let lines = months.iter().rev().flat_map(|(end, of_month)| {
            MEASURES.into_iter().map(move |measure| {
                let (published, now) = of_month.of(measure);
                let cells = vec![style.full(published), style.full(now), style.full(now - published)];
                Line::of(format!("{}, {measure}", month_and_year(*end)), cells)
            })
        });
        Table {
            caption: "All figures of closed months".to_owned(),
            of: String::new(),
            headings: ["Month, measure", "published", "known today", "difference"].map(str::to_owned).to_vec(),
            lines: lines.collect(),
        }
    }
}

/// The words for a part of `kpi_restatements`.
fn words(part: &str) -> &str {
    let known = Part::ALL.into_iter().find(|known| known.as_str() == part);
    known.map_or(part, |known| match known {
        Part::ChangedRules => "changed rules",
        Part::Deletions => "deleted charges",
        Part::Corrections => "corrections",
        Part::LatePayments => "late payments",
        Part::LateRows => "late charges",
    })
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
