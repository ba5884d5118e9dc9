//! The arguments of `rcm`, as clap parses them.

use std::path::PathBuf;

use chrono::NaiveDate;
use clap::builder::PossibleValuesParser;
use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use rcm_model::cdm::ENTITIES;
use rcm_platform::telemetry;

use super::diff::DiffArguments;
use super::doctor::DoctorArguments;
use super::history::HistoryArguments;
use super::hospital::HospitalArguments;
use super::months::{CloseArguments, ReopenArguments};
use super::profile::ProfileArguments;
use super::quarantine::QuarantineCommand;
use super::reason::ReasonArguments;
use super::sql::SqlArguments;
use crate::demo;
use crate::schema::ConfigFile;

/// Ingests the revenue cycle data of hospitals into one lake and computes the KPIs of accounts receivable.
#[derive(Debug, Parser)]
#[command(name = "rcm", version, about)]
pub struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

impl Arguments {
    /// How the command's log is written.
    #[must_use]
    pub fn log_format(&self) -> telemetry::LogFormat {
        match &self.command {
            Command::Run(RunArguments { log_format: LogFormat::Json, .. }) => telemetry::LogFormat::Json,
            _ => telemetry::LogFormat::Text,
        }
    }
}

/// The names of entities: clap lists them, and asks whether another one is meant.
pub(super) fn entities() -> PossibleValuesParser {
    PossibleValuesParser::new(ENTITIES.map(|entity| entity.name))
}

/// How progress is written to standard error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// Bars on a terminal, else a line per stage.
    #[default]
    Text,
    /// A JSON object per line: when a stage starts, and how it ends, with its counts.
    Json,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Generate a small hospital group, run three months of it and show what came of it on one screen.
    Demo {
        /// Folder for the generated files and the lake. Only files of an earlier demo are deleted from it.
        #[arg(long, default_value = "rcm-demo")]
        dir: PathBuf,
        /// Seed of the random data; the same seed generates the same data.
        #[arg(long, default_value_t = demo::SEED)]
        seed: u64,
        /// Print every delivery before it, the defects of its files, and the KPIs month by month.
        #[arg(long)]
        verbose: bool,
    },
    /// Run the pipeline once: sources, silver, gold, audit.
    ///
    /// The exit code is 0 if every step succeeded and no file, load, stream or table waits for a person; 1 if
    /// something failed or waits, from this run or an earlier one; 2 if the run could not start.
    Run(RunArguments),
    /// Draft the configuration of a hospital.
    Hospital {
        #[command(subcommand)]
        command: HospitalCommand,
    },
    /// Show what a run would do and why, and write nothing.
    ///
    /// The exit code is 0 if nothing waits for a person, 1 if something does.
    #[command(after_help = "Example:\n  rcm plan --lake my-lake --emr exports")]
    Plan {
        /// Date of the KPIs; today by default.
        #[arg(long)]
        as_of: Option<NaiveDate>,
        /// Folder with `<datasource>/<table>.csv` that replaces the configured sources.
        #[arg(long, env = "RCM_EMR_DIR")]
        emr: Option<PathBuf>,
        /// Folder or URL (`file:///…`, `s3://bucket/prefix`) of the lake.
        #[arg(long, env = "LAKE_URL")]
        lake: String,
        /// Print one JSON document and nothing else.
        #[arg(long)]
        json: bool,
    },
    /// Check the configuration, the sources, the rights on the lake, the clock and the disk, and say what to do.
    ///
    /// It writes one object below audit/ and removes it again. The exit code is 0 if every check passed, 1 if one failed.
    #[command(
        after_help = "Examples:\n  rcm doctor --lake my-lake\n  rcm doctor --source hos-c --lake my-lake\n  rcm doctor --offline --json --lake my-lake"
    )]
    Doctor(DoctorArguments),
    /// Explain an error, what waits for a person, or an alarm: docs/troubleshooting.md.
    #[command(
        after_help = "Examples:\n  rcm explain ThresholdExceeded\n  rcm explain load_waits\n  rcm explain 'lacks the column'"
    )]
    Explain {
        /// Name of an error, of a kind of standstill or of an alarm, or words of a message; the names if it is left out.
        #[arg(value_name = "ERROR")]
        what: Option<String>,
        /// Print one JSON document and nothing else.
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON schema of a file of the configuration, for editors that check TOML.
    #[command(
        after_help = "Example:\n  rcm schema cdm > cdm.schema.json\nand in the first line of cdm/hos-c.toml: #:schema ../../cdm.schema.json"
    )]
    Schema { file: ConfigFile },
    /// Print the completions of a shell.
    #[command(after_help = "Example:\n  rcm completions bash > ~/.local/share/bash-completion/completions/rcm")]
    Completions { shell: Shell },
    /// Show what the lake holds, how fresh it is, and what waits for a person.
    Status {
        /// Folder or URL (`file:///…`, `s3://bucket/prefix`) of the lake.
        #[arg(long, env = "LAKE_URL")]
        lake: String,
        /// Print one JSON document and nothing else.
        #[arg(long)]
        json: bool,
    },
    /// Decide about landed files.
    Landing {
        #[command(subcommand)]
        command: LandingCommand,
    },
    /// List the loads of bronze, exclude a load, or include it again.
    Load {
        #[command(subcommand)]
        command: LoadCommand,
    },
    /// Look at the rows that failed a rule, and decide about them.
    ///
    /// The exit code is 0 if nothing is left of what was asked, 1 if rows stay open, 2 if nothing was done.
    Quarantine {
        #[command(subcommand)]
        command: QuarantineCommand,
    },
    /// Rebuild a silver table from all loads in bronze, with the current mappings and rules. Readers see the old
    /// table until one commit replaces it.
    Rebuild {
        /// Entity of the common data model, such as `claims`.
        #[arg(value_parser = entities())]
        entity: String,
        /// Leave out the rows of sources that the configuration no longer names.
        #[arg(long)]
        force: bool,
        /// Folder or URL (`file:///…`, `s3://bucket/prefix`) of the lake.
        #[arg(long, env = "LAKE_URL")]
        lake: String,
        /// Print one JSON document and nothing else.
        #[arg(long)]
        json: bool,
    },
    /// Show every version of one key, or the one of a date, or what the lake knew on a date.
    ///
    /// The exit code is 0, 1 if the lake has no such key or version, or 2 if it could not be read.
    ///
    /// Example: rcm history claims CLAIM1-hos-a --as-of 2024-09-15 --lake my-lake
    #[command(verbatim_doc_comment)]
    History(HistoryArguments),
    /// Make the report of a date: a page and a spreadsheet below `report/` in the lake.
    Report {
        /// Date that the figures are of; that of the last run where none is given. The KPIs are computed for it.
        #[arg(long)]
        as_of: Option<NaiveDate>,
        /// Folder on this machine that the files are copied to.
        #[arg(long)]
        out: Option<PathBuf>,
        /// Show the page.
        #[arg(long)]
        open: bool,
        /// Folder or URL (`file:///…`, `s3://bucket/prefix`) of the lake.
        #[arg(long, env = "LAKE_URL")]
        lake: String,
        /// Print one JSON document and nothing else.
        #[arg(long)]
        json: bool,
    },
    /// Show what the columns of a CSV file or a table look like, and suggest rules for them.
    ///
    /// A column that may identify a patient shows `·` and shapes; so does a column of a file that no mapping names. A rule
    /// is suggested from 200 rows up, if at most one row in a hundred would fail it. The exit code is 0, or 2 if there is
    /// no such file or table.
    ///
    /// Example: rcm profile sources/hos-c/patients.csv --rules --lake my-lake
    #[command(verbatim_doc_comment)]
    Profile(ProfileArguments),
    /// Show what changed between two versions of a table: rows, columns and sums.
    ///
    /// Rows are compared by the table's key; a row of which only the load or the time of reading changed is not counted.
    /// Values are shown only with --values --why. The exit code is 0, 1 if --exit-code is given and there is a difference,
    /// or 2 if the versions could not be compared.
    ///
    /// Example: rcm diff gold/fact_transactions --from 2024-10-31 --lake my-lake
    #[command(verbatim_doc_comment)]
    Diff(DiffArguments),
    /// Ask the lake in SQL.
    ///
    /// Tables are `gold.<table>`, `silver.<entity>` (all versions), `silver.<entity>_current` (the current ones),
    /// `quarantine.<entity>`, `audit.<table>` and `bronze."<stream>"` (all loads, as texts). Columns that may identify a
    /// patient are shapes (`Aaaa`, `999-99`); keys are tokens (`#3f0c…`) that are equal where the keys are, so that joins
    /// and counts hold. The query is one of Polars' SQL; it changes nothing. The exit code is 0, or 2 if the query could not
    /// be asked.
    ///
    /// Example: rcm sql "select payor_id, count(*) as claims from gold.fact_claims group by payor_id" --lake my-lake
    #[command(verbatim_doc_comment)]
    Sql(SqlArguments),
    /// Close a month: publish the figures of its end as they stand. Later runs say what has changed them since, and of
    /// what the change is made.
    Close(CloseArguments),
    /// Open a closed month again, with a reason; then it can be closed anew.
    Reopen(ReopenArguments),
    /// Maintain the tables: merge small files, write checkpoints, delete files that no retained version needs.
    /// Do not use it for a lake on AWS: its function `maintenance` writes with the KMS keys of the layers.
    Maintain {
        /// Folder or URL (`file:///…`, `s3://bucket/prefix`) of the lake.
        #[arg(long, env = "LAKE_URL")]
        lake: String,
        /// Print one JSON document and nothing else.
        #[arg(long)]
        json: bool,
    },
    /// Call one function with an event, as Lambda does, and print its answer as JSON: one stage alone, or a part of
    /// a batch beside others of it. The exit code is 1 if the function failed.
    Call {
        /// Function, such as `silver-claims`.
        function: String,
        /// File with the event as JSON, such as `events/silver-claims.json`; `-` reads standard input.
        event: Option<PathBuf>,
        /// Folder or URL (`file:///…`, `s3://bucket/prefix`) of the lake.
        #[arg(long, env = "LAKE_URL")]
        lake: String,
        /// Folder with extract files, `<datasource>/<table>.csv`, instead of databases.
        #[arg(long)]
        emr: Option<PathBuf>,
    },
    /// Generate data of any size for benchmarks: a base and a delivery of changes.
    Generate {
        /// Number of transactions in the base; the other tables are in proportion.
        #[arg(long)]
        rows: u64,
        /// Share of the rows that the second delivery changes, from 0 to 1.
        #[arg(long, default_value_t = 0.1)]
        changes: f64,
        #[arg(long, default_value_t = demo::SEED)]
        seed: u64,
        #[arg(long)]
        out: PathBuf,
        /// Print one JSON document and nothing else.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum HospitalCommand {
    /// Draft cdm/<NAME>.toml and the lines of load_config.csv from the headers of a hospital's CSV files.
    ///
    /// Columns are found by their names and by the shapes of their cells. What is a guess is marked `# unsure` in the
    /// mapping. Shapes are shown, never values. The exit code is 1 if a file was left out.
    #[command(
        after_help = "Example:\n  rcm hospital add hos-c --from exports/hos-c --from landed/claims --dry-run --lake my-lake"
    )]
    Add(HospitalArguments),
}

#[derive(Debug, Subcommand)]
pub(super) enum LandingCommand {
    /// Exclude a refused file permanently: it no longer waits for a person, until it is replaced.
    Dismiss {
        /// Key of the file, such as `landing/claims/a.csv` or `claims/a.csv`.
        file: String,
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

#[derive(Debug, Subcommand)]
pub(super) enum LoadCommand {
    /// List the loads of a stream, or of all streams.
    List {
        /// Stream, such as `hosa/patients` or `claims/hos-a`.
        stream: Option<String>,
        /// Folder or URL (`file:///…`, `s3://bucket/prefix`) of the lake.
        #[arg(long, env = "LAKE_URL")]
        lake: String,
        /// Print one JSON document and nothing else.
        #[arg(long)]
        json: bool,
    },
    /// Exclude a load. The next run removes its rows from silver and gold.
    Void(LoadDecision),
    /// Include a voided load again. The next run ingests it.
    Unvoid(LoadDecision),
}

#[derive(Debug, clap::Args)]
pub(super) struct LoadDecision {
    /// Stream, such as `hosa/patients` or `claims/hos-a`.
    pub(super) stream: String,
    /// Number of the load in its stream.
    pub(super) sequence: u64,
    #[command(flatten)]
    pub(super) reason: ReasonArguments,
    /// Folder or URL (`file:///…`, `s3://bucket/prefix`) of the lake.
    #[arg(long, env = "LAKE_URL")]
    pub(super) lake: String,
    /// Print one JSON document and nothing else.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct RunArguments {
    /// Folder or URL (`file:///…`, `s3://bucket/prefix`) of the lake. The run installs the default
    /// configuration if the lake has no `configs/sources.toml`.
    #[arg(long, env = "LAKE_URL")]
    pub(super) lake: String,
    /// Folder with `<datasource>/<table>.csv` that replaces the configured sources.
    #[arg(long, env = "RCM_EMR_DIR")]
    pub(super) emr: Option<PathBuf>,
    /// Folder whose files are copied into the lake's landing/ first. Only files directly in the folder of a feed of
    /// configs/sources.toml are copied, such as claims/a.csv.
    #[arg(long)]
    pub(super) landing: Option<PathBuf>,
    /// Date of the KPIs; today by default.
    #[arg(long)]
    pub(super) as_of: Option<NaiveDate>,
    /// Print one JSON document and nothing else.
    #[arg(long)]
    pub(super) json: bool,
    /// How progress is written to standard error.
    #[arg(long, value_enum, default_value_t)]
    pub(super) log_format: LogFormat,
    /// Ingest full extracts, landed snapshots and walks even if they lost a larger share of their keys than
    /// configured.
    #[arg(long)]
    pub(super) force: bool,
}
