//! The arguments of `rcm quarantine`, as clap parses them.

use std::path::PathBuf;

use chrono::NaiveDate;
use clap::{Args, Subcommand};
use rcm_platform::StageError;
use rcm_platform::load::printable;

use crate::command::reason::{ReasonArguments, ValuesArguments};
use crate::quarantine::Wanted;

#[derive(Debug, Subcommand)]
pub(in crate::command) enum QuarantineCommand {
    /// List rows in quarantine by rule, and tell which are missing from the lake. The exit code is 1 if there are any.
    List {
        #[command(flatten)]
        rows: RowArguments,
        /// `open` by default; another status, or `all`.
        #[arg(long)]
        status: Option<String>,
        /// Folder or URL (`file:///…`, `s3://bucket/prefix`) of the lake.
        #[arg(long, env = "LAKE_URL")]
        lake: String,
        /// Print one JSON document and nothing else.
        #[arg(long)]
        json: bool,
    },
    /// Show a row as shapes: letters are `A` and `a`, digits `9`.
    Show {
        /// Place of the row, `<stream>:<load>:<row>` such as `hosb/patients:1:402`, or the beginning of its fingerprint.
        which: String,
        #[command(flatten)]
        values: ValuesArguments,
        /// Folder or URL (`file:///…`, `s3://bucket/prefix`) of the lake.
        #[arg(long, env = "LAKE_URL")]
        lake: String,
        /// Print one JSON document and nothing else.
        #[arg(long)]
        json: bool,
    },
    /// Assess open rows anew, with the mappings and rules of today. Those that pass are taken into silver at their own
    /// place in history; those that fail again stay open.
    Replay {
        /// Only rows whose fingerprint begins with one of these, of at least eight digits each.
        fingerprints: Vec<String>,
        #[command(flatten)]
        rows: RowArguments,
        /// Tell what would become of the rows, and write nothing.
        #[arg(long)]
        dry_run: bool,
        /// Reason; it is recorded.
        #[arg(long)]
        why: Option<String>,
        /// Person who asks for it; it is recorded.
        #[arg(long, env = "USER", hide_env_values = true)]
        by: Option<String>,
        /// Folder or URL (`file:///…`, `s3://bucket/prefix`) of the lake.
        #[arg(long, env = "LAKE_URL")]
        lake: String,
        /// Print one JSON document and nothing else.
        #[arg(long)]
        json: bool,
    },
    /// Write the values of open rows of one table and hospital to a new file that only its owner may read. It is recorded.
    Export {
        /// CSV file to write; one that is there is not overwritten.
        file: PathBuf,
        #[command(flatten)]
        rows: RowArguments,
        /// Write shapes in place of values.
        #[arg(long)]
        masked: bool,
        #[command(flatten)]
        reason: ReasonArguments,
        /// Folder or URL (`file:///…`, `s3://bucket/prefix`) of the lake.
        #[arg(long, env = "LAKE_URL")]
        lake: String,
        /// Print one JSON document and nothing else.
        #[arg(long)]
        json: bool,
    },
    /// Take an exported file back whose values were mended: its rows are a load of their own, and take the place in history
    /// of those that they correct.
    Correct {
        /// CSV file that `rcm quarantine export` wrote, mended.
        file: PathBuf,
        /// Tell what would become of the rows, and write nothing.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        reason: ReasonArguments,
        /// Folder or URL (`file:///…`, `s3://bucket/prefix`) of the lake.
        #[arg(long, env = "LAKE_URL")]
        lake: String,
        /// Print one JSON document and nothing else.
        #[arg(long)]
        json: bool,
    },
    /// Leave open rows out for good. They stay in the quarantine table, with the reason.
    Discard {
        /// Fingerprints of the rows, or their beginnings of at least eight digits.
        fingerprints: Vec<String>,
        #[command(flatten)]
        rows: RowArguments,
        #[command(flatten)]
        reason: ReasonArguments,
        /// Folder or URL (`file:///…`, `s3://bucket/prefix`) of the lake.
        #[arg(long, env = "LAKE_URL")]
        lake: String,
        /// Print one JSON document and nothing else.
        #[arg(long)]
        json: bool,
    },
}

/// Conditions on rows in quarantine.
#[derive(Debug, Args)]
pub(in crate::command) struct RowArguments {
    /// Only of this entity, such as `patients`.
    #[arg(long)]
    entity: Option<String>,
    /// Only rows that failed this rule.
    #[arg(long)]
    rule: Option<String>,
    /// Only of this datasource.
    #[arg(long)]
    hospital: Option<String>,
    /// Only rows that are in quarantine since this day or later.
    #[arg(long)]
    since: Option<NaiveDate>,
}

impl RowArguments {
    /// The open rows that the conditions mean.
    pub(super) fn wanted(self) -> Wanted {
        let Self { entity, rule, hospital, since } = self;
        Wanted { entity, rule, hospital, since, status: None }
    }
}

/// Digits that the beginning of a fingerprint has at least.
const FEWEST_DIGITS: usize = 8;

/// Checks that fingerprints, or their beginnings, are such.
///
/// # Errors
/// `BadConfig` with the first one that is none.
pub(super) fn check_fingerprints(fingerprints: &[String]) -> Result<(), StageError> {
    let is_hash = |text: &str| text.len() >= FEWEST_DIGITS && text.chars().all(|digit| digit.is_ascii_hexdigit());
    let Some(wrong) = fingerprints.iter().find(|text| !is_hash(text)) else { return Ok(()) };
    Err(StageError::bad_config(format!(
        "`{}` is no fingerprint; hint: fingerprints are hexadecimal, and eight digits or more are enough: rcm quarantine \
         show PLACE tells that of a row",
        printable(wrong)
    )))
}
