//! Every run and `rcm status` report what waits for a person until somebody acts.

use crate::ledger::{CLAIM_COLUMNS, Ledger, csv, write};

const CLAIM: &str = "C1,A,P,2024-09-01,2024-09-05,100,20,Paid,Aetna,2024-09-10";
const REFUSED: &str = "file_refused landing/claims/unknown.csv";

/// Makes a lake with a refused claims file of an unknown hospital.
async fn with_a_refused_file() -> Ledger {
    let ledger = Ledger::with_claims().await;
    ledger.tables(&[], crate::ledger::Load::Full);
    ledger.land_claims("unknown.csv", &[CLAIM]);
    let told = ledger.run().await;
    assert_eq!((told.exit_code(), told.waiting()), (1, vec![REFUSED.to_owned()]));
    assert!(told.errors().contains("so its hospital is unknown"), "{}", told.errors());
    ledger
}

/// Runs again without failures; returns what waits and the exit code.
async fn told_again(ledger: &Ledger) -> (Vec<String>, u8) {
    let told = ledger.run().await;
    assert_eq!(told.errors(), "");
    (told.waiting(), told.exit_code())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_run_and_the_status_report_a_refused_file_until_it_is_removed() {
    let ledger = with_a_refused_file().await;
    assert_eq!(told_again(&ledger).await, (vec![REFUSED.to_owned()], 1));
    let (status, exit) = ledger.command(&["status"]).await;
    assert_eq!(exit, 0);
    for words in
        ["Waits for a person", "landing/claims/unknown.csv", "so its hospital is unknown", "rcm landing dismiss"]
    {
        assert!(status.contains(words), "{status}");
    }
    let (document, _) = ledger.command(&["status", "--json"]).await;
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["standstills"][0]["subject"], "landing/claims/unknown.csv");
    std::fs::remove_file(ledger.path("landing/claims/unknown.csv")).unwrap();
    assert_eq!(told_again(&ledger).await, (vec![], 0));
    assert!(!ledger.command(&["status"]).await.0.contains("Waits for a person"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_file_that_is_replaced_or_claimed_by_a_mapping_no_longer_waits() {
    let ledger = with_a_refused_file().await;
    ledger.edit_mapping("[\"hosx_*\"]", "[\"hosx_*\", \"unknown*\"]");
    let (status, _) = ledger.command(&["status"]).await;
    assert!(status.contains("the next run looks again"), "{status}");
    assert_eq!(told_again(&ledger).await, (vec![], 0));

    ledger.land("claims/hosx_1.csv", "no claims\n");
    let told = ledger.run().await;
    assert_eq!(told.waiting(), ["file_refused landing/claims/hosx_1.csv"]);
    ledger.land_claims("hosx_1.csv", &[&CLAIM.replace("C1", "C2")]);
    assert_eq!(told_again(&ledger).await, (vec![], 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dismissed_file_does_not_wait_until_it_is_replaced() {
    let ledger = with_a_refused_file().await;
    let dismiss = async |file: &str| {
        ledger.command(&["landing", "dismiss", file, "--why", "a test of the payer", "--by", "ada"]).await
    };
    let (text, exit) = dismiss("landing/claims/unknown.csv").await;
    assert!(exit == 0 && text.contains("`landing/claims/unknown.csv` is dismissed"), "{text}");
    assert_eq!(told_again(&ledger).await, (vec![], 0));
    let (text, exit) = dismiss("claims/unknown.csv").await;
    assert!(exit == 0 && text.contains("was dismissed by ada on") && text.contains("a test of the payer"), "{text}");

    // Neither do other mappings bring it back.
    ledger.edit_mapping("[\"hosx_*\"]", "[\"hosx_*\", \"unknown*\"]");
    assert_eq!(told_again(&ledger).await, (vec![], 0));
    assert_eq!(ledger.current("claims", &["src_claim_id"]).await, Vec::<String>::new());

    ledger.land("claims/unknown.csv", "no claims either\n");
    assert_eq!(ledger.run().await.waiting(), [REFUSED]);
    assert_eq!(told_again(&ledger).await, (vec![REFUSED.to_owned()], 1));
}

#[rstest::rstest]
#[case::taken("claims/hosx_1.csv", "load 1 of `claims")]
#[case::not_there("claims/hosx_2.csv", "there is no file `landing/claims/hosx_2.csv` in the lake")]
#[case::of_no_feed("claim/a.csv", "is not in the folder of a feed")]
#[case::not_looked_at("claims/hosx_3.csv", "`rcm run` checks it")]
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_refused_is_not_dismissed_and_the_reason_is_named(
    #[case] file: &str,
    #[case] expected: &str,
) {
    let ledger = with_a_refused_file().await;
    ledger.land_claims("hosx_1.csv", &[CLAIM]);
    ledger.run().await;
    ledger.land_claims("hosx_3.csv", &[CLAIM, &CLAIM.replace("C1", "C2")]);
    let (text, exit) = ledger.command(&["landing", "dismiss", file, "--why", "no need"]).await;
    assert!(exit == 1 && text.contains(expected), "{text}");
    let (text, exit) = ledger.command(&["landing", "dismiss", "claims/unknown.csv", "--why", " "]).await;
    assert!(exit == 2 && text.contains("--why is empty"), "{text}");
}

#[rstest::rstest]
#[case::of_no_feed("claim/hosx_1.csv", "landing/claim")]
#[case::right_in_landing("hosx_1.csv", "landing")]
#[case::below_a_feed("claims/2024/hosx_1.csv", "landing/claims/2024")]
#[tokio::test(flavor = "multi_thread")]
async fn every_run_and_the_status_report_a_file_in_a_folder_of_no_feed(#[case] file: &str, #[case] folder: &str) {
    let ledger = Ledger::with_claims().await;
    ledger.tables(&[], crate::ledger::Load::Full);
    ledger.land(file, csv(CLAIM_COLUMNS, &[CLAIM]));
    for _ in 0..2 {
        assert_eq!(told_again(&ledger).await, (vec![format!("file_outside_feeds {folder}")], 1));
    }
    assert!(ledger.command(&["status"]).await.0.contains("1 file "));
    std::fs::create_dir_all(ledger.path("landing/claims")).unwrap();
    std::fs::rename(ledger.path("landing").join(file), ledger.path("landing/claims/hosx_1.csv")).unwrap();
    assert_eq!(told_again(&ledger).await, (vec![], 0));
    assert_eq!(ledger.current("claims", &["src_claim_id"]).await, ["C1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn hidden_and_unfinished_files_do_not_wait() {
    let ledger = Ledger::with_claims().await;
    ledger.tables(&[], crate::ledger::Load::Full);
    for file in [".DS_Store", "claim/.keep", "claim/a.csv.part", "claims/.snapshot/a.csv"] {
        ledger.land(file, "x");
    }
    assert_eq!(told_again(&ledger).await, (vec![], 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_landed_folder_only_the_folders_of_feeds_are_copied() {
    let ledger = Ledger::with_claims().await;
    ledger.tables(&[], crate::ledger::Load::Full);
    let drop = ledger.beside("drop");
    for file in ["claims/hosx_1.csv", "claims/old/hosx_0.csv", "private/patients.csv", "readme.txt"] {
        write(&drop.join(file), csv(CLAIM_COLUMNS, &[CLAIM]));
    }
    let told = ledger.run_with(&["--landing", drop.to_str().unwrap()]).await.whole();
    let expected = ["", "claims/old", "private"].map(|folder| drop.join(folder).to_str().unwrap().to_owned());
    assert_eq!(told.passed_over(), expected);
    let landed: Vec<_> = std::fs::read_dir(ledger.path("landing")).unwrap().map(|of| of.unwrap().file_name()).collect();
    assert_eq!(landed, ["claims"]);

    let nothing = ledger.beside("drop/claims");
    let told = ledger.run_with(&["--landing", nothing.to_str().unwrap()]).await.whole();
    assert!(told.passed_over()[0].contains("drop/claims"), "{:?}", told.passed_over());
}
