//! Expected numbers: of the sample data, and of the demo with its defects.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use polars::prelude::*;
use rcm::command::{Arguments, CommandOutput, carry_out};
use rcm::{demo, kpis};
use rcm_tables::quarantine;
use serde_json::Value;

use crate::readers;
use crate::scratch::{AS_OF, Scratch};

/// Environment variable with the folder of the sample data, which has `emr/` and `landing/`.
const SAMPLE_DATA: &str = "RCM_SAMPLE_DATA";

/// File that the test of the sample data writes, so that a CI pipeline can check that it ran.
const RAN: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/sample-data-figures");

/// Executes a command of `rcm`, like its `main`.
async fn rcm(arguments: &[&str]) -> CommandOutput {
    let arguments = ["rcm"].iter().chain(arguments);
    carry_out(Arguments::try_parse_from(arguments).unwrap()).await.unwrap()
}

fn succeeded(answer: &CommandOutput) -> bool {
    format!("{:?}", answer.exit) == format!("{:?}", ExitCode::SUCCESS)
}

#[expect(clippy::disallowed_methods, reason = "the tests read this one environment variable")]
pub(crate) fn sample_data() -> PathBuf {
    let folder = std::env::var_os(SAMPLE_DATA).map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| panic!("{SAMPLE_DATA} names no folder with the sample data"));
    assert!(folder.join("emr").is_dir() && folder.join("landing").is_dir(), "{}", folder.display());
    folder
}

async fn run_on(scratch: &Scratch, sources: &Path) -> Value {
    let (lake, emr, landing) = (scratch.path(""), sources.join("emr"), sources.join("landing"));
    let [lake, emr, landing] = [&lake, &emr, &landing].map(|path| path.to_str().unwrap());
    let answer = rcm(&["run", "--lake", lake, "--emr", emr, "--landing", landing, "--as-of", AS_OF, "--json"]).await;
    let document: Value = serde_json::from_str(&answer.text).unwrap();
    assert!(succeeded(&answer), "{}", document["failures"]);
    document
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the sample data: RCM_SAMPLE_DATA names their folder"]
async fn the_sample_data_give_every_expected_number_and_a_second_run_finds_nothing_new() {
    let _ = fs::remove_file(RAN);
    let sources = sample_data();
    let scratch = Scratch::new().await;
    let first = run_on(&scratch, &sources).await;
    the_tables_have_their_rows(&scratch).await;
    the_amounts_add_up(&scratch).await;
    the_kpis_are_those_of_the_specification(&first["kpis"]);
    readers::agree(&scratch.path(""), AS_OF, std::slice::from_ref(&sources));

    let versions = scratch.versions().await;
    let second = run_on(&scratch, &sources).await;
    assert_eq!(scratch.versions().await, versions, "no table has a new version");
    assert_eq!(second["kpis"], first["kpis"]);
    let outcomes = second["stages"].as_array().unwrap().iter().map(|stage| stage["outcome"].as_str().unwrap());
    assert!(outcomes.into_iter().all(|outcome| ["nothing_new", "skipped"].contains(&outcome)), "{second:#}");
    fs::write(RAN, AS_OF).unwrap();
}

async fn the_tables_have_their_rows(scratch: &Scratch) {
    let expected = [
        ("patients", 9985),
        ("providers", 55),
        ("departments", 40),
        ("encounters", 20_000),
        ("transactions", 20_000),
        ("claims", 20_000),
        ("cpt_codes", 1161),
    ];
    for (entity, rows) in expected {
        let current = scratch.rows(&format!("silver/{entity}")).await.unwrap().lazy().filter(col("is_current"));
        assert_eq!(current.collect().unwrap().height(), rows, "current {entity}");
        let quarantined = scratch.rows(&format!("quarantine/{entity}")).await.map_or(0, |rows| rows.height());
        assert_eq!(quarantined, if entity == "patients" { 15 } else { 0 }, "quarantined {entity}");
    }
    let quarantined = scratch.rows("quarantine/patients").await.unwrap();
    assert_eq!(distinct(&quarantined, "datasource"), ["hos-b"]);
    assert_eq!(distinct(&quarantined, "reasons"), ["first_name_literal_null"]);
}

async fn the_amounts_add_up(scratch: &Scratch) {
    let fact = scratch.rows("gold/fact_transactions").await.unwrap();
    let sums = fact.lazy().group_by([col("datasource")]).agg([col("amount").sum(), col("paid_amount").sum()]);
    let sums = sums.sort(["datasource"], SortMultipleOptions::default()).collect().unwrap();
    assert_eq!(texts(&sums, "amount"), ["5291605.16", "5198816.89"]);
    assert_eq!(texts(&sums, "paid_amount"), ["4104146.63", "4092367.47"]);
}

fn the_kpis_are_those_of_the_specification(kpis: &Value) {
    let of_all = |kpi: &str| -> Vec<Value> {
        let rows = kpis[kpi].as_array().unwrap().iter();
        rows.filter(|row| row["datasource"] == "all").cloned().collect()
    };
    let buckets: Vec<(String, f64)> = of_all("ar_aging")
        .iter()
        .map(|row| (row["bucket"].as_str().unwrap().to_owned(), row["balance"].as_f64().unwrap()))
        .collect();
    let expected = [
        ("0-30", 408_557.73),
        ("31-60", 416_771.29),
        ("61-90", 377_254.07),
        ("91-120", 402_993.09),
        ("120+", 2_567_907.73),
    ];
    assert_eq!(buckets, expected.map(|(bucket, balance)| (bucket.to_owned(), balance)));
    let days = &of_all("days_in_ar")[0];
    assert_eq!(days["balance"], 4_173_483.91);
    assert_eq!(days["amount_90_days"], 2_984_589.30);
    assert_eq!(format!("{:.2}", days["days_in_ar"].as_f64().unwrap()), "125.85");
    assert_eq!(format!("{:.4}", days["share_over_90"].as_f64().unwrap()), "0.7119");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lake_handles_every_defect_of_the_demo_as_described() {
    let scratch = Scratch::new().await;
    // The demo makes its own.
    fs::remove_dir_all(scratch.path("")).unwrap();
    let answer = rcm(&["demo", "--verbose", "--dir", scratch.beside("").to_str().unwrap()]).await;
    assert!(succeeded(&answer));
    the_demo_ends_with_one_screen(&scratch, &answer.text);
    for month in demo::MONTHS {
        assert!(answer.text.contains(&format!("=== Delivery of {month} ===")));
    }
    let refused = scratch.rows("audit/load_logs").await.unwrap();
    let refused = refused.lazy().filter(col("outcome").eq(lit("failed")));
    let refused = refused.sort(["started_at"], SortMultipleOptions::default()).collect().unwrap();
    let files =
        ["landing/claims/hospital9_claims_2024-09.csv", "landing/claims/hospital1_claims_2024-10_supplement.csv"];
    assert_eq!(texts(&refused, "subject"), files);
    for (file, (message, reason)) in
        files.iter().zip(texts(&refused, "error_message").iter().zip(["hospital is unknown", "UTF-16"]))
    {
        assert!(message.contains(file) && message.contains(reason), "{message}");
        assert!(answer.text.contains(message.as_str()), "the summary names {file}");
    }
    bad_rows_are_in_quarantine(&scratch).await;
    good_rows_are_in_history(&scratch).await;
    repeated_rows_and_files_change_nothing(&scratch).await;
    the_same_seed_gives_the_same_kpis(&scratch).await;
}

/// What is printed without `--verbose`: what the report has to find, which is what was put into the data.
fn the_demo_ends_with_one_screen(scratch: &Scratch, text: &str) {
    let (_, screen) = text.rsplit_once("Northfield Health, a made-up hospital group").unwrap();
    let lines: Vec<&str> = screen.lines().collect();
    assert!(lines.len() <= 30, "{} lines:\n{screen}", lines.len());
    let folder = scratch.beside("").display().to_string();
    let wide = lines[1..].iter().find(|line| line.chars().count() > 100 && !line.contains(&folder));
    assert_eq!(wide, None);
    let late = screen.find("One feed is late. Brookside’s claims end on").unwrap();
    let finding = screen.find("Receivables grew").unwrap();
    assert!(late < finding && screen.contains("Medicaid at Brookside"), "{screen}");
    for figure in
        ["Receivables  ", "Days in receivables", "Older than 90 days", "Collected in 90 days", "Claims denied"]
    {
        assert!(screen.contains(figure), "{figure}: {screen}");
    }
    let became = [
        "6 rows are in quarantine: 5 are missing from the lake, of 1 an older good version stands",
        "2 files were refused: ",
        "1 file has the content of an earlier one: hospital2_claims_2024-10.csv",
        "20 claims came again as they were",
        "1 key is gone from a full extract",
    ];
    let one_line = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    for said in became {
        assert!(one_line.contains(said), "{said}: {screen}");
    }
    assert!(
        screen.contains("lake/report/latest/index.html") && screen.contains("rcm quarantine list --lake"),
        "{screen}"
    );
}

async fn bad_rows_are_in_quarantine(scratch: &Scratch) {
    let expected = [
        ("patients", "hos-a", "phone_number_implausible", 1),
        ("patients", "hos-b", "first_name_literal_null", 2),
        ("transactions", "hos-b", "unparseable_value: amount", 1),
        ("encounters", "hos-a", "key_missing", 1),
        ("claims", "hos-b", "malformed_record", 1),
    ];
    for entity in ["patients", "providers", "departments", "encounters", "transactions", "claims", "cpt_codes"] {
        let rows = scratch.rows(&format!("quarantine/{entity}")).await;
        let rows = rows.unwrap_or_else(|| DataFrame::empty_with_schema(&quarantine::schema()));
        let counts = rows.lazy().group_by([col("datasource"), col("reasons")]).agg([len().alias("rows")]);
        let counts = counts.sort(["datasource"], SortMultipleOptions::default()).collect().unwrap();
        let found: Vec<_> = texts(&counts, "datasource")
            .into_iter()
            .zip(texts(&counts, "reasons"))
            .zip(texts(&counts, "rows"))
            .map(|((datasource, reason), rows)| (datasource, reason, rows.parse().unwrap()))
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .filter(|row| row.0 == entity)
            .map(|(_, datasource, reason, rows)| ((*datasource).to_owned(), (*reason).to_owned(), *rows))
            .collect();
        assert_eq!(found, expected, "quarantined {entity}");
    }
    let implausible = scratch.rows("quarantine/patients").await.unwrap().lazy();
    let patients = scratch.rows("silver/patients").await.unwrap().lazy().filter(col("is_current"));
    let kept = patients.join(implausible, [col("patient_key")], [col("key")], JoinArgs::new(JoinType::Semi));
    assert_eq!(distinct(&kept.collect().unwrap(), "datasource"), ["hos-a"], "the version before it stays current");
}

async fn good_rows_are_in_history(scratch: &Scratch) {
    let departments = scratch.rows("silver/departments").await.unwrap();
    let deleted = departments.lazy().filter(col("is_deleted")).collect().unwrap();
    assert_eq!(texts(&deleted, "dept_key"), ["DEPT010-hos-a"]);
    assert_eq!(texts(&deleted, "is_current"), ["false"]);
    assert!(texts(&deleted, "effective_to")[0].starts_with("2024-11-07 02:"), "deleted as of the extract");

    let claims = scratch.rows("silver/claims").await.unwrap();
    let late = col("coinsurance").cast(DataType::String).eq(lit("12.34"));
    let late = claims.clone().lazy().filter(late).collect().unwrap();
    assert_eq!(late.height(), 5);
    assert_eq!(distinct(&late, "is_current"), ["false"], "a late correction is not the last word");
    let keys = late.lazy().select([col("claim_key")]);
    let history = claims.lazy().join(keys, [col("claim_key")], [col("claim_key")], JoinArgs::new(JoinType::Semi));
    let versions = history.group_by([col("claim_key")]).agg([len(), col("is_current").sum().alias("current")]);
    let versions = versions.collect().unwrap();
    assert_eq!(distinct(&versions, "len"), ["3"], "the correction splits the version that it falls into");
    assert_eq!(distinct(&versions, "current"), ["1"]);

    let patients = scratch.rows("silver/patients").await.unwrap();
    let is_broken = col("address").str().contains_literal(lit("\n"));
    let broken = patients.lazy().filter(is_broken).collect().unwrap();
    assert_eq!(distinct(&broken, "patient_key").len(), 1, "a quoted line break is part of its field");
}

async fn repeated_rows_and_files_change_nothing(scratch: &Scratch) {
    let transactions = scratch.rows("silver/transactions").await.unwrap();
    let moments = transactions.clone().lazy().select([col("transaction_key"), col("effective_from")]);
    let distinct_moments = moments.unique(None, UniqueKeepStrategy::Any).collect().unwrap();
    assert_eq!(distinct_moments.height(), transactions.height(), "a row that stands there twice is one version");

    let loads = scratch.rows("audit/load_logs").await.unwrap();
    // Two files land at once, in either order: the load is known by its file.
    let september = col("subject").eq(lit("landing/claims/hospital1_claims_2024-09.csv"));
    let september = loads.clone().lazy().filter(september).select([col("load_id")]);
    let taken = loads.clone().lazy().filter(col("stage").eq(lit("silver-claims")));
    let taken =
        taken.join(september, [col("load_id")], [col("load_id")], JoinArgs::new(JoinType::Semi)).collect().unwrap();
    assert_eq!(texts(&taken, "rows_unchanged"), ["20"], "claims sent again as they were");
    let copy = col("subject").eq(lit("landing/claims/hospital2_claims_2024-10.csv"));
    let copy = loads.lazy().filter(copy).collect().unwrap();
    assert_eq!(texts(&copy, "outcome"), ["nothing_new"]);
}

async fn the_same_seed_gives_the_same_kpis(scratch: &Scratch) {
    let kpis = kpis::read(&scratch.lake(), demo::AS_OF).await.unwrap();
    let buckets: Vec<i128> =
        kpis.ar_aging.iter().filter(|row| row.datasource == "all").map(|row| row.balance).collect();
    let days = kpis.days_in_ar.iter().find(|row| row.datasource == "all").unwrap();
    let days = (days.balance, days.amount_90_days, days.balance_over_90);
    let expected = vec![23_747_727, 12_396_558, 6_598_858, 3_924_311, 5_979_649];
    assert_eq!((buckets, days), (expected, (52_647_103, 77_173_228, 9_903_960)), "cents, in the order of the buckets");
}

/// Returns a column as text.
fn texts(rows: &DataFrame, column: &str) -> Vec<String> {
    let column = rows.column(column).unwrap().cast(&DataType::String).unwrap();
    column.str().unwrap().iter().map(|text| text.unwrap_or("∅").to_owned()).collect()
}

/// Returns the distinct values of a column as text.
fn distinct(rows: &DataFrame, column: &str) -> Vec<String> {
    let mut values = texts(rows, column);
    values.sort_unstable();
    values.dedup();
    values
}
