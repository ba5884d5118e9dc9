//! Shows the progress of a run.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use rcm_model::event::{LoadCounts, Outcome, StageFailure, StageReport};
use rcm_platform::context::Clock;
use rcm_platform::load::printable;
use serde_json::{Value, json};

use super::figures::{count, duration};
use super::summary::outcome;
use super::table::printable_lines;

/// Interval at which a progress bar is redrawn.
const TICK: Duration = Duration::from_millis(100);

/// Shows the stages of a run on standard error. On a terminal each running stage has a progress bar; elsewhere each
/// stage has a line when it ends; quiet progress shows nothing. Events are JSON objects, one line each, when a stage
/// starts and when it ends.
#[derive(Clone)]
pub struct Progress {
    display: Display,
}

#[derive(Clone)]
enum Display {
    Bars(MultiProgress),
    Lines(Arc<Mutex<dyn Write + Send>>),
    Events(Arc<Mutex<dyn Write + Send>>, Clock),
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

    /// Progress as events on standard error.
    #[must_use]
    pub fn events(clock: Clock) -> Self {
        Self { display: Display::Events(Arc::new(Mutex::new(io::stderr())), clock) }
    }

    /// Shows that a stage has started on its subject.
    pub fn start(&self, stage: &str, subject: &str) -> Running {
        let subject = printable(subject);
        self.display.event(json!({ "event": "stage_started", "stage": stage, "subject": subject }));
        let bar = match &self.display {
            Display::Bars(bars) => Some(bars.add(bar(stage, &subject))),
            Display::Lines(_) | Display::Events(..) | Display::Quiet => None,
        };
        Running { display: self.display.clone(), stage: stage.to_owned(), subject, bar }
    }
}

impl Running {
    /// Shows how the stage ended.
    pub fn finish(self, report: &StageReport) {
        self.display.event(ended(&self, report));
        let line = match &report.error {
            Some(error) => failure_line(&self.stage, &self.subject, error),
            None => report_line(&self.stage, &self.subject, report),
        };
        self.end(&line);
    }

    /// Shows that the stage ended with an error and no report.
    pub fn fail(self, error: &StageFailure) {
        let (stage, subject, outcome) = (&self.stage, &self.subject, Outcome::Failed);
        self.display.event(
            json!({ "event": "stage_ended", "stage": stage, "subject": subject, "outcome": outcome, "error": error }),
        );
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

impl Display {
    /// Writes an event with the time, if events are what is shown. What is in it names tables, loads, counts and errors:
    /// never a value of a row.
    fn event(&self, mut event: Value) {
        let Self::Events(lines, clock) = self else { return };
        event["at"] = json!(clock.now());
        if let Ok(mut lines) = lines.lock() {
            // A run does not fail if standard error is closed.
            let _ = writeln!(lines, "{event}");
        }
    }
}

/// How a stage ended, with its counts over all loads.
fn ended(running: &Running, report: &StageReport) -> Value {
    let sum = |count: fn(&LoadCounts) -> u64| report.loads.iter().map(count).sum::<u64>();
    let mut event = json!({
        "event": "stage_ended",
        "run_id": report.run_id,
        "stage": running.stage,
        "subject": running.subject,
        "outcome": report.outcome,
        "seconds": (report.finished_at - report.started_at).num_milliseconds() as f64 / 1000.0,
        "loads": report.loads.len(),
        "commits": report.commits.len(),
        "rows": {
            "read": sum(|load| load.read),
            "new": sum(|load| load.new),
            "changed": sum(|load| load.changed),
            "unchanged": sum(|load| load.unchanged),
            "superseded": sum(|load| load.superseded),
            "quarantined": sum(|load| load.quarantined),
            "deleted": sum(|load| load.deleted),
        },
    });
    if let Some(error) = &report.error {
        event["error"] = json!(error);
    }
    event
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
    fn events_are_a_line_each_with_the_counts_of_a_stage() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let clock = Clock::from_fn(|| DateTime::<Utc>::UNIX_EPOCH);
        let progress = Progress { display: Display::Events(written.clone(), clock) };
        progress.start("silver-patients", "patients").finish(&report());
        progress.start("audit", "audit").fail(&StageFailure::from(&StageError::timeout("no answer".to_owned())));
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let told: Vec<_> = events.iter().map(|event| (event["event"].as_str().unwrap(), &event["outcome"])).collect();
        let (none, done, failed) = (Value::Null, json!("done"), json!("failed"));
        let expected =
            [("stage_started", &none), ("stage_ended", &done), ("stage_started", &none), ("stage_ended", &failed)];
        assert_eq!(told, expected);
        assert_eq!((&events[1]["rows"]["read"], &events[1]["rows"]["quarantined"]), (&json!(5_000), &json!(15)));
        assert_eq!(events[1]["at"], "1970-01-01T00:00:00Z");
        assert_eq!(events[3]["error"]["name"], "Timeout");
    }

    #[test]
    fn quiet_progress_takes_every_call() {
        let progress = Progress::new(true);
        progress.start("silver-patients", "patients").finish(&report());
    }
}
