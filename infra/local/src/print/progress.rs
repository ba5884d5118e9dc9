//! Shows the progress of a run.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use rcm_model::event::{StageFailure, StageReport};
use rcm_platform::load::printable;

use super::figures::{count, duration};
use super::summary::outcome;
use super::table::printable_lines;

/// Interval at which a progress bar is redrawn.
const TICK: Duration = Duration::from_millis(100);

/// Shows the stages of a run on standard error. On a terminal each running stage has a progress bar; elsewhere each
/// stage has a line when it ends; quiet progress shows nothing.
#[derive(Clone)]
pub struct Progress {
    display: Display,
}

#[derive(Clone)]
enum Display {
    Bars(MultiProgress),
    Lines(Arc<Mutex<dyn Write + Send>>),
    Quiet,
}

/// A running stage.
#[must_use = "a stage that is never finished stays on the screen"]
pub struct Running {
    display: Display,
    stage: String,
    subject: String,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Progress on standard error.
    #[must_use]
    pub fn new(quiet: bool) -> Self {
        let display = if quiet {
            Display::Quiet
        } else if io::stderr().is_terminal() {
            Display::Bars(MultiProgress::new())
        } else {
            Display::Lines(Arc::new(Mutex::new(io::stderr())))
        };
        Self { display }
    }

    /// Shows that a stage has started on its subject.
    pub fn start(&self, stage: &str, subject: &str) -> Running {
        let subject = printable(subject);
        let bar = match &self.display {
            Display::Bars(bars) => Some(bars.add(bar(stage, &subject))),
            Display::Lines(_) | Display::Quiet => None,
        };
        Running { display: self.display.clone(), stage: stage.to_owned(), subject, bar }
    }
}

impl Running {
    /// Shows how the stage ended.
    pub fn finish(self, report: &StageReport) {
        let line = match &report.error {
            Some(error) => failure_line(&self.stage, &self.subject, error),
            None => report_line(&self.stage, &self.subject, report),
        };
        self.end(&line);
    }

    /// Shows that the stage ended with an error and no report.
    pub fn fail(self, error: &StageFailure) {
        let line = failure_line(&self.stage, &self.subject, error);
        self.end(&line);
    }

    fn end(self, line: &str) {
        if let Some(bar) = self.bar {
            bar.set_style(ended_style());
            bar.finish_with_message(line.to_owned());
        }
        if let Display::Lines(lines) = self.display
            && let Ok(mut lines) = lines.lock()
        {
            // A run does not fail if standard error is closed.
            let _ = writeln!(lines, "{line}");
        }
    }
}

fn bar(stage: &str, subject: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
        bar.set_style(style);
    }
    bar.set_message(format!("{stage:<20} {subject}"));
    bar.enable_steady_tick(TICK);
    bar
}

/// The line without the spinner.
fn ended_style() -> ProgressStyle {
    ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn report_line(stage: &str, subject: &str, report: &StageReport) -> String {
    let read: u64 = report.loads.iter().map(|load| load.read).sum();
    let quarantined: u64 = report.loads.iter().map(|load| load.quarantined).sum();
    let rows = if read > 0 { format!(", {} rows", count(read)) } else { String::new() };
    let quarantine = if quarantined > 0 { format!(", {} quarantined", count(quarantined)) } else { String::new() };
    let (outcome, time) = (outcome(report.outcome), duration(report.finished_at - report.started_at));
    format!("✓ {stage:<20} {subject}: {outcome}{rows}{quarantine} ({time})")
}

fn failure_line(stage: &str, subject: &str, error: &StageFailure) -> String {
    format!("✗ {stage:<20} {subject}: {}: {}", error.name, printable_lines(&error.message))
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};
    use rcm_model::event::{LoadCounts, StageTimes};
    use rcm_platform::StageError;

    use super::*;

    fn report() -> StageReport {
        let started_at = DateTime::<Utc>::UNIX_EPOCH;
        let times = StageTimes { started_at, finished_at: started_at + TimeDelta::milliseconds(250) };
        StageReport {
            loads: vec![LoadCounts { read: 5_000, quarantined: 15, ..LoadCounts::default() }],
            ..StageReport::new("run", "silver-patients", "patients", times)
        }
    }

    #[test]
    fn away_from_a_terminal_every_stage_is_a_line() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let progress = Progress { display: Display::Lines(written.clone()) };
        progress.start("silver-patients", "patients").finish(&report());
        let failure =
            StageFailure { message: "no answer".to_owned(), ..StageFailure::from(&StageError::timeout(String::new())) };
        progress.start("emr-extract", "hosa/claims").fail(&failure);
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        insta::assert_snapshot!(text, @r"
        ✓ silver-patients      patients: done, 5,000 rows, 15 quarantined (250 ms)
        ✗ emr-extract          hosa/claims: Timeout: no answer
        ");
    }

    #[test]
    fn quiet_progress_takes_every_call() {
        let progress = Progress::new(true);
        progress.start("silver-patients", "patients").finish(&report());
    }
}
