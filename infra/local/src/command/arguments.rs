//! The arguments of `rcm`, as clap parses them.

use std::path::PathBuf;

use chrono::NaiveDate;
use clap::{Parser, Subcommand};

use super::quarantine::QuarantineCommand;
use super::reason::ReasonArguments;
use crate::demo;

/// Ingests the revenue cycle data of hospitals into one lake and computes the KPIs of accounts receivable.
#[derive(Debug, Parser)]
#[command(name = "rcm", version, about)]
pub struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Generate a small hospital group, run three months of it and print the KPIs.
    Demo {
        /// Folder for the generated files and the lake. Only files of an earlier demo are deleted from it.
        #[arg(long, default_value = "rcm-demo")]
        dir: PathBuf,
        /// Seed of the random data; the same seed generates the same data.
        #[arg(long, default_value_t = demo::SEED)]
        seed: u64,
    },
    /// Run the pipeline once: sources, silver, gold, audit.
    ///
    /// The exit code is 0 if every step succeeded and no file, load, stream or table waits for a person; 1 if
    /// something failed or waits, from this run or an earlier one; 2 if the run could not start.
    Run(RunArguments),
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
        entity: String,
        /// Leave out the rows of sources that the configuration no longer names.
        #[arg(long)]
        force: bool,
        /// Folder or URL (`file:///…`, `s3://bucket/prefix`) of the lake.
        #[arg(long, env = "LAKE_URL")]
        lake: String,
    },
    /// Show every version of one key.
    History {
        /// Entity of the common data model, such as `patients`.
        entity: String,
        /// Durable key: source id and datasource, such as `HOSP1-000402-hos-b`.
        key: String,
        /// Folder or URL (`file:///…`, `s3://bucket/prefix`) of the lake.
        #[arg(long, env = "LAKE_URL")]
        lake: String,
    },
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
    },
    /// Maintain the tables: merge small files, write checkpoints, delete files that no retained version needs.
    /// Do not use it for a lake on AWS: its function `maintenance` writes with the KMS keys of the layers.
    Maintain {
        /// Folder or URL (`file:///…`, `s3://bucket/prefix`) of the lake.
        #[arg(long, env = "LAKE_URL")]
        lake: String,
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
    },
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
    /// Ingest full extracts, landed snapshots and walks even if they lost a larger share of their keys than
    /// configured.
    #[arg(long)]
    pub(super) force: bool,
}
