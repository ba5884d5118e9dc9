//! The five figures.

use std::collections::BTreeMap;

use chrono::{Days as DaysOf, NaiveDate};

use super::{Denied, MONTHS, Selected, back};
use crate::money::ratio;
use crate::report::facts::ClaimRow;
use crate::report::figures::{days, month, none, percent, short_date, short_month};
use crate::report::series::{Point, differ};
use crate::report::view::{Tile, Tone};

impl Selected<'_> {
    pub(super) fn tiles(&self) -> Vec<Tile> {
        let points = self.points();
        let now = points.last().copied().unwrap_or_default();
        let before = points.len().checked_sub(2).map(|at| points[at]).unwrap_or_default();
        let (style, targets) = (&self.maker.style, &self.maker.about.config.targets);
        let versus = format!("vs {}", short_month(before.end));
        let beside = self.maker.facts.beside.iter().filter(|row| self.is_wanted(&row.datasource));
        let (credit, credits) = beside.fold((0, 0), |sum, row| (sum.0 + row.credit, sum.1 + row.credits));
        let ages = self.maker.facts.ages.iter().filter(|row| self.is_wanted(&row.datasource));
        let open: u64 = ages.map(|row| row.open).sum();
        let trend = |of: fn(&Point) -> Option<f64>| points.iter().map(of).collect();
        let target = |target: Option<f64>, text: fn(f64) -> String| {
            target.map_or_else(String::new, |target| format!("Target {}. ", text(target)))
        };
        let apart = if credits == 0 {
            String::new()
        } else {
            format!("; credit balances of {} stand apart", style.short(credit).whole())
        };
        let share = |share: f64| percent(share, 0).whole();
        let up_to = self.maker.about.as_of.checked_sub_days(DaysOf::new(90)).unwrap_or_default();
        let balance = delta_of_amount(self, now.balance, before.balance, &versus);
        let days_delta =
            delta(now.days(), before.days(), 0.5, true, |change| format!("{:.1} days", change.abs()), &versus);
        let points_delta = |now, before, worse| {
            delta(now, before, 0.005, worse, |change| format!("{:.1} points", change.abs() * 100.0), &versus)
        };
        let over = points_delta(now.share_over_90(), before.share_over_90(), true);
        let collected = points_delta(now.collected(), before.collected(), false);
        vec![
            Tile {
                name: "Receivables",
                figure: style.short(now.balance),
                delta: balance.0,
                tone: balance.1,
                of: format!("{} open accounts{apart}", style.count(open).text),
                trend: trend(|point| Some(point.balance as f64 / 100.0)),
            },
            Tile {
                name: "Days in receivables",
                figure: now.days().map_or_else(none, |value| days(value, 1)),
                delta: days_delta.0,
                tone: days_delta.1,
                of: format!(
                    "{}{} ÷ {} billed in 90 days",
                    target(targets.days_in_ar, |days| format!("{days:.0}")),
                    style.short(now.balance).whole(),
                    style.short(now.amount_in_period).whole()
                ),
                trend: trend(Point::days),
            },
            Tile {
                name: "Older than 90 days",
                figure: now.share_over_90().map_or_else(none, |share| percent(share, 1)),
                delta: over.0,
                tone: over.1,
                of: format!(
                    "{}{} of {}",
                    target(targets.over_90_days, share),
                    style.short(now.over_90).whole(),
                    style.short(now.balance).whole()
                ),
                trend: trend(Point::share_over_90),
            },
            Tile {
                name: "Collected in 90 days",
                figure: now.collected().map_or_else(none, |share| percent(share, 1)),
                delta: collected.0,
                tone: collected.1,
                of: format!(
                    "{}{} of {} billed up to {}",
                    target(targets.collected_in_90_days, share),
                    style.short(now.paid_within_90).whole(),
                    style.short(now.due).whole(),
                    short_date(up_to)
                ),
                trend: trend(Point::collected),
            },
            self.denial_tile(&target(targets.claims_denied, share)),
        ]
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
            let points = |change: f64| format!("{:.1} points", change.abs() * 100.0);
            delta(rate, self.rate(before), 0.0, true, points, &versus)
        } else if rate.is_some() && self.rate(before).is_some() {
            (format!("little changed {versus}"), Tone::Steady)
        } else {
            (String::new(), Tone::Steady)
        };
        let of = if claims == 0 {
            format!("{target}No claims of {}", month(last))
        } else if style.is_small(denied) {
            format!("{target}{} claims of {}", style.count(claims).text, month(last))
        } else {
            format!("{target}{} of {} claims of {}", style.count(denied).text, style.count(claims).text, month(last))
        };
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

/// How a rate or a number of days moved; `more_is_worse` says which way is bad.
fn delta(
    now: Option<f64>,
    before: Option<f64>,
    little: f64,
    more_is_worse: bool,
    text: impl Fn(f64) -> String,
    versus: &str,
) -> (String, Tone) {
    let Some((now, before)) = now.zip(before) else { return (String::new(), Tone::Steady) };
    let change = now - before;
    if change.abs() < little {
        return (format!("little changed {versus}"), Tone::Steady);
    }
    let arrow = if change > 0.0 { "▲" } else { "▼" };
    let tone = if (change > 0.0) == more_is_worse { Tone::Worse } else { Tone::Better };
    (format!("{arrow} {} {versus}", text(change)), tone)
}
