//! A lake in a temporary folder, and runs of the whole pipeline on it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use object_store::DynObjectStore;
use polars::prelude::*;
use rcm::pipeline::Retry;
use rcm::print::Progress;
use rcm::run::{Options, Run, run};
use rcm::{defaults, demo, landing};
use rcm_platform::config::{Environment, Settings};
use rcm_platform::context::Clock;
use rcm_platform::{Context, Lake, StageError};
use rcm_tables::delta::Table;
use tempfile::TempDir;
use url::Url;

/// Retries without a pause.
const AT_ONCE: Retry = Retry { max_attempts: 3, interval: Duration::ZERO, backoff_rate: 1, max_delay: Duration::ZERO };

/// A lake with the default configuration, its sources and its clock.
pub(crate) struct Scratch {
    folder: TempDir,
    clock: Arc<AtomicI64>,
    store: Option<Arc<DynObjectStore>>,
}

impl Scratch {
    /// Makes an empty lake without configuration. The clock is fixed at the first date of the demo.
    pub(crate) fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let start = demo::EXTRACTED_AT[0].timestamp_micros();
        Self { folder, clock: Arc::new(AtomicI64::new(start)), store: None }
    }

    /// Like [`Scratch::empty`], with the default configuration.
    pub(crate) async fn new() -> Self {
        let scratch = Self::empty();
        defaults::install_defaults(&scratch.lake()).await.unwrap();
        scratch
    }

    /// Another lake with the same content and clock.
    pub(crate) fn copy(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy_folder(&self.path(""), &folder.path().join("lake"));
        let clock = Arc::new(AtomicI64::new(self.clock.load(Ordering::Relaxed)));
        Self { folder, clock, store: None }
    }

    /// The folder of the lake.
    pub(crate) fn path(&self, key: &str) -> PathBuf {
        self.folder.path().join("lake").join(key)
    }

    /// A folder beside the lake, for sources.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Replaces a text in a file of the lake.
    pub(crate) fn edit(&self, key: &str, from: &str, to: &str) {
        let path = self.path(key);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{key} has no `{from}`");
        std::fs::write(&path, text.replace(from, to)).unwrap();
    }

    /// Makes later runs use the lake through another store.
    pub(crate) fn through(&mut self, store: Option<Arc<DynObjectStore>>) {
        self.store = store;
    }

    /// Sets the clock.
    pub(crate) fn set_clock(&self, moment: DateTime<Utc>) {
        self.clock.store(moment.timestamp_micros(), Ordering::Relaxed);
    }

    /// The lake, through its own store.
    pub(crate) fn lake(&self) -> Lake {
        std::fs::create_dir_all(self.path("")).unwrap();
        Lake::open(Url::from_directory_path(self.path("")).unwrap().as_str()).unwrap()
    }

    /// Returns the context of stages, with the extracts in a folder.
    pub(crate) async fn context(&self, emr: &Path) -> Context {
        let lake = match &self.store {
            Some(store) => self.lake().with_store(Arc::clone(store)),
            None => self.lake(),
        };
        let environment = Environment { emr_dir: Some(emr.to_owned()), ..Environment::default() };
        let clock = Arc::clone(&self.clock);
        let now = move || DateTime::from_timestamp_micros(clock.load(Ordering::Relaxed)).unwrap();
        Context::of(lake, environment, Clock::from_fn(now)).await.unwrap()
    }

    /// Copies files into the landing zone.
    pub(crate) async fn land(&self, folder: &Path) {
        let lake = self.lake();
        let settings = Settings::read(&lake).await.unwrap();
        landing::copy(&lake, &settings.landing_folders(), folder).await.unwrap();
    }

    /// Runs the pipeline once on the extracts in a folder.
    pub(crate) async fn run(&self, emr: &Path, as_of: NaiveDate) -> Run {
        self.run_with(emr, as_of, AT_ONCE).await.unwrap()
    }

    /// Runs the pipeline once; returns an error if `plan` fails.
    pub(crate) async fn run_with(&self, emr: &Path, as_of: NaiveDate, retry: Retry) -> Result<Run, StageError> {
        let options = Options { as_of: Some(as_of), force: false, retry };
        run(&self.context(emr).await, options, &Progress::new(true)).await
    }

    /// Returns all rows of a table; no rows if there is no such table.
    pub(crate) async fn rows(&self, table: &str) -> Option<DataFrame> {
        rows_of(&self.lake(), table).await
    }

    /// Every Delta table of the lake and its version.
    pub(crate) async fn versions(&self) -> BTreeMap<String, i64> {
        versions_of(&self.lake()).await
    }

    /// Returns the content of the lake: see [`content_of`].
    pub(crate) async fn content(&self) -> BTreeMap<String, String> {
        content_of(&self.lake()).await
    }
}

/// Returns the content of a lake, like [`content_of`], for lakes whose runs had different times: without times since
/// then, and without the surrogate keys, which depend on them.
pub(crate) async fn content_of_before(lake: &Lake, since: DateTime<Utc>) -> BTreeMap<String, String> {
    let mut content = BTreeMap::new();
    for table in tables_that_say_something(lake).await {
        let rows = rows_of(lake, &table).await.unwrap();
        content.insert(table, as_text(&without_moments(&rows, since)));
    }
    content
}

fn without_moments(rows: &DataFrame, since: DateTime<Utc>) -> DataFrame {
    let columns = rows.columns().iter().filter(|column| !column.name().ends_with("_sk"));
    let columns = columns.map(|column| {
        let name = column.name().clone();
        let is_moment = matches!(column.dtype(), DataType::Datetime(..));
        let since = lit(since.timestamp_micros()).cast(column.dtype().clone());
        if is_moment {
            when(col(name.clone()).lt(since)).then(col(name.clone())).otherwise(lit(NULL))
        } else {
            col(name)
        }
    });
    rows.clone().lazy().select(columns.collect::<Vec<_>>()).collect().unwrap()
}

async fn rows_of(lake: &Lake, table: &str) -> Option<DataFrame> {
    let table = Table::open(lake, table).await.unwrap()?;
    let rows = table.scan(table.files()).await.unwrap();
    Some(tokio::task::spawn_blocking(move || rows.collect().unwrap()).await.unwrap())
}

async fn versions_of(lake: &Lake) -> BTreeMap<String, i64> {
    let mut versions = BTreeMap::new();
    for layer in ["silver", "quarantine", "gold", "audit"] {
        for name in lake.folders(layer).await.unwrap() {
            let path = format!("{layer}/{name}");
            if let Some(table) = Table::open(lake, &path).await.unwrap() {
                versions.insert(path, table.version());
            }
        }
    }
    versions
}

/// Returns the content of a lake without what depends on a run: every silver, quarantine and gold table as sorted text,
/// without columns that have times and ids of runs and loads.
pub(crate) async fn content_of(lake: &Lake) -> BTreeMap<String, String> {
    let mut content = BTreeMap::new();
    for table in tables_that_say_something(lake).await {
        let rows = rows_of(lake, &table).await.unwrap();
        content.insert(table, as_text(&rows));
    }
    content
}

/// Returns all tables except those of the audit, which describe runs.
async fn tables_that_say_something(lake: &Lake) -> Vec<String> {
    versions_of(lake).await.into_keys().filter(|table| !table.starts_with("audit/")).collect()
}

/// Columns that differ between two lakes with the same content.
const OF_THE_RUN: [&str; 8] =
    ["load_id", "inserted_at", "updated_at", "observations", "presence", "quarantined_at", "sequence", "stream"];

fn as_text(rows: &DataFrame) -> String {
    let mut columns: Vec<Column> =
        rows.columns().iter().filter(|column| !OF_THE_RUN.contains(&column.name().as_str())).cloned().collect();
    columns.sort_by(|a, b| a.name().cmp(b.name()));
    let texts: Vec<Column> = columns.iter().map(|column| column.cast(&DataType::String).unwrap()).collect();
    let mut lines: Vec<String> = (0..rows.height())
        .map(|row| texts.iter().map(|text| text.str().unwrap().get(row).unwrap_or("∅").to_owned() + "|").collect())
        .collect();
    lines.sort_unstable();
    let names: Vec<&str> = columns.iter().map(|column| column.name().as_str()).collect();
    format!("{}\n{}", names.join("|"), lines.join("\n"))
}

/// A small hospital: a few rows of every table, and a claims and a CPT file, in two deliveries. Its
/// tables have modified times throughout, so that two lakes agree whenever they were filled.
pub(crate) struct SmallHospital {
    pub(crate) emr: [PathBuf; 2],
    pub(crate) landing: [PathBuf; 2],
}

/// A date of the small hospital's KPIs.
pub(crate) const AS_OF: &str = "2024-11-07";

impl SmallHospital {
    /// Writes the deliveries beside the lake, and makes it the lake's only hospital.
    pub(crate) fn write(scratch: &Scratch) -> Self {
        let load_config = scratch.path("configs/emr/load_config.csv");
        let rows = std::fs::read_to_string(&load_config).unwrap();
        let rows: Vec<&str> = rows.lines().filter(|row| !row.contains(",hos-b,")).collect();
        write(&load_config, &(rows.join("\n") + "\n"));
        scratch.edit("configs/sources.toml", "transactions = 4", "transactions = 2");
        scratch.edit("configs/sources.toml", " = 4\n", " = 1\n");
        let deliveries = [1, 2].map(|number| scratch.beside(&format!("delivery-{number}")));
        for (number, folder) in deliveries.iter().enumerate() {
            write_delivery(folder, number);
        }
        let [first, second] = &deliveries;
        Self { emr: [first.join("emr"), second.join("emr")], landing: [first.join("landing"), second.join("landing")] }
    }
}

fn write_delivery(folder: &Path, number: usize) {
    let emr = folder.join("emr/hos-a");
    let changed = number == 1;
    let patients = patients(changed);
    write(&emr.join("patients.csv"), &patients);
    write(
        &emr.join("providers.csv"),
        "ProviderID,FirstName,LastName,Specialization,DeptID,NPI\n\
         H1-PROV0001,Ada,Example,Cardiology,DEPT001,1234567893\n",
    );
    write(&emr.join("departments.csv"), "DeptID,Name\nDEPT001,Cardiology\nDEPT002,Surgery\n");
    write(
        &emr.join("encounters.csv"),
        "EncounterID,PatientID,EncounterDate,EncounterType,ProviderID,DepartmentID,ProcedureCode,InsertedDate,ModifiedDate\n\
         ENC000001,HOSP1-000001,2024-09-01,Outpatient,PROV0001,DEPT001,99213,2024-09-01,2024-09-01\n\
         ENC000002,HOSP1-000002,2024-10-01,Inpatient,PROV0001,DEPT002,99214,2024-10-01,2024-10-01\n",
    );
    write(&emr.join("transactions.csv"), &transactions(changed));
    let claims = folder.join("landing/claims").join(format!("hospital1_delivery_{number}.csv"));
    let (status, paid, modified) = if changed { ("Paid", "80", "2024-10-20") } else { ("Pending", "0", "2024-09-10") };
    write(
        &claims,
        &format!(
            "ClaimID,TransactionID,PatientID,EncounterID,ProviderID,DeptID,ServiceDate,ClaimDate,PayorID,ClaimAmount,PaidAmount,ClaimStatus,PayorType,Deductible,Coinsurance,Copay,InsertDate,ModifiedDate\n\
             CLAIM000001,TRANS000001,HOSP1-000001,ENC000001,PROV0001,DEPT001,2024-09-01,2024-09-05,Aetna,100.10,{paid},{status},Private,0,0,0,2024-09-05,{modified}\n"
        ),
    );
    write(
        &folder.join("landing/cptcodes/cptcodes.csv"),
        "Procedure Code Category,CPT Codes,Procedure Code Descriptions,Code Status\nEM,99213,Example visit,No change\n",
    );
}

fn patients(changed: bool) -> String {
    let header = "PatientID,FirstName,LastName,MiddleName,SSN,PhoneNumber,Gender,DOB,Address,ModifiedDate\n";
    let first = "HOSP1-000001,Ada,Example,A,900-00-0001,555-010-0001,Female,1980-01-01,\"1 First Street, Sampleton\",2024-08-01\n";
    let second = "HOSP1-000002,Bob,Example,B,900-00-0002,555-010-0002,Male,1990-02-02,\"2 Second Street, Sampleton\",2024-08-02\n";
    let moved = "HOSP1-000002,Bob,Example,B,900-00-0002,555-010-0002,Male,1990-02-02,\"3 Third Street, Sampleton\",2024-10-02\n";
    let nameless = "HOSP1-000003,NULL,Example,C,900-00-0003,555-010-0003,Male,1970-03-03,\"4 Fourth Street, Sampleton\",2024-08-03\n";
    format!("{header}{first}{}{nameless}", if changed { moved } else { second })
}

fn transactions(changed: bool) -> String {
    let header = "TransactionID,EncounterID,PatientID,ProviderID,DeptID,VisitDate,ServiceDate,PaidDate,VisitType,Amount,AmountType,PaidAmount,ClaimID,PayorID,ProcedureCode,ICDCode,LineOfBusiness,MedicaidID,MedicareID,InsertDate,ModifiedDate\n";
    let first = "TRANS000001,ENC000001,HOSP1-000001,PROV0001,DEPT001,2024-09-01,2024-09-01,,Routine,100.0999984741211,Insurance,0,CLAIM000001,PAYOR1,99213,I10,Commercial,,,2024-09-01,2024-09-01\n";
    let paid = "TRANS000001,ENC000001,HOSP1-000001,PROV0001,DEPT001,2024-09-01,2024-09-01,2024-10-15,Routine,100.0999984741211,Insurance,80,CLAIM000001,PAYOR1,99213,I10,Commercial,,,2024-09-01,2024-10-15\n";
    let second = "TRANS000002,ENC000002,HOSP1-000002,PROV0001,DEPT002,2024-10-01,2024-10-01,,Routine,250,Insurance,0,,PAYOR1,99214,I10,Medicare,,,2024-10-01,2024-10-01\n";
    let broken = "TRANS000003,ENC000002,HOSP1-000002,PROV0001,DEPT002,2024-10-01,2024-10-01,,Routine,many,Insurance,0,,PAYOR1,99214,I10,Medicare,,,2024-10-01,2024-10-01\n";
    format!("{header}{}{second}{broken}", if changed { paid } else { first })
}

/// Copies a folder with the times of its files, which distinguish landed files.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
            continue;
        }
        std::fs::copy(entry.path(), &target).unwrap();
        let modified = entry.metadata().unwrap().modified().unwrap();
        std::fs::File::options().write(true).open(&target).unwrap().set_modified(modified).unwrap();
    }
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// The day that the KPIs of the small hospital are computed for.
pub(crate) fn as_of() -> NaiveDate {
    AS_OF.parse().unwrap()
}
