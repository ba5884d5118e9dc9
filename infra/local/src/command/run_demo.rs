//! `rcm demo`: a made-up hospital group, one run for each of its deliveries.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use rcm_platform::config::Environment;
use rcm_platform::context::Clock;
use rcm_platform::{Context, Lake, StageError};

use super::{Answer, SOME_FAILED, absolute, kpi_text, kpis_of, lake_url, next_lines};
use crate::demo::{self, DemoDelivery};
use crate::print::{self, Progress};
use crate::run::{Failure, Options, Run, run};
use crate::stand_in::StandIns;
use crate::{defaults, landing};

/// A file that says that `sources/` and `lake/` beside it are a demo's.
const MARKER: &str = ".rcm-demo";
const MARKER_TEXT: &str =
    "sources/ and lake/ beside this file are of `rcm demo`, which removes them when it runs again.\n";

pub(super) async fn run_demo(dir: &Path, seed: u64) -> Result<Answer, StageError> {
    let started = Instant::now();
    let unwritable = |error: io::Error| unwritable(dir, &error);
    make_room(dir)?;
    let (sources, lake_dir) = (dir.join("sources"), dir.join("lake"));
    std::fs::create_dir_all(&lake_dir).map_err(unwritable)?;
    let files = demo::write(&sources, seed).map_err(unwritable)?;
    let lake_url = lake_url(&lake_dir.to_string_lossy())?;
    let lake = Lake::open(&lake_url)?;
    defaults::lay_in(&lake).await?;
    let registries = StandIns::start(&sources.join("month-1/emr")).await.map_err(unwritable)?;
    let secrets_file = Some(registries.write_secret(&sources).map_err(unwritable)?);
    let environment = Environment { lake_url, secrets_file, ..Environment::default() };
    let mut text = vec![print::demo_files(&files), registries.describe()];
    let mut runs = Vec::with_capacity(files.deliveries.len());
    for delivery in &files.deliveries {
        let (context, run) = take(&lake, delivery, &environment, &registries).await?;
        text.push(format!("\n=== Delivery of {} ===\n\n{}", delivery.month, print::summary(&run.stages, &[])));
        runs.push((context, run));
    }
    if let Some((context, run)) = runs.last_mut() {
        let kpis = kpis_of(context, run).await;
        text.push(format!("\n{}\n", kpi_text(kpis.as_ref(), run)));
        text.push(format!("The lake is in {}. Look around:\n", lake_dir.display()));
        for line in next_lines(&lake_dir.to_string_lossy(), &lake, run).await {
            text.push(format!("  {line}\n"));
        }
        text.push(format!("\nThe demo took {:.1} s.\n", started.elapsed().as_secs_f64()));
    }
    let exit = exit_of_demo(runs.iter().flat_map(|(_, run)| &run.failures));
    Ok(Answer { text: text.concat(), exit })
}

/// Runs the pipeline on a delivery, at the moment at which it was made.
async fn take(
    lake: &Lake,
    delivery: &DemoDelivery,
    environment: &Environment,
    registries: &StandIns,
) -> Result<(Context, Run), StageError> {
    landing::copy(lake, &delivery.landing).await?;
    let environment = Environment { emr_dir: Some(absolute(&delivery.emr)?), ..environment.clone() };
    let mut context = Context::of(lake.clone(), environment, clock_from(delivery.extracted_at)).await?;
    registries.configure(&mut Arc::make_mut(&mut context.settings).sources);
    let options = Options { as_of: Some(demo::AS_OF.min(delivery.extracted_at.date_naive())), ..Options::default() };
    let run = run(&context, options, &Progress::new(false)).await?;
    Ok((context, run))
}

/// Removes an earlier demo from a folder, and marks the folder as this one's.
///
/// # Errors
/// `BadConfig` if what would be removed is of no demo, or the folder cannot be written to.
fn make_room(dir: &Path) -> Result<(), StageError> {
    let unwritable = |error: io::Error| unwritable(dir, &error);
    let marker = dir.join(MARKER);
    let old: Vec<PathBuf> =
        ["sources", "lake"].map(|name| dir.join(name)).into_iter().filter(|old| old.exists()).collect();
    if let Some(old) = old.first()
        && !marker.exists()
    {
        let message =
            format!("{} is there and of no demo: remove it, or name another folder with --dir", old.display());
        return Err(StageError::BadConfig(message));
    }
    std::fs::create_dir_all(dir).map_err(unwritable)?;
    std::fs::write(&marker, MARKER_TEXT).map_err(unwritable)?;
    for old in old {
        std::fs::remove_dir_all(old).map_err(unwritable)?;
    }
    Ok(())
}

fn unwritable(dir: &Path, error: &io::Error) -> StageError {
    StageError::BadConfig(format!("{}: {error}", dir.display()))
}

/// The time goes on from a moment, as it would have for a run at that moment.
fn clock_from(moment: DateTime<Utc>) -> Clock {
    let started = Instant::now();
    Clock::from_fn(move || moment + TimeDelta::from_std(started.elapsed()).unwrap_or_default())
}

/// As a run ends; that the lake refuses the files that are there to be refused is no failure.
fn exit_of_demo<'a>(mut failures: impl Iterator<Item = &'a Failure>) -> ExitCode {
    if failures.all(is_on_purpose) { ExitCode::SUCCESS } else { ExitCode::from(SOME_FAILED) }
}

fn is_on_purpose(failure: &Failure) -> bool {
    let (stage, error) = (failure.stage.as_str(), failure.error.name.as_str());
    (stage, error) == ("landing-to-bronze", "BrokenContract") && demo::REFUSED.contains(&failure.subject.as_str())
}

#[cfg(test)]
mod tests {
    use rcm_model::event::StageFailure;

    use super::*;

    #[test]
    fn a_lake_that_no_demo_made_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let kept = folder.path().join("lake/silver");
        std::fs::create_dir_all(&kept).unwrap();
        let error = make_room(folder.path()).unwrap_err();
        assert!(error.to_string().contains("is there and of no demo"), "{error}");
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

    fn failure(stage: &str, subject: &str, error: &str) -> Failure {
        Failure {
            stage: stage.to_owned(),
            subject: subject.to_owned(),
            error: StageFailure { name: error.to_owned(), message: String::new() },
            started_at: DateTime::UNIX_EPOCH,
            finished_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn the_demo_fails_for_what_is_not_refused_on_purpose() {
        let refused = demo::REFUSED.map(|file| failure("landing-to-bronze", file, "BrokenContract"));
        let ends = |failures: &[Failure]| format!("{:?}", exit_of_demo(failures.iter()));
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
