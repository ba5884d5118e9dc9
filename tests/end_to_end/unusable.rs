//! Errors that a retry cannot fix are reported at once, with a hint.

use std::time::Duration;

use rcm::pipeline::Retry;

use crate::ledger::{COLUMNS, Ledger, Load, csv, write};
use crate::scratch::{Scratch, SmallHospital, as_of};

#[rstest::rstest]
#[case::extracts("--emr")]
#[case::files("--landing")]
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_a_file_ends_a_run_before_it_begins(#[case] option: &str) {
    let ledger = Ledger::new().await;
    let file = ledger.beside("a-file");
    write(&file, "x");
    let words = ["run", option, file.to_str().unwrap()];
    let (text, exit) = ledger.command(&words).await;
    assert!(exit == 2 && text.contains(option) && text.contains("not a folder"), "{text}");
    assert!(!ledger.path("bronze").exists() && !ledger.path("audit").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_below_a_file_ends_a_run_before_it_begins() {
    let ledger = Ledger::new().await;
    write(&ledger.path("a-file"), "x");
    let lake = ledger.path("a-file/lake");
    let (text, exit) = crate::ledger::carry_out_words(&["rcm", "run", "--lake", lake.to_str().unwrap()]).await;
    assert!(exit == 2 && text.contains("a-file/lake"), "{text}");
}

/// So many retries that a test would not finish if it used them.
const NEVER_AGAIN: Retry =
    Retry { max_attempts: 5, interval: Duration::from_hours(1), backoff_rate: 1, max_delay: Duration::from_hours(1) };

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_cannot_be_written_to_is_not_retried() {
    let scratch = Scratch::new().await;
    let hospital = SmallHospital::write(&scratch);
    write(&scratch.path("bronze"), "a file where the folder has to be");
    let run = scratch.run_with(&hospital.emr[0], as_of(), NEVER_AGAIN).await;
    let failures = run.map_or_else(
        |error| vec![error.to_string()],
        |run| {
            run.failures
                .into_iter()
                .map(|failure| format!("{}: {}", failure.error.name, failure.error.message))
                .collect()
        },
    );
    assert!(!failures.is_empty());
    for failure in failures {
        assert!(
            failure.contains("bad configuration") && failure.contains("hint: a file is where a folder"),
            "{failure}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn extracts_that_cannot_be_read_are_not_retried_and_stop_nothing_else() {
    let ledger = Ledger::new().await;
    ledger.tables(&["transactions", "departments"], Load::Full);
    ledger.add_to_mapping("[entities.departments]\nsrc_dept_id = \"Id\"\nname = \"Name\"\n");
    ledger.send("transactions", csv(COLUMNS, &["A,P,2024-09-01,100,,,2024-09-10"]));
    std::fs::create_dir_all(ledger.extract("departments")).unwrap();
    let told = ledger.run().await;
    assert_eq!((told.exit_code(), told.ar().as_str()), (1, "100.00"));
    assert!(
        told.errors().contains("hint: a file is where a folder has to be, or a folder where a file"),
        "{}",
        told.errors()
    );
}
