//! Shares of a load's rows that may fail, and what becomes of a load of which more do.

mod streams;

use chrono::TimeDelta;
use polars::prelude::*;
use rcm_model::cdm::DEPARTMENTS;
use rcm_model::event::{StageInput, StageReport};
use rcm_platform::bronze::{LoadLog, Manifest};
use rcm_platform::bronze_rows::{self, Row};
use rcm_platform::config::LoadKind;
use rcm_platform::context::Context;
use rcm_platform::error::StageError;
use rcm_platform::lake;
use rcm_platform::testing::{BronzeReads, TestLake, manifest};
use rstest::rstest;

use super::run;
use crate::delta::Table;
use crate::frames::blocking;

/// A stream and its datasource.
pub(super) const OF_A: (&str, &str) = ("hosa/departments", "hos-a");
pub(super) const OF_B: (&str, &str) = ("hosb/departments", "hos-b");

/// Makes rows of departments, ids and names, a load.
pub(super) async fn make_load(
    context: &Context,
    (stream, datasource): (&str, &str),
    sequence: u64,
    kind: LoadKind,
    departments: impl Iterator<Item = (String, Option<&str>)>,
) {
    let rows = departments.map(|(id, name)| Row::Fields(vec![Some(id), name.map(str::to_owned)]));
    let rows: Vec<Row> = rows.collect();
    let made = manifest(stream, sequence, context.now());
    let written = bronze_rows::write(context, stream, made.source.clone(), &["DeptID", "Name"], &rows).await.unwrap();
    let made = Manifest {
        load_id: written.load_id,
        entity: DEPARTMENTS.name.to_owned(),
        datasource: datasource.to_owned(),
        kind,
        rows: written.rows,
        data_files: vec![written.data_key],
        ..made
    };
    LoadLog::new(&context.lake, stream).commit(&made).await.unwrap();
}

/// Makes a load of ten departments that all have one name, but for the first ones, which have none.
async fn load(context: &Context, of: (&str, &str), sequence: u64, name: &str, nameless: usize) {
    let departments = (0..10).map(|number| (format!("DEPT{number}"), (number >= nameless).then_some(name)));
    make_load(context, of, sequence, LoadKind::Upsert, departments).await;
}

async fn take_in(context: &Context) -> Result<StageReport, StageError> {
    run(context.clone(), &DEPARTMENTS, StageInput { run_id: "run".to_owned(), ..StageInput::default() }).await
}

/// How many departments of which name silver has now: `datasource`, `name`, `rows`.
async fn current(context: &Context) -> DataFrame {
    let table = Table::open(&context.lake, &lake::silver(DEPARTMENTS.name)).await.unwrap().unwrap();
    let rows = table.scan(table.files()).await.unwrap().filter(col("is_current"));
    let counts = rows.group_by([col("datasource"), col("name")]).agg([len().cast(DataType::Int64).alias("rows")]);
    let counts = counts.sort(["datasource", "name"], SortMultipleOptions::default());
    blocking(move || Ok(counts.collect()?)).await.unwrap()
}

#[rstest]
#[case::of_a_rule("severity = \"error\"", "severity = \"error\"\nmax_failed_share = 0.2", "rule `name_missing`")]
#[case::of_the_table("[[rule]]", "max_quarantined_share = 0.2\n\n[[rule]]", "quarantine")]
#[tokio::test(flavor = "multi_thread")]
async fn a_load_of_which_more_rows_fail_than_may_is_refused_and_other_streams_are_taken(
    #[case] rules: &str,
    #[case] with_threshold: &str,
    #[case] who: &str,
) {
    let lake = TestLake::new();
    lake.edit("configs/quality/departments.toml", rules, with_threshold);
    let context = lake.context().await;
    load(&context, OF_A, 1, "Before", 2).await;
    take_in(&context).await.unwrap();

    load(&context, OF_A, 2, "After", 3).await;
    load(&context, OF_B, 1, "After", 0).await;
    let refused = take_in(&context).await.unwrap_err();
    assert_eq!(refused.name(), "ThresholdExceeded");
    assert!(refused.to_string().contains(&format!("{who} took 3 of 10 rows of load")), "{refused}");
    let expected =
        df!("datasource" => ["hos-a", "hos-b"], "name" => ["Before", "After"], "rows" => [8_i64, 10]).unwrap();
    assert_eq!(current(&context).await, expected);
    let quarantine = Table::open(&context.lake, &lake::quarantine(DEPARTMENTS.name)).await.unwrap().unwrap();
    assert_eq!(quarantine.rows(), 2, "those of the load that was taken");
}

/// Makes a whole table of departments, a while after the load before it.
async fn snapshot(lake: &TestLake, of: (&str, &str), sequence: u64, departments: &[&str]) {
    lake.wait(TimeDelta::days(1));
    let departments = departments.iter().map(|id| ((*id).to_owned(), Some("Name")));
    make_load(&lake.context().await, of, sequence, LoadKind::Snapshot, departments).await;
}

#[rstest]
#[case::load_by_load(true)]
#[case::all_at_once(false)]
#[tokio::test(flavor = "multi_thread")]
async fn a_hospital_that_changed_its_system_goes_on_where_the_old_one_ended(#[case] one_by_one: bool) {
    let lake = TestLake::new();
    let old = "trendytech-hospital-a,hos-a,dbo.departments,Full,,1,hosa";
    let new = "mercy,hos-a,dbo.departments,Full,,1,hosa2";
    lake.edit("configs/emr/load_config.csv", old, &format!("{new}\n{}", old.replace(",1,hosa", ",0,hosa")));
    let of_new = ("hosa2/departments", "hos-a");
    let loads: [(_, _, &[&str]); 5] = [
        (OF_A, 1, &["D1"]),
        (OF_A, 2, &["D1"]),
        // It comes with a number that the new system has yet to reach.
        (OF_A, 3, &["D1", "D2"]),
        (of_new, 1, &["D1", "D2"]),
        (of_new, 2, &["D1"]),
    ];
    for (stream, sequence, departments) in loads {
        snapshot(&lake, stream, sequence, departments).await;
        if one_by_one {
            take_in(&lake.context().await).await.unwrap();
        }
    }
    let context = lake.context().await;
    take_in(&context).await.unwrap();
    let table = Table::open(&context.lake, &lake::silver(DEPARTMENTS.name)).await.unwrap().unwrap();
    let rows = table.scan(table.files()).await.unwrap().select([col("src_dept_id"), col("is_current")]);
    let rows = rows.unique(None, UniqueKeepStrategy::Any).sort(["src_dept_id"], SortMultipleOptions::default());
    let rows = blocking(move || Ok(rows.collect()?)).await.unwrap();
    assert_eq!(rows, df!("src_dept_id" => ["D1", "D2"], "is_current" => [true, false]).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_read_once_and_not_once_per_batch() {
    const LOADS: u64 = 30;
    let lake = TestLake::new();
    lake.edit("configs/sources.toml", "rows_at_once = 20000000", "rows_at_once = 10");
    let context = lake.context().await;
    for sequence in 1..=LOADS {
        load(&context, OF_A, sequence, "Name", 0).await;
    }
    let (counted, reads) = BronzeReads::of(&context.lake);
    let report = take_in(&Context { lake: counted, ..context }).await.unwrap();
    assert_eq!((report.loads.len() as u64, report.commits.len() as u64), (LOADS, LOADS), "a batch each");
    let reads = reads.take() as u64;
    assert!(reads < LOADS * 6, "{reads} reads for {LOADS} batches");
}

#[rstest]
#[case::by_its_new_name("name = [\"Title\", \"Name\"]", None)]
#[case::by_no_name(
    "name = [\"Title\", \"Label\"]",
    Some("no column `Title` or `Label` of `name`, which its mapping names")
)]
#[tokio::test(flavor = "multi_thread")]
async fn a_load_is_read_by_the_first_name_that_it_has_and_refused_without_one(
    #[case] names: &str,
    #[case] refusal: Option<&str>,
) {
    let lake = TestLake::new();
    lake.edit(
        "configs/cdm/hos-a.toml",
        "src_dept_id = \"DeptID\"",
        "src_dept_id = { any_of = [\"Dept\", \"DeptID\"] }",
    );
    lake.edit("configs/cdm/hos-a.toml", "name = \"Name\"", names);
    let context = lake.context().await;
    load(&context, OF_A, 1, "Before", 0).await;
    let taken = take_in(&context).await;
    match refusal {
        None => {
            taken.unwrap();
            let expected = df!("datasource" => ["hos-a"], "name" => ["Before"], "rows" => [10_i64]).unwrap();
            assert_eq!(current(&context).await, expected);
        }
        Some(refusal) => {
            let error = taken.unwrap_err().to_string();
            assert!(error.contains(refusal), "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_was_not_tracked_for_a_while_makes_no_versions_when_it_is_tracked_again() {
    const TRACKED: &str = "name = \"Name\"";
    let lake = TestLake::new();
    let departments = |count: usize| (0..count).map(|number| (format!("DEPT{number}"), Some("Heart")));
    let context = lake.context().await;
    make_load(&context, OF_A, 1, LoadKind::Snapshot, departments(2)).await;
    take_in(&context).await.unwrap();
    let mapping = lake.read("configs/cdm/hos-a.toml");
    assert!(mapping.contains(TRACKED));
    lake.write("configs/cdm/hos-a.toml", mapping.replace(TRACKED, "name = { column = \"Name\", tracked = false }"));
    let context = lake.context().await;
    make_load(&context, OF_A, 2, LoadKind::Snapshot, departments(4)).await;
    let counts = &take_in(&context).await.unwrap().loads[0];
    assert_eq!((counts.unchanged, counts.new), (2, 2), "{counts:?}");
    lake.write("configs/cdm/hos-a.toml", mapping);
    for sequence in 3..5 {
        let context = lake.context().await;
        make_load(&context, OF_A, sequence, LoadKind::Snapshot, departments(4)).await;
        let counts = &take_in(&context).await.unwrap().loads[0];
        assert_eq!((counts.unchanged, counts.changed), (4, 0), "load {sequence}");
    }
    let input = StageInput { run_id: "rebuild".to_owned(), rebuild: true, ..StageInput::default() };
    let context = lake.context().await;
    run(context.clone(), &DEPARTMENTS, input).await.unwrap();
    make_load(&context, OF_A, 5, LoadKind::Snapshot, departments(4)).await;
    assert_eq!(take_in(&context).await.unwrap().loads[0].unchanged, 4, "and of a table that was made anew");
}

/// Makes loads of which one is refused; takes them in with some memory for their rows. Returns what silver has then.
async fn taken_in_with(memory: &str) -> DataFrame {
    let lake = TestLake::new();
    lake.edit("configs/quality/departments.toml", "[[rule]]", "max_quarantined_share = 0.2\n\n[[rule]]");
    lake.edit("configs/sources.toml", "memory_mb = 256", memory);
    lake.edit("configs/sources.toml", "[silver.buckets]", "[silver.buckets]\ndepartments = 3");
    let context = lake.context().await;
    load(&context, OF_A, 1, "First", 1).await;
    load(&context, OF_B, 1, "Refused", 5).await;
    load(&context, OF_A, 2, "Second", 2).await;
    take_in(&context).await.unwrap_err();
    let left = context.lake.list(&format!("{}/_incoming", lake::silver(DEPARTMENTS.name))).await.unwrap();
    assert_eq!(left, [], "nothing of a batch stays");
    current(&context).await
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_put_down_in_the_lake_on_their_way_become_the_same_table() {
    let expected =
        df!("datasource" => ["hos-a", "hos-a"], "name" => ["First", "Second"], "rows" => [1_i64, 8]).unwrap();
    for memory in ["memory_mb = 256", "memory_mb = 0"] {
        assert_eq!(taken_in_with(memory).await, expected, "{memory}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_looks_at_other_rows_sees_all_rows_of_a_large_load() {
    const ROWS: usize = 300_000;
    let lake = TestLake::new();
    let unique = "[[rule]]\nid = \"name_shared\"\nkind = \"unique\"\ncolumns = [\"name\"]\nseverity = \"warn\"\n\
                  description = \"of one department\"\n";
    lake.write("configs/quality/departments.toml", unique);
    let context = lake.context().await;
    let last = ROWS - 1;
    let departments = (0..ROWS).map(|number| (format!("D{number}"), [0, last].contains(&number).then_some("Shared")));
    make_load(&context, OF_A, 1, LoadKind::Upsert, departments).await;
    let report = take_in(&context).await.unwrap();
    let shared = report.rules.iter().find(|rule| rule.rule == "name_shared").unwrap();
    assert_eq!((shared.checked, shared.failed), (ROWS as u64, 2));
    assert_eq!(report.loads[0].new, ROWS as u64);
}
