//! A refused load blocks the later loads of its stream, and no other stream.

use proptest::prelude::*;

use crate::ledger::{CLAIM_COLUMNS, Ledger, Load};

/// Hospitals with landed claims, each with its own files.
const HOSPITALS: [&str; 3] = ["hos-x", "hos-y", "hos-z"];

/// Returns the lines of a claims file, some of which cannot be parsed.
fn claims(file: usize, broken: usize) -> String {
    let line = |row: usize| {
        let amount = if row < broken { "many" } else { "100" };
        format!("F{file}C{row},T{row},P1,2024-09-01,2024-09-05,{amount},0,Paid,Payer,2024-09-05\n")
    };
    format!("{CLAIM_COLUMNS}\n{}", (0..20).map(line).collect::<String>())
}

/// Makes a lake with feeds for the claims of all hospitals.
async fn lake() -> Ledger {
    let ledger = Ledger::with_claims().await;
    ledger.edit("configs/sources.toml", "max_load_rows = 1000000000", "max_load_rows = 30");
    let of_x = std::fs::read_to_string(ledger.path("configs/cdm/hos-x.toml")).unwrap();
    for hospital in &HOSPITALS[1..] {
        let of_other = of_x.replace("hos-x", hospital).replace("hosx_", &prefix(hospital));
        std::fs::write(ledger.path(&format!("configs/cdm/{hospital}.toml")), of_other).unwrap();
    }
    ledger
}

/// Returns the prefix of the names of a hospital's files.
fn prefix(hospital: &str) -> String {
    hospital.replace('-', "") + "_"
}

/// What is wrong with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Good,
    /// Too many of its rows fail.
    Broken,
    /// It has more rows than `max_load_rows`.
    Oversized,
}

fn content() -> impl Strategy<Value = Content> {
    prop_oneof![3 => Just(Content::Good), 1 => Just(Content::Broken), 1 => Just(Content::Oversized)]
}

fn land(ledger: &Ledger, hospital: &str, file: usize, content: Content) {
    let text = match content {
        Content::Good => claims(file, 0),
        Content::Broken => claims(file, 15),
        Content::Oversized => {
            let twice = claims(file, 0).replace(CLAIM_COLUMNS, "");
            claims(file, 0) + twice.trim_start().replace("C1,", "D1,").as_str()
        }
    };
    ledger.land(&format!("claims/{}{file}.csv", prefix(hospital)), text);
}

/// Returns the number of current claims of a hospital.
async fn current(ledger: &Ledger, hospital: &str) -> usize {
    let rows = ledger.current("claims", &["datasource", "claim_key"]).await;
    rows.iter().filter(|row| row.starts_with(hospital)).count()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn files_of_one_hospital_delay_no_other_hospital(
        files in prop::collection::vec((0..HOSPITALS.len(), content()), 1..7),
        at_once in any::<bool>(),
        small_portions in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let ledger = lake().await;
            if small_portions {
                ledger.edit("configs/sources.toml", "rows_at_once = 20000000", "rows_at_once = 1");
            }
            ledger.send("transactions", "Id,Pat,Day,Amt,PaidOn,Paid,Mod\nA,P1,2024-09-01,100,,,2024-09-01\n");
            for (number, (hospital, content)) in files.iter().enumerate() {
                land(&ledger, HOSPITALS[*hospital], number, *content);
                if !at_once {
                    ledger.run().await;
                }
            }
            let run = ledger.run().await;
            let mut waiting = Vec::new();
            for (index, hospital) in HOSPITALS.iter().enumerate() {
                let own: Vec<Content> = files.iter().filter(|(of, _)| *of == index).map(|(_, content)| *content).collect();
                // Files that land together are loaded in any order: what comes before the first bad one is not
                // known, but that nothing of a hospital without a bad one is held up is.
                let good = own.iter().filter(|content| **content == Content::Good).count();
                let found = current(&ledger, hospital).await;
                if good == own.len() {
                    assert_eq!(found, 20 * good, "{hospital} of {files:?}: {:?}", run.waiting());
                } else {
                    assert!(found <= 20 * good && found % 20 == 0, "{hospital} of {files:?}: {found}");
                    waiting.push(format!("load_waits silver/claims: claims/{hospital}"));
                }
                if !at_once && let Some(bad) = own.iter().position(|content| *content != Content::Good) {
                    assert_eq!(found, 20 * bad, "{hospital} of {files:?}");
                }
            }
            assert_eq!(run.waiting(), waiting);
            assert_eq!(run.exit_code(), u8::from(!waiting.is_empty()));
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_load_is_reported_until_it_is_voided_and_then_later_loads_are_ingested() {
    let ledger = lake().await;
    land(&ledger, "hos-x", 1, Content::Broken);
    ledger.take(Load::Full, &["A,P1,2024-09-01,100,,,2024-09-01"]).await;
    land(&ledger, "hos-x", 2, Content::Good);
    land(&ledger, "hos-y", 3, Content::Good);
    for _ in 0..2 {
        let run = ledger.run().await;
        assert_eq!((run.exit_code(), run.waiting()), (1, vec!["load_waits silver/claims: claims/hos-x".to_owned()]));
    }
    assert_eq!([current(&ledger, "hos-x").await, current(&ledger, "hos-y").await], [0, 20]);
    let (status, _) = ledger.command(&["status"]).await;
    for words in ["load 1", "ThresholdExceeded", "1 loads wait behind it", "rcm load void claims/hos-x 1"] {
        assert!(status.contains(words), "no `{words}` in {status}");
    }
    let (list, _) = ledger.command(&["load", "list", "claims/hos-x"]).await;
    assert!(list.contains("landing/claims/hosx_1.csv") && list.contains("waits"), "{list}");
    let (told, exit) = ledger.command(&["load", "void", "claims/hos-x", "1", "--why", "a file of tests"]).await;
    assert_eq!(exit, 0, "{told}");
    assert_eq!(ledger.run().await.whole().waiting(), [""; 0]);
    assert_eq!(current(&ledger, "hos-x").await, 20);
    let (list, _) = ledger.command(&["load", "list", "claims/hos-x"]).await;
    assert!(list.contains("a file of tests") && list.contains("in silver"), "{list}");
    let (_, exit) = ledger.command(&["load", "unvoid", "claims/hos-x", "1", "--why", "it counts"]).await;
    assert_eq!(exit, 0);
    land(&ledger, "hos-x", 4, Content::Good);
    for _ in 0..2 {
        let run = ledger.run().await;
        assert_eq!(run.exit_code(), 1, "it cannot be taken in");
        let waiting = ["load_waits silver/claims: claims/hos-x", "table_outdated silver/claims: claims/hos-x"];
        assert_eq!(run.waiting(), waiting);
        assert_eq!(current(&ledger, "hos-x").await, 20, "and the table stays as it is");
    }
    let (_, exit) = ledger.command(&["load", "void", "claims/hos-x", "1", "--why", "it does not count"]).await;
    assert_eq!(exit, 0);
    ledger.run().await.whole();
    assert_eq!(current(&ledger, "hos-x").await, 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_load_is_not_voided() {
    let ledger = lake().await;
    ledger.take(Load::Full, &["A,P1,2024-09-01,100,,,2024-09-01"]).await.whole();
    for (stream, load, words) in [("claims/hos-q", "1", "no stream"), ("hosx/transactions", "7", "no load 7")] {
        let (told, exit) = ledger.command(&["load", "void", stream, load, "--why", "a test"]).await;
        assert!(exit == 2 && told.contains(words), "{told}");
    }
    let (told, exit) = ledger.command(&["load", "void", "hosx/transactions", "1", "--why", " "]).await;
    assert!(exit == 2 && told.contains("--why is empty"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voided_extract_is_not_loaded_again_and_the_next_continues_from_the_load_before() {
    let ledger = Ledger::new().await;
    let row = |id: &str, amount: u32, day: &str| format!("{id},P1,2024-09-01,{amount},,,{day}");
    let first = [row("A", 100, "2024-09-10")];
    let bad = [row("A", 100, "2024-09-10"), row("A", 999, "2024-09-20"), row("B", 50, "2024-09-21")];
    let good = [row("A", 100, "2024-09-10"), row("B", 50, "2024-09-21"), row("C", 70, "2024-09-25")];
    let rows = |rows: &[String]| rows.iter().map(String::as_str).map(str::to_owned).collect::<Vec<_>>();
    let take = async |lines: &[String]| {
        let lines = rows(lines);
        ledger.take(Load::Incremental, &lines.iter().map(String::as_str).collect::<Vec<_>>()).await
    };
    take(&first).await.whole();
    take(&bad).await.whole();
    assert_eq!(ledger.amounts().await, ["A|999.00", "B|50.00"]);
    let (told, exit) = ledger.command(&["load", "void", "hosx/transactions", "2", "--why", "A was mistyped"]).await;
    assert_eq!(exit, 0, "{told}");
    let again = take(&bad).await.whole();
    assert_eq!(again.notes_with("which is voided").len(), 1, "{:?}", again.notes());
    assert_eq!(ledger.amounts().await, ["A|100.00"]);
    take(&good).await.whole();
    assert_eq!(ledger.amounts().await, ["A|100.00", "B|50.00", "C|70.00"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voided_extract_leaves_no_gap_that_a_later_extract_hides() {
    let ledger = Ledger::new().await;
    let row = |id: &str, day: &str| format!("{id},P1,2024-09-01,100,,,{day}");
    let [a, b, c, d] = [("A", "2024-09-10"), ("B", "2024-09-15"), ("C", "2024-09-20"), ("D", "2024-09-25")]
        .map(|(id, day)| row(id, day));
    ledger.edit("configs/sources.toml", "overlap_days = 1", "overlap_days = 0");
    for rows in [vec![&*a], vec![&*a, &*b], vec![&*a, &*b, &*c]] {
        ledger.take(Load::Incremental, &rows).await.whole();
    }
    let (told, exit) = ledger.command(&["load", "void", "hosx/transactions", "2", "--why", "of a test"]).await;
    assert_eq!(exit, 0, "{told}");
    ledger.take(Load::Incremental, &[&*a, &*b, &*c, &*d]).await.whole();
    assert_eq!(ledger.amounts().await, ["A|100.00", "B|100.00", "C|100.00", "D|100.00"]);
}
