//! `rcm explain`: docs/troubleshooting.md in the terminal.

use rcm_model::standstill::StandstillKind;
use rcm_platform::error::ErrorKind;
use serde::Serialize;

/// The one text about errors.
const GUIDE: &str = include_str!("../../../docs/troubleshooting.md");
/// Letters of a part of a message that tell it from others.
const LEAST_LETTERS: usize = 12;

/// What the guide says of something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Section of the guide.
    pub title: String,
    pub text: String,
}

/// A section of the guide: a heading and what is below it, up to the next one.
struct Section<'a> {
    title: &'a str,
    body: &'a str,
}

/// Returns what the guide says of the name of an error, of a kind of standstill, of an alarm, or of a message. Empty if it
/// says nothing.
#[must_use]
pub fn explain(what: &str) -> Vec<Explanation> {
    let sections = sections();
    let wanted = folded(what);
    if wanted.is_empty() {
        return Vec::new();
    }
    let title = StandstillKind::ALL.into_iter().find(|kind| folded(kind.name()) == wanted).map(StandstillKind::title);
    let wanted = title.map_or(wanted, folded);
    if let Some(section) = sections.iter().find(|section| folded(section.title) == wanted || is_alarm(section, what)) {
        return vec![Explanation { title: section.title.to_owned(), text: plain(section.body) }];
    }
    let rows = sections.iter().flat_map(|section| rows(section.body).map(move |row| (section, row)));
    let found = rows.filter(|(_, cells)| cells.first().is_some_and(|cell| is_meant(cell, what)));
    found.map(|(section, cells)| Explanation { title: section.title.to_owned(), text: row_text(&cells) }).collect()
}

/// Everything that can be asked for by name.
#[must_use]
pub fn names() -> Vec<String> {
    let errors = ErrorKind::ALL.iter().map(|kind| kind.name().to_owned());
    errors.chain(StandstillKind::ALL.iter().map(|kind| kind.name().to_owned())).collect()
}

fn sections() -> Vec<Section<'static>> {
    let starts: Vec<usize> = GUIDE.match_indices("\n#").map(|(place, _)| place + 1).collect();
    let ends = starts.iter().skip(1).copied().chain([GUIDE.len()]);
    let texts = starts.iter().zip(ends).map(|(start, end)| &GUIDE[*start..end]);
    let sections = texts.filter_map(|text| {
        let (heading, body) = text.split_once('\n')?;
        Some(Section { title: heading.trim_start_matches('#').trim(), body })
    });
    sections.collect()
}

/// Whether a section begins with the name of an alarm: `*claims-stale, extracts-stale.*`.
fn is_alarm(section: &Section<'_>, name: &str) -> bool {
    let names = section.body.trim_start().strip_prefix('*').and_then(|rest| rest.split_once('*'));
    names.is_some_and(|(names, _)| {
        names.split([',', '.', ' ', ':']).any(|known| !known.is_empty() && folded(known) == folded(name))
    })
}

/// The rows of the tables of a section, cell by cell.
fn rows(body: &str) -> impl Iterator<Item = Vec<String>> {
    let lines = body.lines().filter(|line| line.starts_with('|') && !line.starts_with("|---"));
    lines.map(|line| {
        let line = line.replace("\\|", "\u{0}");
        line.trim_matches('|').split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect()
    })
}

/// Whether the first cell of a row is the name, or has the message: `…` stands for any text.
fn is_meant(cell: &str, what: &str) -> bool {
    let plain_cell = cell.replace('`', "");
    if folded(&plain_cell) == folded(what) {
        return true;
    }
    let what = what.replace('`', "").to_lowercase();
    // A cell may have several messages.
    let messages = cell.split("`, `").map(|message| message.replace('`', "").to_lowercase());
    messages.into_iter().any(|message| {
        let parts: Vec<&str> = message.split('…').map(|part| part.trim_matches([' ', ':', ','])).collect();
        let letters: usize = parts.iter().map(|part| part.len()).sum();
        let mut rest = what.as_str();
        let has_all = parts.iter().all(|part| match rest.find(part) {
            Some(place) => {
                rest = &rest[place + part.len()..];
                true
            }
            None => false,
        });
        letters >= LEAST_LETTERS && has_all || what.len() >= LEAST_LETTERS && message.contains(&what)
    })
}

fn row_text(cells: &[String]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| plain_line(cell)).collect();
    format!("{}\n", cells.join("\n  "))
}

/// A body of Markdown as text: links are their words, rows of tables are indented below their first cell.
fn plain(body: &str) -> String {
    let mut text = String::new();
    let mut is_header = true;
    for line in body.trim().lines() {
        if line.starts_with("|---") {
            continue;
        }
        if line.starts_with('|') {
            // The first row of a table says what its columns are.
            if !is_header {
                text.push('\n');
                text.extend(rows(line).map(|cells| row_text(&cells)));
            }
            is_header = false;
            continue;
        }
        is_header = true;
        text += &plain_line(line);
        text.push('\n');
    }
    text
}

/// A line without links: `[where](what.md)` is `where`.
fn plain_line(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('[') {
        text += before;
        let found = after.split_once("](").and_then(|(words, target)| Some((words, target.split_once(')')?.1)));
        if let Some((words, behind)) = found.filter(|(words, _)| !words.contains(['[', ']'])) {
            text += words;
            rest = behind;
        } else {
            text.push('[');
            rest = after;
        }
    }
    text + rest
}

/// Letters and digits in lower case: `load_waits` is `loadwaits`.
fn folded(text: &str) -> String {
    rcm_model::report_config::folded(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_and_everything_that_waits_for_a_person_is_explained() {
        for name in names() {
            let found = explain(&name);
            assert!(found.len() == 1 && found[0].text.len() > 30, "{name}: {found:?}");
        }
    }

    #[test]
    fn an_alarm_is_explained_by_its_name() {
        assert_eq!(explain("extracts-stale")[0].title, "A source brings nothing new");
    }

    #[test]
    fn a_message_is_found_by_its_words() {
        for (message, title) in [
            ("bad configuration: configs/cdm has no mapping of datasource `hos-c`", "BadConfig"),
            ("broken contract: `landing/claims/a.csv` lacks the column `Paid`", "BrokenContract"),
            ("is a zip archive", "BrokenContract"),
        ] {
            let found = explain(message);
            assert!(found.iter().any(|found| found.title == title), "{message}: {found:?}");
        }
        assert_eq!(explain("zebra"), []);
        assert_eq!(explain(""), []);
    }

    #[test]
    fn links_are_their_words_and_tables_are_lines() {
        let text =
            plain("See [the how-to](a.md#b), `x[1]`.\n\n| message | |\n|---|---|\n| `a \\| b` | do [it](c.md) |\n");
        assert_eq!(text, "See the how-to, `x[1]`.\n\n\n`a | b`\n  do it\n");
    }
}
