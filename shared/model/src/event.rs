//! What the functions are called with and what they return: the contract between the state
//! machine, the command line and the functions.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::load_config::LoadRow;
use crate::month::Month;
use crate::standstill::Standstill;

/// Input of `plan`: the start of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanInput {
    /// Identifier of the run; made from the clock where none is given.
    #[serde(default)]
    pub run_id: Option<String>,
    /// Date that the KPIs are computed for; the run's own date where none is given.
    #[serde(default)]
    pub as_of: Option<NaiveDate>,
    /// When a schedule was to start the run: its day is the run's own date, also where the run starts after
    /// midnight.
    #[serde(default)]
    pub scheduled_at: Option<DateTime<Utc>>,
    /// Take full extracts, landed snapshots and walks even where they lost more rows than the
    /// configured share.
    #[serde(default)]
    pub force: bool,
}

/// Result of `plan`: everything the run has to do before silver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkPlan {
    pub run_id: String,
    pub as_of: NaiveDate,
    /// What the pulls are handed; the items below have it too.
    #[serde(default)]
    pub force: bool,
    /// Extracts and landed files that are loaded at the same time.
    pub concurrency: usize,
    /// One item per active row of `load_config.csv`.
    pub extracts: Vec<PlannedExtract>,
    /// One item per landed file that no load holds yet, and per key that keeps a folder from being
    /// listed.
    pub files: Vec<LandedFileInput>,
    /// Landed files that wait for the next run, since the list would be too long with them.
    #[serde(default)]
    pub files_left: usize,
}

/// An extract of the work list, by the name that reports, metrics and alerts give it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedExtract {
    /// Bronze stream that the extract loads, such as `hosa/patients`.
    pub stream: String,
    #[serde(flatten)]
    pub input: ExtractInput,
}

/// Input of `emr-extract`: one row of `load_config.csv`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtractInput {
    pub run_id: String,
    #[serde(flatten)]
    pub row: LoadRow,
    #[serde(default)]
    pub force: bool,
}

/// Input of `landing-to-bronze`: one landed file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LandedFileInput {
    pub run_id: String,
    /// Key of the file below the lake's root, such as `landing/claims/hospital1_2024-10.csv`.
    pub key: String,
    #[serde(default)]
    pub force: bool,
}

/// Input of `npi-pull` and `icd-pull`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullInput {
    pub run_id: String,
    #[serde(default)]
    pub force: bool,
}

/// Input of every stage that works on a whole layer: the silver functions, the gold functions
/// and `audit`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageInput {
    pub run_id: String,
    /// Date that the KPIs are computed for; the run's own date where none is given.
    #[serde(default)]
    pub as_of: Option<NaiveDate>,
    /// Of a silver function: make the table anew from all loads in bronze, and replace it in one commit.
    #[serde(default)]
    pub rebuild: bool,
    /// Of a rebuild: leave out the rows of sources that the configuration no longer names. Without it a table that has
    /// such rows is not made anew.
    #[serde(default)]
    pub force: bool,
    /// Of a silver function.
    #[serde(default, skip_serializing_if = "Part::is_all")]
    pub part: Part,
    /// Of `gold-kpis`: close a month, and do nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub close: Option<CloseMonth>,
    /// Of `gold-kpis`: open a closed month again, and do nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reopen: Option<ReopenMonth>,
    /// Of a silver function: assess rows in quarantine anew, and do nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<Replay>,
}

/// A month to close.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloseMonth {
    pub month: Month,
    /// Who decides; it is recorded.
    pub by: String,
}

/// A closed month to open again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReopenMonth {
    pub month: Month,
    /// Who decides; it is recorded.
    pub by: String,
    /// The reason; it is recorded.
    pub why: String,
}

/// Which rows in quarantine are assessed anew. All open ones of the entity, but for those that a condition excludes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// Only rows that failed this rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Only rows of this datasource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hospital: Option<String>,
    /// Only rows that are in quarantine since this day or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<NaiveDate>,
    /// Only rows whose fingerprint begins with one of these; any where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fingerprints: Vec<String>,
    /// Person who asks for it; it is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// Reason; it is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What becomes of a row in quarantine that is assessed anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayOutcome {
    /// It passes, and is the newest version of its key.
    Newest,
    /// It passes, and takes a place before later versions of its key.
    Older,
    /// It passes, and its key was missing from the lake.
    Missing,
    /// It passes, and the lake says the same already, or another row of its load counts.
    Unchanged,
    /// It fails a rule of today.
    FailsAgain,
    /// It passes, but other rows of its key would come out otherwise today: only a rebuild may change them.
    WaitsForRebuild,
    /// Its load is voided, or of a source that the configuration no longer names.
    LoadLeftOut,
}

impl ReplayOutcome {
    /// Whether the row passes and leaves the quarantine.
    #[must_use]
    pub fn passes(self) -> bool {
        matches!(self, Self::Newest | Self::Older | Self::Missing | Self::Unchanged)
    }
}

/// Rows in quarantine that were assessed anew, by what becomes of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayCount {
    pub outcome: ReplayOutcome,
    /// First rule that they fail today.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    pub rows: u64,
}

impl ReplayCount {
    /// Counts rows, of each of which an outcome is given and the first rule that it fails.
    #[must_use]
    pub fn of(rows: impl Iterator<Item = (ReplayOutcome, Option<String>)>) -> Vec<Self> {
        let mut counts: BTreeMap<(ReplayOutcome, Option<String>), u64> = BTreeMap::new();
        for row in rows {
            *counts.entry(row).or_default() += 1;
        }
        counts.into_iter().map(|((outcome, rule), rows)| Self { outcome, rule, rows }).collect()
    }
}

/// Which part of its work a silver function is to do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// All of it.
    #[default]
    All,
    /// All of it but for a batch that is so large that it is shared out: that one is prepared, and the report says in
    /// [`StageReport::shared_out`] how it goes on.
    Prepare,
    /// One shard of a batch that was prepared.
    Shard(Shard),
    /// The commit of a batch of which all shards were written: key of the batch below the lake's root.
    Commit(String),
}

impl Part {
    fn is_all(&self) -> bool {
        *self == Self::All
    }
}

/// Some buckets of a batch, which one call plans and writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Key of the batch below the lake's root.
    pub batch: String,
    /// Number of the shard, from 0.
    pub number: usize,
}

/// A batch that is ingested by several calls: one per shard, at the same time, and then one that commits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedOut {
    pub shards: Vec<Part>,
    pub commit: Part,
}

/// Input of `maintenance`, which belongs to no run of the pipeline.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaintenanceInput {
    /// Identifier of the report; made from the clock where none is given.
    #[serde(default)]
    pub run_id: Option<String>,
}

/// How a stage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It did what it was asked for.
    Done,
    /// There was nothing that the lake did not hold already.
    NothingNew,
    /// A file that is still being written: the next run takes it.
    LeftForNextRun,
    /// No source is configured for it.
    Skipped,
    /// It ended with an error. What it had committed before stays in the lake: see its commits and loads.
    Failed,
}

/// When a stage started and when it finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StageTimes {
    pub started_at: DateTime<Utc>,
    pub finished_at: DateTime<Utc>,
}

/// What one run of one function did: the grain of `audit/load_logs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageReport {
    pub run_id: String,
    /// The function: `emr-extract`, `silver-patients`, …
    pub stage: String,
    /// What it worked on: a bronze stream, a landed file, an entity.
    pub subject: String,
    pub outcome: Outcome,
    pub started_at: DateTime<Utc>,
    pub finished_at: DateTime<Utc>,
    /// Rows, one item per bronze load that the stage wrote or read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loads: Vec<LoadCounts>,
    /// Tables that the stage committed to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commits: Vec<TableCommit>,
    /// Rows that failed a rule, one item per rule and load.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleCount>,
    /// What the rows of the loads that it read are like, whatever the rules say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<LoadProfile>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<ControlCheck>,
    /// What it measured beside its counts. Reports of version 0.1 call them figures.
    #[serde(default, alias = "figures", skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
    /// What a person should know: drift, refusals, what to do next. Never a value of a row.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What waits for a person; `audit` alone looks for it, at the end of a run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub standstills: Vec<Standstill>,
    /// Calls that are to follow, of a silver function that prepared a batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_out: Option<SharedOut>,
    /// Rows in quarantine that a silver function assessed anew.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replayed: Vec<ReplayCount>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<StageFailure>,
}

impl StageReport {
    /// The report of a stage that did what it was asked for, with its times alone.
    #[must_use]
    pub fn new(run_id: &str, stage: &str, subject: &str, times: StageTimes) -> Self {
        let StageTimes { started_at, finished_at } = times;
        Self {
            run_id: run_id.to_owned(),
            stage: stage.to_owned(),
            subject: subject.to_owned(),
            outcome: Outcome::Done,
            started_at,
            finished_at,
            loads: Vec::new(),
            commits: Vec::new(),
            rules: Vec::new(),
            profiles: Vec::new(),
            checks: Vec::new(),
            metrics: Vec::new(),
            notes: Vec::new(),
            standstills: Vec::new(),
            shared_out: None,
            replayed: Vec::new(),
            error: None,
        }
    }
}

/// Why a stage failed: the error's name, as the state machine matches it, and its message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageFailure {
    pub name: String,
    pub message: String,
    /// What the stage was working on. Reports of version 0.1 do not have it.
    #[serde(flatten)]
    pub context: ErrorContext,
}

/// What a stage was working on when it failed, as far as it is known. Never a value of a row.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorContext {
    /// Path of the table below the lake's root, such as `silver/patients`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// Stream and number of the load, such as `claims/hos-a 3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<String>,
    /// Number of the row in its file or load, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<u64>,
    /// Key of the object below the lake's root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
}

/// What became of the rows of one bronze load.
///
/// `read = new + changed + unchanged + superseded + quarantined`, always.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadCounts {
    pub load_id: String,
    pub stream: String,
    pub sequence: u64,
    pub read: u64,
    /// Rows that brought a key the lake did not know.
    pub new: u64,
    /// Rows that became the newest version of a known key.
    pub changed: u64,
    /// Rows that equal what the lake holds.
    pub unchanged: u64,
    /// Rows that became an older version, or lost a tie of modified times.
    pub superseded: u64,
    pub quarantined: u64,
    /// Keys that a full extract no longer had; they are no rows of the load.
    pub deleted: u64,
}

impl LoadCounts {
    /// Rows that are accounted for; equals `read` if the load balances.
    #[must_use]
    pub fn accounted(&self) -> u64 {
        self.new + self.changed + self.unchanged + self.superseded + self.quarantined
    }
}

/// One commit to one Delta table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableCommit {
    /// Path of the table below the lake's root, such as `silver/patients`.
    pub table: String,
    pub version: i64,
    pub rows: u64,
}

/// A value that a stage measured beside its counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// Name of the metric, which ends in its unit: `WatermarkLagHours`.
    pub name: String,
    /// What it was measured of: a bronze stream, a datasource. Never a value of a row.
    pub entity: String,
    pub value: f64,
}

/// What becomes of a row that fails a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It goes to quarantine.
    Error,
    /// It is counted.
    Warn,
}

impl Severity {
    /// The word in the configuration and in `audit/quality_metrics`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
        }
    }
}

/// What a figure of data quality is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// Whether there is a value.
    Completeness,
    /// Whether a value is one that its column may have.
    #[default]
    Validity,
    /// Whether a row is there once.
    Uniqueness,
    /// Whether the row that a key names is in the lake.
    ReferentialIntegrity,
    /// Whether rows come when they should.
    Timeliness,
}

impl Dimension {
    /// The word in `audit/quality_metrics`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completeness => "completeness",
            Self::Validity => "validity",
            Self::Uniqueness => "uniqueness",
            Self::ReferentialIntegrity => "referential_integrity",
            Self::Timeliness => "timeliness",
        }
    }
}

/// What the rows of one load are like in the columns of the model that its source has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadProfile {
    pub entity: String,
    pub stream: String,
    pub load_id: String,
    pub rows: u64,
    /// Rows without a value, by column.
    pub nulls: BTreeMap<String, u64>,
    /// Time of the extract, or of the landed file.
    pub extracted_at: DateTime<Utc>,
    /// Latest modified time of a row that is not after the extract; none where there is none.
    #[serde(default)]
    pub newest: Option<DateTime<Utc>>,
}

impl LoadProfile {
    /// Share of the rows without a value in a column, from 0 to 1; none without rows, or where the source does not have
    /// the column.
    #[must_use]
    pub fn null_share(&self, column: &str) -> Option<f64> {
        let nulls = self.nulls.get(column)?;
        (self.rows > 0).then(|| *nulls as f64 / self.rows as f64)
    }

    /// Hours between the latest modified time and the extract.
    #[must_use]
    pub fn hours_behind(&self) -> Option<f64> {
        self.newest.map(|newest| (self.extracted_at - newest).num_seconds() as f64 / 3600.0)
    }

    /// Adds other rows of the same load.
    pub fn add(&mut self, more: &Self) {
        self.rows += more.rows;
        for (column, nulls) in &more.nulls {
            *self.nulls.entry(column.clone()).or_default() += nulls;
        }
        self.newest = self.newest.max(more.newest);
    }
}

/// Rows of one load that failed one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleCount {
    pub entity: String,
    pub rule: String,
    pub severity: Severity,
    /// Reports up to version 0.2 do not say it.
    #[serde(default)]
    pub dimension: Dimension,
    pub load_id: String,
    pub checked: u64,
    pub failed: u64,
}

/// Two figures that must agree before a gold table is committed: the grain of
/// `audit/control_checks`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlCheck {
    pub table: String,
    pub check: String,
    /// Amounts to the cent, counts to the row, as text so that no digit is lost.
    pub expected: String,
    pub actual: String,
    pub passed: bool,
}

impl ControlCheck {
    /// Compares two figures of `table`.
    pub fn equal<T: PartialEq + ToString>(table: &str, check: &str, expected: &T, actual: &T) -> Self {
        Self {
            table: table.to_owned(),
            check: check.to_owned(),
            expected: expected.to_string(),
            actual: actual.to_string(),
            passed: expected == actual,
        }
    }
}
