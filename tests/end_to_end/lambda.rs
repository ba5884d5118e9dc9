//! The functions handle their sample events as on Lambda: `cargo lambda watch` serves them on a lake in a folder,
//! `cargo lambda invoke` sends the events.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::mpsc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rcm::stand_in::StandIns;
use rcm_model::event::{Outcome, StageReport, WorkPlan};
use url::Url;

use crate::binaries::{ROOT, built, in_workspace};
use crate::readers::TOOLS;
use crate::scratch::{Scratch, SmallHospital, as_of};

/// The functions that are called, in the order of a run.
const FUNCTIONS: [&str; 12] = [
    "plan",
    "emr-extract",
    "landing-to-bronze",
    "npi-pull",
    "icd-pull",
    "silver-patients",
    "silver-claims",
    "gold-dimensions",
    "gold-facts",
    "gold-kpis",
    "gold-report",
    "audit",
];

/// Time limit for the service to start listening.
const LONGEST_START: Duration = Duration::from_mins(1);
/// Time limit for the response of a function.
const LONGEST_ANSWER: Duration = Duration::from_mins(15);
/// Time limit for the service to end on request.
const LONGEST_END: Duration = Duration::from_secs(10);
/// Pause between two checks of the service.
const PAUSE: Duration = Duration::from_millis(20);

/// `cargo lambda watch` and the functions that it has started. They end when this value is dropped.
struct Service {
    watch: Child,
    port: u16,
    log: PathBuf,
}

impl Service {
    /// Builds the functions and starts the service, which would otherwise build each function at its first call.
    fn start(scratch: &Scratch, emr: &Path, secrets: &Path) -> Self {
        built(&FUNCTIONS);
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let log = scratch.beside("watch.log");
        let output = File::create(&log).unwrap();
        let watch = cargo_lambda("watch", port)
            .arg("--ignore-changes")
            .env("LAKE_URL", Url::from_directory_path(scratch.path("")).unwrap().as_str())
            .env("RCM_EMR_DIR", emr)
            .env("RCM_SECRETS_FILE", secrets)
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let mut service = Self { watch, port, log };
        let started = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let ended = service.watch.try_wait().unwrap();
            assert!(ended.is_none() && started.elapsed() < LONGEST_START, "{}", service.said());
            sleep(PAUSE);
        }
        service
    }

    /// Returns the response of a function to its sample event; on failure the output of `cargo lambda invoke`.
    fn answer(&self, function: &str) -> Result<String, String> {
        self.answer_to(function, &fs::read_to_string(format!("{ROOT}/events/{function}.json")).unwrap())
    }

    fn answer_to(&self, function: &str, event: &str) -> Result<String, String> {
        let mut invoke = cargo_lambda("invoke", self.port);
        invoke.args([function, "--data-ascii", event]);
        let (answered, answer) = mpsc::channel();
        std::thread::spawn(move || answered.send(invoke.output()));
        let output = answer.recv_timeout(LONGEST_ANSWER);
        let output = output.unwrap_or_else(|_| panic!("{function} does not answer\n{}", self.said())).unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    fn report(&self, function: &str) -> StageReport {
        let answer = self.answer(function).unwrap_or_else(|error| panic!("{function}: {error}\n{}", self.said()));
        serde_json::from_str(&answer).unwrap()
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Service {
    /// Requests the end of the service, which ends its functions too; kills it after a time limit.
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.watch.id().to_string()).status();
        let asked = Instant::now();
        while matches!(self.watch.try_wait(), Ok(None)) && asked.elapsed() < LONGEST_END {
            sleep(PAUSE);
        }
        let _ = self.watch.kill();
        let _ = self.watch.wait();
    }
}

fn cargo_lambda(command: &str, port: u16) -> Command {
    let program = Path::new(TOOLS).join("cargo-lambda");
    assert!(program.exists(), "{} is missing: `bash tests/aws/install-tools.sh tests` installs it", program.display());
    let mut cargo = in_workspace(&program);
    cargo.args(["lambda", command, "--invoke-address", "127.0.0.1", "--invoke-port", &port.to_string()]);
    cargo
}

/// Configures the lake to use the stand-ins for the registries.
fn ask(scratch: &Scratch, registries: &StandIns) {
    let (npi, icd) = (registries.npi_url(), registries.icd_url());
    let registries = format!(
        r#"
[npi]
base_url = "{npi}/api/"
[[npi.searches]]
state = "ZZ"
taxonomy_description = "Cardiology"

[icd]
base_url = "{icd}"
token_url = "{icd}/connect/token"
secret = "demo-icd-api"
release = "2019"
"#
    );
    let sources = scratch.path("configs/sources.toml");
    let text = fs::read_to_string(&sources).unwrap();
    fs::write(sources, text + &registries).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_functions_handle_their_sample_events() {
    let scratch = Scratch::new().await;
    let hospital = SmallHospital::write(&scratch);
    let landing = scratch.path("landing/claims");
    fs::create_dir_all(&landing).unwrap();
    let claims_file = fs::read_dir(hospital.landing[0].join("claims")).unwrap().next().unwrap().unwrap().path();
    fs::copy(&claims_file, landing.join("hospital1_claim_data.csv")).unwrap();
    let registries = StandIns::start(&hospital.emr[0]).await.unwrap();
    let secrets = registries.write_secret(&scratch.beside("")).unwrap();
    ask(&scratch, &registries);
    let service = Service::start(&scratch, &hospital.emr[0], &secrets);

    let work: WorkPlan = serde_json::from_str(&service.answer("plan").unwrap()).unwrap();
    assert_eq!(work.as_of, as_of());
    assert_eq!((work.extracts.len(), work.files.len()), (5, 1));

    let reports: Vec<StageReport> = FUNCTIONS[1..].iter().map(|function| service.report(function)).collect();
    for (function, report) in FUNCTIONS[1..].iter().zip(&reports) {
        assert_eq!((report.stage.as_str(), report.outcome), (*function, Outcome::Done));
    }
    let [extract, landed, npi, icd, patients, claims, ..] = &reports[..] else { panic!("a report per function") };
    assert_eq!((extract.subject.as_str(), extract.loads[0].read), ("hosa/patients", 3));
    assert_eq!((landed.loads[0].stream.as_str(), landed.loads[0].read), ("claims/hos-a", 1));
    assert_eq!((npi.loads[0].stream.as_str(), icd.loads[0].stream.as_str()), ("npi", "icd_codes"));
    assert!(npi.loads[0].read > 0 && icd.loads[0].read > 0);
    assert_eq!((patients.loads[0].new, patients.loads[0].quarantined), (2, 1));
    assert_eq!(claims.loads[0].new, 1);
    let tables = scratch.versions().await;
    for table in ["silver/patients", "gold/dim_patient", "gold/fact_claims", "gold/kpi_claims", "audit/load_logs"] {
        assert_eq!(tables.get(table), Some(&0), "{table}");
    }

    fs::copy(&claims_file, landing.join("hospital9_claims.csv")).unwrap();
    let unknown = r#"{"run_id": "unknown-hospital", "key": "landing/claims/hospital9_claims.csv"}"#;
    let error = service.answer_to("landing-to-bronze", unknown).unwrap_err();
    assert!(error.contains("BrokenContract"), "the name that the state machine matches: {error}");
}
