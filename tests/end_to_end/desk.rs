//! The quality desk: rows in quarantine are replayed, discarded, exported and corrected.

mod corrections;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use polars::prelude::*;
use rcm::{demo, functions};
use rcm_platform::StageError;
use rstest::rstest;
use serde_json::{Value, json};

use crate::binaries::ROOT;
use crate::crash::{Fault, Faulty};
use crate::ledger::{Ledger, Load};
use crate::scratch::{Scratch, SmallHospital, as_of};

/// How the rows of a test arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arrival {
    Extracts(Load),
    Landed,
}

/// A table of one key, of which the second of three rows has no patient.
struct OneKey {
    ledger: Ledger,
    entity: &'static str,
    amount: &'static str,
}

impl OneKey {
    async fn new(arrival: Arrival) -> Self {
        let ledger = Ledger::with_claims().await;
        match arrival {
            Arrival::Extracts(load) => {
                for row in [
                    "A,P1,2024-09-01,100,,,2024-09-01",
                    "A,,2024-09-01,150,,,2024-09-10",
                    "A,P1,2024-09-01,200,,,2024-09-20",
                ] {
                    ledger.take(load, &[row]).await.whole();
                }
                Self { ledger, entity: "transactions", amount: "amount" }
            }
            Arrival::Landed => {
                ledger.take(Load::Full, &["T1,P1,2024-09-01,100,,,2024-09-01"]).await.whole();
                for (number, row) in (1..).zip([
                    "C1,T1,P1,2024-09-01,2024-09-05,100,0,Paid,Payer,2024-09-01",
                    "C1,T1,,2024-09-01,2024-09-05,150,0,Paid,Payer,2024-09-10",
                    "C1,T1,P1,2024-09-01,2024-09-05,200,0,Paid,Payer,2024-09-20",
                ]) {
                    ledger.land_claims(&format!("hosx_{number}.csv"), &[row]);
                    ledger.run().await.whole();
                }
                Self { ledger, entity: "claims", amount: "claim_amount" }
            }
        }
    }

    /// Makes the rule that the second row fails a warning.
    fn loosen(&self) {
        loosen(&self.ledger, self.entity, "patient_key");
    }

    /// Versions of the table: amount, start, end.
    async fn versions(&self) -> Vec<String> {
        let columns = [self.amount, "effective_from", "effective_to"];
        let versions = self.ledger.rows(&format!("silver/{}", self.entity), lit(true), &columns).await;
        versions.into_iter().map(|version| version.replace(" 00:00:00.000000+00:00", "")).collect()
    }

    /// Entries of the quarantine table: status, resolution and number of the decision.
    async fn entries(&self) -> Vec<String> {
        let columns = ["status", "resolution", "decision", "reasons"];
        self.ledger.rows(&format!("quarantine/{}", self.entity), lit(true), &columns).await
    }

    /// Keys of all objects of the lake.
    fn objects(&self) -> usize {
        count_files(&self.ledger.path(""))
    }
}

fn count_files(folder: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { count_files(&path) } else { 1 }).sum()
}

fn loosen(ledger: &Ledger, entity: &str, column: &str) {
    let rule = |severity: &str| format!("columns = [\"{column}\"]\nseverity = \"{severity}\"");
    ledger.edit(&format!("configs/quality/{entity}.toml"), &rule("error"), &rule("warn"));
}

const BEFORE: [&str; 2] = ["100.00|2024-09-01|2024-09-20", "200.00|2024-09-20|null"];
const AFTER: [&str; 3] = ["100.00|2024-09-01|2024-09-10", "150.00|2024-09-10|2024-09-20", "200.00|2024-09-20|null"];

#[rstest]
#[case::full_extracts(Arrival::Extracts(Load::Full))]
#[case::incremental_extracts(Arrival::Extracts(Load::Incremental))]
#[case::landed_files(Arrival::Landed)]
#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_row_lands_between_two_later_versions_and_twice_changes_nothing(#[case] arrival: Arrival) {
    let one = OneKey::new(arrival).await;
    assert_eq!(one.versions().await, BEFORE);
    let (told, exit) = one.ledger.command(&["quarantine", "replay"]).await;
    assert!(exit == 1 && told.contains("fail again: patient_key_missing"), "{told}");
    assert_eq!(one.versions().await, BEFORE);

    one.loosen();
    let objects = one.objects();
    let (told, exit) = one.ledger.command(&["quarantine", "replay", "--dry-run"]).await;
    assert!(exit == 0 && told.contains("land before later versions") && told.contains("Nothing was written"), "{told}");
    assert_eq!((one.versions().await, one.objects()), (BEFORE.map(str::to_owned).to_vec(), objects));

    let (told, exit) = one.ledger.command(&["quarantine", "replay", "--rule", "patient_key_missing"]).await;
    assert_eq!(exit, 0, "{told}");
    assert_eq!(one.versions().await, AFTER);
    assert_eq!(one.entries().await, ["resolved|replay|1|patient_key_missing"]);

    let objects = one.objects();
    let (told, exit) = one.ledger.command(&["quarantine", "replay"]).await;
    assert!(exit == 0 && told.contains("nothing to replay"), "{told}");
    assert_eq!((one.versions().await, one.objects()), (AFTER.map(str::to_owned).to_vec(), objects));

    let (told, exit) = one.ledger.command(&["rebuild", one.entity]).await;
    assert_eq!(exit, 0, "{told}");
    assert_eq!(one.versions().await, AFTER, "a rebuild gives the same");
    assert_eq!(one.entries().await, ["resolved|replay|1|patient_key_missing"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_fails_another_rule_stays_open_with_the_reasons_of_today() {
    let ledger = Ledger::new().await;
    ledger.take(Load::Full, &["A,P1,2024-09-01,100,,,2024-09-01", "B,,,5,,,2024-09-01"]).await.whole();
    loosen(&ledger, "transactions", "patient_key");
    let (told, exit) = ledger.command(&["quarantine", "replay", "--json"]).await;
    let told: Value = serde_json::from_str(&told).unwrap();
    let expected = json!([{ "outcome": "fails_again", "rule": "service_date_missing", "rows": 1 }]);
    assert_eq!((exit, &told["tables"][0]["outcomes"]), (1, &expected), "{told}");
    let entries = ledger.rows("quarantine/transactions", lit(true), &["status", "reasons", "decision"]).await;
    assert_eq!(entries, ["open|service_date_missing|null"]);
    assert_eq!(ledger.amounts().await, ["A|100.00"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_whose_key_was_missing_is_taken_in_with_the_newest_of_another() {
    let ledger = Ledger::new().await;
    ledger.any_share_may_be_lost();
    let rows = ["A,P1,2024-09-01,100,,,2024-09-01", "B,,2024-09-01,50,,,2024-09-01"];
    ledger.take(Load::Full, &rows).await.whole();
    ledger.take(Load::Full, &["A,,2024-09-01,300,,,2024-09-09", rows[1]]).await.whole();
    loosen(&ledger, "transactions", "patient_key");
    let (told, exit) = ledger.command(&["quarantine", "replay"]).await;
    assert!(exit == 0 && told.contains("newest version of their key") && told.contains("was missing"), "{told}");
    assert_eq!(ledger.amounts().await, ["A|300.00", "B|50.00"]);
    let next = ledger.take(Load::Full, &["A,,2024-09-01,300,,,2024-09-09"]).await;
    assert_eq!(next.waiting(), ["table_outdated silver/transactions"], "a replay looks at no other row");
    assert_eq!(ledger.amounts().await, ["A|300.00"], "the next extract decides about the present as ever");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_changes_no_version_that_other_rows_made() {
    let one = OneKey::new(Arrival::Extracts(Load::Full)).await;
    one.loosen();
    let rule = "[[rule]]\nid = \"round\"\nkind = \"range\"\ncolumns = [\"amount\"]\nmin = 120\nseverity = \"error\"\n\
                description = \"Large\"\n";
    one.ledger.add_to("configs/quality/transactions.toml", rule);
    let (told, exit) = one.ledger.command(&["quarantine", "replay"]).await;
    assert!(exit == 1 && told.contains("other rows of their key would change too (rcm rebuild)"), "{told}");
    assert_eq!(one.versions().await, BEFORE);
    assert_eq!(one.entries().await, ["open|null|null|patient_key_missing"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discarded_row_stays_out_whatever_the_rules_say() {
    let one = OneKey::new(Arrival::Extracts(Load::Full)).await;
    let fingerprint = &one.ledger.rows("quarantine/transactions", lit(true), &["fingerprint"]).await[0];
    let discard = async |what: &[&str]| {
        one.ledger
            .command(&[&["quarantine", "discard"], what, &["--why", "a test patient", "--by", "ada"]].concat())
            .await
    };
    for (wrong, reason) in [
        (&[][..], "no row is named"),
        (&["12345678"], "no open row in quarantine has fingerprint"),
        (&["hosx"], "is no fingerprint"),
        (&["--rule", "no_such_rule"], "no open row in quarantine is meant"),
        (&["--entity", "patient"], "no entity `patient`"),
    ] {
        let (told, exit) = discard(wrong).await;
        assert!(exit == 2 && told.contains(reason), "{told}");
    }
    let (told, exit) = discard(&[&fingerprint[..8]]).await;
    assert!(exit == 0 && told.contains("1 row discarded by ada, decision 1"), "{told}");
    assert_eq!(one.entries().await, ["discarded|null|1|patient_key_missing"]);
    let (told, exit) = discard(&[fingerprint.as_str()]).await;
    assert!(exit == 2 && told.contains("no open row"), "{told}");

    one.loosen();
    for command in [&["quarantine", "replay"][..], &["rebuild", "transactions"]] {
        let (told, exit) = one.ledger.command(command).await;
        assert_eq!(exit, 0, "{told}");
        assert_eq!(one.versions().await, BEFORE);
        assert_eq!(one.entries().await, ["discarded|null|1|patient_key_missing"]);
    }
    one.ledger.take(Load::Full, &["A,,2024-09-01,150,,,2024-09-10"]).await.whole();
    assert_eq!(one.versions().await, BEFORE, "the same row again");
}

/// Maximum number of writes of a replay, or of a correction.
const MOST_WRITES: i64 = 40;

/// A lake with a patient in quarantine who passes the rules of today.
async fn lake_to_replay() -> (Scratch, SmallHospital) {
    let scratch = Scratch::new().await;
    let hospital = SmallHospital::write(&scratch);
    for delivery in 0..2 {
        scratch.set_clock(demo::EXTRACTED_AT[delivery]);
        scratch.land(&hospital.landing[delivery]).await;
        let run = scratch.run(&hospital.emr[delivery], as_of()).await;
        assert!(run.is_complete(), "{:?}", run.failures);
    }
    scratch.edit("configs/quality/patients.toml", "severity = \"error\"", "severity = \"warn\"");
    (scratch, hospital)
}

async fn replay(scratch: &Scratch, hospital: &SmallHospital) -> Result<(), StageError> {
    let input = json!({ "run_id": "replay", "replay": { "rule": "first_name_literal_null", "who": "ada" } });
    functions::call("silver-patients", scratch.context(&hospital.emr[1]).await, input).await.map(|_| ())
}

/// Lets each write of some work on a lake fail in turn, in both ways. The same work then gives the lake of undisturbed work.
async fn every_write_may_fail(before: &Scratch, work: impl AsyncFn(&Scratch) -> Result<(), StageError>) {
    let undisturbed = before.copy();
    work(&undisturbed).await.unwrap();
    let expected = undisturbed.content().await;
    assert_ne!(before.content().await["silver/patients"], expected["silver/patients"]);
    for fault in [Fault::NotDone, Fault::DoneButReported] {
        let mut write = 0;
        loop {
            let mut scratch = before.copy();
            let left = Arc::new(AtomicI64::new(write));
            let faulty = Faulty { inner: scratch.lake().store(), fault, left: Arc::clone(&left) };
            scratch.through(Some(Arc::new(faulty)));
            work(&scratch).await.ok();
            scratch.through(None);
            if left.load(Ordering::SeqCst) >= 0 {
                break;
            }
            work(&scratch).await.unwrap();
            assert_eq!(scratch.content().await, expected, "after write {write} failed ({fault:?})");
            write += 1;
            assert!(write < MOST_WRITES, "the work has {MOST_WRITES} writes or more");
        }
        assert!(write > 4, "the work has more writes than {write}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_whose_write_fails_is_completed_by_the_next() {
    let (before, hospital) = lake_to_replay().await;
    every_write_may_fail(&before, async |scratch| replay(scratch, &hospital).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replays_at_once_give_the_lake_of_one() {
    let (before, hospital) = lake_to_replay().await;
    let alone = before.copy();
    replay(&alone, &hospital).await.unwrap();
    let (one, other) = tokio::join!(replay(&before, &hospital), replay(&before, &hospital));
    one.unwrap();
    other.unwrap();
    assert_eq!(before.content().await, alone.content().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silver_function_takes_the_event_of_a_replay_and_no_condition_that_it_does_not_know() {
    let scratch = Scratch::new().await;
    let context = scratch.context(&scratch.beside("emr")).await;
    let event = std::fs::read_to_string(format!("{ROOT}/events/replay/silver-claims.json")).unwrap();
    let mut event: Value = serde_json::from_str(&event).unwrap();
    let report = functions::call("silver-claims", context.clone(), event.clone()).await.unwrap();
    assert_eq!((report.subject.as_str(), report.commits.len()), ("claims/replay", 0));
    event["replay"]["rules"] = json!(["transaction_key_missing"]);
    let error = functions::call("silver-claims", context, event).await.unwrap_err();
    assert!(error.to_string().contains("unknown field `rules`"), "{error}");
}
