//! Describes the demo: its data, and on one screen what came of them.

use std::collections::BTreeSet;

use rcm_domain::report::{Report, Scope, Tile};
use rcm_model::event::{Outcome, StageReport};
use rcm_model::standstill::{Standstill, StandstillKind};

use super::figures::count;
use super::table::{list, sections, wrapped};
use crate::demo::DemoFiles;
use crate::quarantine::{Entry, Standing};

/// Widest line of the screen, but for lines with a path.
const WIDTH: usize = 100;

/// What the demo ends with.
#[derive(Debug)]
pub struct DemoEnd<'a> {
    pub files: &'a DemoFiles,
    pub report: &'a Report,
    /// What the stages of all runs reported.
    pub stages: Vec<&'a StageReport>,
    /// What waits after the last run.
    pub standstills: &'a [Standstill],
    pub quarantine: &'a [Entry],
    /// Path of the page.
    pub page: &'a str,
    /// Commands that show more.
    pub next: &'a [String],
    pub seconds: f64,
}

/// Returns what the demo ends with as text of one screen: what the report finds, its five figures, what was wrong with
/// the files and what became of it, and where to look next.
#[must_use]
pub fn demo_end(end: &DemoEnd<'_>) -> String {
    let Report { title, as_of, notice, scopes, .. } = end.report;
    let rows = end.files.deliveries.iter().map(|delivery| delivery.rows).sum();
    let deliveries = end.files.deliveries.len();
    let mut lines = vec![
        format!("{title}, a made-up hospital group, as of {as_of}: {} rows in {deliveries} deliveries", count(rows)),
        String::new(),
    ];
    lines.extend(wrapped(&format!("{} {}", notice.finding, notice.rest), WIDTH));
    if let Some(Scope { hero, tiles, .. }) = scopes.first() {
        let culprit = hero.culprit.as_deref().unwrap_or_default();
        lines.extend(wrapped(format!("{} {culprit}", hero.finding).trim_end(), WIDTH));
        lines.push(String::new());
        lines.extend(five_figures(tiles));
    }
    lines.push(String::new());
    lines.push("What was wrong with the files, and what became of it".to_owned());
    for item in what_became(end) {
        lines.extend(indented(&item));
    }
    lines.push(String::new());
    lines.push(format!("The report, to open in a browser: {}", end.page));
    lines.push(format!("The demo took {:.1} s. Next:", end.seconds));
    lines.extend(end.next.iter().map(|command| format!("  {command}")));
    sections(&[lines.join("\n")])
}

/// The five figures, each with its change and with what it is made of.
fn five_figures(tiles: &[Tile]) -> Vec<String> {
    let figures: Vec<String> = tiles.iter().map(|tile| tile.figure.whole()).collect();
    let widest = |texts: &mut dyn Iterator<Item = &str>| texts.map(|text| text.chars().count()).max().unwrap_or(0);
    let name = widest(&mut tiles.iter().map(|tile| tile.name));
    let figure = widest(&mut figures.iter().map(String::as_str));
    let delta = widest(&mut tiles.iter().map(|tile| tile.delta.as_str()));
    let left = 2 + name + 2 + figure + 2 + delta + 2;
    let line = |(tile, whole): (&Tile, &String)| {
        let made_of = wrapped(&tile.of, WIDTH.saturating_sub(left)).join(&format!("\n{:left$}", ""));
        let text = format!("  {:name$}  {whole:>figure$}  {:delta$}  {made_of}", tile.name, tile.delta);
        text.replace('\u{a0}', " ")
    };
    tiles.iter().zip(&figures).map(line).collect()
}

fn indented(item: &str) -> Vec<String> {
    let lines = wrapped(item, WIDTH - 4).into_iter().enumerate();
    lines.map(|(at, line)| if at == 0 { format!("  {line}") } else { format!("    {line}") }).collect()
}

/// What the lake made of the defects, as it says itself.
fn what_became(end: &DemoEnd<'_>) -> Vec<String> {
    let of = |standing: Standing| end.quarantine.iter().filter(|entry| entry.standing == standing).count();
    let refused: Vec<&str> = (end.standstills.iter())
        .filter(|standstill| standstill.kind == StandstillKind::FileRefused)
        .map(|standstill| file_name(&standstill.subject))
        .collect();
    let again: BTreeSet<&str> = (end.stages.iter())
        .filter(|stage| stage.stage == "landing-to-bronze" && stage.outcome == Outcome::NothingNew)
        .map(|stage| file_name(&stage.subject))
        .collect();
    let again: Vec<&str> = again.into_iter().collect();
    let of_silver = |name: &'static str| {
        end.stages.iter().filter(move |stage| stage.stage.starts_with(name)).flat_map(|stage| &stage.loads)
    };
    let unchanged: u64 = of_silver("silver-claims").map(|load| load.unchanged).sum();
    let deleted: u64 = of_silver("silver-").map(|load| load.deleted).sum();
    vec![
        format!(
            "{} rows are in quarantine: {} are missing from the lake, of {} an older good version stands",
            end.quarantine.len(),
            of(Standing::Missing),
            of(Standing::OlderVersion)
        ),
        format!("{} files were refused: {}", refused.len(), refused.join(", ")),
        format!("{} file has the content of an earlier one: {} is not loaded again", again.len(), again.join(", ")),
        format!("{} claims came again as they were, and changed nothing", count(unchanged)),
        format!("{} key is gone from a full extract: it is marked as deleted, and its versions stay", count(deleted)),
        format!(
            "The other intentional defects are read as they are meant: `rcm demo --verbose` lists all {}",
            end.files.defects.len()
        ),
    ]
}

fn file_name(subject: &str) -> &str {
    subject.rsplit('/').next().unwrap_or(subject)
}

/// Returns the deliveries of the demo and their intentional defects as text.
#[must_use]
pub fn demo_files(files: &DemoFiles) -> String {
    let deliveries = files.deliveries.iter().map(|delivery| {
        format!(
            "{}, extracted on {}: {} rows",
            delivery.month,
            delivery.extracted_at.date_naive(),
            count(delivery.rows)
        )
    });
    let defects = files
        .defects
        .iter()
        .map(|defect| format!("month-{}/{}\n      {}: {}", defect.month, defect.file, defect.wrong, defect.lake));
    sections(&[
        list("A made-up hospital group, delivered in three months", &deliveries.collect::<Vec<_>>()),
        list("Intentional defects of the files, and how the lake handles them", &defects.collect::<Vec<_>>()),
    ])
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use rcm_domain::report::Tone;
    use rcm_domain::report::figures::Figure;

    use super::*;
    use crate::demo::{Defect, DemoDelivery, EXTRACTED_AT};

    #[test]
    fn the_figures_are_below_each_other_and_what_they_are_made_of_is_wrapped() {
        let tile = |name, text: &str, unit: &str, delta: &str, of: &str| Tile {
            name,
            figure: Figure { text: text.to_owned(), unit: unit.to_owned(), value: None },
            delta: delta.to_owned(),
            tone: Tone::Steady,
            of: of.to_owned(),
            trend: Vec::new(),
        };
        let of_old = "Target 15%. $65\u{a0}K of $693\u{a0}K, and so much more that it does not fit";
        let tiles = [
            tile("Receivables", "$693", "K", "▲ $12\u{a0}K vs Oct", "986 open accounts"),
            tile("Older than 90 days", "3.4", "%", "little changed vs Oct", of_old),
        ];
        let blanks = " ".repeat(53);
        let lines = [
            "  Receivables         $693 K  ▲ $12 K vs Oct         986 open accounts".to_owned(),
            format!(
                "  Older than 90 days    3.4%  little changed vs Oct  Target 15%. $65 K of $693 K, and so much more\n\
                 {blanks}that it does not fit"
            ),
        ];
        assert_eq!(five_figures(&tiles), lines);
    }

    #[test]
    fn the_demo_says_what_is_wrong_and_what_becomes_of_it() {
        let files = DemoFiles {
            deliveries: vec![DemoDelivery {
                month: "2024-08",
                extracted_at: EXTRACTED_AT[0],
                emr: PathBuf::new(),
                landing: PathBuf::new(),
                rows: 9_876,
            }],
            defects: vec![Defect {
                month: 1,
                file: "emr/hos-b/transactions.csv",
                wrong: "an amount is no number",
                lake: "the row goes to quarantine",
            }],
        };
        insta::assert_snapshot!(demo_files(&files), @r"
        A made-up hospital group, delivered in three months
          2024-08, extracted on 2024-09-07: 9,876 rows

        Intentional defects of the files, and how the lake handles them
          month-1/emr/hos-b/transactions.csv
              an amount is no number: the row goes to quarantine
        ");
    }
}
