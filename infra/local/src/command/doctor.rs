//! `rcm doctor`: whether a run can do its work.

use std::path::PathBuf;
use std::process::ExitCode;

use rcm_platform::{Lake, StageError};

use super::{CommandOutput, SOME_FAILED, check_is_there, environment, lake_url};
use crate::doctor::{self, Wanted};
use crate::print;

/// What is asked for.
#[derive(Debug, clap::Args)]
pub(super) struct DoctorArguments {
    /// Ask no database and no registry, and read no secret.
    #[arg(long)]
    offline: bool,
    /// Only the sources of this datasource, such as `hos-a`.
    #[arg(long)]
    source: Option<String>,
    /// Folder with `<datasource>/<table>.csv` that replaces the configured sources.
    #[arg(long, env = "RCM_EMR_DIR")]
    emr: Option<PathBuf>,
    /// Folder or URL (`file:///…`, `s3://bucket/prefix`) of the lake.
    #[arg(long, env = "LAKE_URL")]
    lake: String,
    /// Print one JSON document and nothing else.
    #[arg(long)]
    json: bool,
}

/// Checks a lake and its sources. The exit code is 1 if a check failed.
///
/// # Errors
/// There is no lake, or no such source.
pub(super) async fn doctor(arguments: DoctorArguments) -> Result<CommandOutput, StageError> {
    let DoctorArguments { offline, source, emr, lake: name, json } = arguments;
    check_is_there(&name)?;
    let lake = Lake::open(&lake_url(&name)?)?;
    let environment = environment(&name, emr.as_deref())?;
    let checks = doctor::examine(&lake, environment, &Wanted { offline, source }).await?;
    let is_well = checks.iter().all(|check| check.ok);
    let exit = if is_well { ExitCode::SUCCESS } else { ExitCode::from(SOME_FAILED) };
    let document = serde_json::json!({ "ok": is_well, "checks": checks });
    Ok(CommandOutput::of(json, &document, || print::checks(&checks), exit))
}
