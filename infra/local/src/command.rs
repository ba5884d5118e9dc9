//! The commands of `rcm`. Each returns text for standard output and the exit code.

mod arguments;
mod call;
mod diff;
mod dismiss;
mod doctor;
#[cfg(test)]
mod doctor_tests;
mod explain;
mod history;
mod hospital;
mod loads;
#[cfg(test)]
mod look_tests;
mod months;
mod plan;
mod profile;
mod quarantine;
mod reason;
mod rebuild;
mod report;
mod run_demo;
mod sql;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::CommandFactory;
use clap_complete::Shell;
use rcm_model::cdm::PATIENTS;
use rcm_model::event::{Outcome, StageFailure, StageReport, StageTimes};
use rcm_platform::config::Environment;
use rcm_platform::context::Clock;
use rcm_platform::voids::Decision;
use rcm_platform::{Context, Lake, StageError};
use rcm_tables::rulebooks::Rulebooks;
use rcm_tables::{conditions, gold};
use serde::Serialize;
use serde_json::json;
use url::Url;

pub use self::arguments::Arguments;
use self::arguments::{Command, HospitalCommand, LandingCommand, LoadCommand, LoadDecision, LogFormat, RunArguments};
pub use self::hospital::AddedHospital;
pub use self::loads::{LoadLine, StreamLoads};
pub use self::quarantine::ReplayedTable;

use crate::print::{self, Kpis, PassedOver, Progress};
use crate::run::{Options, Run, run};
use crate::{defaults, demo, functions, hint, kpis, landing, schema, status};

/// Output of a command.
#[derive(Debug)]
pub struct CommandOutput {
    /// Text for standard output.
    pub text: String,
    pub exit: ExitCode,
}

impl CommandOutput {
    /// The output of a command that prints JSON if it is asked to, else text.
    fn of(is_json: bool, value: &impl Serialize, text: impl FnOnce() -> String, exit: ExitCode) -> Self {
        Self { text: if is_json { print::json(value) } else { text() }, exit }
    }

    /// The same output, with its text as the message of a JSON document if that is asked for.
    fn into_message(self, is_json: bool) -> Self {
        if is_json { Self { text: print::json(&json!({ "message": self.text.trim_end() })), ..self } } else { self }
    }
}

/// Exit code: some stages failed, or something waits for a person; everything else is in the lake.
const SOME_FAILED: u8 = 1;
/// Exit code: the command could not start.
const NOTHING_DONE: u8 = 2;

/// The stage that computes the KPIs.
const GOLD_KPIS: &str = "gold-kpis";

/// Returns the exit code of a command that could not start.
#[must_use]
pub fn nothing_done() -> ExitCode {
    ExitCode::from(NOTHING_DONE)
}

/// Executes a command.
///
/// # Errors
/// The command could not start.
pub async fn carry_out(arguments: Arguments) -> Result<CommandOutput, StageError> {
    match arguments.command {
        Command::Demo { dir, seed, verbose } => run_demo::run_demo(&dir, seed, verbose).await,
        Command::Run(arguments) => run_once(arguments).await,
        Command::Hospital { command: HospitalCommand::Add(arguments) } => hospital::add(arguments).await,
        Command::Plan { as_of, emr, lake, json } => {
            plan::plan(&existing_with(&lake, emr.as_deref()).await?, as_of, json).await
        }
        Command::Doctor(arguments) => doctor::doctor(arguments).await,
        Command::Explain { what, json } => explain::explain(what.as_deref(), json),
        Command::Schema { file } => {
            Ok(CommandOutput { text: print::json(&schema::schema(file)), exit: ExitCode::SUCCESS })
        }
        Command::Completions { shell } => Ok(completions(shell)),
        Command::Status { lake, json } => {
            let context = existing(&lake).await?;
            let status = status::read(&context).await?;
            Ok(CommandOutput::of(json, &status, || print::status(&status), ExitCode::SUCCESS))
        }
        Command::Landing { command: LandingCommand::Dismiss { file, reason, lake, json } } => {
            let reason = reason.check()?;
            Ok(dismiss::dismiss(&existing(&lake).await?, &file, reason).await?.into_message(json))
        }
        Command::Load { command } => load(command).await,
        Command::Quarantine { command } => quarantine::carry_out(command).await,
        Command::Rebuild { entity, force, lake, json } => {
            rebuild::rebuild(existing(&lake).await?, &entity, force, json).await
        }
        Command::History(arguments) => history::history(&existing(&arguments.lake).await?, arguments).await,
        Command::Report { as_of, out, open, lake, json } => {
            report::report(existing(&lake).await?, report::Request { as_of, out, open, json }).await
        }
        Command::Diff(arguments) => diff::diff(&existing(&arguments.lake).await?, arguments).await,
        Command::Profile(arguments) => profile::profile(arguments).await,
        Command::Sql(arguments) => sql::sql(&existing(&arguments.lake).await?, arguments).await,
        Command::Close(arguments) => months::close(arguments).await,
        Command::Reopen(arguments) => months::reopen(arguments).await,
        Command::Maintain { lake, json } => maintain(&lake, json).await,
        Command::Call { function, event, lake, emr } => {
            let event = call::event(event.as_deref())?;
            call::call(existing_with(&lake, emr.as_deref()).await?, &function, event).await
        }
        Command::Generate { rows, changes, seed, out, json } => generate(rows, changes, seed, &out, json),
    }
}

fn completions(shell: Shell) -> CommandOutput {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "rcm", &mut script);
    CommandOutput { text: String::from_utf8_lossy(&script).into_owned(), exit: ExitCode::SUCCESS }
}

async fn load(command: LoadCommand) -> Result<CommandOutput, StageError> {
    let (decision, LoadDecision { stream, sequence, reason, lake, json }) = match command {
        LoadCommand::List { stream, lake, json } => {
            return loads::list(&existing(&lake).await?, stream.as_deref(), json).await;
        }
        LoadCommand::Void(load) => (Decision::Void, load),
        LoadCommand::Unvoid(load) => (Decision::Unvoid, load),
    };
    let reason = reason.check()?;
    let request = loads::Request { stream, sequence, decision, reason };
    Ok(loads::decide(&existing(&lake).await?, request).await?.into_message(json))
}

async fn run_once(arguments: RunArguments) -> Result<CommandOutput, StageError> {
    let started = Instant::now();
    check_folders(&arguments)?;
    let lake = Lake::open(&lake_url(&arguments.lake)?)?;
    lake.check_writable().await?;
    defaults::install_defaults(&lake).await?;
    let context = Context::of(lake, environment(&arguments.lake, arguments.emr.as_deref())?, Clock::system()).await?;
    Rulebooks::read(&context.lake).await?;
    conditions::check(&context.settings).await?;
    gold_report::check_config(&context).await?;
    let not_copied = match &arguments.landing {
        Some(folder) => landing::copy(&context.lake, &context.settings.landing_folders(), folder).await?,
        None => Vec::new(),
    };
    let progress = match arguments.log_format {
        LogFormat::Json => Progress::events(context.clock.clone()),
        LogFormat::Text => Progress::new(arguments.json),
    };
    let options = Options { as_of: arguments.as_of, force: arguments.force, ..Options::default() };
    let mut run = run(&context, options, &progress).await?;
    let kpis = kpis_of(&context, &mut run).await;
    let passed_over = passed_over(not_copied, &run);
    let seconds = started.elapsed().as_secs_f64();
    let text = if arguments.json {
        let document = json!({
            "run_id": run.run_id,
            "as_of": run.as_of,
            "seconds": seconds,
            "stages": run.stages,
            "failures": run.failures,
            "standstills": run.standstills,
            "passed_over": passed_over.iter().map(|passed_over| &passed_over.name).collect::<Vec<_>>(),
            "kpis": kpis.filter(|_| run.ended_well(GOLD_KPIS)),
        });
        print::json(&document)
    } else {
        let next = next_lines(&arguments.lake, &context.lake, &run).await;
        let kpis = kpi_text(kpis.as_ref(), &run);
        let (summary, passed_over) = (print::summary(&run.stages, &next), print::passed_over(&passed_over));
        let waits = print::standstills(&run.standstills);
        format!("\n{kpis}\n{summary}\n{passed_over}{waits}Run {} took {seconds:.1} s.\n", run.run_id)
    };
    Ok(CommandOutput { text, exit: exit_of(&run) })
}

/// Checks that the paths of `--emr` and `--landing` are folders. A missing `--emr` is an error of each table, not
/// of the run.
fn check_folders(arguments: &RunArguments) -> Result<(), StageError> {
    let no_folder = |option: &str, folder: &Path, holds: &str| {
        let message = format!("{option} {}: not a folder; hint: name a folder that contains {holds}", folder.display());
        Err(StageError::bad_config(message))
    };
    if let Some(folder) = arguments.emr.as_deref().filter(|folder| folder.exists() && !folder.is_dir()) {
        return no_folder("--emr", folder, "<datasource>/<table>.csv");
    }
    if let Some(folder) = arguments.landing.as_deref().filter(|folder| !folder.is_dir()) {
        return no_folder("--landing", folder, "<feed>/<file>, such as claims/*.csv");
    }
    Ok(())
}

/// Returns the KPIs of a run's date. If they cannot be read, adds a failure to the run and returns `None`, so that
/// the rest of the run is still reported.
async fn kpis_of(context: &Context, run: &mut Run) -> Option<Kpis> {
    let started_at = context.now();
    let error = match kpis::read(&context.lake, run.as_of).await {
        Ok(kpis) => return Some(kpis),
        Err(error) => error,
    };
    let message = format!("the KPIs cannot be read: {error}");
    run.add(StageReport {
        outcome: Outcome::Failed,
        error: Some(StageFailure { message, ..StageFailure::from(&error) }),
        ..StageReport::new(&run.run_id, GOLD_KPIS, gold::SUBJECT, StageTimes { started_at, finished_at: context.now() })
    });
    None
}

/// Returns the KPIs as text, with a warning if they are not from this run.
fn kpi_text(kpis: Option<&Kpis>, run: &Run) -> String {
    let Some(kpis) = kpis else { return String::new() };
    let text = print::kpis(kpis);
    if run.ended_well(GOLD_KPIS) {
        return text;
    }
    format!("{GOLD_KPIS} failed: some or all of these KPIs are from an earlier run\n\n{text}")
}

/// Returns what this run did not load: files that were not copied, and files that wait for the next run.
fn passed_over(not_copied: Vec<PassedOver>, run: &Run) -> Vec<PassedOver> {
    let left = (run.files_left > 0).then(|| PassedOver {
        name: format!("{} landed files", run.files_left),
        reason: "more than fit in one work list; the next run loads them",
    });
    not_copied.into_iter().chain(left).collect()
}

async fn maintain(lake: &str, json: bool) -> Result<CommandOutput, StageError> {
    let context = existing(lake).await?;
    match functions::call("maintenance", context, json!({})).await {
        Ok(report) => Ok(CommandOutput::of(json, &report, || print::maintenance(&report), ExitCode::SUCCESS)),
        Err(error) => {
            let what_now = if error.is_retryable() { "No table is damaged.\n" } else { "" };
            Ok(failed(&error, what_now, json))
        }
    }
}

/// The output of a command of which a stage failed: its name, its message and what to do.
fn failed(error: &StageError, what_now: &str, json: bool) -> CommandOutput {
    let text = || format!("{}: {}{what_now}", error.name(), hint::with_hint(error));
    CommandOutput::of(json, &json!({ "error": StageFailure::from(error) }), text, ExitCode::from(SOME_FAILED))
}

fn generate(rows: u64, changes: f64, seed: u64, out: &Path, json: bool) -> Result<CommandOutput, StageError> {
    let files = demo::generate(rows, changes, seed, out)
        .map_err(|error| StageError::bad_config(format!("{}: {error}", out.display())))?;
    let folders = [(files.base_rows, &files.base), (files.change_rows, &files.changes)];
    let document = folders.map(|(rows, folder)| json!({ "rows": rows, "folder": folder.display().to_string() }));
    let text = || folders.map(|(rows, folder)| format!("{rows} rows in {}\n", folder.display())).concat();
    Ok(CommandOutput::of(json, &json!({ "folders": document }), text, ExitCode::SUCCESS))
}

/// Returns the context of an existing lake.
async fn existing(lake: &str) -> Result<Context, StageError> {
    existing_with(lake, None).await
}

/// Returns the context of an existing lake, whose extracts are read from a folder.
async fn existing_with(lake: &str, emr: Option<&Path>) -> Result<Context, StageError> {
    check_is_there(lake)?;
    Context::of(Lake::open(&lake_url(lake)?)?, environment(lake, emr)?, Clock::system()).await
}

/// Checks that the folder of a lake is there; a bucket is asked when it is read.
fn check_is_there(lake: &str) -> Result<(), StageError> {
    let url = Url::parse(&lake_url(lake)?).ok().filter(|url| url.scheme() == "file");
    if url.and_then(|url| url.to_file_path().ok()).is_some_and(|folder| !folder.is_dir()) {
        let message = format!("there is no lake in {lake}; hint: name the folder of one, or `rcm run` makes it");
        return Err(StageError::bad_config(message));
    }
    Ok(())
}

fn environment(lake: &str, emr: Option<&Path>) -> Result<Environment, StageError> {
    let emr_dir = emr.map(absolute).transpose()?;
    Ok(Environment { emr_dir, ..Environment::read_for(lake_url(lake)?) })
}

/// Returns the URL of a lake; the argument may also be a folder.
fn lake_url(lake: &str) -> Result<String, StageError> {
    if lake.contains("://") {
        return Ok(lake.to_owned());
    }
    let folder = absolute(Path::new(lake))?;
    let url = Url::from_directory_path(&folder);
    url.map(String::from).map_err(|()| StageError::bad_config(format!("{} is no folder", folder.display())))
}

fn absolute(path: &Path) -> Result<PathBuf, StageError> {
    std::path::absolute(path).map_err(|error| StageError::bad_config(format!("{}: {error}", path.display())))
}

/// Returns commands that show the result of a run. They are only hints, so that errors are ignored.
async fn next_lines(name: &str, lake: &Lake, run: &Run) -> Vec<String> {
    let mut lines = vec![format!("rcm status --lake {name}")];
    if run.found_nothing_new() {
        return lines;
    }
    // A shell reads such a key as one word.
    let is_plain = |key: &String| key.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if let Some(key) = crate::history::example(lake, &PATIENTS).await.ok().flatten().filter(is_plain) {
        lines.push(format!("rcm history patients {key} --lake {name}"));
    }
    lines
}

fn exit_of(run: &Run) -> ExitCode {
    if run.waits_for_nobody() { ExitCode::SUCCESS } else { ExitCode::from(SOME_FAILED) }
}
