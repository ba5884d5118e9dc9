//! `rcm diff`: what changed between two versions of a table.

use std::process::ExitCode;

use rcm_domain::money::format_cents;
use rcm_platform::{Context, StageError};
use serde_json::{Value, json};

use super::reason::{Reason, ValuesArguments};
use super::{CommandOutput, SOME_FAILED};
use crate::diff::{self, Diff, Point, Request};
use crate::print;
use crate::readings::{Reading, record_reading};

#[derive(Debug, clap::Args)]
pub(super) struct DiffArguments {
    /// Table, such as `gold/fact_claims` or `silver/patients`.
    table: String,
    /// Earlier version: a number, a date (the version at its end, UTC), or `last`, the one before rows changed last.
    #[arg(long, default_value = "last")]
    from: Point,
    /// Later version: a number, a date, or `last`, the newest one.
    #[arg(long, default_value = "last")]
    to: Point,
    /// End with exit code 1 if there is a difference.
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    values: ValuesArguments,
    /// Print one JSON document and nothing else.
    #[arg(long)]
    json: bool,
    /// Folder or URL (`file:///…`, `s3://bucket/prefix`) of the lake.
    #[arg(long, env = "LAKE_URL")]
    pub(super) lake: String,
}

/// Compares two versions of a table.
///
/// # Errors
/// There is no such table or version, or it cannot be read.
pub(super) async fn diff(context: &Context, arguments: DiffArguments) -> Result<CommandOutput, StageError> {
    let DiffArguments { table, from, to, exit_code, values, json, lake: _ } = arguments;
    let reason = values.check()?;
    if let Some(Reason { who, why }) = &reason {
        record_reading(context, &Reading { who, why, command: "diff", what: &table }).await?;
    }
    let found = diff::read(context, &Request { table: &table, from, to, with_values: reason.is_some() }).await?;
    let is_one = exit_code && !found.is_empty();
    let exit = if is_one { ExitCode::from(SOME_FAILED) } else { ExitCode::SUCCESS };
    Ok(CommandOutput::of(json, &document(&found), || print::diff(&found), exit))
}

/// The difference as JSON, with amounts as texts, so that no cent is lost.
fn document(diff: &Diff) -> Value {
    let mut document = json!(diff);
    for (line, column) in document["columns"].as_array_mut().into_iter().flatten().zip(&diff.columns) {
        line["sums"] = column.sums.map_or(Value::Null, |sums| {
            json!({
                "before": format_cents(sums.before),
                "after": format_cents(sums.after),
                "difference": format_cents(sums.after - sums.before),
            })
        });
    }
    document
}
