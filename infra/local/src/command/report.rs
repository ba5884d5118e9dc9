//! `rcm report`: the page that people look at, of a date.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use chrono::NaiveDate;
use gold_report::{FOLDER, PAGE, WORKBOOK};
use rcm_model::event::StageInput;
use rcm_platform::{Context, StageError, stage};
use serde_json::json;

use super::{CommandOutput, failed};
use crate::functions;

/// What is asked for.
#[derive(Debug)]
pub(super) struct Request {
    /// The date; that of the last KPIs where none is given.
    pub as_of: Option<NaiveDate>,
    /// Folder on this machine that the files are copied to.
    pub out: Option<PathBuf>,
    /// Whether to show the page.
    pub open: bool,
    /// Whether to print JSON.
    pub json: bool,
}

/// Makes the report, and the KPIs before it where they are of another date.
///
/// # Errors
/// The lake has no KPIs, a table cannot be read, or the folder cannot be written.
pub(super) async fn report(context: Context, request: Request) -> Result<CommandOutput, StageError> {
    let Request { as_of, out, open, json } = request;
    let last = gold_report::last_date(&context).await?;
    let Some(date) = as_of.or(last) else {
        return Err(StageError::bad_config("the lake has no KPIs yet; hint: `rcm run` makes them".to_owned()));
    };
    let run_id = stage::new_id(context.now());
    let input = json!(StageInput { run_id, as_of: Some(date), ..StageInput::default() });
    let needed: &[&str] = if last == Some(date) { &["gold-report"] } else { &["gold-kpis", "gold-report"] };
    for function in needed {
        if let Err(error) = functions::call(function, context.clone(), input.clone()).await {
            return Ok(failed(&error, "", json));
        }
    }
    let mut text = String::new();
    let mut made = Vec::new();
    let mut shown = local_path(&context, &format!("{FOLDER}/{date}/{PAGE}"));
    let files = [(PAGE, "for finance: open, mail or print it"), (WORKBOOK, "every figure with what it is made of")];
    for (name, what) in files {
        let key = format!("{FOLDER}/{date}/{name}");
        let bytes = context.lake.get(&key).await?;
        let mut place = format!("{}{key}", context.lake.root());
        if let Some(folder) = &out {
            let file = folder.join(name);
            write(&file, &bytes)?;
            place = file.display().to_string();
            if name == PAGE {
                shown = Some(file);
            }
        }
        let _ = writeln!(text, "{place}   {} KB   {what}", bytes.len().div_ceil(1000));
        made.push(json!({ "place": place, "bytes": bytes.len(), "what": what }));
    }
    if open {
        match shown {
            Some(page) => text += &opened(&page),
            None => {
                text += "hint: the lake is not on this machine; `--out FOLDER` copies the report to where it can be opened\n";
            }
        }
    }
    Ok(CommandOutput::of(json, &json!({ "as_of": date, "files": made }), || text, ExitCode::SUCCESS))
}

fn write(file: &Path, bytes: &[u8]) -> Result<(), StageError> {
    let written = file.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(file, bytes));
    written.map_err(|error| StageError::bad_config(format!("{}: {error}", file.display())))
}

/// The path of a key of a lake in a folder.
fn local_path(context: &Context, key: &str) -> Option<PathBuf> {
    let root = context.lake.root();
    (root.scheme() == "file").then(|| root.to_file_path().ok()).flatten().map(|root| root.join(key))
}

/// Shows a page with the program of this machine.
fn opened(page: &Path) -> String {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let started =
        Command::new(program).arg(page).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    match started {
        Ok(_) => String::new(),
        Err(error) => format!("{program}: {error}; hint: open {} in a browser\n", page.display()),
    }
}
