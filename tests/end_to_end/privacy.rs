//! No log, output, report or object key of a run contains a patient's data.

use std::collections::BTreeSet;
use std::path::Path;

use polars::prelude::DataType;
use rcm::{demo, kpis, print, status};
use rcm_platform::testing::Captured;

use crate::look;
use crate::scratch::Scratch;

/// Columns of the hospitals' patients that only readers of the lake may see.
const PRIVATE: [&str; 12] = [
    "FirstName",
    "LastName",
    "SSN",
    "PhoneNumber",
    "Address",
    "DOB",
    "F_Name",
    "L_Name",
    "PatientID",
    "ID",
    "MedicaidID",
    "MedicareID",
];

/// Collects the values of the private columns of every file below a folder.
fn private_values(folder: &Path, values: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            private_values(&path, values);
            continue;
        }
        let Ok(mut reader) = csv::ReaderBuilder::new().flexible(true).from_path(&path) else { continue };
        let Ok(header) = reader.headers().cloned() else { continue };
        // Providers are no patients; their names are public in the registry.
        if path.ends_with("providers.csv") {
            continue;
        }
        for record in reader.records().flatten() {
            for (column, value) in header.iter().zip(&record) {
                // A birth date of the last years may be the date of anything.
                let recent = column == "DOB" && value > "1990";
                if PRIVATE.contains(&column) && value.len() >= 4 && value.to_uppercase() != "NULL" && !recent {
                    values.insert(value.to_owned());
                }
            }
        }
    }
}

fn keys_below(folder: &Path, keys: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        keys.push_str(&path.to_string_lossy());
        keys.push('\n');
        if path.is_dir() {
            keys_below(&path, keys);
        }
    }
}

/// Returns every value of the audit tables, one per line.
async fn audited(scratch: &Scratch) -> String {
    let mut text = String::new();
    for table in ["load_logs", "quality_metrics", "control_checks"] {
        let rows = scratch.rows(&format!("audit/{table}")).await.unwrap();
        for column in rows.columns() {
            let values = column.cast(&DataType::String).unwrap();
            for value in values.str().unwrap().iter().flatten() {
                text.push_str(value);
                text.push('\n');
            }
        }
    }
    text
}

/// Returns the words of a text that could be a value, divided at the separators of words in logs.
fn leaks<'a>(text: &str, values: &'a BTreeSet<String>) -> Vec<&'a str> {
    let is_word = |c: char| c.is_alphanumeric() || "-_".contains(c);
    let words: BTreeSet<&str> = text.split(|c: char| !is_word(c)).collect();
    let in_text = |value: &&String| {
        if value.chars().all(is_word) { words.contains(value.as_str()) } else { text.contains(value.as_str()) }
    };
    values.iter().filter(in_text).map(String::as_str).collect()
}

/// Returns the durable keys of a text that are made of a value.
fn keys<'a>(text: &'a str, values: &BTreeSet<String>) -> Vec<&'a str> {
    let words = text.split(|c: char| !(c.is_alphanumeric() || "-_".contains(c)));
    words.filter(|word| word.split_once("-hos-").is_some_and(|(id, _)| values.contains(id))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_run_logs_prints_or_names_has_a_patients_data() {
    let captured = Captured::default();
    let everything =
        "info,rcm=trace,rcm_domain=trace,rcm_platform=trace,rcm_tables=trace,emr_extract=trace,landing_to_bronze=trace";
    let subscriber =
        tracing_subscriber::fmt().json().with_env_filter(everything).with_writer(captured.clone()).finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let scratch = Scratch::new().await;
    let files = demo::write(&scratch.beside("sources"), demo::SEED).unwrap();
    let mut said = String::new();
    for delivery in &files.deliveries {
        scratch.set_clock(delivery.extracted_at);
        scratch.land(&delivery.landing).await;
        let run = scratch.run(&delivery.emr, demo::AS_OF).await;
        said.push_str(&serde_json::to_string(&run).unwrap());
        said.push_str(&print::summary(&run.stages, &[]));
        said.push_str(&print::kpis(&kpis::read(&scratch.lake(), run.as_of).await.unwrap()));
    }
    let context = scratch.context(&scratch.beside("sources")).await;
    said.push_str(&print::status(&status::read(&context).await.unwrap()));
    let looked_at = look::everything_said(&scratch, &files).await;
    keys_below(&scratch.path(""), &mut said);
    let audited = audited(&scratch).await;
    assert!(audited.contains("landing/claims/hospital9_claims_2024-09.csv"), "the audit tables are read as text");
    said.push_str(&audited);
    let logged = captured.text();
    assert!(logged.contains("stage done"), "the log is captured");

    let mut values = BTreeSet::new();
    private_values(&scratch.beside("sources"), &mut values);
    assert!(values.len() > 1000, "there is something to look for");
    assert!(!leaks("x HOSP1-000001 y", &BTreeSet::from(["HOSP1-000001".to_owned()])).is_empty());
    assert_eq!(keys("x HOSP1-000001-hos-a y", &BTreeSet::from(["HOSP1-000001".to_owned()])), ["HOSP1-000001-hos-a"]);
    assert_eq!(leaks(&said, &values), Vec::<&str>::new(), "in what a run says");
    assert_eq!(leaks(&looked_at, &values), Vec::<&str>::new(), "in what commands show that look at the lake");
    assert_eq!(keys(&looked_at, &values), Vec::<&str>::new(), "in keys that commands show");
    assert_eq!(leaks(&logged, &values), Vec::<&str>::new(), "in what a run logs");
}
