//! Sentences: rules with figures in them.

use chrono::NaiveDate;

use super::facts::FeedRow;
use super::figures::{self, month, percent, short_date};
use super::sections::{Maker, OLD_FROM, Selected};
use super::series::Point;
use super::view::{Feed, Hero, Notice, Range, Span};
use crate::kpi::ar_aging::BUCKETS;
use crate::money::ratio;

/// The part of a change that most of it is due to.
pub(super) struct Culprit {
    pub hospital: String,
    pub payer: String,
    /// Of the whole change.
    pub share: f64,
    pub change: i128,
}

/// The hospital and payer with the largest part of the change, if it is large enough to be named, and the change is more
/// than little.
pub(super) fn culprit(selected: Selected<'_>) -> Option<Culprit> {
    let change = whole_change(selected)?;
    let changes = selected.changes();
    let (hospital, payer, of_it, _) = if change > 0 { changes.first() } else { changes.last() }?.clone();
    let share = ratio(of_it, change)?;
    let least = selected.maker.about.config.materiality.culprit;
    (share >= least).then_some(Culprit { hospital, payer, share, change: of_it })
}

/// The change of the balance since the base; none if it is little.
pub(super) fn whole_change(selected: Selected<'_>) -> Option<i128> {
    let points = selected.points();
    let (_, base) = Selected::base(&points)?;
    let (before, now) = (base.sums.balance, points.last()?.sums.balance);
    let change = now - before;
    let share = ratio(change, before).map_or(f64::INFINITY, f64::abs);
    (change != 0 && share >= selected.maker.about.config.materiality.steady).then_some(change)
}

/// Late feeds that are told one by one.
const TOLD: usize = 3;

/// What is missing is said first.
pub(super) fn notice(maker: &Maker<'_>, feeds: &[(&FeedRow, Feed)]) -> Notice {
    let late: Vec<&(&FeedRow, Feed)> = feeds.iter().filter(|(_, feed)| feed.is_late).collect();
    let run = maker.about.run;
    let checks = if run.failed_checks.is_empty() {
        format!("All {} control checks agree.", run.checks)
    } else {
        format!("{} of {} control checks failed.", run.failed_checks.len(), run.checks)
    };
    if late.is_empty() {
        let oldest = feeds.iter().filter_map(|(row, _)| row.newest).min();
        let reach = oldest
            .map_or_else(String::new, |oldest| format!("Every feed reaches to {} or later. ", short_date(oldest)));
        let finding = if feeds.is_empty() { "There is no data yet." } else { "Nothing is late." };
        return Notice {
            is_late: !run.failed_checks.is_empty() || feeds.is_empty(),
            finding: finding.to_owned(),
            rest: format!("{reach}{checks}"),
        };
    }
    let tell = |(row, _): &&(&FeedRow, Feed)| {
        let hospital = maker.hospital_name(&row.datasource);
        match row.newest {
            Some(newest) => format!("{hospital}’s {} end on {}", row.entity, figures::long_date(newest)),
            None => format!("{hospital} has no {}", row.entity),
        }
    };
    let mut told: Vec<String> = late.iter().take(TOLD).map(tell).collect();
    if late.len() > TOLD {
        told.push(format!("{} more are below", late.len() - TOLD));
    }
    let finding =
        if late.len() == 1 { "One feed is late.".to_owned() } else { format!("{} feeds are late.", late.len()) };
    Notice { is_late: true, finding, rest: format!("{}: the months after that are too low. {checks}", told.join("; ")) }
}

pub(super) fn hero(selected: Selected<'_>) -> Hero {
    let points = selected.points();
    let (style, now) = (&selected.maker.style, points.last().copied().unwrap_or_default());
    if points.iter().all(|point| point.sums.balance == 0) {
        let finding = format!("No receivables are open on {}.", figures::long_date(selected.maker.about.as_of));
        return Hero { finding, culprit: None, lede: Vec::new() };
    }
    let since = Selected::since(&points);
    let balance = style.words(now.sums.balance);
    let (finding, culprit) = match whole_change(selected) {
        None => (format!("Receivables are steady at {balance} since the end of {since}."), None),
        Some(change) => {
            let (verb, noun) = if change > 0 { ("grew", "rise") } else { ("fell", "fall") };
            let finding =
                format!("Receivables {verb} {} since the end of {since} to {balance}.", style.words(change.abs()));
            (finding, Some(due_to(selected, noun)))
        }
    };
    Hero { finding, culprit, lede: lede(selected) }
}

fn due_to(selected: Selected<'_>, noun: &str) -> String {
    let place = |hospital: &str| {
        if selected.is_of_all() { format!(" at {}", selected.maker.hospital_name(hospital)) } else { String::new() }
    };
    match culprit(selected) {
        Some(Culprit { hospital, payer, share, .. }) if share <= 1.0 => {
            format!("{payer}{} is {} of the {noun}.", place(&hospital), percent(share, 0).whole())
        }
        Some(Culprit { hospital, payer, change, .. }) => {
            let (amount, place) = (selected.maker.style.words(change.abs()), place(&hospital));
            let (verb, others) = if change > 0 { ("rose", "fell") } else { ("fell", "rose") };
            format!("{payer}{place} alone {verb} by {amount}; the others together {others}.")
        }
        None => {
            let most = percent(selected.maker.about.config.materiality.culprit, 0).whole();
            let who = if selected.is_of_all() { "No payer at one hospital" } else { "No payer" };
            format!("{who} is as much as {most} of the {noun}.")
        }
    }
}

fn lede(selected: Selected<'_>) -> Vec<Span> {
    let points = selected.points();
    let plain = |text: String| Span { text, is_bold: false };
    let bold = |text: String| Span { text, is_bold: true };
    let mut spans = Vec::new();
    let (base, now) = (Selected::base(&points).map(|(_, point)| point), points.last());
    if let Some((then, days)) = base.and_then(|base| base.days()).zip(now.and_then(Point::days)) {
        let (then, days) = (then.round(), days.round());
        let since = Selected::since(&points);
        let more = days - then;
        let moved = if more.abs() < 0.5 {
            format!("{days:.0} days, as at the end of {since}")
        } else if more > 0.0 {
            format!("{days:.0} days, {more:.0} more than at the end of {since}")
        } else {
            format!("{days:.0} days, {:.0} fewer than at the end of {since}", -more)
        };
        spans.extend([
            plain("Collecting an average day’s billing takes ".to_owned()),
            bold(moved),
            plain(". ".to_owned()),
        ]);
    }
    if let Some((hospital, then, days)) = selected.worst_mover() {
        let name = selected.maker.hospital_name(&hospital);
        spans.push(plain(format!("{name} went from {then:.0} to {days:.0} days. ")));
    }
    if let Some((payer, then, rate)) = selected.worst_denier() {
        let month = month(selected.maker.last_month());
        let (then, rate) = (percent(then, 0).whole(), percent(rate, 0).whole());
        spans.push(plain(format!(
            "{payer} denied {rate} of its {month} claims, after {then} in the three months before."
        )));
    }
    spans
}

pub(super) fn change(selected: Selected<'_>) -> String {
    let style = &selected.maker.style;
    match (whole_change(selected), culprit(selected)) {
        (Some(change), Some(Culprit { hospital, payer, change: of_it, .. })) => {
            let place = if selected.is_of_all() {
                format!(" at {}", selected.maker.hospital_name(&hospital))
            } else {
                String::new()
            };
            let verb = if of_it > 0 { "added" } else { "took off" };
            let moved = if change > 0 { "rose" } else { "fell" };
            let is_part = of_it.abs() <= change.abs();
            let (of_it, change) = (style.short(of_it.abs()).whole(), style.short(change.abs()).whole());
            if is_part {
                format!("{payer}{place} {verb} {of_it} of the {change}")
            } else {
                format!("{payer}{place} {verb} {of_it}, and the balance {moved} by {change}")
            }
        }
        (Some(change), None) => {
            let verb = if change > 0 { "rose" } else { "fell" };
            format!("The balance {verb} by {}, spread over many payers", style.short(change.abs()).whole())
        }
        (None, _) => "The balance is little changed".to_owned(),
    }
}

pub(super) fn age(selected: Selected<'_>, sums: [i128; BUCKETS.len()]) -> (String, String) {
    let style = &selected.maker.style;
    let (total, over) = (sums.iter().sum::<i128>(), sums[OLD_FROM..].iter().sum::<i128>());
    let Some(share) = ratio(over, total) else { return ("Nothing is owed".to_owned(), String::new()) };
    let old_of = |payer: &String| -> i128 {
        let rows = selected.maker.facts.ages.iter().filter(|row| row.bucket >= OLD_FROM && row.payer == *payer);
        rows.filter(|row| selected.hospital.is_none_or(|hospital| hospital == row.datasource))
            .map(|row| row.balance)
            .sum()
    };
    let largest = selected.maker.payers.iter().map(|payer| (payer, old_of(payer))).max_by_key(|(_, sum)| *sum);
    let share_of_balance = format!("{} of the balance is older than 90 days", percent(share, 0).whole());
    let lede = format!(
        "{} of {} has been owed for more than 90 days since the service",
        style.short(over).whole(),
        style.short(total).whole()
    );
    match largest.filter(|(_, sum)| *sum > 0 && selected.maker.payers.len() > 1) {
        Some((payer, sum)) => (
            format!("{share_of_balance}; {payer} owes most of that").replace(
                "owes most of that",
                if sum * 2 > over { "owes most of that" } else { "is the largest part of that" },
            ),
            format!("{lede}, of which {payer} owes {}.", style.short(sum).whole()),
        ),
        None => (share_of_balance, format!("{lede}.")),
    }
}

pub(super) fn days_finding(selected: Selected<'_>) -> String {
    let points = selected.points();
    let since = Selected::since(&points);
    if let Some((hospital, then, now)) = selected.worst_mover() {
        let name = selected.maker.hospital_name(&hospital);
        return format!("{name} went from {then:.0} to {now:.0} days since the end of {since}");
    }
    let days = Selected::base(&points).and_then(|(_, base)| base.days()).zip(points.last().and_then(Point::days));
    match days {
        None => "Nothing was billed in the last 90 days".to_owned(),
        Some((then, now)) if (now - then).abs() <= then * selected.maker.about.config.materiality.steady => {
            format!("Days in receivables are steady at {now:.0}")
        }
        Some((then, now)) => {
            let verb = if now > then { "rose" } else { "fell" };
            format!("Days in receivables {verb} from {then:.0} to {now:.0} since the end of {since}")
        }
    }
}

pub(super) fn collection(within_90: Option<f64>) -> String {
    within_90.map_or_else(
        || "No service is 90 days old yet".to_owned(),
        |share| format!("{} is collected within 90 days of the service", percent(share, 1).whole()),
    )
}

pub(super) fn denials(selected: Selected<'_>, rate: Option<f64>) -> String {
    let name = month(selected.maker.last_month());
    if let Some((payer, then, now)) = selected.worst_denier() {
        let (then, now) = (percent(then, 0).whole(), percent(now, 0).whole());
        return format!("{payer} denied {now} of its {name} claims, after {then} before");
    }
    match rate {
        Some(rate) => format!(
            "{} of {name}’s claims are denied; no payer’s rate rose by more than chance",
            percent(rate, 1).whole()
        ),
        None => format!("Too few claims of {name} to speak of a rate"),
    }
}

pub(super) fn speed(ranges: &[Range], settled: NaiveDate) -> String {
    let known = ranges.iter().filter_map(|range| Some((range, range.days?)));
    let fastest = known.clone().min_by(|one, other| one.1.0.total_cmp(&other.1.0));
    let slowest = known.max_by(|one, other| one.1.0.total_cmp(&other.1.0));
    match (fastest, slowest) {
        (Some((fast, (quick, _))), Some((slow, (late, _)))) if fast.name != slow.name => {
            format!("{} pays half within {quick:.0} days, {} within {late:.0}", fast.said, slow.said)
        }
        (Some((only, (median, _))), _) => format!("{} pays half within {median:.0} days", only.said),
        _ => format!("Too few payments for services of {} to speak of", month(settled)),
    }
}

/// How each figure is made and what it leaves out.
pub(super) fn definitions(maker: &Maker<'_>) -> Vec<(&'static str, String)> {
    let future = maker.facts.beside.iter().fold((0, 0), |sum, row| (sum.0 + row.future, sum.1 + row.future_amount));
    let undated: u64 = maker.facts.feeds.iter().map(|feed| feed.undated).sum();
    let left_out = if future.0 == 0 && undated == 0 {
        "No row is left out.".to_owned()
    } else {
        format!(
            "Left out: {} transactions of {} served after the date, and {} rows without a date.",
            maker.style.count(future.0).text,
            maker.style.short(future.1).whole(),
            maker.style.count(undated).text
        )
    };
    vec![
        (
            "Receivables",
            format!(
                "What was billed for services up to the date, less what was paid up to it; never below zero for one \
                 transaction. A charge that was taken back is not owed. {left_out}"
            ),
        ),
        (
            "Days in receivables",
            "Receivables ÷ (amount of services of the last 90 days ÷ 90). Gross charges: no contractual adjustment is \
             known."
                .to_owned(),
        ),
        ("Older than 90 days", "Share of the receivables whose service was more than 90 days before the date.".to_owned()),
        (
            "Collected in 90 days",
            "Payments 0 to 90 days after the service ÷ amount, over all services up to 90 days before the date. Payments \
             dated before the service are left out."
                .to_owned(),
        ),
        (
            "Claims denied",
            "Claims of the month whose status is denied ÷ all claims of it, as the status is known today.".to_owned(),
        ),
        (
            "Paid on it",
            "What payments took off the balance. What was paid beyond a charge is a credit, and stands apart.".to_owned(),
        ),
        (
            "Small numbers",
            format!(
                "Counts from 1 to {} are shown as <{}. A rate of fewer than {} rows is not shown, and a change of rates is \
                 only called one if chance would make it in fewer than one of a hundred cases.",
                maker.style.small_cells.saturating_sub(1),
                maker.style.small_cells,
                maker.about.config.materiality.least_for_rate
            ),
        ),
        (
            "Earlier months",
            "As they are known today: a row that came late, or was corrected, counts in the month that it belongs to. What \
             was published of a closed month stands beside it."
                .to_owned(),
        ),
    ]
}
