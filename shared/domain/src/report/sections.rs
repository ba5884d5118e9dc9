//! The sections of the report, each of all hospitals or of one.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Datelike, Days as DaysOf, Months, NaiveDate};

use super::facts::{ClaimRow, Facts, FeedRow, TrendRow, UNKNOWN};
use super::figures::{self, Figure, Style, days, month, month_and_year, none, percent, short_date, short_month};
use super::findings;
use super::series::{Point, differ, points, ratio};
use super::view::{
    About, Age, Behind, Bullet, Change, Collection, Days, Denials, Feed, Line, MOST_HOSPITALS, Multiple, Range, Scope,
    Series, SeriesKind, Speed, Stack, Table, Tile, Tone,
};
use crate::kpi::ar_aging::BUCKETS;

/// Month ends back to which a change is told.
pub(super) const MONTHS_BACK: usize = 3;
/// Lines of a table of the largest changes.
const MOST_CHANGES: usize = 7;
/// Lines of hospitals in a chart, beside that of all.
const MOST_SERIES: usize = 5;
/// Months of a chart of denials.
const MONTHS: u32 = 13;
/// Payers with a chart of their own denials.
const MOST_MULTIPLES: usize = 8;
/// Days that a wait of a tenth of the payments may have before a service month counts as paid.
const SETTLED_DAYS: u64 = 90;

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
    pub(super) fn new(facts: &'a Facts, about: About<'a>, style: Style) -> Self {
        let last = facts.trend.iter().map(|row| row.month_end).max();
        let now = || facts.trend.iter().filter(|row| Some(row.month_end) == last);
        let of_trend = |name: fn(&TrendRow) -> &String| now().map(move |row| (name(row).clone(), row.balance));
        let of_claims = |name: fn(&ClaimRow) -> &String| facts.claims.iter().map(move |row| (name(row).clone(), 0));
        Self {
            hospitals: largest_first(of_trend(|row| &row.datasource).chain(of_claims(|row| &row.datasource))),
            payers: largest_first(of_trend(|row| &row.payer).chain(of_claims(|row| &row.payer))),
            facts,
            about,
            style,
        }
    }

    pub(super) fn hospital_name(&self, datasource: &str) -> String {
        self.about.config.hospital(datasource).to_owned()
    }

    fn payer(&self, name: &str) -> Option<usize> {
        self.payers.iter().position(|payer| payer == name)
    }

    pub(super) fn scopes(&self) -> Vec<Scope> {
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
        }
    }

    /// How far the tables of each hospital reach.
    pub(super) fn feeds(&self) -> Vec<(&'a FeedRow, Feed)> {
        self.facts.feeds.iter().map(|row| (row, self.feed(row))).collect()
    }

    fn feed(&self, row: &FeedRow) -> Feed {
        let age = row.newest.map(|newest| (self.about.as_of - newest).num_days());
        let allowed = self.about.config.days_of_feed(&format!("{}/{}", row.datasource, row.entity));
        Feed {
            name: format!("{}, {}", self.hospital_name(&row.datasource), row.entity),
            newest: row.newest.map_or_else(|| "none".to_owned(), figures::long_date),
            age: age.map_or_else(String::new, |days| format!("{days} days")),
            is_late: age.is_none_or(|age| age > i64::from(allowed)),
            rows: self.style.count(row.rows),
            undated: self.style.count(row.undated),
        }
    }

    pub(super) fn behind(&self, feeds: Vec<(&FeedRow, Feed)>) -> Behind {
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
    pub(super) fn last_month(&self) -> NaiveDate {
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

    pub(super) fn points(&self) -> Vec<Point> {
        points(self.maker.facts, |row| self.is_wanted(&row.datasource))
    }

    fn points_of(&self, hospital: &str) -> Vec<Point> {
        points(self.maker.facts, |row| row.datasource == hospital)
    }

    /// The point that changes are told from, and its place.
    pub(super) fn base(points: &[Point]) -> Option<(usize, Point)> {
        let at = points.len().checked_sub(MONTHS_BACK + 1).or_else(|| (!points.is_empty()).then_some(0))?;
        Some((at, points[at]))
    }

    /// `July`, for the month end that changes are told from.
    pub(super) fn since(points: &[Point]) -> String {
        Self::base(points).map_or_else(String::new, |(_, point)| month(point.end).to_owned())
    }

    /// The parts that the scope has: hospitals, or the payers of one.
    fn hospitals(&self) -> Vec<&'a str> {
        let all = self.maker.hospitals.iter().map(String::as_str);
        all.filter(|hospital| self.is_wanted(hospital)).collect()
    }

    pub(super) fn is_of_all(&self) -> bool {
        self.hospital.is_none() && self.maker.hospitals.len() > 1
    }

    /// What of the change since the base each hospital and payer has, the largest rise first.
    pub(super) fn changes(&self) -> Vec<(String, String, i128, i128)> {
        let points = self.points();
        let Some((_, base)) = Self::base(&points) else { return Vec::new() };
        let last = points[points.len() - 1].end;
        let mut found: BTreeMap<(&str, &str), (i128, i128)> = BTreeMap::new();
        for row in self.maker.facts.trend.iter().filter(|row| self.is_wanted(&row.datasource)) {
            let of_both = found.entry((&row.datasource, &row.payer)).or_default();
            if row.month_end == base.end {
                of_both.0 += row.balance;
            } else if row.month_end == last {
                of_both.1 += row.balance;
            }
        }
        let mut changes: Vec<(String, String, i128, i128)> = (found.into_iter())
            .map(|((hospital, payer), (before, now))| (hospital.to_owned(), payer.to_owned(), now - before, now))
            .collect();
        changes.sort_by_key(|(hospital, payer, change, _)| (-change, hospital.clone(), payer.clone()));
        changes
    }

    /// `Medicaid, Brookside`, or `Medicaid` where there is one hospital.
    fn part_name(&self, hospital: &str, payer: &str) -> String {
        if self.is_of_all() { format!("{payer}, {}", self.maker.hospital_name(hospital)) } else { payer.to_owned() }
    }

    // ---- Five figures ----

    fn tiles(&self) -> Vec<Tile> {
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
    fn denials_by_month(&self, wanted: impl Fn(&ClaimRow) -> bool) -> BTreeMap<NaiveDate, Denied> {
        let mut months: BTreeMap<NaiveDate, Denied> = BTreeMap::new();
        for row in self.maker.facts.claims.iter().filter(|row| self.is_wanted(&row.datasource) && wanted(row)) {
            let of_month = months.entry(row.month).or_default();
            *of_month = (of_month.0 + row.claims, of_month.1 + row.denied);
        }
        months
    }

    /// The share that was denied; none of too few claims.
    pub(super) fn rate(&self, (claims, denied): Denied) -> Option<f64> {
        let least = self.maker.about.config.materiality.least_for_rate.max(1);
        (claims >= least && !self.maker.style.is_small(denied)).then(|| denied as f64 / claims as f64)
    }

    // ---- What changed ----

    fn change(&self) -> Change {
        let points = self.points();
        let style = &self.maker.style;
        let Some((at, base)) = Self::base(&points) else { return Change::nothing() };
        let (from, now) = (base.end, points[points.len() - 1]);
        let later = || points[at + 1..].iter();
        let (billed, paid) = (later().map(|point| point.billed).sum(), later().map(|point| point.paid).sum());
        let changes = self.changes();
        let total = now.balance - base.balance;
        let (least, most) =
            changes.iter().fold((0, 0), |(least, most), (.., change, _)| (least.min(*change), most.max(*change)));
        let width = ((most - least) as f64).max(1.0);
        let zero = -(least as f64) / width * 100.0;
        let mut shown: Vec<usize> = (0..changes.len()).collect();
        shown.sort_by_key(|at| std::cmp::Reverse(changes[*at].2.unsigned_abs()));
        let mut shown: Vec<usize> = shown.into_iter().take(MOST_CHANGES).collect();
        shown.sort_unstable();
        // Parts of a change that is little say nothing.
        let whole = findings::whole_change(*self).unwrap_or(0);
        let share = |change: i128| ratio(change, whole).map_or_else(none, |share| percent(share, 0));
        let culprit = findings::culprit(*self);
        let mut lines: Vec<Line> = (shown.iter())
            .map(|at| {
                let (hospital, payer, change, balance) = &changes[*at];
                let length = change.unsigned_abs() as f64 / width * 100.0;
                let from = if *change < 0 { zero - length } else { zero };
                Line {
                    name: self.part_name(hospital, payer),
                    payer: self.maker.payer(payer),
                    is_hot: culprit
                        .as_ref()
                        .is_some_and(|culprit| culprit.hospital == *hospital && culprit.payer == *payer),
                    is_total: false,
                    cells: vec![style.change(*change), share(*change), style.short(*balance)],
                    bar: Some((from, length, *change > 0)),
                }
            })
            .collect();
        let others: Vec<usize> = (0..changes.len()).filter(|at| !shown.contains(at)).collect();
        if !others.is_empty() {
            let sum = |of: fn(&(String, String, i128, i128)) -> i128| others.iter().map(|at| of(&changes[*at])).sum();
            let (change, balance) = (sum(|part| part.2), sum(|part| part.3));
            let name = format!("{} {}", others.len(), if others.len() == 1 { "other" } else { "others" });
            lines.push(Line::of(name, vec![style.change(change), share(change), style.short(balance)]));
        }
        let all = vec![style.change(total), share(total), style.short(now.balance)];
        lines.push(Line { is_total: true, ..Line::of("Change".to_owned(), all) });
        let parts = if self.is_of_all() { "Payer, hospital" } else { "Payer" };
        Change {
            kicker: format!("What changed since {}", month(from)),
            finding: findings::change(*self),
            equation: vec![
                ("", style.short(base.balance), format!("balance on {}", short_date(from))),
                ("+", style.short(billed), "billed since".to_owned()),
                ("−", style.short(paid), "paid on it".to_owned()),
                ("=", style.short(now.balance), format!("balance on {}", short_date(now.end))),
            ],
            table: Table {
                caption: format!("Change of the balance, {} to {}", short_date(from), short_date(now.end)),
                of: "the largest rises and falls".to_owned(),
                headings: [parts, "change", "of the change", "balance now"].map(str::to_owned).to_vec(),
                lines,
            },
            source: "From kpi_ar_trend. All dates are computed from what is known today, so a payment that was posted \
                     late counts at its own date. Overpayments lower no other balance."
                .to_owned(),
        }
    }

    // ---- Age ----

    fn age(&self) -> Age {
        let style = &self.maker.style;
        let rows = || self.maker.facts.ages.iter().filter(|row| self.is_wanted(&row.datasource));
        let sums = |wanted: &dyn Fn(&super::facts::AgeRow) -> bool| {
            let mut sums = [0_i128; BUCKETS.len()];
            for row in rows().filter(|row| wanted(row)) {
                sums[row.bucket.min(BUCKETS.len() - 1)] += row.balance;
            }
            sums
        };
        let all = sums(&|_| true);
        let stack = |name: String, is_total: bool, sums: [i128; BUCKETS.len()]| {
            let total: i128 = sums.iter().sum();
            let over = sums[OLD_FROM..].iter().sum();
            let share = |sum: i128| ratio(sum, total).unwrap_or(0.0);
            Stack {
                name,
                is_total,
                shares: sums.iter().map(|sum| (share(*sum), style.full(*sum))).collect(),
                total: style.short(total),
                over_90: ratio(over, total)
                    .map_or_else(String::new, |share| format!("{} over 90", percent(share, 0).whole())),
            }
        };
        let mut stacks = vec![stack("All".to_owned(), true, all)];
        if self.is_of_all() {
            let hospitals = self.hospitals();
            stacks.extend(hospitals.iter().map(|hospital| {
                stack(self.maker.hospital_name(hospital), false, sums(&|row| row.datasource == *hospital))
            }));
        } else {
            let payers = self.maker.payers.iter();
            let of_payers = payers.map(|payer| stack(payer.clone(), false, sums(&|row| row.payer == *payer)));
            stacks.extend(of_payers.filter(|stack| stack.total.value.as_deref() != Some("0.00")));
        }
        let cells = |sums: [i128; BUCKETS.len()]| {
            let total: i128 = sums.iter().sum();
            sums.iter().chain([&total]).map(|sum| style.short(*sum)).collect::<Vec<_>>()
        };
        let mut lines = Vec::new();
        for (at, payer) in self.maker.payers.iter().enumerate() {
            let of_payer = sums(&|row| row.payer == *payer);
            if of_payer.iter().any(|sum| *sum != 0) {
                lines.push(Line { payer: Some(at), ..Line::of(payer.clone(), cells(of_payer)) });
            }
        }
        lines.push(Line { is_total: true, ..Line::of("All payers".to_owned(), cells(all)) });
        let headings = ["Payer"].into_iter().chain(BUCKETS.iter().map(|(name, _)| *name)).chain(["all"]);
        let (finding, lede) = findings::age(*self, all);
        let open: u64 = rows().map(|row| row.open).sum();
        Age {
            finding,
            lede,
            stacks,
            table: Table {
                caption: "Balance".to_owned(),
                of: "by payer and days since the service".to_owned(),
                headings: headings.map(|heading| heading.replace('-', "–")).collect(),
                lines,
            },
            source: format!(
                "From kpi_ar_aging: {} open transactions served up to {}.",
                style.count(open).text,
                figures::long_date(self.maker.about.as_of)
            ),
        }
    }

    // ---- Days in receivables ----

    /// The hospital whose days rose most since the base, with its days then and now, if that is worth a word.
    pub(super) fn worst_mover(&self) -> Option<(String, f64, f64)> {
        if !self.is_of_all() {
            return None;
        }
        let moved = self.hospitals().into_iter().filter_map(|hospital| {
            let points = self.points_of(hospital);
            let (_, base) = Self::base(&points)?;
            Some((hospital.to_owned(), base.days()?, points.last()?.days()?))
        });
        let worst = moved.max_by(|one, other| (one.2 - one.1).total_cmp(&(other.2 - other.1)))?;
        let steady = self.maker.about.config.materiality.steady;
        ((worst.2 - worst.1) > worst.1 * steady).then_some(worst)
    }

    fn days(&self) -> Days {
        let points = self.points();
        let style = &self.maker.style;
        let base_at = Self::base(&points).map_or(0, |(at, _)| at);
        let hot = self.worst_mover().map(|(hospital, ..)| hospital);
        let all_name = self.hospital.map_or_else(|| "All".to_owned(), |hospital| self.maker.hospital_name(hospital));
        let values = |points: &[Point]| points.iter().map(Point::days).collect::<Vec<_>>();
        let mut series = Vec::new();
        let line = |name: String, is_hot: bool, points: &[Point]| {
            let at = |at: usize| points.get(at).and_then(Point::days);
            let (first, base, now) = (at(0), at(base_at), at(points.len().saturating_sub(1)));
            let shown = |value: Option<f64>| value.map_or_else(none, |value| days(value, 1));
            let change = base.zip(now).map_or_else(none, |(base, now)| signed_days(now - base));
            Line { is_hot, ..Line::of(name, vec![shown(first), shown(base), shown(now), change]) }
        };
        let made_of = |name: String, points: &[Point]| {
            let now = points.last().copied().unwrap_or_default();
            Line::of(name, vec![style.short(now.balance), style.short(now.amount_in_period)])
        };
        let (mut lines, mut parts) =
            (vec![line(all_name.clone(), false, &points)], vec![made_of(all_name.clone(), &points)]);
        if self.is_of_all() {
            for (place, hospital) in self.hospitals().into_iter().enumerate() {
                let (name, of_hospital) = (self.maker.hospital_name(hospital), self.points_of(hospital));
                let is_hot = hot.as_deref() == Some(hospital);
                lines.push(line(name.clone(), is_hot, &of_hospital));
                parts.push(made_of(name.clone(), &of_hospital));
                if place < MOST_SERIES || is_hot {
                    let kind = if is_hot { SeriesKind::Hot } else { SeriesKind::Other };
                    series.push(Series { name, kind, values: values(&of_hospital) });
                }
            }
        }
        series.push(Series { name: all_name, kind: SeriesKind::Total, values: values(&points) });
        let name_of = |at: usize| points.get(at).map_or_else(String::new, |point| month_and_year(point.end));
        let headings = |names: &[String]| names.to_vec();
        Days {
            finding: findings::days_finding(*self),
            months: points.iter().map(|point| month_and_year(point.end)).collect(),
            series,
            target: self.maker.about.config.targets.days_in_ar,
            tables: vec![
                Table {
                    caption: "Days in receivables".to_owned(),
                    of: "at the end of the month".to_owned(),
                    headings: headings(&[
                        "Hospital".to_owned(),
                        name_of(0),
                        name_of(base_at),
                        name_of(points.len().saturating_sub(1)),
                        format!("since {}", points.get(base_at).map_or("", |point| short_month(point.end))),
                    ]),
                    lines,
                },
                Table {
                    caption: "What the last figure is made of".to_owned(),
                    of: String::new(),
                    headings: headings(&["Hospital", "balance", "billed, 90 days"].map(str::to_owned)),
                    lines: parts,
                },
            ],
            source:
                "From kpi_ar_trend: balance ÷ the amount of service dates in the last 90 days, × 90. All months as \
                     known today."
                    .to_owned(),
        }
    }

    // ---- Collection ----

    fn collection(&self) -> Collection {
        let style = &self.maker.style;
        let rows = || self.maker.facts.collection.iter().filter(|row| self.is_wanted(&row.datasource));
        let horizons: BTreeSet<i32> = rows().map(|row| row.horizon).collect();
        let target = self.maker.about.config.targets.collected_in_90_days;
        let sum = |horizon: i32, of: fn(&super::facts::CollectionRow) -> i128, hospital: Option<&str>| -> i128 {
            let wanted = rows().filter(|row| row.horizon == horizon);
            wanted.filter(|row| hospital.is_none_or(|hospital| row.datasource == hospital)).map(of).sum()
        };
        let share = |horizon: i32, hospital: Option<&str>| {
            ratio(sum(horizon, |row| row.paid_within, hospital), sum(horizon, |row| row.amount, hospital))
        };
        let bullet = |horizon: i32| {
            let found = share(horizon, None);
            let hospitals = if self.is_of_all() { self.hospitals() } else { Vec::new() };
            let dots = hospitals
                .into_iter()
                .filter_map(|hospital| Some((self.maker.hospital_name(hospital), share(horizon, Some(hospital))?)));
            Bullet {
                name: format!("Within {horizon} days"),
                of: format!(
                    "{} of {}",
                    style.short(sum(horizon, |row| row.paid_within, None)).whole(),
                    style.short(sum(horizon, |row| row.amount, None)).whole()
                ),
                share: found,
                figure: found.map_or_else(none, |share| percent(share, 1)),
                target: target.filter(|_| horizon == 90),
                dots: dots.collect(),
            }
        };
        let benchmark = |horizon: i32| {
            crate::kpi::collection_rate::HORIZONS.iter().find(|(known, _)| *known == horizon).map(|(_, rate)| *rate)
        };
        let line = |horizon: i32| {
            let (open, later) = (sum(horizon, |row| row.balance_at, None), sum(horizon, |row| row.paid_after, None));
            let shown = |share: Option<f64>| share.map_or_else(none, |share| percent(share, 1));
            let cells =
                vec![style.short(open), style.short(later), shown(ratio(later, open)), shown(benchmark(horizon))];
            Line::of(format!("{horizon} days"), cells)
        };
        let before: u64 = rows().filter(|row| row.horizon == 90).map(|row| row.paid_before_service).sum();
        let over: i128 = rows().filter(|row| row.horizon == 90).map(|row| row.overpaid).sum();
        Collection {
            finding: findings::collection(share(90, None)),
            bullets: horizons.iter().map(|horizon| bullet(*horizon)).collect(),
            table: Table {
                caption: "What is still collected of a balance that has aged".to_owned(),
                of: "beside what is usual".to_owned(),
                headings: ["Open after", "balance then", "paid later", "share", "usual"].map(str::to_owned).to_vec(),
                lines: horizons.iter().map(|horizon| line(*horizon)).collect(),
            },
            source: format!(
                "From kpi_collection_rate, over services up to that many days before the date. {} payments dated before \
                 their service are left out; {} were paid beyond what was billed.",
                style.count(before).text,
                style.short(over).whole()
            ),
        }
    }

    // ---- Denials ----

    /// The payer whose rate of the last month is up most, if that is more than chance: its name, the rate then and now.
    pub(super) fn worst_denier(&self) -> Option<(String, f64, f64)> {
        let last = self.maker.last_month();
        let earlier: Vec<NaiveDate> = (1..=MONTHS_BACK as u32).map(|ago| back(last, ago)).collect();
        let moved = self.maker.payers.iter().filter_map(|payer| {
            let months = self.denials_by_month(|row| row.payer == *payer);
            let now = months.get(&last).copied()?;
            let before = earlier
                .iter()
                .filter_map(|month| months.get(month))
                .fold((0, 0), |sum: Denied, month| (sum.0 + month.0, sum.1 + month.1));
            let (then, rate) = (self.rate(before)?, self.rate(now)?);
            (rate > then && differ((now.1, now.0), (before.1, before.0))).then(|| (payer.clone(), then, rate))
        });
        moved.max_by(|one, other| (one.2 - one.1).total_cmp(&(other.2 - other.1)))
    }

    fn denials(&self) -> Denials {
        let style = &self.maker.style;
        let last = self.maker.last_month();
        let months: Vec<NaiveDate> = (0..MONTHS).rev().map(|ago| back(last, ago)).collect();
        let hot = self.worst_denier().map(|(payer, ..)| payer);
        let (mut multiples, mut lines) = (Vec::new(), Vec::new());
        let figures_of = |of_months: &BTreeMap<NaiveDate, Denied>| {
            let of = |month: NaiveDate| of_months.get(&month).copied().unwrap_or_default();
            let (now, before) = (of(last), of(back(last, 1)));
            let shown = |rate: Option<f64>| rate.map_or_else(none, |rate| percent(rate, 1));
            vec![style.count(now.0), style.count(now.1), shown(self.rate(now)), shown(self.rate(before))]
        };
        for (at, payer) in self.maker.payers.iter().enumerate() {
            let of_months = self.denials_by_month(|row| row.payer == *payer);
            if of_months.is_empty() {
                continue;
            }
            let values = months.iter().map(|month| of_months.get(month).and_then(|of| self.rate(*of)));
            let values: Vec<Option<f64>> = values.collect();
            let now = of_months.get(&last).copied().unwrap_or_default();
            let is_hot = hot.as_deref() == Some(payer.as_str());
            if multiples.len() < MOST_MULTIPLES && values.iter().any(Option::is_some) {
                multiples.push(Multiple {
                    name: payer.clone(),
                    payer: Some(at),
                    figure: self.rate(now).map_or_else(none, |rate| percent(rate, 1)),
                    of: format!("of {} claims", style.count(now.0).text),
                    is_hot,
                    values,
                });
            }
            lines.push(Line { payer: Some(at), is_hot, ..Line::of(payer.clone(), figures_of(&of_months)) });
        }
        let all = self.denials_by_month(|_| true);
        lines.push(Line { is_total: true, ..Line::of("All payers".to_owned(), figures_of(&all)) });
        let most = multiples.iter().flat_map(|multiple| &multiple.values).flatten().copied().fold(0.05, f64::max);
        Denials {
            finding: findings::denials(*self, all.get(&last).and_then(|of| self.rate(*of))),
            months: months.iter().map(|month| month_and_year(*month)).collect(),
            most,
            multiples,
            table: Table {
                caption: format!("Claims of {}", month(last)),
                of: "by payer".to_owned(),
                headings: [
                    "Payer".to_owned(),
                    "claims".to_owned(),
                    "denied".to_owned(),
                    "rate".to_owned(),
                    format!("in {}", short_month(back(last, 1))),
                ]
                .to_vec(),
                lines,
            },
            source: format!(
                "From kpi_claims, by the month of the claim: claims whose status is denied ÷ all claims. A rate of fewer \
                 than {} claims is not shown.",
                self.maker.about.config.materiality.least_for_rate
            ),
        }
    }

    // ---- Speed and volume ----

    /// The last month of service whose payments have mostly come.
    fn settled_month(&self) -> NaiveDate {
        let ago = self.maker.about.as_of.checked_sub_days(DaysOf::new(SETTLED_DAYS)).unwrap_or_default();
        back(first_of(ago), 1)
    }

    fn speed(&self) -> Speed {
        let style = &self.maker.style;
        let settled = self.settled_month();
        let least = self.maker.about.config.materiality.least_for_rate;
        let rows =
            || self.maker.facts.waits.iter().filter(|row| row.month == settled && self.is_wanted(&row.datasource));
        let mut ranges = Vec::new();
        for (at, payer) in self.maker.payers.iter().enumerate() {
            for row in rows().filter(|row| row.payer == *payer) {
                let known = row.median.zip(row.p90).filter(|_| row.payments >= least);
                let figure = known.map_or_else(none, |(median, p90)| Figure {
                    text: format!("{median:.0} · {p90:.0}"),
                    unit: "days".to_owned(),
                    value: Some(format!("{median:.4} {p90:.4}")),
                });
                ranges.push(Range {
                    name: self.part_name(&row.datasource, payer),
                    payer: Some(at),
                    days: known,
                    figure,
                });
            }
        }
        let most = ranges.iter().filter_map(|range| range.days).map(|(_, p90)| p90).fold(30.0, f64::max);
        let last = self.maker.last_month();
        let months: Vec<NaiveDate> = (0..6).rev().map(|ago| back(last, ago)).collect();
        let claims = |month: NaiveDate| -> (u64, i128) {
            let of_month = self.maker.facts.claims.iter().filter(|row| row.month == month);
            let wanted = of_month.filter(|row| self.is_wanted(&row.datasource));
            wanted.fold((0, 0), |sum, row| (sum.0 + row.claims, sum.1 + row.amount))
        };
        let transactions = |month: NaiveDate| -> (u64, i128) {
            let of_month = self.maker.facts.volumes.iter().filter(|row| row.month == month);
            let wanted = of_month.filter(|row| self.is_wanted(&row.datasource));
            wanted.fold((0, 0), |sum, row| (sum.0 + row.transactions, sum.1 + row.amount))
        };
        let line = |month: NaiveDate| {
            let (of_transactions, of_claims) = (transactions(month), claims(month));
            let cells = vec![
                style.count(of_transactions.0),
                style.short(of_transactions.1),
                style.count(of_claims.0),
                style.short(of_claims.1),
            ];
            Line::of(month_and_year(month), cells)
        };
        Speed {
            finding: findings::speed(&ranges, settled),
            of: format!("payments for services of {} {}, half and nine tenths of them", month(settled), settled.year()),
            most,
            ranges,
            table: Table {
                caption: "What was billed".to_owned(),
                of: "by month of service, and of the claim".to_owned(),
                headings: ["Month", "transactions", "amount", "claims", "claimed"].map(str::to_owned).to_vec(),
                lines: months.into_iter().map(line).collect(),
            },
            source: format!(
                "From kpi_days_to_payment, kpi_payer_mix and kpi_claims. Days from service to payment of a month that \
                 ended 90 days ago or more, so that most of its payments have come; none is shown for fewer than {least}."
            ),
        }
    }
}

/// The first age bucket that counts as old.
pub(super) const OLD_FROM: usize = 3;

impl Line {
    /// A line without a bar.
    pub(super) fn of(name: String, cells: Vec<Figure>) -> Self {
        Self { name, payer: None, is_hot: false, is_total: false, cells, bar: None }
    }
}

impl Change {
    /// Without any receivables.
    fn nothing() -> Self {
        Self {
            kicker: "What changed".to_owned(),
            finding: "There are no receivables".to_owned(),
            equation: Vec::new(),
            table: Table { caption: String::new(), of: String::new(), headings: Vec::new(), lines: Vec::new() },
            source: String::new(),
        }
    }
}

fn signed_days(change: f64) -> Figure {
    let sign = if change < 0.0 { "−" } else { "+" };
    Figure { text: format!("{sign}{:.1}", change.abs()), unit: String::new(), value: Some(format!("{change:.4}")) }
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
