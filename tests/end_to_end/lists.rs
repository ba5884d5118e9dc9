//! Snapshots are loaded in their own order, independent of the order in which they land.

use std::path::Path;
use std::time::Duration;

use polars::prelude::*;

use crate::ledger::{Ledger, Load, make_older, write};

/// A line of an order file.
fn line(order: usize, code: &str, words: &str) -> String {
    format!("{order:05} {code:<7} 1 {words:<60} {words}\n")
}

/// Returns an order file of some codes with their descriptions.
fn order_file(codes: &[(&str, &str)]) -> String {
    codes.iter().enumerate().map(|(order, (code, words))| line(order + 1, code, words)).collect()
}

/// Returns the list of a year: four codes stay the same, a fifth one gets a new description every year.
fn list_of(year: u32) -> String {
    let words = format!("Example of {year}");
    order_file(&[("A000", "One"), ("A001", "Two"), ("A009", "Three"), ("B000", "Four"), ("B001", &words)])
}

fn land(ledger: &Ledger, year: u32) {
    ledger.land(&format!("icd/icd10cm_order_{year}.txt"), list_of(year));
}

async fn ledger(concurrency: usize) -> Ledger {
    let ledger = Ledger::new().await;
    ledger.tables(&[], Load::Full);
    ledger.edit("configs/sources.toml", "concurrency = 1", &format!("concurrency = {concurrency}"));
    ledger
}

const COLUMNS: [&str; 4] = ["icd_code", "description", "effective_from", "is_current"];

/// Returns every version of the codes.
async fn history(ledger: &Ledger) -> Vec<String> {
    ledger.rows("silver/icd_codes", lit(true), &COLUMNS).await
}

/// Returns the versions of the code whose description changes in every list, oldest first.
async fn reworded(ledger: &Ledger) -> Vec<String> {
    let of_code = col("icd_code").eq(lit("B00.1"));
    ledger.rows("silver/icd_codes", of_code, &["effective_from", "description"]).await
}

#[rstest::rstest]
#[case::one_at_a_time(1, [2022, 2023, 2024, 2025])]
#[case::all_at_once(4, [2022, 2023, 2024, 2025])]
#[case::one_at_a_time_the_newest_first(1, [2025, 2024, 2023, 2022])]
#[case::all_at_once_in_any_order(4, [2024, 2025, 2022, 2023])]
#[tokio::test(flavor = "multi_thread")]
async fn lists_that_land_together_make_one_history(#[case] concurrency: usize, #[case] years: [u32; 4]) {
    let ledger = ledger(concurrency).await;
    for year in years {
        land(&ledger, year);
    }
    let told = ledger.run().await.whole();
    assert_eq!(told.loaded("silver-icd-codes", "deleted"), 0);
    let descriptions: Vec<String> =
        reworded(&ledger).await.iter().map(|version| version.split_once('|').unwrap().1.to_owned()).collect();
    assert_eq!(descriptions, ["Example of 2022", "Example of 2023", "Example of 2024", "Example of 2025"]);
    let again = ledger.run().await.whole();
    assert_eq!(again.loaded("silver-icd-codes", "read"), 0, "the second run finds nothing new");
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_of_a_list_start_at_its_own_date() {
    let ledger = ledger(4).await;
    land(&ledger, 2024);
    land(&ledger, 2025);
    ledger.run().await.whole();
    let versions = reworded(&ledger).await;
    // The list of a fiscal year holds from the October before.
    let begins = |version: &str, year: u32| {
        version.starts_with(&format!("{}-10-01 00:00:00", year - 1))
            || version.starts_with(&format!("{year}-01-01 00:00:00"))
    };
    assert!(versions.len() == 2 && begins(&versions[0], 2024) && begins(&versions[1], 2025), "{versions:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_list_that_lands_later_deletes_nothing_and_is_reported() {
    let ledger = ledger(4).await;
    ledger.any_share_may_be_lost();
    land(&ledger, 2025);
    ledger.run().await.whole();
    ledger.land("icd/icd10cm_order_2023.txt", order_file(&[("A000", "One of old")]));
    let told = ledger.run().await.whole();
    let current = ledger.current("icd_codes", &["icd_code", "description"]).await;
    assert_eq!(current, ["A00.0|One", "A00.1|Two", "A00.9|Three", "B00.0|Four", "B00.1|Example of 2025"]);
    let went_to_its_place = history(&ledger).await.iter().any(|version| version.contains("One of old"));
    assert!(went_to_its_place || !told.notes_with("icd10cm_order_2023.txt").is_empty(), "{:?}", told.notes());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_with_identical_bytes_is_recorded_as_seen() {
    let ledger = ledger(4).await;
    land(&ledger, 2024);
    ledger.run().await.whole();
    let before = history(&ledger).await;
    ledger.land("icd/icd10cm_order_2025.txt", list_of(2024));
    let told = ledger.run().await.whole();
    assert!(!told.notes_with("icd10cm_order_2025.txt").is_empty(), "{:?}", told.notes());
    assert_eq!(history(&ledger).await, before);
    let again = ledger.run().await.whole();
    assert_eq!(again.notes_with("icd10cm_order_2025.txt"), Vec::<&str>::new(), "it is not looked at again");
    // It counts as the list of its year: one of the year before changes nothing any more.
    ledger.land("icd/icd10cm_order_2023.txt", order_file(&[("A000", "One of old")]));
    ledger.run().await.whole();
    assert_eq!(ledger.current("icd_codes", &["icd_code"]).await.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_release_makes_versions_only_of_codes_that_changed() {
    let ledger = ledger(4).await;
    land(&ledger, 2024);
    ledger.run().await.whole();
    land(&ledger, 2025);
    let told = ledger.run().await.whole();
    let counts = ["read", "changed", "unchanged"].map(|count| told.loaded("silver-icd-codes", count));
    assert_eq!(counts, [5, 1, 4]);
    assert_eq!(history(&ledger).await.len(), 6);
}

const CPT_HEADER: &str = "Procedure Code Category,CPT Codes,Procedure Code Descriptions,Code Status";

fn cpt_list(path: &Path, description: &str, age: u64) {
    write(path, format!("{CPT_HEADER}\nEM,99213,{description},No change\n"));
    make_older(path, Duration::from_secs(age));
}

#[rstest::rstest]
#[case::the_older_one_is_copied_last("cptcodes/a.csv", "cptcodes/z.csv")]
#[case::the_older_one_is_copied_first("cptcodes/z.csv", "cptcodes/a.csv")]
#[tokio::test(flavor = "multi_thread")]
async fn of_two_lists_that_are_copied_into_landing_the_newer_file_counts(#[case] newer: &str, #[case] older: &str) {
    let ledger = ledger(4).await;
    let drop = ledger.beside("drop");
    cpt_list(&drop.join(newer), "Newer words", 3_600);
    cpt_list(&drop.join(older), "Older words", 86_400);
    ledger.run_with(&["--landing", drop.to_str().unwrap()]).await.whole();
    assert_eq!(ledger.current("cpt_codes", &["cpt_code", "description"]).await, ["99213|Newer words"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_list_that_is_copied_in_a_later_run_does_not_count() {
    let ledger = ledger(4).await;
    let (first, second) = (ledger.beside("first"), ledger.beside("second"));
    cpt_list(&first.join("cptcodes/b.csv"), "Newer words", 3_600);
    cpt_list(&second.join("cptcodes/c.csv"), "Older words", 86_400);
    ledger.run_with(&["--landing", first.to_str().unwrap()]).await.whole();
    ledger.run_with(&["--landing", second.to_str().unwrap()]).await.whole();
    assert_eq!(ledger.current("cpt_codes", &["cpt_code", "description"]).await, ["99213|Newer words"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_release_of_a_feed_finds_the_date_in_the_names_of_its_files() {
    let ledger = ledger(4).await;
    ledger.any_share_may_be_lost();
    let (from, to) = (
        "folder = \"cptcodes\"\nentity = \"cpt_codes\"\nload = \"upsert\"\n",
        "folder = \"cptcodes\"\nentity = \"cpt_codes\"\nload = \"snapshot\"\n\
         release = 'cpt_(?<year>\\d{4})-(?<month>\\d{2})'\n",
    );
    ledger.edit("configs/sources.toml", from, to);
    // The newer file is of the older release.
    cpt_list(&ledger.path("landing/cptcodes/cpt_2024-01.csv"), "Words of January", 60);
    cpt_list(&ledger.path("landing/cptcodes/cpt_2024-07.csv"), "Words of July", 86_400);
    ledger.run().await.whole();
    let versions = ledger.rows("silver/cpt_codes", lit(true), &["effective_from", "description"]).await;
    assert_eq!(versions.len(), 2, "{versions:?}");
    assert!(versions[0].starts_with("2024-01-01") && versions[0].ends_with("|Words of January"), "{versions:?}");
    assert!(versions[1].starts_with("2024-07-01") && versions[1].ends_with("|Words of July"), "{versions:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_land_together_in_any_order_and_with_any_concurrency_make_one_lake() {
    let mut histories = Vec::new();
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for (order, concurrency) in orders.into_iter().zip([1, 2, 4].into_iter().cycle()) {
        let ledger = ledger(concurrency).await;
        // The last two say the same, but for their year.
        let lists = [(2022, list_of(2022)), (2023, list_of(2023)), (2024, list_of(2023))];
        for index in order {
            let (year, list) = &lists[index];
            ledger.land(&format!("icd/icd10cm_order_{year}.txt"), list);
        }
        ledger.run().await.whole();
        histories.push(history(&ledger).await);
    }
    assert_eq!(histories[0].len(), 6);
    assert!(histories.iter().all(|history| *history == histories[0]), "{histories:#?}");
}
