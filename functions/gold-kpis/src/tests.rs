//! The three gold stages, one after the other, on silver tables written here.

mod changes;
mod months;
mod past;

use chrono::NaiveDate;
use polars::prelude::*;
use rcm_domain::cdm::silver_schema;
use rcm_domain::kpi::KPIS;
use rcm_model::cdm::{CLAIMS, DEPARTMENTS, ENCOUNTERS, Entity, PATIENTS, PROVIDERS, TRANSACTIONS};
use rcm_model::event::{Outcome, StageInput, StageReport};
use rcm_platform::testing::TestLake;
use rcm_platform::{Context, lake};
use rcm_tables::delta::{self, Change, Table};

const AS_OF: &str = "2024-11-07";

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn input(as_of: &str) -> StageInput {
    StageInput { run_id: "run".to_owned(), as_of: Some(day(as_of)), ..StageInput::default() }
}

/// Runs the three stages.
async fn run(context: &Context, as_of: &str) -> [StageReport; 3] {
    [
        gold_dimensions::handle(context.clone(), input(as_of)).await.unwrap(),
        gold_facts::handle(context.clone(), input(as_of)).await.unwrap(),
        crate::handle(context.clone(), input(as_of)).await.unwrap(),
    ]
}

/// Puts rows in the place of all that a silver table has. Columns that are not given are null,
/// versions are current and not deleted, and a row is in the bucket of its place, modulo 2.
async fn put_silver(context: &Context, entity: &Entity, given: DataFrame) {
    let schema = silver_schema(entity);
    let place: Vec<i32> = (0..given.height() as i32).collect();
    let bucket = Series::new("bucket".into(), place.iter().map(|place| place % 2).collect::<Vec<_>>());
    let columns = schema.iter().map(|(name, dtype)| {
        let default = match name.as_str() {
            "is_current" => lit(true),
            "is_deleted" => lit(false),
            "bucket" => lit(bucket.clone()),
            _ => lit(NULL),
        };
        let value = if given.schema().contains(name) { col(name.clone()) } else { default };
        value.cast(dtype.clone()).alias(name.clone())
    });
    let rows = given.clone().lazy().select(columns.collect::<Vec<_>>()).collect().unwrap();
    let path = lake::silver(entity.name);
    let mut add = Vec::new();
    for current in [true, false] {
        for bucket in [0, 1] {
            let part =
                rows.clone().lazy().filter(col("is_current").eq(lit(current)).and(col("bucket").eq(lit(bucket))));
            let part = part.collect().unwrap().drop_many(["is_current", "bucket"]);
            let partition = [("is_current", Some(current.to_string())), ("bucket", Some(bucket.to_string()))];
            if part.height() > 0 {
                add.push(delta::write(context, &path, &part, &partition).await.unwrap());
            }
        }
    }
    let table = Table::open(&context.lake, &path).await.unwrap();
    let remove = table.as_ref().map_or_else(Vec::new, |table| table.files().to_vec());
    let change = Change {
        schema: &schema,
        partition_by: &["is_current", "bucket"],
        properties: &[],
        add,
        remove,
        transactions: Vec::new(),
        run_id: "run",
    };
    delta::commit(&context.lake, &path, table.as_ref(), change).await.unwrap();
}

/// A hospital: patient `P1` who moved in 2024, three transactions that hold, an older version of
/// one of them, and a deleted one. There are no claims.
async fn put_hospital(context: &Context) {
    let moment = |text: &str| day(text).and_hms_opt(0, 0, 0).unwrap();
    let patients = df!(
        "patient_sk" => [11i64, 12],
        "patient_key" => ["P1", "P1"],
        "ssn" => ["000-00-0000", "000-00-0000"],
        "address" => ["here", "there"],
        "effective_from" => [moment("2023-01-01"), moment("2024-06-01")],
        "effective_to" => [Some(moment("2024-06-01")), None],
        "is_current" => [false, true],
    );
    put_silver(context, &PATIENTS, patients.unwrap()).await;
    let member = |entity: &Entity, surrogate: i64, key: &str| {
        df!(
            entity.surrogate => [surrogate],
            entity.key => [key],
            "effective_from" => [moment("2023-01-01")],
        )
        .unwrap()
    };
    put_silver(context, &PROVIDERS, member(&PROVIDERS, 21, "PROV1")).await;
    put_silver(context, &DEPARTMENTS, member(&DEPARTMENTS, 31, "DEPT1")).await;
    put_silver(context, &ENCOUNTERS, df!("encounter_key" => ["E1"], "encounter_sk" => [41i64]).unwrap()).await;
    put_silver(context, &TRANSACTIONS, transactions(["T1", "T2", "T3", "T1", "T4"])).await;
}

fn transactions(keys: [&str; 5]) -> DataFrame {
    df!(
        "transaction_sk" => [51i64, 52, 53, 54, 55],
        "transaction_key" => keys,
        "datasource" => ["hos-a", "hos-a", "hos-b", "hos-a", "hos-a"],
        "patient_key" => [Some("P1"), Some("P1"), Some("P9"), Some("P1"), None],
        "provider_key" => ["PROV1", "PROV1", "PROV1", "PROV1", "PROV1"],
        "dept_key" => ["DEPT1", "DEPT1", "DEPT1", "DEPT1", "DEPT1"],
        "service_date" => [Some(day("2024-03-01")), Some(day("2024-10-01")), None, None, None],
        "amount" => ["100.10", "50.00", "7.00", "999.00", "999.00"],
        "paid_amount" => [Some("0.10"), None, None, None, None],
        "paid_date" => [Some(day("2024-04-01")), None, None, None, None],
        "is_current" => [true, true, true, false, true],
        "is_deleted" => [false, false, false, false, true],
    )
    .unwrap()
}

async fn table(context: &Context, name: &str) -> Option<Table> {
    Table::open(&context.lake, &lake::gold(name)).await.unwrap()
}

/// Rows of a gold table, sorted by its columns.
async fn rows(context: &Context, name: &str, columns: &[&str]) -> DataFrame {
    let table = table(context, name).await.unwrap();
    let scan = table.scan(table.files()).await.unwrap();
    let columns: Vec<Expr> = columns.iter().map(|name| col(*name)).collect();
    scan.select(columns.clone()).sort_by_exprs(columns, SortMultipleOptions::default()).collect().unwrap()
}

fn outcomes(reports: &[StageReport; 3]) -> [Outcome; 3] {
    reports.each_ref().map(|report| report.outcome)
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_hold_current_rows_and_point_to_the_versions_of_their_day() {
    let lake = TestLake::new();
    let context = lake.context().await;
    put_hospital(&context).await;
    assert_eq!(outcomes(&run(&context, AS_OF).await), [Outcome::Done; 3]);
    let expected = df!(
        "transaction_key" => ["T1", "T2", "T3"],
        "patient_sk" => [11i64, 12, 0],
        "provider_sk" => [21i64, 21, 21],
        "dept_sk" => [31i64, 31, 31],
    );
    let columns = ["transaction_key", "patient_sk", "provider_sk", "dept_sk"];
    assert_eq!(rows(&context, "fact_transactions", &columns).await, expected.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_on_the_same_silver_commits_nothing() {
    let lake = TestLake::new();
    let context = lake.context().await;
    put_hospital(&context).await;
    run(&context, AS_OF).await;
    let before = lake.files("gold");
    assert_eq!(outcomes(&run(&context, AS_OF).await), [Outcome::NothingNew; 3]);
    assert_eq!(lake.files("gold"), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_changes_no_row_of_silver_makes_nothing_anew() {
    let lake = TestLake::new();
    let context = lake.context().await;
    put_hospital(&context).await;
    run(&context, AS_OF).await;
    let path = lake::silver(TRANSACTIONS.name);
    let table = Table::open(&context.lake, &path).await.unwrap().unwrap();
    let change = Change {
        schema: &silver_schema(&TRANSACTIONS),
        partition_by: &["is_current", "bucket"],
        properties: &[],
        add: Vec::new(),
        remove: Vec::new(),
        transactions: vec![("hosa/transactions".to_owned(), 7)],
        run_id: "run",
    };
    delta::commit(&context.lake, &path, Some(&table), change).await.unwrap();
    assert_eq!(outcomes(&run(&context, AS_OF).await), [Outcome::NothingNew; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_source_there_is_the_unknown_member_and_no_fact() {
    let lake = TestLake::new();
    let context = lake.context().await;
    let [dimensions, facts, kpis] = run(&context, AS_OF).await;
    assert_eq!(dimensions.commits.len(), 7);
    assert!(dimensions.commits.iter().all(|commit| commit.rows == 1));
    assert_eq!((facts.outcome, facts.notes.len()), (Outcome::NothingNew, 3));
    assert_eq!((kpis.outcome, kpis.notes.len()), (Outcome::NothingNew, KPIS.len()));
    assert!(table(&context, "fact_claims").await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_feed_stops_only_what_is_made_from_it() {
    let lake = TestLake::new();
    let context = lake.context().await;
    put_hospital(&context).await;
    let [_, facts, kpis] = run(&context, AS_OF).await;
    assert_eq!(facts.notes, ["there is no silver/claims: nothing has come in for it"]);
    let of_claims = KPIS.iter().filter(|kpi| kpi.inputs.contains(&"fact_claims")).count();
    assert_eq!(kpis.commits.len(), KPIS.len() - of_claims);
    assert!(kpis.notes.contains(&"kpi_claims is not made: there is no gold/fact_claims".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kpi_says_how_many_rows_it_leaves_out() {
    let lake = TestLake::new();
    let context = lake.context().await;
    put_hospital(&context).await;
    let [_, _, kpis] = run(&context, AS_OF).await;
    let note = "kpi_ar_aging leaves out 1 rows of fact_transactions without a service_date";
    assert!(kpis.notes.contains(&note.to_owned()), "{:?}", kpis.notes);
}

#[tokio::test(flavor = "multi_thread")]
async fn balances_of_other_dates_stay_and_those_of_the_same_date_are_replaced() {
    let lake = TestLake::new();
    let context = lake.context().await;
    put_hospital(&context).await;
    run(&context, "2024-10-31").await;
    run(&context, AS_OF).await;
    let balances = async || rows(&context, "kpi_days_in_ar", &["as_of", "balance"]).await;
    assert_eq!(texts(&balances().await), [["2024-10-31", "150.00"], ["2024-11-07", "150.00"]]);
    let corrected = transactions(["T1", "T2", "T3", "T1", "T4"]).lazy();
    let corrected = corrected.with_columns([lit("60.10").alias("amount")]).collect().unwrap();
    put_silver(&context, &TRANSACTIONS, corrected).await;
    run(&context, AS_OF).await;
    assert_eq!(texts(&balances().await), [["2024-10-31", "150.00"], ["2024-11-07", "120.10"]]);
}

/// Application identifiers in the log of a gold table.
fn applications(lake: &TestLake, name: &str) -> Vec<String> {
    let log = lake.files(&format!("{}/_delta_log", lake::gold(name)));
    let lines = log.iter().flat_map(|key| lake.read(key).lines().map(str::to_owned).collect::<Vec<_>>());
    let mut found: Vec<String> =
        lines.filter_map(|line| Some(line.split_once("\"appId\":\"")?.1.split_once('"')?.0.to_owned())).collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_many_dates_records_no_more_applications_with_every_date() {
    let lake = TestLake::new();
    let context = lake.context().await;
    put_hospital(&context).await;
    let mut recorded = Vec::new();
    for date in ["2024-10-28", "2024-10-29", "2024-10-30", "2024-10-31", AS_OF] {
        run(&context, date).await;
        recorded.push(applications(&lake, "kpi_days_in_ar"));
    }
    assert_eq!(recorded[0], recorded[4]);
    assert_eq!(rows(&context, "kpi_days_in_ar", &["as_of"]).await.height(), 5);
    assert_eq!(outcomes(&run(&context, AS_OF).await), [Outcome::NothingNew; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn activity_holds_the_date_of_the_last_run_alone() {
    let lake = TestLake::new();
    let context = lake.context().await;
    put_hospital(&context).await;
    run(&context, AS_OF).await;
    run(&context, "2024-05-01").await;
    let mix = rows(&context, "kpi_payer_mix", &["as_of", "service_month", "amount"]).await;
    assert_eq!(texts(&mix), [["2024-05-01", "2024-03-01", "100.10"]]);
    let [_, _, again] = run(&context, "2024-05-01").await;
    assert_eq!(again.outcome, Outcome::NothingNew);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_date_of_the_past_no_metric_is_told() {
    let lake = TestLake::new();
    let context = lake.context().await;
    put_hospital(&context).await;
    let [_, _, past] = run(&context, "2024-05-01").await;
    let [_, _, today] = run(&context, AS_OF).await;
    assert_eq!(past.metrics, []);
    assert!(!today.metrics.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fact_with_a_key_twice_is_not_committed_and_the_others_are() {
    let lake = TestLake::new();
    let context = lake.context().await;
    put_hospital(&context).await;
    put_silver(&context, &TRANSACTIONS, transactions(["T1", "T2", "T1", "T1", "T4"])).await;
    gold_dimensions::handle(context.clone(), input(AS_OF)).await.unwrap();
    let error = gold_facts::handle(context.clone(), input(AS_OF)).await.unwrap_err();
    assert_eq!(error.name(), "ControlCheckFailed");
    assert!(error.to_string().contains("rows with the same transaction_key: expected 0, got 1"), "{error}");
    assert!(table(&context, "fact_transactions").await.is_none());
    assert!(table(&context, "fact_encounters").await.is_some());
    let report = lake.files("audit/_reports/run").into_iter().find(|key| key.contains("gold-facts--gold--"));
    let report = lake.read(&report.unwrap());
    assert!(report.contains(r#""passed":false"#) && report.contains(r#""table":"gold/fact_encounters""#));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_version_of_a_patient_reaches_dimension_and_fact() {
    let lake = TestLake::new();
    let context = lake.context().await;
    put_hospital(&context).await;
    run(&context, AS_OF).await;
    put_silver(
        &context,
        &PATIENTS,
        df!("patient_sk" => [13i64], "patient_key" => ["P9"], "effective_from" => [day("2024-01-01")]).unwrap(),
    )
    .await;
    let [dimensions, facts, _] = run(&context, AS_OF).await;
    assert_eq!(dimensions.commits.iter().map(|commit| commit.table.as_str()).collect::<Vec<_>>(), ["gold/dim_patient"]);
    assert_eq!(facts.commits.len(), 2);
    let keys = rows(&context, "fact_transactions", &["transaction_key", "patient_sk"]).await;
    assert_eq!(texts(&keys), [["T1", "0"], ["T2", "0"], ["T3", "13"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_without_a_parent_are_counted_and_stay() {
    let lake = TestLake::new();
    let rule = "[[rule]]\nid = 'patient_known'\nkind = 'references'\ncolumns = ['patient_key']\nentity = 'patients'\n\
                severity = 'warn'\ndescription = 'the patient is known'\n";
    lake.write("configs/quality/transactions.toml", rule);
    let context = lake.context().await;
    put_hospital(&context).await;
    let [_, facts, _] = run(&context, AS_OF).await;
    let counts: Vec<_> = facts.rules.iter().filter(|count| count.entity == "transactions").collect();
    assert_eq!(counts.len(), 1);
    assert_eq!((counts[0].rule.as_str(), counts[0].load_id.as_str()), ("patient_known", "*"));
    assert_eq!((counts[0].checked, counts[0].failed), (3, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_at_once_end_well_and_make_each_table_once() {
    let lake = TestLake::new();
    let context = lake.context().await;
    put_hospital(&context).await;
    put_silver(&context, &CLAIMS, df!("claim_key" => ["C1"], "claim_date" => [day("2024-10-01")]).unwrap()).await;
    let other = lake.context().await;
    let both = [
        tokio::spawn(async move { run(&other, AS_OF).await }),
        tokio::spawn(async move { run(&context, AS_OF).await }),
    ];
    for reports in both {
        reports.await.unwrap();
    }
    let context = lake.context().await;
    for name in ["dim_patient", "fact_claims", "kpi_ar_aging", "kpi_claims"] {
        assert_eq!(table(&context, name).await.unwrap().version(), 0, "{name} has one commit");
    }
}

/// Rows as text.
fn texts(rows: &DataFrame) -> Vec<Vec<String>> {
    let columns: Vec<_> = rows.columns().iter().map(|column| column.cast(&DataType::String).unwrap()).collect();
    let text = |column: &Column, row| column.str().unwrap().get(row).unwrap_or("null").to_owned();
    (0..rows.height()).map(|row| columns.iter().map(|column| text(column, row)).collect()).collect()
}
