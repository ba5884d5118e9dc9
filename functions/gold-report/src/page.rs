//! The page: one file that needs no network and no script.

use std::fmt::Write;

use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcm_domain::report::figures::Figure;
use rcm_domain::report::{Line, Report, Scope, Table};
use sha2::{Digest, Sha256};

use crate::charts;

const STYLE: &str = include_str!("../templates/report.css");
/// Copies tables. The page says all that it says without it.
const SCRIPT: &str = include_str!("../templates/report.js");
const INTER: &[u8] = include_bytes!("../fonts/inter.woff2");
const SOURCE_SERIF: &[u8] = include_bytes!("../fonts/source-serif-4.woff2");

/// The page of a report.
#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    report: &'a Report,
    style: String,
    script: &'static str,
    script_hash: String,
}

/// Writes the page.
///
/// # Errors
/// Never for a report that [`Report::of`] has made.
pub(crate) fn page(report: &Report) -> Result<String, askama::Error> {
    let script_hash = STANDARD.encode(Sha256::digest(SCRIPT.as_bytes()));
    Page { report, style: style(report), script: SCRIPT, script_hash }.render()
}

/// The style, with the fonts and what hides the parts of other hospitals and dims those of other payers.
fn style(report: &Report) -> String {
    let font = |name: &str, bytes: &[u8]| {
        let data = STANDARD.encode(bytes);
        format!(
            "@font-face{{font-family:\"{name}\";src:url(data:font/woff2;base64,{data}) format(\"woff2\");\
             font-weight:200 900;font-display:block}}"
        )
    };
    let mut style = font("Inter R", INTER) + &font("Source Serif R", SOURCE_SERIF) + STYLE;
    for Scope { id, .. } in &report.scopes {
        let _ = write!(style, ":root:has(#s-{id}:checked) [data-scope]:not([data-scope=\"{id}\"]){{display:none}}");
    }
    style += "@supports not selector(:has(*)){[data-scope]:not([data-scope=\"all\"]),nav.what{display:none}}";
    for place in 0..report.payers.len() {
        let _ = write!(style, ":root:has(#payer option[value=\"{place}\"]:checked) .p:not(.p{place}){{opacity:.3}}");
    }
    style
}

/// A figure, with the exact value behind it for whoever reads the page with a program.
fn figure(figure: &Figure) -> String {
    let whole = figure.whole();
    let text = charts::escaped(&whole);
    match &figure.value {
        Some(value) => format!("<span data-v=\"{value}\">{text}</span>"),
        None => format!("<span>{text}</span>"),
    }
}

/// Class names of a line of a table.
fn classes(line: &Line) -> String {
    let payer = line.payer.map(|payer| format!("p p{payer}"));
    let hot = line.is_hot.then(|| "hot".to_owned());
    let total = line.is_total.then(|| "total".to_owned());
    [payer, hot, total].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

#[expect(clippy::ref_option, reason = "a template hands on references")]
fn payer_class(payer: &Option<usize>) -> String {
    payer.map_or_else(String::new, |payer| format!("p p{payer}"))
}

fn has_bars(table: &Table) -> bool {
    table.lines.iter().any(|line| line.bar.is_some())
}

fn bar(line: &Line) -> String {
    let Some((from, length, is_rise)) = line.bar else { return String::new() };
    let tone = if is_rise { "rise" } else { "fall" };
    format!("<span class=\"change-bar\"><i class=\"{tone}\" style=\"left:{from:.2}%;width:{length:.2}%\"></i></span>")
}
