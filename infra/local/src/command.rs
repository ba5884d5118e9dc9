//! The commands of `rcm`. Each answers text for standard output and how the process ends.

mod run_demo;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use chrono::NaiveDate;
use clap::{Parser, Subcommand};
use rcm_model::cdm::PATIENTS;
use rcm_model::event::{Outcome, StageFailure, StageReport};
use rcm_platform::config::Environment;
use rcm_platform::context::Clock;
use rcm_platform::lake::LANDING;
use rcm_platform::{Context, Lake, StageError, load};
use rcm_tables::gold;
use rcm_tables::rulebooks::Rulebooks;
use serde_json::json;
use url::Url;

use crate::landing::Landed;
use crate::print::{self, Kpis, PassedOver, Progress};
use crate::run::{Options, Run, run};
use crate::{defaults, demo, functions, history, kpis, landing, status};

/// Hospitals' revenue cycle data into one trustworthy lake, and into the KPIs of receivables.
#[derive(Debug, Parser)]
#[command(name = "rcm", version, about)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make up a small hospital group, run three months of it and show what came out.
    Demo {
        /// Folder for the made-up files and the lake; emptied of an earlier demo, and of nothing else.
        #[arg(long, default_value = "rcm-demo")]
        dir: PathBuf,
        /// Another seed makes other data up.
        #[arg(long, default_value_t = demo::SEED)]
        seed: u64,
    },
    /// Run the pipeline once: sources, silver, gold, audit.
    Run(RunArguments),
    /// Show what the lake holds and how fresh it is.
    Status {
        /// Folder or URL (`file:///…`, `s3://bucket/prefix`) of the lake.
        #[arg(long, env = "LAKE_URL")]
        lake: String,
    },
    /// Show every version of one key.
    History {
        /// Entity of the common data model, such as `patients`.
        entity: String,
        /// Durable key: the source's id and the datasource, such as `HOSP1-000402-hos-b`.
        key: String,
        /// Folder or URL (`file:///…`, `s3://bucket/prefix`) of the lake.
        #[arg(long, env = "LAKE_URL")]
        lake: String,
    },
    /// Look after the tables: merge small files, write checkpoints, remove what no retained version needs.
    /// A lake that is deployed on AWS has a function for it, which writes with the layers' keys.
    Maintain {
        /// Folder or URL (`file:///…`, `s3://bucket/prefix`) of the lake.
        #[arg(long, env = "LAKE_URL")]
        lake: String,
    },
    /// Write a base and a delivery of changes of any size, for benchmarks.
    Generate {
        /// Transactions of the base; the other tables are in proportion.
        #[arg(long)]
        rows: u64,
        /// Share of the rows that the second delivery changes.
        #[arg(long, default_value_t = 0.1)]
        changes: f64,
        #[arg(long, default_value_t = demo::SEED)]
        seed: u64,
        #[arg(long)]
        out: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
struct RunArguments {
    /// Folder or URL (`file:///…`, `s3://bucket/prefix`) of the lake; one without `configs/sources.toml`
    /// gets what it lacks of the default `configs/`.
    #[arg(long, env = "LAKE_URL")]
    lake: String,
    /// Folder `<datasource>/<table>.csv` to extract from, in place of the configured sources.
    #[arg(long, env = "RCM_EMR_DIR")]
    emr: Option<PathBuf>,
    /// Folder whose files are copied into the lake's landing/ first.
    #[arg(long)]
    landing: Option<PathBuf>,
    /// Date that the KPIs are computed for; today where none is given.
    #[arg(long)]
    as_of: Option<NaiveDate>,
    /// Print one JSON document and nothing else.
    #[arg(long)]
    json: bool,
    /// Take full extracts, landed snapshots and walks even where they lost more rows than the
    /// configured share.
    #[arg(long)]
    force: bool,
}

/// What a command has to say.
#[derive(Debug)]
pub struct Answer {
    /// For standard output.
    pub text: String,
    pub exit: ExitCode,
}

/// Some stages failed; the rest is in the lake.
const SOME_FAILED: u8 = 1;
/// Nothing could be done.
const NOTHING_DONE: u8 = 2;

/// The stage that makes the KPIs.
const GOLD_KPIS: &str = "gold-kpis";

/// How the process ends when a command could do nothing.
#[must_use]
pub fn nothing_done() -> ExitCode {
    ExitCode::from(NOTHING_DONE)
}

/// Carries out a command.
///
/// # Errors
/// Nothing could be done.
pub async fn carry_out(arguments: Arguments) -> Result<Answer, StageError> {
    match arguments.command {
        Command::Demo { dir, seed } => run_demo::run_demo(&dir, seed).await,
        Command::Run(arguments) => run_once(arguments).await,
        Command::Status { lake } => {
            let context = existing(&lake).await?;
            Ok(Answer { text: print::status(&status::read(&context).await?), exit: ExitCode::SUCCESS })
        }
        Command::History { entity, key, lake } => show_history(&lake, &entity, &key).await,
        Command::Maintain { lake } => maintain(&lake).await,
        Command::Generate { rows, changes, seed, out } => generate(rows, changes, seed, &out),
    }
}

async fn run_once(arguments: RunArguments) -> Result<Answer, StageError> {
    let started = Instant::now();
    let lake = Lake::open(&lake_url(&arguments.lake)?)?;
    defaults::lay_in(&lake).await?;
    let landed = match &arguments.landing {
        Some(folder) => landing::copy(&lake, folder).await?,
        None => Landed::default(),
    };
    let context = Context::of(lake, environment(&arguments.lake, arguments.emr.as_deref())?, Clock::system()).await?;
    Rulebooks::read(&context.lake).await?;
    let progress = Progress::new(arguments.json);
    let options = Options { as_of: arguments.as_of, force: arguments.force, ..Options::default() };
    let mut run = run(&context, options, &progress).await?;
    let kpis = kpis_of(&context, &mut run).await;
    let passed_over = passed_over(&context, landed, &run);
    let seconds = started.elapsed().as_secs_f64();
    let text = if arguments.json {
        let document = json!({
            "run_id": run.run_id,
            "as_of": run.as_of,
            "seconds": seconds,
            "stages": run.stages,
            "failures": run.failures,
            "passed_over": passed_over.iter().map(|passed_over| &passed_over.name).collect::<Vec<_>>(),
            "kpis": kpis.filter(|_| run.ended_well(GOLD_KPIS)),
        });
        format!("{document:#}\n")
    } else {
        let next = next_lines(&arguments.lake, &context.lake, &run).await;
        let kpis = kpi_text(kpis.as_ref(), &run);
        let (summary, passed_over) = (print::summary(&run.stages, &next), print::passed_over(&passed_over));
        format!("\n{kpis}\n{summary}\n{passed_over}Run {} took {seconds:.1} s.\n", run.run_id)
    };
    Ok(Answer { text, exit: exit_of(&run) })
}

/// The KPIs of a run's date. Where they cannot be read, what the run did is told all the same, and this is
/// one more failure of it.
async fn kpis_of(context: &Context, run: &mut Run) -> Option<Kpis> {
    let started_at = context.now();
    let error = match kpis::read(&context.lake, run.as_of).await {
        Ok(kpis) => return Some(kpis),
        Err(error) => error,
    };
    let message = format!("what it made cannot be read: {error}");
    run.add(StageReport {
        outcome: Outcome::Failed,
        error: Some(StageFailure { name: error.name().to_owned(), message }),
        ..StageReport::new(&run.run_id, GOLD_KPIS, gold::SUBJECT, (started_at, context.now()))
    });
    None
}

/// The KPIs for a person, who is told if they are not this run's.
fn kpi_text(kpis: Option<&Kpis>, run: &Run) -> String {
    let Some(kpis) = kpis else { return String::new() };
    let text = print::kpis(kpis);
    if run.ended_well(GOLD_KPIS) {
        return text;
    }
    format!("{GOLD_KPIS} did not end well: these figures are, all or some, those of an earlier run\n\n{text}")
}

/// What this run did not take: the folders that files were copied to and that no feed names, what was not
/// copied, and what has to wait.
fn passed_over(context: &Context, landed: Landed, run: &Run) -> Vec<PassedOver> {
    let unknown = landed.folders.iter().filter(|folder| context.settings.feed(folder).is_none());
    let unknown = unknown.map(|folder| PassedOver {
        name: load::printable(&format!("{LANDING}/{folder}")),
        reason: "configs/sources.toml has no feed of this folder",
    });
    let left = (run.files_left > 0).then(|| PassedOver {
        name: format!("{} landed files", run.files_left),
        reason: "more than fit on one work list: the next run takes them",
    });
    unknown.chain(landed.passed_over).chain(left).collect()
}

async fn show_history(lake: &str, entity: &str, key: &str) -> Result<Answer, StageError> {
    let context = existing(lake).await?;
    let Some(found) = history::read(&context.lake, entity, key).await? else {
        let text =
            format!("the lake knows no {entity} `{key}`; keys are <id>-<datasource>, such as HOSP1-000402-hos-b\n");
        return Ok(Answer { text, exit: ExitCode::from(SOME_FAILED) });
    };
    Ok(Answer { text: print::history(&found), exit: ExitCode::SUCCESS })
}

async fn maintain(lake: &str) -> Result<Answer, StageError> {
    let context = existing(lake).await?;
    match functions::call("maintenance", context, json!({})).await {
        Ok(report) => Ok(Answer { text: print::maintenance(&report), exit: ExitCode::SUCCESS }),
        Err(error) => {
            let what_now = if error.is_retryable() { "The tables are whole: run it again.\n" } else { "" };
            let text = format!("{}: {error}\n{what_now}", error.name());
            Ok(Answer { text, exit: ExitCode::from(SOME_FAILED) })
        }
    }
}

fn generate(rows: u64, changes: f64, seed: u64, out: &Path) -> Result<Answer, StageError> {
    let files = demo::generate(rows, changes, seed, out)
        .map_err(|error| StageError::BadConfig(format!("{}: {error}", out.display())))?;
    let text = format!(
        "{} rows in {}\n{} rows in {}\n",
        files.base_rows,
        files.base.display(),
        files.change_rows,
        files.changes.display()
    );
    Ok(Answer { text, exit: ExitCode::SUCCESS })
}

/// The context of a lake that must be there already.
async fn existing(lake: &str) -> Result<Context, StageError> {
    let url = lake_url(lake)?;
    let folder = Url::parse(&url).ok().filter(|url| url.scheme() == "file").and_then(|url| url.to_file_path().ok());
    if folder.is_some_and(|folder| !folder.is_dir()) {
        return Err(StageError::BadConfig(format!("there is no lake in {lake}")));
    }
    Context::of(Lake::open(&url)?, environment(lake, None)?, Clock::system()).await
}

fn environment(lake: &str, emr: Option<&Path>) -> Result<Environment, StageError> {
    let emr_dir = emr.map(absolute).transpose()?;
    Ok(Environment { emr_dir, ..Environment::read_for(lake_url(lake)?) })
}

/// The URL of a lake that may be given as a folder.
fn lake_url(lake: &str) -> Result<String, StageError> {
    if lake.contains("://") {
        return Ok(lake.to_owned());
    }
    let folder = absolute(Path::new(lake))?;
    let url = Url::from_directory_path(&folder);
    url.map(String::from).map_err(|()| StageError::BadConfig(format!("{} is no folder", folder.display())))
}

fn absolute(path: &Path) -> Result<PathBuf, StageError> {
    std::path::absolute(path).map_err(|error| StageError::BadConfig(format!("{}: {error}", path.display())))
}

/// Commands to look at what a run has made: no more than a hint, so that none is no failure.
async fn next_lines(name: &str, lake: &Lake, run: &Run) -> Vec<String> {
    let mut lines = vec![format!("rcm status --lake {name}")];
    if run.found_nothing_new() {
        return lines;
    }
    // A shell takes such a key as one word.
    let is_plain = |key: &String| key.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if let Some(key) = history::example(lake, &PATIENTS).await.ok().flatten().filter(is_plain) {
        lines.push(format!("rcm history patients {key} --lake {name}"));
    }
    lines
}

fn exit_of(run: &Run) -> ExitCode {
    if run.is_complete() { ExitCode::SUCCESS } else { ExitCode::from(SOME_FAILED) }
}
