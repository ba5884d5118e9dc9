//! Whole lists in their own order, and files whose content comes again.

use rcm_platform::bronze::Seen;

use super::*;

/// The key of an order file.
fn list(name: &str) -> String {
    format!("landing/icd/{name}")
}

/// An order file of so many made-up codes.
fn list_of(count: usize) -> String {
    let codes: Vec<String> = (0..count).map(|code| format!("Z{code:03}")).collect();
    order_file(&codes.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The loads of a stream: the names of their files, and the days that they are as of.
async fn taken(lake: &TestLake, stream: &str) -> Vec<(String, String)> {
    let loads = lake.loads(stream).await.into_iter();
    loads.map(|load| (load.source.file_name().to_owned(), load.extracted_at.date_naive().to_string())).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, day)| ((*name).to_owned(), (*day).to_owned())).collect()
}

async fn seen(lake: &TestLake, stream: &str) -> Vec<Seen> {
    let context = lake.context().await;
    let feed = context.settings.sources.feeds.iter().find(|feed| feed.entity == stream).unwrap();
    LoadLog::new(&context.lake, stream).seen(feed).await.unwrap()
}

const YEARS: [&str; 4] =
    ["icd10cm_order_2022.txt", "icd10cm_order_2023.txt", "icd10cm-order-April-2023.txt", "icd10cm_order_2024.txt"];

/// Four lists that landed in the reverse of their order.
fn four_lists() -> TestLake {
    let lake = TestLake::new();
    for (index, name) in YEARS.into_iter().enumerate() {
        land(&lake, &list(name), list_of(100 + index), &format!("2024-05-{:02}", 20 - index));
    }
    lake
}

#[rstest]
#[case(0)]
#[case(1)]
#[case(2)]
#[case(3)]
#[tokio::test]
async fn all_lists_that_wait_are_taken_in_their_own_order_whichever_is_asked_for_first(#[case] first: usize) {
    let lake = four_lists();
    let report = run(&lake, &list(YEARS[first])).await.unwrap();
    assert_eq!((report.outcome, report.loads.len()), (Outcome::Done, first + 1));
    for name in YEARS.iter().rev() {
        run(&lake, &list(name)).await.unwrap();
    }
    let days = ["2021-10-01", "2022-10-01", "2023-04-01", "2023-10-01"];
    let expected: Vec<(&str, &str)> = YEARS.into_iter().zip(days).collect();
    assert_eq!(taken(&lake, "icd_codes/icd10cm").await, pairs(&expected));
    let again = run(&lake, &list(YEARS[1])).await.unwrap();
    assert_eq!(again.outcome, Outcome::NothingNew);
    assert_eq!(again.notes, [format!("`{}` has the same content as load 2 of `icd_codes/icd10cm`", list(YEARS[1]))]);
}

#[tokio::test]
async fn a_list_that_is_older_than_the_last_one_taken_is_left_out_said_and_looked_at_once() {
    let lake = TestLake::new();
    let (older, newer) = (list("icd10cm_order_2023.txt"), list("icd10cm_order_2024.txt"));
    land(&lake, &newer, list_of(100), "2024-01-01");
    run(&lake, &newer).await.unwrap();
    land(&lake, &older, list_of(90), "2024-05-01");
    let context = lake.context().await;
    let input = LandedFileInput { run_id: "run-2".to_owned(), key: older.clone(), force: true };
    let report = handle(context.clone(), input.clone()).await.unwrap();
    assert_eq!(report.outcome, Outcome::NothingNew);
    let expected = format!(
        "`{older}` (release 2022-10-01) is older than the whole table that is load 1 of `icd_codes/icd10cm` \
         (`icd10cm_order_2024.txt`, release 2023-10-01): it is left out. There is nothing to do, unless this is the \
         list that holds from now on: then save it under a name that says a later release"
    );
    assert_eq!(report.notes, [expected]);
    let seen = seen(&lake, "icd_codes").await;
    assert_eq!((seen.len(), seen[0].why, seen[0].source.name.as_str()), (1, SeenWhy::Older, older.as_str()));
    let bronze = lake.files("bronze");
    assert_eq!(handle(context, input).await.unwrap().notes, report.notes);
    assert_eq!(lake.files("bronze"), bronze);
}

#[tokio::test]
async fn a_list_with_the_bytes_of_the_one_before_makes_no_load_but_its_place_counts() {
    let lake = TestLake::new();
    for (name, day) in [("icd10cm_order_2023.txt", "2024-01-01"), ("icd10cm_order_2024.txt", "2024-01-02")] {
        land(&lake, &list(name), list_of(100), day);
        run(&lake, &list(name)).await.unwrap();
    }
    assert_eq!(taken(&lake, "icd_codes/icd10cm").await, pairs(&[("icd10cm_order_2023.txt", "2022-10-01")]));
    let seen = seen(&lake, "icd_codes").await;
    assert_eq!((seen.len(), seen[0].why), (1, SeenWhy::SameContent));
    let between = list("icd10cm-order-April-2023.txt");
    land(&lake, &between, list_of(101), "2024-05-01");
    let report = run(&lake, &between).await.unwrap();
    assert!(report.notes[0].contains("load 1 of `icd_codes/icd10cm` (`icd10cm_order_2024.txt`, release 2023-10-01)"));
    assert_eq!(lake.loads("icd_codes/icd10cm").await.len(), 1);
}

#[tokio::test]
async fn a_broken_list_stops_no_other_and_is_refused_by_its_own_call() {
    let lake = four_lists();
    land(&lake, &list(YEARS[1]), "no order file", "2024-05-19");
    assert_eq!(run(&lake, &list(YEARS[3])).await.unwrap().loads.len(), 3);
    assert_eq!(run(&lake, &list(YEARS[1])).await.unwrap_err().name(), "BrokenContract");
    assert_eq!(lake.files("bronze/icd_codes/_refused").len(), 1);
    assert_eq!(lake.loads("icd_codes/icd10cm").await.len(), 3);
}

#[rstest]
#[case::the_newest_first([2, 1, 0])]
#[case::the_oldest_first([0, 1, 2])]
#[tokio::test]
async fn a_list_that_lost_too_many_keys_fails_in_any_order_and_the_next_is_checked_against_the_last_one_taken(
    #[case] order: [usize; 3],
) {
    let lake = four_lists();
    land(&lake, &list(YEARS[1]), list_of(10), "2024-05-19");
    let mut notes = Vec::new();
    for index in order {
        let answer = run(&lake, &list(YEARS[index])).await;
        match answer {
            Ok(report) => notes.extend(report.notes),
            Err(error) => {
                assert_eq!((index, error.name()), (1, "ThresholdExceeded"));
            }
        }
    }
    let note = format!("`{}` is not taken: `icd_codes/icd10cm` lacks 90 of the 100 keys", list(YEARS[1]));
    assert!(notes.iter().any(|said| said.starts_with(&note)), "{notes:?}");
    assert_eq!(taken(&lake, "icd_codes/icd10cm").await, pairs(&[(YEARS[0], "2021-10-01"), (YEARS[2], "2023-04-01")]));
    assert_eq!(lake.files("bronze/icd_codes/icd10cm/data").len(), 2);
}

#[tokio::test]
async fn a_list_begins_at_the_date_of_its_file_where_it_says_none_and_is_taken_by_it() {
    let lake = TestLake::new();
    as_snapshots(&lake);
    for (name, count, day) in [("a.csv", 12, "2024-03-01"), ("b.csv", 10, "2024-01-01"), ("c.csv", 11, "2024-02-01")] {
        land(&lake, &format!("landing/cptcodes/{name}"), codes(count), day);
    }
    run(&lake, "landing/cptcodes/a.csv").await.unwrap();
    let expected = [("b.csv", "2024-01-01"), ("c.csv", "2024-02-01"), ("a.csv", "2024-03-01")];
    assert_eq!(taken(&lake, "cpt_codes/cpt").await, pairs(&expected));
}

/// Configures where the names of lists of CPT codes say their date.
fn say_release(lake: &TestLake) {
    let feed = "entity = \"cpt_codes\"\nload = \"snapshot\"\n\n";
    let release = "release = 'cpt_(?<year>\\d{4})-(?<month>\\d{2})'\n\n";
    lake.edit("configs/sources.toml", feed, &(feed.trim_end().to_owned() + "\n" + release));
}

#[tokio::test]
async fn a_list_that_was_left_out_is_looked_at_again_when_a_pattern_finds_another_date_in_its_name() {
    let lake = TestLake::new();
    as_snapshots(&lake);
    let (newer, older) = ("landing/cptcodes/cpt_2024-07.csv", "landing/cptcodes/cpt_2023-07.csv");
    land(&lake, older, codes(10), "2024-09-02");
    run(&lake, older).await.unwrap();
    land(&lake, newer, codes(11), "2024-09-01");
    let left_out = run(&lake, newer).await.unwrap();
    assert!(left_out.notes[0].contains("(file of 2024-09-01 00:00:00) is older than"), "{:?}", left_out.notes);
    say_release(&lake);
    assert_eq!(run(&lake, newer).await.unwrap().outcome, Outcome::Done);
}

#[tokio::test]
async fn what_a_feeds_pattern_finds_in_the_names_of_lists_decides_before_their_times() {
    let lake = TestLake::new();
    as_snapshots(&lake);
    say_release(&lake);
    for (name, count, day) in
        [("cpt_2024-07.csv", 12, "2024-01-01"), ("cpt_2023-07.csv", 11, "2024-02-01"), ("other.csv", 10, "2024-01-02")]
    {
        land(&lake, &format!("landing/cptcodes/{name}"), codes(count), day);
    }
    let report = run(&lake, "landing/cptcodes/cpt_2024-07.csv").await.unwrap();
    let expected = [("cpt_2023-07.csv", "2023-07-01"), ("other.csv", "2024-01-02"), ("cpt_2024-07.csv", "2024-07-01")];
    assert_eq!(taken(&lake, "cpt_codes/cpt").await, pairs(&expected));
    assert!(report.notes[0].contains("other.csv` says no release in its name"), "{:?}", report.notes);
}

#[tokio::test]
async fn a_list_whose_name_says_a_year_that_cannot_be_meant_is_refused() {
    let lake = TestLake::new();
    let key = list("icd10cm_order_2042.txt");
    lake.write(&key, list_of(3));
    let error = run(&lake, &key).await.unwrap_err();
    assert!(error.to_string().contains("is of release 2041-10-01 by its name, more than a year ahead"), "{error}");
    assert_eq!(error.name(), "BrokenContract");
}

#[tokio::test]
async fn a_list_of_the_coming_year_begins_when_it_is_loaded() {
    let lake = TestLake::new();
    land(&lake, &list("icd10cm_order_2026.txt"), list_of(3), "2024-05-01");
    run(&lake, &list("icd10cm_order_2026.txt")).await.unwrap();
    assert_eq!(taken(&lake, "icd_codes/icd10cm").await, pairs(&[("icd10cm_order_2026.txt", "2024-11-07")]));
}

fn codes_key(name: &str) -> String {
    format!("landing/cptcodes/{name}.csv")
}

#[rstest]
#[case(["1", "2", "3"])]
#[case(["1", "3", "2"])]
#[case(["2", "1", "3"])]
#[case(["2", "3", "1"])]
#[case(["3", "1", "2"])]
#[case(["3", "2", "1"])]
#[tokio::test]
async fn what_comes_again_after_something_else_is_the_last_word_again_in_whatever_order_it_is_loaded(
    #[case] order: [&str; 3],
) {
    let lake = TestLake::new();
    for (name, count, day) in [("1", 10, "2024-01-01"), ("2", 11, "2024-01-02"), ("3", 10, "2024-01-03")] {
        land(&lake, &codes_key(name), codes(count), day);
    }
    for name in order {
        run(&lake, &codes_key(name)).await.unwrap();
    }
    let mut loads = taken(&lake, "cpt_codes/cpt").await;
    loads.sort_unstable();
    assert_eq!(loads, pairs(&[("1.csv", "2024-01-01"), ("2.csv", "2024-01-02"), ("3.csv", "2024-01-03")]));
}

#[tokio::test]
async fn of_files_in_a_row_with_the_same_content_the_first_is_loaded_and_the_others_are_looked_at_once() {
    for order in [["1", "2", "3"], ["3", "2", "1"], ["2", "3", "1"]] {
        let lake = TestLake::new();
        for (name, day) in [("1", "2024-01-01"), ("2", "2024-01-02"), ("3", "2024-01-03")] {
            land(&lake, &codes_key(name), codes(10), day);
        }
        for name in order {
            run(&lake, &codes_key(name)).await.unwrap();
        }
        assert_eq!(taken(&lake, "cpt_codes/cpt").await, pairs(&[("1.csv", "2024-01-01")]));
        assert_eq!(seen(&lake, "cpt_codes").await.len(), 2);
    }
}

#[tokio::test]
async fn a_file_that_was_passed_over_is_taken_when_another_one_comes_between_later() {
    let lake = TestLake::new();
    for (name, day) in [("1", "2024-01-01"), ("3", "2024-01-03")] {
        land(&lake, &codes_key(name), codes(10), day);
        run(&lake, &codes_key(name)).await.unwrap();
    }
    assert_eq!(lake.loads("cpt_codes/cpt").await.len(), 1);
    land(&lake, &codes_key("2"), codes(11), "2024-01-02");
    assert_eq!(run(&lake, &codes_key("2")).await.unwrap().loads.len(), 2);
    let expected = [("1.csv", "2024-01-01"), ("2.csv", "2024-01-02"), ("3.csv", "2024-01-03")];
    assert_eq!(taken(&lake, "cpt_codes/cpt").await, pairs(&expected));
}

#[tokio::test]
async fn of_files_whose_rows_say_their_times_the_first_with_a_content_is_always_loaded() {
    let lake = TestLake::new();
    let (first, again) = ("landing/claims/hospital1_1.csv", "landing/claims/hospital1_2.csv");
    land(&lake, first, claims(&["C1"]), "2024-01-01");
    land(&lake, again, claims(&["C1"]), "2024-01-02");
    for key in [again, first, again] {
        run(&lake, key).await.unwrap();
    }
    let expected = [("hospital1_2.csv", "2024-01-02"), ("hospital1_1.csv", "2024-01-01")];
    assert_eq!(taken(&lake, "claims/hos-a").await, pairs(&expected));
}
