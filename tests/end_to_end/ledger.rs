//! A hospital with one small table, run through the command line. Each test sets the rows that it sends.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use polars::prelude::*;
use rcm::command::{Arguments, carry_out};
use serde_json::Value;

use crate::scratch::{AS_OF, Scratch};

/// Columns of the hospital's transactions.
pub(crate) const COLUMNS: &str = "Id,Pat,Day,Amt,PaidOn,Paid,Mod";

const MAPPING: &str = r#"datasource = "hos-x"

[entities.transactions]
src_transaction_id = "Id"
patient_key = "Pat"
service_date = "Day"
amount = "Amt"
paid_date = "PaidOn"
paid_amount = "Paid"
src_modified_at = "Mod"
"#;

/// What [`Ledger::with_claims`] adds to the mapping.
const CLAIMS: &str = r#"
[landing]
claims = ["hosx_*"]

[entities.claims]
src_claim_id = "ClaimID"
transaction_key = "Tx"
patient_key = "Pat"
service_date = "Day"
claim_date = "Sent"
claim_amount = "Amt"
paid_amount = "Paid"
claim_status = "Status"
payor_id = "Payor"
src_modified_at = "Mod"
"#;

/// Columns of the hospital's claims.
pub(crate) const CLAIM_COLUMNS: &str = "ClaimID,Tx,Pat,Day,Sent,Amt,Paid,Status,Payor,Mod";

/// Load type of the hospital's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    Full,
    Incremental,
}

/// A lake with the default configuration whose only hospital is `hos-x`.
pub(crate) struct Ledger {
    scratch: Scratch,
}

impl Ledger {
    /// Makes an empty lake; `hos-x` has only transactions, and its mapping has the columns of [`COLUMNS`].
    pub(crate) async fn new() -> Self {
        let scratch = Scratch::new().await;
        scratch.edit("configs/sources.toml", " = 4\n", " = 1\n");
        write(&scratch.path("configs/cdm/hos-x.toml"), MAPPING);
        let ledger = Self { scratch };
        ledger.tables(&["transactions"], Load::Full);
        ledger
    }

    /// Like [`Ledger::new`], with landed claims in files `hosx_*` with the columns of [`CLAIM_COLUMNS`].
    pub(crate) async fn with_claims() -> Self {
        let ledger = Self::new().await;
        ledger.add_to_mapping(CLAIMS);
        ledger
    }

    /// Replaces a text in the mapping.
    pub(crate) fn edit_mapping(&self, from: &str, to: &str) {
        self.scratch.edit("configs/cdm/hos-x.toml", from, to);
    }

    /// Adds tables to the end of the mapping.
    pub(crate) fn add_to_mapping(&self, text: &str) {
        self.add_to("configs/cdm/hos-x.toml", text);
    }

    /// Adds text to the end of a file of the lake.
    pub(crate) fn add_to(&self, key: &str, text: &str) {
        let path = self.path(key);
        let before = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{before}\n{text}")).unwrap();
    }

    /// Replaces a text in a file of the lake.
    pub(crate) fn edit(&self, key: &str, from: &str, to: &str) {
        self.scratch.edit(key, from, to);
    }

    /// Disables the limit on lost keys of extracts.
    pub(crate) fn any_share_may_be_lost(&self) {
        self.edit("configs/sources.toml", "max_lost_share = 0.2", "max_lost_share = 1.0");
    }

    /// Sets the tables of the hospital, all with the same load type.
    pub(crate) fn tables(&self, names: &[&str], load: Load) {
        let lines = names.iter().map(|name| match load {
            Load::Full => format!("ledger-db,hos-x,dbo.{name},Full,,1,hosx\n"),
            Load::Incremental => format!("ledger-db,hos-x,dbo.{name},Incremental,Mod,1,hosx\n"),
        });
        let text = format!("{}\n{}", rcm_model::load_config::HEADER, lines.collect::<String>());
        write(&self.path("configs/emr/load_config.csv"), &text);
    }

    pub(crate) fn path(&self, key: &str) -> PathBuf {
        self.scratch.path(key)
    }

    /// Returns a folder beside the lake.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.scratch.beside(name)
    }

    /// Returns the path of the extract file of a table.
    pub(crate) fn extract(&self, table: &str) -> PathBuf {
        self.beside("emr").join(format!("hos-x/{table}.csv"))
    }

    /// Writes the extract file of a table, including its header.
    pub(crate) fn send(&self, table: &str, bytes: impl AsRef<[u8]>) {
        write(&self.extract(table), bytes);
    }

    /// Writes a file into the landing zone.
    pub(crate) fn land(&self, file: &str, bytes: impl AsRef<[u8]>) {
        write(&self.path("landing").join(file), bytes);
    }

    /// Lands a file of claims with some lines.
    pub(crate) fn land_claims(&self, file: &str, rows: &[&str]) {
        self.land(&format!("claims/{file}"), csv(CLAIM_COLUMNS, rows));
    }

    /// Writes the extract file of transactions with some lines, and runs as of [`AS_OF`].
    pub(crate) async fn take(&self, load: Load, rows: &[&str]) -> Told {
        self.tables(&["transactions"], load);
        self.send("transactions", csv(COLUMNS, rows));
        self.run().await
    }

    /// Runs as of [`AS_OF`].
    pub(crate) async fn run(&self) -> Told {
        self.run_with(&["--as-of", AS_OF]).await
    }

    /// Runs as of another date.
    pub(crate) async fn run_as_of(&self, date: &str) -> Told {
        self.run_with(&["--as-of", date]).await
    }

    /// Runs as of today.
    pub(crate) async fn run_today(&self) -> Told {
        self.run_with(&[]).await
    }

    /// Executes `rcm run` once, like its `main`.
    pub(crate) async fn run_with(&self, more: &[&str]) -> Told {
        let (lake, emr) = (self.path(""), self.beside("emr"));
        let [lake, emr] = [&lake, &emr].map(|path| path.to_str().unwrap());
        let arguments = ["rcm", "run", "--lake", lake, "--emr", emr, "--json"];
        let arguments = Arguments::try_parse_from(arguments.iter().chain(more)).unwrap();
        match carry_out(arguments).await {
            Ok(answer) => Told { exit: answer.exit, document: serde_json::from_str(&answer.text).unwrap() },
            Err(error) => Told { exit: rcm::command::nothing_done(), document: Value::String(error.to_string()) },
        }
    }

    /// Executes any other command on the lake, like its `main`; returns its output and exit code.
    pub(crate) async fn command(&self, words: &[&str]) -> (String, u8) {
        let lake = self.path("");
        let words: Vec<&str> = ["rcm"].iter().chain(words).copied().chain(["--lake", lake.to_str().unwrap()]).collect();
        carry_out_words(&words).await
    }

    /// Returns the current rows of a silver table: the values of some columns joined by `|`, sorted.
    pub(crate) async fn current(&self, entity: &str, columns: &[&str]) -> Vec<String> {
        self.rows(&format!("silver/{entity}"), col("is_current"), columns).await
    }

    /// Returns ids and amounts of the current transactions, such as `A|100.00`.
    pub(crate) async fn amounts(&self) -> Vec<String> {
        self.current("transactions", &["src_transaction_id", "amount"]).await
    }

    /// Returns the reasons and raw values of the rows in quarantine.
    pub(crate) async fn quarantined(&self, entity: &str) -> Vec<String> {
        self.rows(&format!("quarantine/{entity}"), lit(true), &["reasons", "raw"]).await
    }

    /// Returns the rows of any table: the values of some columns joined by `|`, sorted.
    pub(crate) async fn rows(&self, table: &str, filter: Expr, columns: &[&str]) -> Vec<String> {
        let Some(rows) = self.scratch.rows(table).await else { return Vec::new() };
        let rows = rows.filter_by(filter);
        let texts: Vec<Column> =
            columns.iter().map(|name| rows.column(name).unwrap().cast(&DataType::String).unwrap()).collect();
        let line = |row| {
            let values: Vec<&str> = texts.iter().map(|text| text.str().unwrap().get(row).unwrap_or("null")).collect();
            values.join("|")
        };
        let mut lines: Vec<String> = (0..rows.height()).map(line).collect();
        lines.sort_unstable();
        lines
    }

    /// Returns all rows of a table; no rows if there is no such table.
    pub(crate) async fn table(&self, table: &str) -> Option<DataFrame> {
        self.scratch.rows(table).await
    }
}

trait FilterBy {
    fn filter_by(self, filter: Expr) -> DataFrame;
}

impl FilterBy for DataFrame {
    fn filter_by(self, filter: Expr) -> DataFrame {
        // A literal would be one row long.
        self.lazy().with_columns([filter.alias("is_wanted")]).filter(col("is_wanted")).collect().unwrap()
    }
}

/// Output of a run.
pub(crate) struct Told {
    exit: ExitCode,
    document: Value,
}

impl Told {
    /// Returns the run, after a check that its exit code is 0.
    #[track_caller]
    pub(crate) fn whole(self) -> Self {
        assert_eq!(self.exit_code(), 0, "{:#} {:#?}", self.failures(), self.waiting());
        self
    }

    /// Returns the exit code. 0: success; 1: something failed or waits; 2: the run could not start.
    pub(crate) fn exit_code(&self) -> u8 {
        code_of(self.exit)
    }

    /// Returns the failures; for a run that could not start, its error.
    pub(crate) fn failures(&self) -> &Value {
        self.document.get("failures").unwrap_or(&self.document)
    }

    /// Returns the failures as text.
    pub(crate) fn errors(&self) -> String {
        match self.failures() {
            Value::String(error) => error.clone(),
            Value::Array(failures) => failures
                .iter()
                .map(|failure| format!("{} {}", failure["name"], failure["message"]))
                .collect::<Vec<_>>()
                .join("\n"),
            other => other.to_string(),
        }
    }

    /// Returns what waits for a person, as `kind subject`.
    pub(crate) fn waiting(&self) -> Vec<String> {
        let standstills = self.document["standstills"].as_array().map_or(&[][..], Vec::as_slice);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        standstills.iter().map(|of| format!("{} {}", text(&of["kind"]), text(&of["subject"]))).collect()
    }

    /// Returns what the run did not copy from a `--landing` folder.
    pub(crate) fn passed_over(&self) -> Vec<&str> {
        self.document["passed_over"].as_array().unwrap().iter().filter_map(Value::as_str).collect()
    }

    /// The KPIs of the run's date.
    #[track_caller]
    pub(crate) fn kpis(&self) -> &Value {
        let kpis = &self.document["kpis"];
        assert!(kpis.is_object(), "there are no KPIs: {:#}", self.failures());
        kpis
    }

    /// Returns an amount from the row of `days_in_ar` for all datasources; 0.00 if there is no row.
    #[track_caller]
    pub(crate) fn receivables(&self, measure: &str) -> String {
        let rows = self.kpis()["days_in_ar"].as_array().unwrap();
        let all = rows.iter().find(|row| row["datasource"] == "all").or(rows.first());
        format!("{:.2}", all.map_or(0.0, |row| row[measure].as_f64().unwrap()))
    }

    /// Returns the balance at the date of the run.
    #[track_caller]
    pub(crate) fn ar(&self) -> String {
        self.receivables("balance")
    }

    /// Returns the row of `claims` over all payors.
    #[track_caller]
    pub(crate) fn claims(&self) -> &Value {
        let rows = self.kpis()["claims"].as_array().unwrap();
        rows.iter().find(|row| row["group"] == "all").unwrap()
    }

    pub(crate) fn stages(&self) -> &[Value] {
        self.document["stages"].as_array().map_or(&[], Vec::as_slice)
    }

    fn items(&self, list: &str) -> Vec<&Value> {
        self.stages().iter().filter_map(|stage| stage.get(list)?.as_array()).flatten().collect()
    }

    /// Returns the number of rows, or keys, that failed a rule; `name` is its id or a part of it.
    pub(crate) fn counted(&self, name: &str) -> u64 {
        let rules = self.items("rules").into_iter().filter(|rule| rule["rule"].as_str().unwrap().contains(name));
        rules.map(|rule| rule["failed"].as_u64().unwrap()).sum()
    }

    /// Returns whether a rule was evaluated on any row.
    pub(crate) fn asked(&self, rule: &str) -> bool {
        self.items("rules").into_iter().any(|asked| asked["rule"] == rule)
    }

    /// Returns all counts of failed rules, for the message of a test.
    pub(crate) fn rules(&self) -> Vec<String> {
        let failed = self.items("rules").into_iter().filter(|rule| rule["failed"] != 0);
        failed.map(|rule| format!("{} {} {}", rule["entity"], rule["rule"], rule["failed"])).collect()
    }

    /// The notes of all stages and of the KPIs.
    pub(crate) fn notes(&self) -> Vec<&str> {
        let of_kpis = self.document["kpis"]["notes"].as_array().map_or(&[][..], Vec::as_slice);
        self.items("notes").into_iter().chain(of_kpis).filter_map(Value::as_str).collect()
    }

    /// Returns the notes that contain some words.
    pub(crate) fn notes_with(&self, words: &str) -> Vec<&str> {
        self.notes().into_iter().filter(|note| note.contains(words)).collect()
    }

    /// The control checks of a stage.
    pub(crate) fn checks(&self, stage: &str) -> Vec<&Value> {
        let stages = self.stages().iter().filter(|report| report["stage"] == stage);
        stages.filter_map(|report| report.get("checks")?.as_array()).flatten().collect()
    }

    /// The sum of one count over all loads of a stage.
    pub(crate) fn loaded(&self, stage: &str, count: &str) -> u64 {
        let stages = self.stages().iter().filter(|report| report["stage"] == stage);
        let loads = stages.filter_map(|report| report.get("loads")?.as_array()).flatten();
        loads.map(|load| load[count].as_u64().unwrap()).sum()
    }
}

/// Executes any command, like its `main`; returns its output and exit code.
pub(crate) async fn carry_out_words(words: &[&str]) -> (String, u8) {
    let arguments = match Arguments::try_parse_from(words) {
        Ok(arguments) => arguments,
        Err(error) => return (error.to_string(), code_of(rcm::command::nothing_done())),
    };
    match carry_out(arguments).await {
        Ok(answer) => (answer.text, code_of(answer.exit)),
        Err(error) => (error.to_string(), code_of(rcm::command::nothing_done())),
    }
}

/// Returns the number of an exit code.
fn code_of(exit: ExitCode) -> u8 {
    let is = |code: &u8| format!("{exit:?}") == format!("{:?}", ExitCode::from(*code));
    (0..=2).find(is).unwrap()
}

/// Joins a header and lines to the text of a file.
pub(crate) fn csv(columns: &str, rows: &[&str]) -> String {
    let lines = [columns].into_iter().chain(rows.iter().copied());
    lines.map(|line| line.to_string() + "\n").collect()
}

pub(crate) fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Sets the modification time of a file to an earlier time.
pub(crate) fn make_older(path: &Path, by: Duration) {
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    fs::File::options().write(true).open(path).unwrap().set_modified(modified - by).unwrap();
}
