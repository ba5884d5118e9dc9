//! Charts: from values to HTML and SVG. All places are per cents, so that the browser lays out every text and one markup
//! fits a desktop, a phone and paper. What a chart shows is in a table beside it too, so that charts are hidden from
//! readers of screens.

use std::fmt::{Display, Write};

use askama::filters;
use rcm_domain::report::figures::days;
use rcm_domain::report::{Bullet, Days, Multiple, Range, SeriesKind, Stack};

/// Least height that a small line uses for its values, as a share of the largest: noise looks flat.
const LEAST_SPAN: f64 = 0.25;
/// Least distance of the names at the end of lines, in per cent of the height.
const APART: f64 = 7.0;
/// Share below which a part of a stack has no label.
const LABELLED: f64 = 0.08;

/// A place within 0 and 100, in the shortest form.
fn at(value: f64) -> String {
    let text = format!("{:.2}", value.clamp(-5.0, 105.0));
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A text of which nothing is markup.
pub(crate) fn escaped(text: &str) -> impl Display {
    let Ok(escaped) = filters::escape(text, filters::Html);
    escaped
}

/// Places of the known values from left to right, in pieces without gaps.
fn pieces(values: &[Option<f64>], least: f64, most: f64) -> Vec<Vec<(f64, f64)>> {
    let steps = values.len().saturating_sub(1).max(1) as f64;
    let height = if most > least { most - least } else { 1.0 };
    let mut pieces = vec![Vec::new()];
    for (place, value) in values.iter().enumerate() {
        match value {
            Some(value) => {
                let point = (place as f64 / steps * 100.0, 100.0 - (value - least) / height * 100.0);
                if let Some(piece) = pieces.last_mut() {
                    piece.push(point);
                }
            }
            None => pieces.push(Vec::new()),
        }
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

fn path(piece: &[(f64, f64)]) -> String {
    let mut path = String::new();
    for (place, (x, y)) in piece.iter().enumerate() {
        let _ = write!(path, "{}{} {}", if place == 0 { 'M' } else { 'L' }, at(*x), at(*y));
    }
    path
}

/// A small line of the last month ends, with a dot at its end.
#[must_use]
pub fn spark(values: &[Option<f64>], tone: &str) -> String {
    let known: Vec<f64> = values.iter().flatten().copied().collect();
    if known.len() < 2 {
        return "<div class=\"spark\" aria-hidden=\"true\"></div>".to_owned();
    }
    let (low, high) = known.iter().fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(*value), high.max(*value)));
    let span = (high - low).max(high.abs() * LEAST_SPAN).max(f64::MIN_POSITIVE);
    let middle = f64::midpoint(low, high);
    let (least, most) = (middle - span / 2.0, middle + span / 2.0);
    let pieces = pieces(values, least, most);
    let mut html = format!(
        "<div class=\"spark {tone}\" aria-hidden=\"true\"><svg viewBox=\"0 0 100 100\" preserveAspectRatio=\"none\">"
    );
    for piece in &pieces {
        if let [(first, _), .., (last, _)] = piece[..] {
            let _ = write!(html, "<path class=\"area\" d=\"{}L{} 100L{} 100Z\"/>", path(piece), at(last), at(first));
        }
        let _ = write!(html, "<path class=\"line\" d=\"{}\"/>", path(piece));
    }
    html.push_str("</svg>");
    if let Some((x, y)) = pieces.last().and_then(|piece| piece.last()) {
        let _ = write!(html, "<i class=\"end\" style=\"left:{}%;top:{}%\"></i>", at(*x), at(*y));
    }
    html.push_str("</div>");
    html
}

/// The steps of an axis from zero on: a round one, so that there are at most six.
fn steps(most: f64) -> (f64, usize) {
    let most = if most > 0.0 { most } else { 1.0 };
    let magnitude = 10_f64.powf((most / 6.0).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|round| round * magnitude).into_iter().find(|step| most / step <= 6.0);
    let step = step.unwrap_or(magnitude * 10.0);
    (step, (most / step).ceil().max(1.0) as usize)
}

/// Places moved apart so far that names at them do not lie on each other; in the order of the given ones.
fn apart(places: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by(|one, other| places[*one].total_cmp(&places[*other]));
    let mut moved = places.to_vec();
    let mut free = f64::MIN;
    for place in &order {
        moved[*place] = moved[*place].max(free);
        free = moved[*place] + APART;
    }
    // What was pushed below the ground goes up again.
    let mut free = 100.0 + APART / 2.0;
    for place in order.iter().rev() {
        moved[*place] = moved[*place].min(free);
        free = moved[*place] - APART;
    }
    moved
}

/// Lines over the month ends, from zero, each with its name and last value at its end.
#[must_use]
pub fn lines(days_of: &Days) -> String {
    let Days { months, series, target, .. } = days_of;
    let values = series.iter().flat_map(|series| &series.values).flatten();
    let most = values.copied().chain(*target).fold(0.0, f64::max);
    let (step, count) = steps(most);
    let top = step * count as f64;
    let down = |value: f64| 100.0 - value / top * 100.0;
    let mut html = "<div class=\"plot\" aria-hidden=\"true\"><div class=\"scale\">".to_owned();
    for tick in 0..=count {
        let value = step * tick as f64;
        let _ = write!(html, "<span style=\"top:{}%\">{value}</span>", at(down(value)));
    }
    html.push_str("</div><div class=\"field\">");
    for tick in 0..=count {
        let _ = write!(html, "<i class=\"grid\" style=\"top:{}%\"></i>", at(down(step * tick as f64)));
    }
    if let Some(target) = target {
        let _ = write!(html, "<i class=\"goal\" style=\"top:{}%\"><b>target {target:.0}</b></i>", at(down(*target)));
    }
    html.push_str("<svg viewBox=\"0 0 100 100\" preserveAspectRatio=\"none\">");
    for line in series {
        for piece in pieces(&line.values, 0.0, top) {
            let _ = write!(html, "<path class=\"{}\" d=\"{}\"/>", kind(line.kind), path(&piece));
        }
    }
    html.push_str("</svg>");
    let ends: Vec<(&str, SeriesKind, f64)> = (series.iter())
        .filter_map(|line| Some((line.name.as_str(), line.kind, line.values.last().copied().flatten()?)))
        .collect();
    for (_, of_kind, value) in &ends {
        let _ = write!(html, "<i class=\"end {}\" style=\"left:100%;top:{}%\"></i>", kind(*of_kind), at(down(*value)));
    }
    for (place, month) in months.iter().enumerate() {
        let width = 100.0 / months.len() as f64;
        let said = series.iter().filter_map(|line| {
            let value = line.values.get(place).copied().flatten()?;
            Some(format!("{}: {} days", line.name, days(value, 1).text))
        });
        let said = std::iter::once(month.clone()).chain(said).collect::<Vec<_>>().join("\n");
        let left = place as f64 / months.len().saturating_sub(1).max(1) as f64 * 100.0 - width / 2.0;
        let _ = write!(
            html,
            "<i class=\"hit\" style=\"left:{}%;width:{}%\" title=\"{}\"></i>",
            at(left),
            at(width),
            escaped(&said)
        );
    }
    html.push_str("</div><div class=\"names\">");
    let places = apart(&ends.iter().map(|(.., value)| down(*value)).collect::<Vec<_>>());
    for ((name, of_kind, value), place) in ends.iter().zip(places) {
        let value = days(*value, 1).text;
        let _ = write!(
            html,
            "<span class=\"{}\" style=\"top:{}%\"><b>{value}</b> {}</span>",
            kind(*of_kind),
            at(place),
            escaped(name)
        );
    }
    html.push_str("</div><div class=\"months\">");
    html.push_str(&month_names(months, 3));
    html.push_str("</div></div>");
    html
}

/// Names below a chart: the first, the last, and some between.
fn month_names(months: &[String], every: usize) -> String {
    let last = months.len().saturating_sub(1);
    let mut html = String::new();
    for (place, month) in months.iter().enumerate().filter(|(place, _)| (last - place).is_multiple_of(every)) {
        let left = place as f64 / last.max(1) as f64 * 100.0;
        let edge = if place == last { " class=\"last\"" } else { "" };
        let _ = write!(html, "<span{edge} style=\"left:{}%\">{}</span>", at(left), escaped(month));
    }
    html
}

fn kind(kind: SeriesKind) -> &'static str {
    match kind {
        SeriesKind::Total => "s-total",
        SeriesKind::Hot => "s-hot",
        SeriesKind::Other => "s-other",
    }
}

/// Bars of shares that are a whole together, with a gap where a balance becomes old.
#[must_use]
pub fn stacks(stacks: &[Stack]) -> String {
    let mut html = "<div class=\"stacks\" aria-hidden=\"true\">".to_owned();
    for Stack { name, is_total, shares, total, over_90 } in stacks {
        let total_class = if *is_total { " total" } else { "" };
        let _ = write!(
            html,
            "<div class=\"stack{total_class}\"><div class=\"of\">{}</div><div class=\"bar\">",
            escaped(name)
        );
        for (bucket, (share, amount)) in shares.iter().enumerate().filter(|(_, (share, _))| *share > 0.0) {
            let label = if *share >= LABELLED { format!("{:.0}%", share * 100.0) } else { String::new() };
            let _ = write!(
                html,
                "<span class=\"b{bucket}\" style=\"flex:{share:.4} 0 0\" title=\"{}, {:.1}%\">{label}</span>",
                escaped(&amount.whole()),
                share * 100.0
            );
        }
        let _ =
            write!(html, "</div><div class=\"sum\">{}<small>{over_90}</small></div></div>", escaped(&total.whole()));
    }
    html.push_str("</div>");
    html
}

/// A share as a bar, with its target and those of the hospitals.
#[must_use]
pub fn bullet(bullet: &Bullet) -> String {
    let mut html = "<div class=\"track\" aria-hidden=\"true\">".to_owned();
    if let Some(share) = bullet.share {
        let tone = if bullet.target.is_some_and(|target| share < target) { " class=\"worse\"" } else { "" };
        let _ = write!(html, "<i{tone} style=\"width:{}%\"></i>", at(share * 100.0));
    }
    if let Some(target) = bullet.target {
        let _ = write!(html, "<u style=\"left:{}%\" title=\"target {:.0}%\"></u>", at(target * 100.0), target * 100.0);
    }
    for (name, share) in &bullet.dots {
        let _ = write!(
            html,
            "<em style=\"left:{}%\" title=\"{}: {:.1}%\"></em>",
            at(share * 100.0),
            escaped(name),
            share * 100.0
        );
    }
    html.push_str("</div>");
    html
}

/// The line of a payer's rates, on a scale that all payers share.
#[must_use]
pub fn multiple(multiple: &Multiple, months: &[String], most: &f64) -> String {
    let of_kind = if multiple.is_hot { "s-hot" } else { "s-other" };
    let mut html =
        "<div class=\"small-plot\" aria-hidden=\"true\"><i class=\"grid\" style=\"top:100%\"></i>".to_owned();
    html.push_str("<svg viewBox=\"0 0 100 100\" preserveAspectRatio=\"none\">");
    let pieces = pieces(&multiple.values, 0.0, *most);
    for piece in &pieces {
        let _ = write!(html, "<path class=\"{of_kind}\" d=\"{}\"/>", path(piece));
    }
    html.push_str("</svg>");
    if let Some((x, y)) = pieces.last().and_then(|piece| piece.last()) {
        let _ = write!(html, "<i class=\"end {of_kind}\" style=\"left:{}%;top:{}%\"></i>", at(*x), at(*y));
    }
    html.push_str("<div class=\"months\">");
    html.push_str(&month_names(months, months.len().saturating_sub(1).max(1)));
    html.push_str("</div></div>");
    html
}

/// The median of a wait, and up to where nine tenths lie.
#[must_use]
pub fn range(range: &Range, most: &f64) -> String {
    let Some((median, p90)) = range.days else { return "<div class=\"range\" aria-hidden=\"true\"></div>".to_owned() };
    let (from, to) = (median / most * 100.0, p90 / most * 100.0);
    format!(
        "<div class=\"range\" aria-hidden=\"true\"><i style=\"left:{}%;width:{}%\"></i><b style=\"left:{}%\"></b>\
         <u style=\"left:{}%\"></u></div>",
        at(from),
        at(to - from),
        at(from),
        at(to)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_line_ends_in_a_dot_and_noise_is_flat() {
        insta::assert_snapshot!(
            spark(&[Some(100.0), None, Some(101.0), Some(102.0)], "worse"),
            @r#"<div class="spark worse" aria-hidden="true"><svg viewBox="0 0 100 100" preserveAspectRatio="none"><path class="line" d="M0 53.92"/><path class="area" d="M66.67 50L100 46.08L100 100L66.67 100Z"/><path class="line" d="M66.67 50L100 46.08"/></svg><i class="end" style="left:100%;top:46.08%"></i></div>"#
        );
        assert!(!spark(&[Some(1.0), None], "flat").contains("path"));
    }

    #[rstest::rstest]
    #[case(60.0, 10.0, 6)]
    #[case(59.0, 10.0, 6)]
    #[case(7.0, 2.0, 4)]
    #[case(0.0, 0.2, 5)]
    #[case(1301.0, 500.0, 3)]
    fn an_axis_has_round_steps_from_zero(#[case] most: f64, #[case] step: f64, #[case] count: usize) {
        let (found, steps) = steps(most);
        assert!((found - step).abs() < 1e-9 && steps == count, "{found} {steps}");
        assert!(found * steps as f64 >= most);
    }

    #[test]
    fn names_at_the_end_of_lines_do_not_lie_on_each_other() {
        for places in [vec![50.0, 50.0, 51.0], vec![99.0, 100.0, 98.0], vec![0.0, 1.0, 90.0], vec![]] {
            let mut moved = apart(&places);
            moved.sort_by(f64::total_cmp);
            assert!(moved.windows(2).all(|pair| pair[1] - pair[0] > APART - 1e-9), "{places:?} {moved:?}");
            assert!(moved.iter().all(|place| *place <= 100.0 + APART / 2.0 + 1e-9), "{moved:?}");
        }
    }

    #[test]
    fn names_are_text_and_no_markup() {
        let range = Range {
            name: "<b>".to_owned(),
            said: "<b>".to_owned(),
            payer: None,
            days: Some((10.0, 30.0)),
            figure: rcm_domain::report::figures::none(),
        };
        assert!(!self::range(&range, &30.0).contains("<b>"));
        assert_eq!(escaped("a<b>&\"c\"").to_string(), "a&#60;b&#62;&#38;&#34;c&#34;");
    }
}
