//! Values of rows in quarantine in files, and mended rows that are given back.

use rcm::functions;
use rcm_platform::bronze::{Correction, LoadLog};
use rcm_platform::bronze_rows::Row;
use rcm_platform::corrections::{self, MendedLoad};
use rstest::rstest;
use serde_json::{Value, json};

use super::{AFTER, Arrival, BEFORE, OneKey, every_write_may_fail, lake_to_replay};
use crate::ledger::Load;
use crate::scratch::{Scratch, SmallHospital};

/// Exports the open row, sets a cell of it, and gives the file back.
async fn correct(one: &OneKey, file: &str, column: &str, value: &str, more: &[&str]) -> (String, u8) {
    let path = one.ledger.beside(file);
    let path = path.to_str().unwrap();
    if !std::path::Path::new(path).exists() {
        let (told, exit) = one.ledger.command(&["quarantine", "export", path, "--why", "to be mended"]).await;
        assert_eq!(exit, 0, "{told}");
        assert!(!told.contains("150"), "values are in the file alone: {told}");
        mend(path, column, value);
    }
    let words = ["quarantine", "correct", path, "--why", "the registrar confirmed it", "--by", "ada"];
    one.ledger.command(&[&words, more].concat()).await
}

/// Sets a column of all records of a file.
fn mend(path: &str, column: &str, value: &str) {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let header = reader.headers().unwrap().clone();
    let place = header.iter().position(|name| name == column).unwrap();
    let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let mut writer = csv::Writer::from_path(path).unwrap();
    writer.write_record(&header).unwrap();
    for record in records {
        writer
            .write_record(record.iter().enumerate().map(|(at, cell)| if at == place { value } else { cell }))
            .unwrap();
    }
    writer.flush().unwrap();
}

#[rstest]
#[case::full_extracts(Arrival::Extracts(Load::Full))]
#[case::incremental_extracts(Arrival::Extracts(Load::Incremental))]
#[case::landed_files(Arrival::Landed)]
#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_row_lands_between_two_later_versions_and_twice_changes_nothing(#[case] arrival: Arrival) {
    let one = OneKey::new(arrival).await;
    let (told, exit) = correct(&one, "mended.csv", "Pat", "P1", &["--dry-run"]).await;
    assert!(exit == 0 && told.contains("land before later versions") && told.contains("Nothing was written"), "{told}");
    assert_eq!(one.versions().await, BEFORE);
    let (told, exit) = correct(&one, "mended.csv", "Pat", "P1", &[]).await;
    assert_eq!(exit, 0, "{told}");
    let resolved = "resolved|correction|2|patient_key_missing";
    assert_eq!(
        (one.versions().await, one.entries().await),
        (AFTER.map(str::to_owned).to_vec(), vec![resolved.to_owned()])
    );
    let (told, exit) = correct(&one, "mended.csv", "Pat", "P1", &[]).await;
    assert!(exit == 0 && told.contains("not open any more: 1"), "{told}");
    one.ledger.run().await.whole();
    let (told, exit) = one.ledger.command(&["rebuild", one.entity]).await;
    assert_eq!(exit, 0, "{told}");
    assert_eq!(one.versions().await, AFTER, "a rebuild gives the same");
    assert_eq!(one.entries().await, [resolved]);
    if arrival == Arrival::Extracts(Load::Full) {
        for (decision, versions, entry) in
            [("void", &BEFORE[..], "open|null|null|patient_key_missing"), ("unvoid", &AFTER, resolved)]
        {
            let words = ["load", decision, "hosx/transactions", "4", "--why", "a test"];
            let (told, exit) = one.ledger.command(&words).await;
            assert_eq!(exit, 0, "{told}");
            one.ledger.run().await.whole();
            assert_eq!(one.versions().await, versions, "{decision}");
            assert_eq!(one.entries().await, [entry], "{decision}");
        }
    }
    one.loosen();
    let (told, exit) = one.ledger.command(&["rebuild", one.entity]).await;
    assert_eq!(exit, 0, "{told}");
    assert_eq!(one.versions().await, AFTER, "the corrected row stays out, whatever the rules say");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_taken_back_is_refused_whole_and_a_row_that_fails_again_stays_open() {
    let one = OneKey::new(Arrival::Extracts(Load::Incremental)).await;
    let (told, exit) = correct(&one, "failing.csv", "Day", "", &[]).await;
    assert!(exit == 1 && told.contains("fail again: patient_key_missing"), "{told}");
    let (told, exit) = correct(&one, "same.csv", "Pat", "", &[]).await;
    assert!(exit == 0 && told.contains("not mended or not open any more: 1"), "{told}");
    let (told, exit) = correct(&one, "unknown.csv", "rcm_fingerprint", "12345678", &[]).await;
    assert!(exit == 2 && told.contains("line 2: no row in quarantine has this fingerprint"), "{told}");
    let (told, exit) = correct(&one, "header.csv", "Pat", "P1", &[]).await;
    assert_eq!(exit, 0, "{told}");
    for (text, reason) in [("a,b\n1,2\n", "it has no column rcm_fingerprint"), ("", "it has no column rcm_fingerprint")]
    {
        let path = one.ledger.beside("other.csv");
        std::fs::write(&path, text).unwrap();
        let (told, exit) = correct(&one, "other.csv", "Pat", "P1", &[]).await;
        assert!(exit == 2 && told.contains(reason), "{told}");
    }
    assert_eq!(one.versions().await, AFTER);
}

#[tokio::test(flavor = "multi_thread")]
async fn values_go_to_a_file_of_their_owner_and_every_look_at_them_is_recorded() {
    let one = OneKey::new(Arrival::Extracts(Load::Incremental)).await;
    let [file, masked] = ["values.csv", "shapes.csv"].map(|name| one.ledger.beside(name));
    let export = async |path: &std::path::Path, more: &[&str]| {
        let words = ["quarantine", "export", path.to_str().unwrap(), "--why", "ticket 7", "--by", "ada"];
        one.ledger.command(&[&words, more].concat()).await
    };
    let (told, exit) = export(&file, &[]).await;
    assert!(exit == 0 && told.contains("decision 1") && !told.contains("150"), "{told}");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("rcm_fingerprint,rcm_place,rcm_failed,rcm_record,Amt,"), "{text}");
    assert!(text.contains("hosx/transactions:2:1,patient_key_missing,,150,"), "{text}");
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }
    let (told, exit) = export(&file, &[]).await;
    assert!(exit == 2 && told.contains("hint: name a new file"), "{told}");
    let (told, exit) = export(&one.ledger.beside("none.csv"), &["--rule", "no_such_rule"]).await;
    assert!(exit == 2 && told.contains("no open row in quarantine is meant"), "{told}");
    let (told, exit) = export(&masked, &["--masked"]).await;
    assert_eq!(exit, 0, "{told}");
    let text = std::fs::read_to_string(&masked).unwrap();
    assert!(text.starts_with("rcm_fingerprint_masked,") && text.contains(",,999,") && !text.contains("150"), "{text}");

    let place = "hosx/transactions:2:1";
    let (told, exit) = one.ledger.command(&["quarantine", "show", place]).await;
    assert!(exit == 0 && !told.contains("150"), "{told}");
    let (told, exit) = one.ledger.command(&["quarantine", "show", place, "--values"]).await;
    assert!(exit == 2 && told.contains("--why <WHY>"), "{told}");
    let (told, exit) =
        one.ledger.command(&["quarantine", "show", place, "--values", "--why", "a call", "--by", "ada"]).await;
    assert!(exit == 0 && told.contains("150"), "{told}");

    let decisions = std::fs::read_dir(one.ledger.path("quarantine/transactions/_decisions")).unwrap();
    let mut decisions: Vec<Value> = decisions
        .map(|entry| serde_json::from_str(&std::fs::read_to_string(entry.unwrap().path()).unwrap()).unwrap())
        .collect();
    decisions.sort_by_key(|decision| decision["number"].as_u64());
    let told: Vec<_> =
        decisions.iter().map(|decision| [&decision["action"], &decision["who"], &decision["why"]]).collect();
    assert_eq!(told, [["export", "ada", "ticket 7"], ["export", "ada", "ticket 7"], ["show", "ada", "a call"]]);
    assert!(!format!("{decisions:?}").contains("150"), "{decisions:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_load_whose_ingestion_fails_is_completed_by_the_next() {
    let (before, hospital) = lake_to_correct().await;
    let ingest = async |scratch: &Scratch| {
        let context = scratch.context(&hospital.emr[1]).await;
        functions::call("silver-patients", context, json!({ "run_id": "correct" })).await.map(|_| ())
    };
    every_write_may_fail(&before, ingest).await;
}

/// A lake with a patient in quarantine whose corrected row is in bronze.
async fn lake_to_correct() -> (Scratch, SmallHospital) {
    let (scratch, hospital) = lake_to_replay().await;
    scratch.edit("configs/quality/patients.toml", "severity = \"warn\"", "severity = \"error\"");
    let context = scratch.context(&hospital.emr[1]).await;
    let entry = &scratch.rows("quarantine/patients").await.unwrap();
    let text = |name: &str| entry.column(name).unwrap().str().unwrap().get(0).unwrap().to_owned();
    let (stream, fingerprint) = (text("stream"), text("fingerprint"));
    let raw: serde_json::Map<String, Value> = serde_json::from_str(&text("raw")).unwrap();
    let values = raw.iter().map(|(name, value)| match (name.as_str(), value) {
        ("FirstName", _) => Some("Cyd".to_owned()),
        (_, value) => value.as_str().map(str::to_owned),
    });
    let rows = [Row::Fields(values.collect())];
    let columns: Vec<&str> = raw.keys().map(String::as_str).collect();
    let corrected = LoadLog::new(&context.lake, &stream).read_if_exists(1).await.unwrap().unwrap();
    let correction = Correction {
        sequence: 1,
        kind: corrected.kind,
        fingerprints: vec![fingerprint],
        decision: 1,
        who: "ada".to_owned(),
        why: "a test".to_owned(),
    };
    let mended = MendedLoad {
        run_id: "correct",
        corrected: &corrected,
        columns: &columns,
        rows: &rows,
        correction: &correction,
    };
    let made = corrections::load(&context, mended).await.unwrap();
    assert_eq!(corrections::load(&context, mended).await.unwrap(), made, "the same rows are one load");
    (scratch, hospital)
}
