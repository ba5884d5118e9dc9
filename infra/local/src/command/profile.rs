//! `rcm profile`: what the columns of a file or a table look like.

use std::path::Path;
use std::process::ExitCode;

use rcm_platform::config::Environment;
use rcm_platform::context::Clock;
use rcm_platform::{Context, Lake, StageError};

use super::{CommandOutput, existing};
use crate::profile::{self, FileRequest};
use crate::{defaults, print};

/// Patterns of a column that are shown where nothing else is said.
const PATTERNS: usize = 2;

#[derive(Debug, clap::Args)]
pub(super) struct ProfileArguments {
    /// CSV file on this machine, or table of the lake, such as `silver/patients`.
    subject: String,
    /// Suggest rules for `configs/quality/`, and say on how many rows each would fire.
    #[arg(long)]
    rules: bool,
    /// Patterns that are shown of a column.
    #[arg(long, default_value_t = PATTERNS)]
    top: usize,
    /// Delimiter of a file; the most frequent one of its first line where none is given.
    #[arg(long)]
    delimiter: Option<String>,
    /// Encoding of a file, such as `windows-1252`; UTF-8 where none is given.
    #[arg(long)]
    encoding: Option<String>,
    /// Print one JSON document and nothing else.
    #[arg(long)]
    json: bool,
    /// Folder or URL (`file:///…`, `s3://bucket/prefix`) of the lake: of its mappings for a file, which else are the
    /// default ones.
    #[arg(long, env = "LAKE_URL")]
    lake: Option<String>,
}

/// Profiles a file or a table.
///
/// # Errors
/// There is no such file or table, or it cannot be read.
pub(super) async fn profile(arguments: ProfileArguments) -> Result<CommandOutput, StageError> {
    let ProfileArguments { subject, rules, top, delimiter, encoding, json, lake } = arguments;
    let path = Path::new(&subject);
    let is_file = path.is_file();
    let context = match &lake {
        Some(lake) => existing(lake).await?,
        None if is_file => default_context().await?,
        None => {
            let message = format!("there is no file {}; hint: for a table name its lake, `--lake`", path.display());
            return Err(StageError::bad_config(message));
        }
    };
    let found = if is_file {
        let (delimiter, encoding) = (delimiter.as_deref(), encoding.as_deref());
        profile::of_file(&context, &FileRequest { path, delimiter, encoding, top, with_rules: rules }).await?
    } else {
        profile::of_table(&context, &subject, top, rules).await?
    };
    Ok(CommandOutput::of(json, &found, || print::profile(&found, rules), ExitCode::SUCCESS))
}

/// A lake that has nothing but the default configuration.
async fn default_context() -> Result<Context, StageError> {
    let lake = Lake::in_memory();
    defaults::install_defaults(&lake).await?;
    Context::of(lake, Environment::default(), Clock::system()).await
}
