//! How many days of billing are owed.

use super::Selected;
use crate::report::figures::{Figure, days, month_and_year, none, short_month};
use crate::report::findings;
use crate::report::series::Point;
use crate::report::view::{Days, Line, Series, SeriesKind, Table};

/// Lines of hospitals in a chart, beside that of all.
const MOST_SERIES: usize = 5;

impl Selected<'_> {
    /// The hospital whose days rose most since the base, with its days then and now, if that is worth a word.
    pub(in crate::report) fn worst_mover(&self) -> Option<(String, f64, f64)> {
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

    pub(super) fn days(&self) -> Days {
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
            let now = points.last().copied().unwrap_or_default().sums;
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
}

fn signed_days(change: f64) -> Figure {
    let sign = if change < 0.0 { "−" } else { "+" };
    Figure { text: format!("{sign}{:.1}", change.abs()), unit: String::new(), value: Some(format!("{change:.4}")) }
}
