//! Other readers see the same tables, and DuckDB computes the same numbers from the raw files: see
//! `tests/readers/`.

use std::path::{Path, PathBuf};
use std::process::Command;

use polars::prelude::*;
use rcm::demo;
use rcm_tables::delta::{self, Change, Table};
use serde_json::Value;

use crate::scratch::{AS_OF, Scratch};

/// Where `tests/aws/install-tools.sh tests` installs the tools of the tests.
pub(crate) const TOOLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/tools/tests/bin");

/// Readers that `describe.py` knows.
const READERS: [&str; 3] = ["deltalake", "polars", "duckdb"];

#[tokio::test(flavor = "multi_thread")]
async fn other_readers_agree_with_one_another_and_with_the_raw_files() {
    let scratch = Scratch::new().await;
    let files = demo::write(&scratch.beside("sources"), demo::SEED).unwrap();
    for delivery in &files.deliveries {
        scratch.set_clock(delivery.extracted_at);
        scratch.land(&delivery.landing).await;
        scratch.run(&delivery.emr, demo::AS_OF).await;
    }
    let deliveries: Vec<PathBuf> =
        files.deliveries.iter().map(|delivery| delivery.emr.parent().unwrap().to_owned()).collect();
    let lake = scratch.path("");
    agree(&lake, AS_OF, &deliveries);
    the_log_says_what_was_taken_in(&lake);
}

/// Commits rows to a table, which has a column more each time.
async fn commit_wider(scratch: &Scratch, rows: DataFrame) {
    let context = scratch.context(Path::new("/nowhere")).await;
    let table = Table::open(&context.lake, "silver/things").await.unwrap();
    let stored = rows.drop("half").unwrap();
    let half = rows.column("half").unwrap().i32().unwrap().get(0).map(|half| half.to_string());
    let change = Change {
        schema: rows.schema(),
        partition_by: &["half"],
        properties: &[],
        add: vec![delta::write(&context, "silver/things", &stored, &[("half", half)]).await.unwrap()],
        remove: Vec::new(),
        transactions: Vec::new(),
        run_id: "run",
    };
    delta::commit(&context.lake, "silver/things", table.as_ref(), change).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn other_readers_agree_on_a_table_that_gained_columns() {
    let scratch = Scratch::new().await;
    commit_wider(&scratch, df!("datasource" => ["hos-a", "hos-b"], "half" => [0, 0]).unwrap()).await;
    let dated = df!("datasource" => ["hos-a"], "visits" => [3_i64], "half" => [0]).unwrap();
    commit_wider(&scratch, dated).await;
    let named = df!("datasource" => ["hos-b"], "visits" => [4_i64], "name" => ["Made up"], "half" => [1]).unwrap();
    commit_wider(&scratch, named).await;
    let lake = scratch.path("");
    for reader in READERS {
        let described = &script("describe.py", &[reader, lake.to_str().unwrap()])["silver/things"];
        let values = |column: &str| described["columns"][column]["values"].as_i64();
        let found = ["datasource", "half", "visits", "name"].map(values);
        assert_eq!((&described["rows"], found), (&Value::from(4), [Some(4), Some(4), Some(2), Some(1)]), "{reader}");
    }
}

/// Checks that every reader describes every table in the same way, and that the tables equal what DuckDB computes from
/// the deliveries.
pub(crate) fn agree(lake: &Path, as_of: &str, deliveries: &[PathBuf]) {
    let lake = lake.to_str().unwrap();
    let [tables, others @ ..] = READERS.map(|reader| script("describe.py", &[reader, lake]));
    for (reader, other) in READERS[1..].iter().zip(others) {
        for (table, described) in tables.as_object().unwrap() {
            assert_eq!(&other[table], described, "{reader} and {} on {table}", READERS[0]);
        }
    }
    the_types_are_those_of_the_specification(&tables);

    let deliveries = deliveries.iter().map(|folder| folder.to_str().unwrap());
    let arguments: Vec<&str> = [as_of].into_iter().chain(deliveries).collect();
    let expected = script("raw_files.py", &arguments);
    for (table, figures) in expected.as_object().unwrap() {
        for (figure, expected) in figures.as_object().unwrap() {
            assert_eq!(&figure_of(&tables[table], figure), expected, "{figure} of {table}");
        }
    }
}

/// A figure of a described table by the name that `raw_files.py` gives it. A table that is not there
/// has no rows.
fn figure_of(table: &Value, figure: &str) -> Value {
    match figure {
        "rows" if table.is_null() => Value::from(0),
        "rows" => table["rows"].clone(),
        "current" => table["columns"]["is_current"]["true"].clone(),
        column => table["columns"][column]["sum"].clone(),
    }
}

fn the_types_are_those_of_the_specification(tables: &Value) {
    let mut described = 0;
    for (table, description) in tables.as_object().unwrap() {
        for (column, description) in description["columns"].as_object().unwrap() {
            let found = description["type"].as_str().unwrap();
            assert!(!found.contains("timestamp") || found.contains("UTC"), "{column} of {table} is {found}");
            assert!(!found.contains("uint"), "{column} of {table} is {found}");
            described += 1;
        }
    }
    assert!(described > 300, "{described} columns are described");
    let type_of = |table: &str, column: &str| &tables[table]["columns"][column]["type"];
    assert_eq!(type_of("silver/transactions", "amount"), "decimal128(18, 2)");
    assert_eq!(type_of("gold/kpi_ar_aging", "balance"), "decimal128(38, 2)");
    assert_eq!(type_of("silver/patients", "effective_from"), "timestamp[us, UTC]");
    assert_eq!(type_of("silver/patients", "is_current"), "bool");
    assert_eq!(type_of("silver/cpt_codes", "cpt_code"), "string");
}

fn the_log_says_what_was_taken_in(lake: &Path) {
    let log = script("log.py", &[lake.join("silver/patients").to_str().unwrap(), "hosa/patients", "hosb/patients"]);
    assert_eq!(log["version"], 2, "one commit per run");
    assert_eq!(log["commits"], 3);
    assert_eq!(log["transactions"], serde_json::json!({ "hosa/patients": 3, "hosb/patients": 3 }));
    assert_eq!(log["partitions"], serde_json::json!({ "bucket": "integer" }));
    assert_eq!(log["reader_features"], serde_json::json!([]));
}

/// Runs a script of `tests/readers/` and reads the JSON that it prints.
pub(crate) fn script(name: &str, arguments: &[&str]) -> Value {
    let python = Path::new(TOOLS).join("python");
    assert!(python.exists(), "{} is missing: `bash tests/aws/install-tools.sh tests` installs it", python.display());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("readers").join(name);
    let output = Command::new(python).arg(path).args(arguments).output().unwrap();
    assert!(output.status.success(), "{name} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
