//! The five figures.

use std::collections::BTreeMap;
use std::fmt::Write;

use chrono::{Days as DaysOf, NaiveDate};

use super::{Denied, MONTHS, Selected, back};
use crate::money::ratio;
use crate::report::facts::{ClaimRow, Receivables};
use crate::report::figures::{Figure, days, month, none, percent, short_date, short_month};
use crate::report::series::{Point, differ};
use crate::report::view::{Tile, Tone};

/// A number of days or a share of the receivables, and how its tile tells it.
struct Measure {
    name: &'static str,
    of: fn(&Receivables) -> Option<f64>,
    shown: fn(f64) -> Figure,
    /// A change without its sign.
    moved: fn(f64) -> String,
    /// Changes below it are little.
    little: f64,
    more_is_worse: bool,
}

const DAYS: Measure = Measure {
    name: "Days in receivables",
    of: Receivables::days,
    shown: |value| days(value, 1),
    moved: |change| format!("{:.1} days", change.abs()),
    little: 0.5,
    more_is_worse: true,
};
const OVER_90: Measure = Measure {
    name: "Older than 90 days",
    of: Receivables::share_over_90,
    shown: |share| percent(share, 1),
    moved: points,
    little: 0.005,
    more_is_worse: true,
};
const COLLECTED: Measure = Measure {
    name: "Collected in 90 days",
    of: Receivables::collected,
    shown: |share| percent(share, 1),
    moved: points,
    little: 0.005,
    more_is_worse: false,
};

/// A change of a share, without its sign.
fn points(change: f64) -> String {
    format!("{:.1} points", change.abs() * 100.0)
}

impl Selected<'_> {
    pub(super) fn tiles(&self) -> Vec<Tile> {
        let ends = self.points();
        let now = ends.last().copied().unwrap_or_default().sums;
        let (style, targets) = (&self.maker.style, &self.maker.about.config.targets);
        let amount = |cents: i128| style.short(cents).whole();
        let share = |share: f64| percent(share, 0).whole();
        let up_to = self.maker.about.as_of.checked_sub_days(DaysOf::new(90)).unwrap_or_default();
        let of_days = format!(
            "{}{} ÷ {} billed in 90 days",
            target(targets.days_in_ar, |days| format!("{days:.0}")),
            amount(now.balance),
            amount(now.amount_in_period)
        );
        let of_old =
            format!("{}{} of {}", target(targets.over_90_days, share), amount(now.over_90), amount(now.balance));
        let of_collected = format!(
            "{}{} of {} billed up to {}",
            target(targets.collected_in_90_days, share),
            amount(now.paid_within_90),
            amount(now.due),
            short_date(up_to)
        );
        vec![
            self.balance_tile(&ends),
            tile(&DAYS, &ends, of_days),
            tile(&OVER_90, &ends, of_old),
            tile(&COLLECTED, &ends, of_collected),
            self.denial_tile(&target(targets.claims_denied, share)),
        ]
    }

    fn balance_tile(&self, ends: &[Point]) -> Tile {
        let style = &self.maker.style;
        let beside = self.maker.facts.beside.iter().filter(|row| self.is_wanted(&row.datasource));
        let (credit, credits) = beside.fold((0, 0), |sum, row| (sum.0 + row.credit, sum.1 + row.credits));
        let ages = self.maker.facts.ages.iter().filter(|row| self.is_wanted(&row.datasource));
        let open: u64 = ages.map(|row| row.open).sum();
        let mut of = format!("{} open accounts", style.count(open).text);
        if credits > 0 {
            let _ = write!(of, "; credit balances of {} stand apart", style.short(credit).whole());
        }
        if let Some(late) = self.late("transactions") {
            let _ = write!(of, "; the newest {late}");
        }
        let (now, before) = now_and_before(ends);
        let (delta, tone) = delta_of_amount(self, now.sums.balance, before.sums.balance, &versus(before));
        Tile {
            name: "Receivables",
            figure: style.short(now.sums.balance),
            delta,
            tone,
            of,
            // A month without any row, such as one before the first delivery, is not drawn as zero.
            trend: ends
                .iter()
                .map(|point| (point.sums != Receivables::default()).then(|| point.sums.balance as f64 / 100.0))
                .collect(),
        }
    }

    fn denial_tile(&self, target: &str) -> Tile {
        let last = self.maker.last_month();
        let months: Vec<NaiveDate> = (0..MONTHS).rev().map(|ago| back(last, ago)).collect();
        let of_months = self.denials_by_month(|_| true);
        let of = |month: NaiveDate| of_months.get(&month).copied().unwrap_or_default();
        let ((claims, denied), before) = (of(last), of(back(last, 1)));
        let rate = self.rate((claims, denied));
        let style = &self.maker.style;
        let versus = format!("vs {}", short_month(back(last, 1)));
        let is_real = differ((denied, claims), (before.1, before.0));
        let (delta, tone) = if is_real {
            delta(rate.zip(self.rate(before)), 0.0, true, points, &versus)
        } else if rate.is_some() && self.rate(before).is_some() {
            (format!("little changed {versus}"), Tone::Steady)
        } else {
            (String::new(), Tone::Steady)
        };
        let mut of = if claims == 0 {
            format!("{target}No claims of {}", month(last))
        } else if style.is_small(denied) {
            format!("{target}{} claims of {}", style.count(claims).text, month(last))
        } else {
            format!("{target}{} of {} claims of {}", style.count(denied).text, style.count(claims).text, month(last))
        };
        if let Some(late) = self.late("claims") {
            let _ = write!(of, "; the newest {late}");
        }
        Tile {
            name: "Claims denied",
            figure: rate.map_or_else(none, |rate| percent(rate, 1)),
            delta,
            tone,
            of,
            trend: months.into_iter().map(|month| of_months.get(&month).and_then(|of| self.rate(*of))).collect(),
        }
    }

    /// Claims, and those denied, by month.
    pub(super) fn denials_by_month(&self, wanted: impl Fn(&ClaimRow) -> bool) -> BTreeMap<NaiveDate, Denied> {
        let mut months: BTreeMap<NaiveDate, Denied> = BTreeMap::new();
        for row in self.maker.facts.claims.iter().filter(|row| self.is_wanted(&row.datasource) && wanted(row)) {
            let of_month = months.entry(row.month).or_default();
            *of_month = (of_month.0 + row.claims, of_month.1 + row.denied);
        }
        months
    }

    /// The share that was denied; none of too few claims.
    pub(in crate::report) fn rate(&self, (claims, denied): Denied) -> Option<f64> {
        let least = self.maker.about.config.materiality.least_for_rate.max(1);
        (claims >= least && !self.maker.style.is_small(denied)).then(|| denied as f64 / claims as f64)
    }
}

/// The last month end and the one before it.
fn now_and_before(ends: &[Point]) -> (Point, Point) {
    let at = |back: usize| ends.len().checked_sub(back).map(|at| ends[at]).unwrap_or_default();
    (at(1), at(2))
}

fn versus(before: Point) -> String {
    format!("vs {}", short_month(before.end))
}

fn target(target: Option<f64>, text: fn(f64) -> String) -> String {
    target.map_or_else(String::new, |target| format!("Target {}. ", text(target)))
}

/// `made_of` has the numerator and the denominator of the last month end.
fn tile(measure: &Measure, ends: &[Point], made_of: String) -> Tile {
    let of = |point: &Point| (measure.of)(&point.sums);
    let (now, before) = now_and_before(ends);
    let pair = of(&now).zip(of(&before));
    let (delta, tone) = delta(pair, measure.little, measure.more_is_worse, measure.moved, &versus(before));
    Tile {
        name: measure.name,
        figure: of(&now).map_or_else(none, measure.shown),
        delta,
        tone,
        of: made_of,
        trend: ends.iter().map(of).collect(),
    }
}

fn delta_of_amount(selected: &Selected<'_>, now: i128, before: i128, versus: &str) -> (String, Tone) {
    let change = now - before;
    let steady = selected.maker.about.config.materiality.steady / 2.0;
    if ratio(change, before).is_none_or(|share| share.abs() < steady) {
        return (format!("little changed {versus}"), Tone::Steady);
    }
    let text = selected.maker.style.short(change.abs()).whole();
    let (arrow, tone) = if change > 0 { ("▲", Tone::Worse) } else { ("▼", Tone::Better) };
    (format!("{arrow} {text} {versus}"), tone)
}

/// How a rate or a number of days moved, from now and before; `more_is_worse` says which way is bad.
fn delta(
    pair: Option<(f64, f64)>,
    little: f64,
    more_is_worse: bool,
    text: fn(f64) -> String,
    versus: &str,
) -> (String, Tone) {
    let Some((now, before)) = pair else { return (String::new(), Tone::Steady) };
    let change = now - before;
    if change.abs() < little {
        return (format!("little changed {versus}"), Tone::Steady);
    }
    let arrow = if change > 0.0 { "▲" } else { "▼" };
    let tone = if (change > 0.0) == more_is_worse { Tone::Worse } else { Tone::Better };
    (format!("{arrow} {} {versus}", text(change)), tone)
}
