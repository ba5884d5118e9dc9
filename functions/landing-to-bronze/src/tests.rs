mod lists;
mod together;

use std::io::Write;
use std::sync::mpsc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rcm_platform::bronze::LoadLog;
use rcm_platform::context::Clock;
use rcm_platform::testing::TestLake;
use rstest::rstest;

use super::*;

const COLUMNS: &str = "ClaimID,TransactionID,PatientID,EncounterID,ProviderID,DeptID,ServiceDate,ClaimDate,PayorID,\
    ClaimAmount,PaidAmount,ClaimStatus,PayorType,Deductible,Coinsurance,Copay,InsertDate,ModifiedDate";
const FILE: &str = "landing/claims/hospital1_claims.csv";

/// A file of made-up claims with these ids.
fn claims(ids: &[&str]) -> String {
    let line = |id: &&str| {
        format!("{id},T1,P1,E1,PR1,D1,2024-10-01,2024-10-02,Payer,10,5,Paid,Medicare,1,1,1,2024-10-02,2024-10-02\n")
    };
    let lines: Vec<String> = ids.iter().map(line).collect();
    format!("{COLUMNS}\n{}", lines.concat())
}

fn codes(count: usize) -> String {
    let lines: Vec<String> = (0..count).map(|code| format!("X,{code:05},made up,No Change\n")).collect();
    format!("Procedure Code Category,CPT Codes,Procedure Code Descriptions,Code Status\n{}", lines.concat())
}

async fn run(lake: &TestLake, key: &str) -> Result<StageReport, StageError> {
    run_with(lake, key, false).await
}

async fn run_with(lake: &TestLake, key: &str, force: bool) -> Result<StageReport, StageError> {
    handle(lake.context().await, LandedFileInput { run_id: "run-1".to_owned(), key: key.to_owned(), force }).await
}

/// Writes a file that has a time.
fn land(lake: &TestLake, key: &str, content: impl AsRef<[u8]>, time: &str) {
    lake.write(key, content);
    let file = std::fs::File::options().write(true).open(lake.path(key)).unwrap();
    file.set_modified(moment(time).into()).unwrap();
}

fn moment(text: &str) -> DateTime<Utc> {
    let text = if text.len() > 10 { text.to_owned() } else { format!("{text}T00:00:00Z") };
    text.parse().unwrap()
}

async fn refusals(lake: &TestLake) -> Vec<Refusal> {
    let mappings_hash = lake.context().await.settings.mappings_hash.clone();
    LoadLog::new(&lake.lake(), "claims").refusals(&mappings_hash).await.unwrap()
}

#[tokio::test]
async fn a_landed_file_becomes_a_load_of_its_feeds_stream() {
    let lake = TestLake::new();
    lake.write(FILE, claims(&["C1", "C2"]));
    let report = run(&lake, FILE).await.unwrap();
    assert_eq!((report.outcome, report.loads[0].read), (Outcome::Done, 2));
    let loads = lake.loads("claims/hos-a").await;
    assert_eq!((loads[0].datasource.as_str(), loads[0].kind, loads[0].rows), ("hos-a", LoadKind::Upsert, 2));
    assert_eq!(loads[0].source.name, FILE);
    assert_eq!(loads[0].source.size, Some(lake.read(FILE).len() as u64));
    assert_eq!(lake.files("bronze/claims/hos-a/data"), loads[0].data_files);
}

#[rstest]
#[case::the_same_file(FILE)]
#[case::another_name("landing/claims/hospital1_again.csv")]
#[tokio::test]
async fn the_same_content_is_loaded_once(#[case] second: &str) {
    let lake = TestLake::new();
    lake.write(FILE, claims(&["C1"]));
    run(&lake, FILE).await.unwrap();
    lake.write(second, claims(&["C1"]));
    let bronze = lake.files("bronze");
    let report = run(&lake, second).await.unwrap();
    assert_eq!(report.outcome, Outcome::NothingNew);
    assert_eq!(report.notes, [format!("`{second}` has the same content as load 1 of `claims/hos-a`")]);
    assert_eq!(lake.files("bronze"), bronze);
}

#[tokio::test]
async fn the_same_content_from_another_hospital_is_another_load() {
    let lake = TestLake::new();
    for key in [FILE, "landing/claims/hospital2_claims.csv"] {
        lake.write(key, claims(&["C1"]));
        assert_eq!(run(&lake, key).await.unwrap().outcome, Outcome::Done);
    }
    for datasource in ["hos-a", "hos-b"] {
        let loads = lake.loads(&format!("claims/{datasource}")).await;
        assert_eq!(
            loads.iter().map(|load| (load.sequence, load.datasource.as_str())).collect::<Vec<_>>(),
            [(1, datasource)]
        );
    }
}

#[rstest]
#[case::longer("C22")]
#[case::of_the_same_size("C2")]
#[tokio::test]
async fn the_same_name_with_new_content_is_a_new_load(#[case] id: &str) {
    let lake = TestLake::new();
    lake.write(FILE, claims(&["C1"]));
    run(&lake, FILE).await.unwrap();
    lake.write(FILE, claims(&[id]));
    assert_eq!(run(&lake, FILE).await.unwrap().loads[0].sequence, 2);
    let loads = lake.loads("claims/hos-a").await;
    assert!(loads[1].extracted_at > loads[0].extracted_at);
}

#[rstest]
#[case::unknown_hospital("hospital9_claims.csv", claims(&["C1"]).into_bytes(), "no mapping in configs/cdm claims")]
#[case::utf16("hospital1_claims.csv", b"\xFF\xFEC\0l\0".to_vec(), "is UTF-16: save it as UTF-8")]
#[case::empty("hospital1_claims.csv", Vec::new(), "is empty")]
#[case::missing_column("hospital1_claims.csv", claims(&["C1"]).replace("ClaimStatus", "Status").into_bytes(), "lacks the column `ClaimStatus`")]
#[tokio::test]
async fn a_file_that_is_not_what_it_should_be_is_refused_whole(
    #[case] name: &str,
    #[case] content: Vec<u8>,
    #[case] expected: &str,
) {
    let lake = TestLake::new();
    let key = format!("landing/claims/{name}");
    lake.write(&key, content);
    let error = run(&lake, &key).await.unwrap_err();
    assert_eq!(error.name(), "BrokenContract");
    assert!(error.to_string().contains(expected), "{error}");
    let refusals = refusals(&lake).await;
    assert_eq!((refusals.len(), refusals[0].source.name.as_str()), (1, key.as_str()));
    assert!(refusals[0].reason.contains(expected), "{}", refusals[0].reason);
    assert_eq!(lake.loads("claims/hos-a").await, []);
    assert_eq!(lake.files("bronze/claims/hos-a/data"), [""; 0]);
}

#[tokio::test]
async fn a_file_that_two_mappings_claim_is_refused() {
    let lake = TestLake::new();
    lake.edit("configs/cdm/hos-b.toml", "hospital2_*", "hospital*");
    lake.write(FILE, claims(&["C1"]));
    let error = run(&lake, FILE).await.unwrap_err();
    assert!(error.to_string().contains("hos-a, hos-b all claim"), "{error}");
    assert_eq!(refusals(&lake).await.len(), 1);
}

#[tokio::test]
async fn a_refused_file_is_loaded_once_a_mapping_claims_it() {
    let lake = TestLake::new();
    let key = "landing/claims/hospital9_claims.csv";
    lake.write(key, claims(&["C1"]));
    run(&lake, key).await.unwrap_err();
    lake.edit("configs/cdm/hos-a.toml", "hospital1_*", "hospital9_*");
    assert_eq!(run(&lake, key).await.unwrap().outcome, Outcome::Done);
}

#[tokio::test]
async fn a_file_that_was_cut_off_is_loaded_with_a_malformed_record() {
    let lake = TestLake::new();
    let whole = claims(&["C1", "C2"]);
    lake.write(FILE, &whole[..whole.len() - 15]);
    let report = run(&lake, FILE).await.unwrap();
    assert_eq!(lake.loads("claims/hos-a").await[0].malformed, 1);
    assert!(report.notes.contains(&"rows that do not fit the header, and so go to quarantine: 1".to_owned()));
}

#[tokio::test]
async fn a_file_that_grows_while_it_is_read_is_left_for_the_next_run() {
    let lake = TestLake::new();
    let ids: Vec<String> = (0..20_000).map(|id| format!("C{id}")).collect();
    let content = claims(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    lake.write(FILE, &content);
    let path = lake.path(FILE);
    let (sent, received) = mpsc::channel();
    // It goes on until nobody asks for its received any more.
    let writer = std::thread::spawn(move || {
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        while sent.send(file.write_all(b"\n")).is_ok() {
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    received.recv().unwrap().unwrap();
    let report = run(&lake, FILE).await.unwrap();
    drop(received);
    writer.join().unwrap();
    assert_eq!(report.outcome, Outcome::LeftForNextRun);
    assert_eq!(lake.files("bronze"), [""; 0]);
}

#[tokio::test]
async fn a_file_that_is_gone_is_nothing_new() {
    let report = run(&TestLake::new(), FILE).await.unwrap();
    assert_eq!(report.outcome, Outcome::NothingNew);
    assert_eq!(report.notes, [format!("`{FILE}` is no longer there")]);
}

#[rstest]
#[case("landing/elsewhere/x.csv")]
#[case("landing/claims")]
#[case("landing/claims/")]
#[case("landing/claims/deep/x.csv")]
#[case("landing/../configs/sources.toml")]
#[case("landing/claims/../../configs/sources.toml")]
#[case("configs/claims/x.csv")]
#[case("/etc/passwd")]
#[case("landing/claims/bell\u{7}.csv")]
#[case("")]
#[tokio::test]
async fn a_key_that_no_feed_has_is_bad_configuration(#[case] key: &str) {
    let lake = TestLake::new();
    let error = run(&lake, key).await.unwrap_err();
    assert_eq!(error.name(), "BadConfig");
    assert!(!error.to_string().chars().any(char::is_control));
}

#[rstest]
#[case("landing/claims/hospital1_100% [final] #a~b.csv".to_owned())]
#[case("landing/claims/hospital1_grüße 病院.csv".to_owned())]
#[case(format!("landing/claims/hospital1_{}.csv", "n".repeat(240)))]
#[tokio::test]
async fn an_odd_file_name_is_as_good_as_any(#[case] key: String) {
    let lake = TestLake::new();
    lake.write(&key, claims(&["C1"]));
    assert_eq!(run(&lake, &key).await.unwrap().outcome, Outcome::Done);
    assert_eq!(lake.loads("claims/hos-a").await[0].source.name, key);
    assert_eq!(lake.files("audit/_reports/run-1").len(), 1);
}

fn as_snapshots(lake: &TestLake) {
    let upsert = "entity = \"cpt_codes\"\nload = \"upsert\"";
    lake.edit("configs/sources.toml", upsert, &upsert.replace("upsert", "snapshot"));
}

#[tokio::test]
async fn a_snapshot_that_comes_back_is_a_new_load_but_a_repeated_event_is_not() {
    let lake = TestLake::new();
    as_snapshots(&lake);
    let (january, february, march) = ("landing/cptcodes/1.csv", "landing/cptcodes/2.csv", "landing/cptcodes/3.csv");
    for (key, count) in [(january, 10), (february, 11), (march, 10)] {
        lake.write(key, codes(count));
        assert_eq!(run(&lake, key).await.unwrap().outcome, Outcome::Done);
    }
    assert_eq!(run(&lake, february).await.unwrap().outcome, Outcome::NothingNew);
}

#[tokio::test]
async fn a_snapshot_that_is_older_than_the_last_one_is_left_out_until_it_is_dropped_again() {
    let lake = TestLake::new();
    as_snapshots(&lake);
    let (older, newer) = ("landing/cptcodes/older.csv", "landing/cptcodes/newer.csv");
    lake.write(newer, codes(11));
    run(&lake, newer).await.unwrap();
    land(&lake, older, codes(10), "2024-01-01");
    let report = run(&lake, older).await.unwrap();
    assert_eq!(report.outcome, Outcome::NothingNew);
    assert!(report.notes[0].contains("is older than the whole table that is load 1"), "{:?}", report.notes);
    assert_eq!(run_with(&lake, older, true).await.unwrap().outcome, Outcome::NothingNew, "forced or not");
    later_than(&lake, newer, || lake.write(older, codes(10)));
    assert_eq!(run(&lake, older).await.unwrap().outcome, Outcome::Done);
}

/// Writes a file until it is later than another one, however coarse the file system's clock is.
fn later_than(lake: &TestLake, earlier: &str, write: impl Fn()) {
    let modified = |key: &str| std::fs::metadata(lake.path(key)).unwrap().modified().unwrap();
    let is_later = || {
        write();
        let files = lake.files("landing/cptcodes");
        files.iter().any(|file| modified(file) > modified(earlier))
    };
    while !is_later() {}
}

#[tokio::test]
async fn of_rows_without_a_time_those_of_the_file_that_landed_last_count() {
    let lake = TestLake::new();
    // Files are written now, wherever the test's clock stands.
    lake.wait(Clock::system().now() - lake.context().await.now() + TimeDelta::days(1));
    let (older, newer) = ("landing/cptcodes/older.csv", "landing/cptcodes/newer.csv");
    lake.write(older, codes(10));
    later_than(&lake, older, || lake.write(newer, codes(11)));
    for key in [newer, older] {
        assert_eq!(run(&lake, key).await.unwrap().outcome, Outcome::Done);
    }
    let loads = lake.loads("cpt_codes/cpt").await;
    assert!(loads[1].extracted_at < loads[0].extracted_at, "{loads:?}");
    let (same, again) = ("landing/cptcodes/same.csv", "landing/cptcodes/again.csv");
    later_than(&lake, newer, || lake.write(same, codes(11)));
    assert_eq!(run(&lake, same).await.unwrap().outcome, Outcome::NothingNew);
    later_than(&lake, same, || lake.write(again, codes(10)));
    assert_eq!(run(&lake, again).await.unwrap().outcome, Outcome::Done, "it is the last word again");
    assert_eq!(run(&lake, same).await.unwrap().outcome, Outcome::NothingNew, "now as then");
}

#[rstest]
#[case("landing/claims/hospital1_claims.csv.filepart")]
#[case("landing/claims/.hospital1_claims.csv")]
#[tokio::test]
async fn a_file_that_a_transfer_has_not_finished_is_left_for_the_next_run(#[case] key: &str) {
    let lake = TestLake::new();
    lake.write(key, claims(&["C1"]));
    assert_eq!(run(&lake, key).await.unwrap().outcome, Outcome::LeftForNextRun);
    assert_eq!(lake.loads("claims/hos-a").await, []);
}

#[tokio::test]
async fn a_landed_snapshot_may_lose_only_so_many_keys() {
    let lake = TestLake::new();
    as_snapshots(&lake);
    for (count, is_taken) in [(100, true), (90, true), (10, false)] {
        lake.write("landing/cptcodes/codes.csv", codes(count));
        let taken = run(&lake, "landing/cptcodes/codes.csv").await;
        assert_eq!(taken.is_ok(), is_taken, "{taken:?}");
    }
    let loads = lake.loads("cpt_codes/cpt").await;
    assert_eq!(loads.iter().map(|load| load.rows).collect::<Vec<_>>(), [100, 90]);
    assert_eq!(lake.files("bronze/cpt_codes/cpt/data").len(), 2);
}

#[tokio::test]
async fn a_landed_snapshot_that_lost_too_many_keys_is_taken_if_it_is_forced() {
    let lake = TestLake::new();
    as_snapshots(&lake);
    let key = "landing/cptcodes/codes.csv";
    lake.write(key, codes(100));
    run(&lake, key).await.unwrap();
    lake.write(key, codes(10));
    assert_eq!(run(&lake, key).await.unwrap_err().name(), "ThresholdExceeded");
    assert_eq!(run_with(&lake, key, true).await.unwrap().loads[0].read, 10);
}

#[tokio::test]
async fn files_that_are_loaded_at_once_each_get_a_number() {
    let lake = TestLake::new();
    let keys: Vec<String> = (0..4).map(|file| format!("landing/claims/hospital1_{file}.csv")).collect();
    for (index, key) in keys.iter().enumerate() {
        lake.write(key, claims(&vec!["C1"; index + 1]));
    }
    let loads = tokio::join!(run(&lake, &keys[0]), run(&lake, &keys[1]), run(&lake, &keys[2]), run(&lake, &keys[3]));
    for report in [loads.0, loads.1, loads.2, loads.3] {
        assert_eq!(report.unwrap().outcome, Outcome::Done);
    }
    assert_eq!(lake.loads("claims/hos-a").await.len(), 4);
    assert_eq!(lake.files("bronze/claims/hos-a/data").len(), 4);
}

/// An order file of made-up codes.
fn order_file(codes: &[&str]) -> String {
    let line = |(index, code): (usize, &&str)| {
        let billable = u8::from(code.len() > 3);
        format!("{index:05} {code:<7} {billable} {:<60} Made up condition {code}\n", format!("Made up {code}"))
    };
    codes.iter().enumerate().map(line).collect()
}

#[tokio::test]
async fn an_order_file_is_a_snapshot_of_the_icd_codes() {
    let lake = TestLake::new();
    let key = "landing/icd/icd10cm_order_2025.txt";
    lake.write(key, order_file(&["Z90", "Z900", "Z901"]));
    let report = run(&lake, key).await.unwrap();
    assert_eq!((report.outcome, report.loads[0].read), (Outcome::Done, 3));
    let load = &lake.loads("icd_codes/icd10cm").await[0];
    assert_eq!((load.datasource.as_str(), load.kind, load.malformed), ("icd10cm", LoadKind::Snapshot, 0));
    assert_eq!(run(&lake, key).await.unwrap().outcome, Outcome::NothingNew);
}

#[rstest]
#[case::addenda("icd10cm_order_addenda_2025.txt", "Add:      00017 Z999A   1 Made up\n")]
#[case::empty("icd10cm_order_2025.txt", "")]
#[case::other_name("codes.txt", "00017 Z999A   1 Made up\n")]
#[tokio::test]
async fn what_is_no_order_file_is_refused(#[case] name: &str, #[case] content: &str) {
    let lake = TestLake::new();
    let key = format!("landing/icd/{name}");
    lake.write(&key, content);
    assert_eq!(run(&lake, &key).await.unwrap_err().name(), "BrokenContract");
    assert_eq!(lake.files("bronze/icd_codes/_refused").len(), 1);
    assert_eq!(lake.loads("icd_codes/icd10cm").await, []);
}

#[tokio::test]
async fn an_order_file_that_lost_too_many_codes_is_not_taken() {
    let lake = TestLake::new();
    lake.write("landing/icd/icd10cm_order_2025.txt", order_file(&["Z90", "Z900", "Z901", "Z902"]));
    lake.write("landing/icd/icd10cm_order_2026.txt", order_file(&["Z90"]));
    run(&lake, "landing/icd/icd10cm_order_2025.txt").await.unwrap();
    let error = run(&lake, "landing/icd/icd10cm_order_2026.txt").await.unwrap_err();
    assert_eq!(error.name(), "ThresholdExceeded");
    assert_eq!(lake.files("bronze/icd_codes/icd10cm/data").len(), 1);
}
