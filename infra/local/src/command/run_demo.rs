//! `rcm demo`: generates a hospital group and runs the pipeline once per delivery.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use rcm_model::standstill::{Standstill, StandstillKind};
use rcm_platform::config::Environment;
use rcm_platform::context::Clock;
use rcm_platform::{Context, Lake, StageError};

use super::{CommandOutput, SOME_FAILED, absolute, kpi_text, kpis_of, lake_url, next_lines};
use crate::demo::{self, DemoDelivery, DemoFiles};
use crate::print::{self, DemoEnd, Progress};
use crate::quarantine::{self, Wanted};
use crate::run::{Failure, Options, Run, run};
use crate::stand_in::StandIns;
use crate::{defaults, landing};

/// File that marks `sources/` and `lake/` beside it as those of a demo.
const MARKER: &str = ".rcm-demo";
const MARKER_TEXT: &str =
    "sources/ and lake/ beside this file were made by `rcm demo`, which deletes them when it runs again.\n";

pub(super) async fn run_demo(dir: &Path, seed: u64, verbose: bool) -> Result<CommandOutput, StageError> {
    let started = Instant::now();
    let unwritable = |error: io::Error| unwritable(dir, &error);
    make_room(dir)?;
    let (sources, lake_dir) = (dir.join("sources"), dir.join("lake"));
    std::fs::create_dir_all(&lake_dir).map_err(unwritable)?;
    let files = demo::write(&sources, seed).map_err(unwritable)?;
    let lake_url = lake_url(&lake_dir.to_string_lossy())?;
    let lake = Lake::open(&lake_url)?;
    defaults::install_defaults(&lake).await?;
    lake.put(gold_report::CONFIG, demo::REPORT).await?;
    let registries = StandIns::start(&sources.join("month-1/emr")).await.map_err(unwritable)?;
    let secrets_file = Some(registries.write_secret(&sources).map_err(unwritable)?);
    let environment = Environment { lake_url, secrets_file, ..Environment::default() };
    let mut details = vec![print::demo_files(&files), registries.describe()];
    let mut runs = Vec::with_capacity(files.deliveries.len());
    for delivery in &files.deliveries {
        let (context, run) = take(&lake, delivery, &environment, &registries).await?;
        let (summary, waits) = (print::summary(&run.stages, &[]), print::standstills(&run.standstills));
        let break_before = if waits.is_empty() { "" } else { "\n" };
        details.push(format!("\n=== Delivery of {} ===\n\n{summary}{break_before}{waits}", delivery.month));
        runs.push((context, run));
    }
    let mut text = String::new();
    if let Some((context, run)) = runs.last_mut() {
        let kpis = kpis_of(context, run).await;
        details.push(format!("\n{}\n", kpi_text(kpis.as_ref(), run)));
    }
    // What went wrong without being meant to is not hidden.
    if verbose || !runs.iter().all(|(_, run)| is_as_meant(run)) {
        text += &details.concat();
    }
    let exit = exit_of_demo(runs.iter().map(|(_, run)| run));
    text += &end(&files, &runs, &lake_dir, started).await?;
    Ok(CommandOutput { text, exit })
}

/// What the demo ends with, as text.
async fn end(
    files: &DemoFiles,
    runs: &[(Context, Run)],
    lake_dir: &Path,
    started: Instant,
) -> Result<String, StageError> {
    let Some((context, run)) = runs.last() else { return Ok(String::new()) };
    let report = gold_report::report(context, &run.run_id, run.as_of).await?;
    let quarantine = quarantine::entries(context, &Wanted::default()).await?;
    let name = lake_dir.to_string_lossy();
    let mut next = next_lines(&name, &context.lake, run).await;
    next.extend(["quarantine list", "report --open"].map(|command| format!("rcm {command} --lake {name}")));
    let page = lake_dir.join(gold_report::LATEST).join(gold_report::PAGE);
    Ok(print::demo_end(&DemoEnd {
        files,
        report: &report,
        stages: runs.iter().flat_map(|(_, run)| &run.stages).collect(),
        standstills: &run.standstills,
        quarantine: &quarantine,
        page: &page.to_string_lossy(),
        next: &next,
        seconds: started.elapsed().as_secs_f64(),
    }))
}

/// Runs the pipeline on a delivery, with the clock at the time of the delivery.
async fn take(
    lake: &Lake,
    delivery: &DemoDelivery,
    environment: &Environment,
    registries: &StandIns,
) -> Result<(Context, Run), StageError> {
    let environment = Environment { emr_dir: Some(absolute(&delivery.emr)?), ..environment.clone() };
    let mut context = Context::of(lake.clone(), environment, clock_from(delivery.extracted_at)).await?;
    registries.configure(&mut Arc::make_mut(&mut context.settings).sources);
    landing::copy(lake, &context.settings.landing_folders(), &delivery.landing).await?;
    let options = Options { as_of: Some(demo::AS_OF.min(delivery.extracted_at.date_naive())), ..Options::default() };
    let run = run(&context, options, &Progress::new(false)).await?;
    Ok((context, run))
}

/// Deletes an earlier demo from a folder, and marks the folder as a demo's.
///
/// # Errors
/// `BadConfig` if the files that would be deleted are not from a demo, or the folder cannot be written to.
fn make_room(dir: &Path) -> Result<(), StageError> {
    let unwritable = |error: io::Error| unwritable(dir, &error);
    let marker = dir.join(MARKER);
    let old: Vec<PathBuf> =
        ["sources", "lake"].map(|name| dir.join(name)).into_iter().filter(|old| old.exists()).collect();
    if let Some(old) = old.first()
        && !marker.exists()
    {
        let message = format!(
            "{} exists and was not made by `rcm demo`; hint: remove it, or name another folder with --dir",
            old.display()
        );
        return Err(StageError::bad_config(message));
    }
    std::fs::create_dir_all(dir).map_err(unwritable)?;
    std::fs::write(&marker, MARKER_TEXT).map_err(unwritable)?;
    for old in old {
        std::fs::remove_dir_all(old).map_err(unwritable)?;
    }
    Ok(())
}

fn unwritable(dir: &Path, error: &io::Error) -> StageError {
    StageError::bad_config(format!("{}: {error}", dir.display()))
}

/// Returns a clock that starts at `moment` and runs at normal speed.
fn clock_from(moment: DateTime<Utc>) -> Clock {
    let started = Instant::now();
    Clock::from_fn(move || moment + TimeDelta::from_std(started.elapsed()).unwrap_or_default())
}

/// Returns the exit code of the demo. The files that the lake refuses on purpose, and that then wait, are not a
/// failure.
fn exit_of_demo<'a>(runs: impl IntoIterator<Item = &'a Run>) -> ExitCode {
    if runs.into_iter().all(is_as_meant) { ExitCode::SUCCESS } else { ExitCode::from(SOME_FAILED) }
}

fn is_as_meant(run: &Run) -> bool {
    run.failures.iter().all(is_on_purpose) && run.standstills.iter().all(waits_on_purpose)
}

fn waits_on_purpose(standstill: &Standstill) -> bool {
    standstill.kind == StandstillKind::FileRefused && demo::REFUSED.contains(&standstill.subject.as_str())
}

fn is_on_purpose(failure: &Failure) -> bool {
    let (stage, error) = (failure.stage.as_str(), failure.error.name.as_str());
    (stage, error) == ("landing-to-bronze", "BrokenContract") && demo::REFUSED.contains(&failure.subject.as_str())
}

#[cfg(test)]
mod tests {
    use rcm_model::event::{ErrorContext, StageFailure};

    use super::*;

    #[test]
    fn a_lake_that_no_demo_made_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let kept = folder.path().join("lake/silver");
        std::fs::create_dir_all(&kept).unwrap();
        let error = make_room(folder.path()).unwrap_err();
        assert!(error.to_string().contains("was not made by `rcm demo`"), "{error}");
        assert!(kept.is_dir() && !folder.path().join(MARKER).exists());
    }

    #[test]
    fn an_earlier_demo_makes_room_and_nothing_else_does() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("demo");
        make_room(&dir).unwrap();
        for name in ["sources", "lake", "mine"] {
            std::fs::create_dir(dir.join(name)).unwrap();
        }
        make_room(&dir).unwrap();
        assert_eq!(["sources", "lake", "mine"].map(|name| dir.join(name).exists()), [false, false, true]);
    }

    fn a_run(failures: &[Failure], standstills: &[Standstill]) -> Run {
        Run {
            run_id: "run".to_owned(),
            as_of: demo::AS_OF,
            stages: Vec::new(),
            failures: failures.to_vec(),
            files_left: 0,
            standstills: standstills.to_vec(),
        }
    }

    #[test]
    fn the_demo_fails_for_what_waits_and_is_not_refused_on_purpose() {
        let waits = |kind, subject: &str| {
            let (subject, because, hint) = (subject.to_owned(), String::new(), String::new());
            Standstill { kind, subject, since: None, because, hint }
        };
        let ends = |standstill: Standstill| format!("{:?}", exit_of_demo([&a_run(&[], &[standstill])]));
        let refused = waits(StandstillKind::FileRefused, demo::REFUSED[0]);
        assert_eq!(ends(refused), format!("{:?}", ExitCode::SUCCESS));
        let others = [
            waits(StandstillKind::FileRefused, "landing/claims/hospital1_claims_2024-10.csv"),
            waits(StandstillKind::LoadWaits, demo::REFUSED[0]),
        ];
        for other in others {
            assert_eq!(ends(other), format!("{:?}", ExitCode::from(SOME_FAILED)));
        }
    }

    fn failure(stage: &str, subject: &str, error: &str) -> Failure {
        Failure {
            stage: stage.to_owned(),
            subject: subject.to_owned(),
            error: StageFailure { name: error.to_owned(), message: String::new(), context: ErrorContext::default() },
            started_at: DateTime::UNIX_EPOCH,
            finished_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn the_demo_fails_for_what_is_not_refused_on_purpose() {
        let refused = demo::REFUSED.map(|file| failure("landing-to-bronze", file, "BrokenContract"));
        let ends = |failures: &[Failure]| format!("{:?}", exit_of_demo([&a_run(failures, &[])]));
        assert_eq!(ends(&refused), format!("{:?}", ExitCode::SUCCESS));
        let others = [
            failure("silver-claims", "claims", "BrokenContract"),
            failure("landing-to-bronze", "landing/claims/hospital1_claims_2024-10.csv", "BrokenContract"),
            failure("landing-to-bronze", demo::REFUSED[0], "Storage"),
        ];
        for other in others {
            assert_eq!(ends(&[refused[0].clone(), other]), format!("{:?}", ExitCode::from(SOME_FAILED)));
        }
    }
}
