//! Files that land together, taken in any order and any number at once, against a naive reference; and long streams.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use tokio::task::JoinSet;

use rcm_platform::error::ErrorKind;
use rcm_platform::testing::{BronzeReads, manifest};

use super::*;

/// A file: the number in its name, which content of a few it has, and the day of its time.
type File = (u32, usize, u32);

/// A load: the key of its file, and when it is as of.
type Load = (String, DateTime<Utc>);

fn time(day: u32) -> DateTime<Utc> {
    moment(&format!("2024-03-{day:02}"))
}

fn list_key(number: u32) -> String {
    format!("landing/icd/icd10cm_order_{}.txt", 2012 + number)
}

fn codes_key(number: u32) -> String {
    format!("landing/cptcodes/{number}.csv")
}

/// What the lists come to if each is compared with the one before.
fn lists_in_order(files: &[File]) -> Vec<Load> {
    let mut files = files.to_vec();
    files.sort_unstable();
    files.dedup_by_key(|(_, content, _)| *content);
    let date = |number: u32| moment(&format!("{}-10-01", 2011 + number));
    files.into_iter().map(|(number, ..)| (list_key(number), date(number))).collect()
}

/// Those of the files of codes that say something else than the one before.
fn news_of_codes(files: &[File]) -> BTreeSet<Load> {
    let mut files = files.to_vec();
    files.sort_by_key(|(number, _, day)| (*day, codes_key(*number)));
    files.dedup_by_key(|(_, content, _)| *content);
    files.into_iter().map(|(number, _, day)| (codes_key(number), time(day))).collect()
}

async fn take_together(lists: &[File], codes_files: &[File], order: &[Index], at_once: usize) -> TestLake {
    let lake = TestLake::new();
    lake.edit("configs/sources.toml", "max_lost_share = 0.2", "max_lost_share = 1.0");
    let mut keys = Vec::new();
    for (number, content, day) in lists {
        let content = order_file(&["Z90", "Z900", "Z901"][..=*content]);
        land(&lake, &list_key(*number), content, &time(*day).to_rfc3339());
        keys.push(list_key(*number));
    }
    for (number, content, day) in codes_files {
        land(&lake, &codes_key(*number), codes(1 + *content), &time(*day).to_rfc3339());
        keys.push(codes_key(*number));
    }
    let context = lake.context().await;
    let mut running = JoinSet::new();
    for pick in order {
        if keys.is_empty() {
            break;
        }
        let key = keys.swap_remove(pick.index(keys.len()));
        if running.len() == at_once {
            running.join_next().await.unwrap().unwrap();
        }
        let context = context.clone();
        running.spawn(async move {
            let input = LandedFileInput { run_id: "run-1".to_owned(), key, force: false };
            loop {
                match handle(context.clone(), input.clone()).await {
                    // As a run does.
                    Err(error) if error.kind() == ErrorKind::CommitConflict => {}
                    answer => {
                        answer.unwrap();
                        return;
                    }
                }
            }
        });
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
    lake
}

async fn loads(lake: &TestLake, stream: &str) -> Vec<Load> {
    let loads = lake.loads(stream).await.into_iter();
    loads.map(|load| (load.source.name, load.extracted_at)).collect()
}

fn files() -> impl Strategy<Value = Vec<File>> {
    let file = (0..8_u32, 0..3_usize, 1..5_u32);
    prop::collection::vec(file, 1..6).prop_map(|mut files| {
        files.sort_unstable();
        files.dedup_by_key(|(number, ..)| *number);
        files
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn files_that_land_together_make_the_same_loads_in_any_order_and_any_number_at_once(
        lists in files(),
        codes in files(),
        order in prop::collection::vec(any::<Index>(), 10),
        at_once in select(vec![1_usize, 2, 4, 10]),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
        let (of_lists, of_codes, rows) = runtime.block_on(async {
            let lake = take_together(&lists, &codes, &order, at_once).await;
            let rows = lake.files("bronze/icd_codes/icd10cm/data").len() + lake.files("bronze/cpt_codes/cpt/data").len();
            (loads(&lake, "icd_codes/icd10cm").await, loads(&lake, "cpt_codes/cpt").await, rows)
        });
        prop_assert_eq!(rows, of_lists.len() + of_codes.len(), "rows of no load are left");
        prop_assert_eq!(of_lists, lists_in_order(&lists));
        let count = of_codes.len();
        let of_codes: BTreeSet<Load> = of_codes.into_iter().collect();
        prop_assert_eq!(of_codes.len(), count, "no file is loaded twice");
        prop_assert_eq!(of_codes, news_of_codes(&codes));
    }
}

#[tokio::test]
async fn a_file_that_is_the_next_load_of_a_long_stream_reads_little_of_it() {
    let lake = TestLake::new();
    lake.write(FILE, claims(&["C1"]));
    let context = lake.context().await;
    for sequence in 1..=2000 {
        let load = manifest("claims/hos-a", sequence, context.now());
        LoadLog::new(&context.lake, "claims/hos-a").commit(&load).await.unwrap();
    }
    let (counted, reads) = BronzeReads::of(&context.lake);
    let context = Context { lake: counted, ..context };
    let input = LandedFileInput { run_id: "run-1".to_owned(), key: FILE.to_owned(), force: false };
    let report = handle(context, input).await.unwrap();
    assert_eq!((report.outcome, report.loads[0].sequence), (Outcome::Done, 2001));
    let reads = reads.take();
    assert!(reads < 30, "{reads} reads");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_files_of_one_stream_at_once_are_all_loaded_and_none_gives_up() {
    let lake = TestLake::new();
    let key = |number: usize| format!("landing/claims/hospital1_{number}.csv");
    for number in 0..64 {
        lake.write(&key(number), claims(&[&format!("C{number}"), &format!("D{number}")]));
    }
    let context = lake.context().await;
    let calls: JoinSet<StageReport> = (0..64)
        .map(|number| {
            let input = LandedFileInput { run_id: format!("run-{number}"), key: key(number), force: false };
            let context = context.clone();
            async move { handle(context, input).await.unwrap() }
        })
        .collect();
    let reports = calls.join_all().await;
    assert!(reports.iter().all(|report| report.outcome == Outcome::Done && report.loads[0].read == 2));
    let loads = lake.loads("claims/hos-a").await;
    let sources: BTreeSet<&str> = loads.iter().map(|load| load.source.name.as_str()).collect();
    assert_eq!((loads.len(), sources.len()), (64, 64));
    assert_eq!(lake.files("bronze/claims/hos-a/data").len(), 64);
}

#[tokio::test]
async fn a_file_with_the_bytes_of_an_old_load_of_a_long_stream_reads_little_of_it() {
    let lake = TestLake::new();
    lake.write(FILE, claims(&["C1"]));
    let first = run(&lake, FILE).await.unwrap();
    let context = lake.context().await;
    for sequence in 2..=2099 {
        let load = manifest("claims/hos-a", sequence, context.now());
        LoadLog::new(&context.lake, "claims/hos-a").commit(&load).await.unwrap();
    }
    lake.write("landing/claims/hospital1_again.csv", claims(&["C1"]));
    let (counted, reads) = BronzeReads::of(&context.lake);
    let context = Context { lake: counted, ..context };
    let key = "landing/claims/hospital1_again.csv".to_owned();
    let report = handle(context, LandedFileInput { run_id: "run-2".to_owned(), key, force: false }).await.unwrap();
    assert_eq!((first.outcome, report.outcome), (Outcome::Done, Outcome::NothingNew));
    let reads = reads.take();
    assert!(reads < 130, "{reads} reads: those since the last checkpoint");
}
