//! A hospital whose tables are in PostgreSQL gives the lake that its extract files give.

use std::collections::BTreeMap;
use std::path::Path;

use postgres_server::{DATABASE, PASSWORD, PostgresServer, USER};
use rcm::print::Progress;
use rcm::run::{Options, run};
use rcm_platform::bronze::LoadLog;
use rcm_platform::bronze_file::for_each_row;
use rcm_platform::config::Environment;
use rcm_platform::context::Clock;
use rcm_platform::{Context, Lake};
use serde_json::json;

use crate::scratch::{Scratch, SmallHospital, as_of};

/// The tables of the hospital, as `load_config.csv` has them.
const TABLES: [&str; 5] = ["encounters", "patients", "transactions", "providers", "departments"];
/// The column that is a date; all others are texts, as a file has them.
const WATERMARK: &str = "ModifiedDate";

/// Puts what extract files have into the tables of the same names.
async fn deliver(server: &PostgresServer, emr: &Path) {
    for table in TABLES {
        let mut file = csv::Reader::from_path(emr.join(format!("hos-a/{table}.csv"))).unwrap();
        let columns = file.headers().unwrap().clone();
        let columns =
            columns.iter().map(|name| format!("\"{name}\" {}", if name == WATERMARK { "date" } else { "text" }));
        let columns = columns.collect::<Vec<_>>().join(", ");
        server
            .execute(&format!(
                "CREATE SCHEMA IF NOT EXISTS dbo; GRANT USAGE ON SCHEMA dbo TO {USER}; \
                 DROP TABLE IF EXISTS dbo.{table}; CREATE TABLE dbo.{table} ({columns}); \
                 GRANT SELECT ON dbo.{table} TO {USER}"
            ))
            .await;
        for record in file.records() {
            let values: Vec<String> = record.unwrap().iter().map(|field| format!("'{field}'")).collect();
            server.execute(&format!("INSERT INTO dbo.{table} VALUES ({})", values.join(", "))).await;
        }
    }
}

/// The rows of every load of the hospital's tables, as texts in their order.
async fn bronze(lake: &Lake) -> BTreeMap<String, Vec<Vec<String>>> {
    let mut loads = BTreeMap::new();
    for table in TABLES {
        let stream = format!("hosa/{table}");
        for load in LoadLog::new(lake, &stream).after(0).await.unwrap() {
            let mut rows = Vec::new();
            let columns = columns_of(table);
            for file in &load.data_files {
                let read = for_each_row(lake, file, &columns, |row| {
                    rows.push(row.iter().map(|&text| text.to_owned()).collect());
                });
                assert!(read.await.unwrap(), "{stream}");
            }
            loads.insert(format!("{stream} {}", load.sequence), rows);
        }
    }
    loads
}

/// Some columns of each table, its key and the watermark among them.
fn columns_of(table: &str) -> Vec<&'static str> {
    match table {
        "encounters" => vec!["EncounterID", "PatientID", "EncounterDate", "DepartmentID", "ProcedureCode", WATERMARK],
        "patients" => vec!["PatientID", "FirstName", "LastName", "SSN", "DOB", "Address", WATERMARK],
        "transactions" => vec!["TransactionID", "PatientID", "PaidDate", "Amount", "PaidAmount", "ClaimID", WATERMARK],
        "providers" => vec!["ProviderID", "FirstName", "LastName", "Specialization", "DeptID", "NPI"],
        _ => vec!["DeptID", "Name"],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hospital_in_postgresql_gives_the_lake_that_its_files_give() {
    let server = PostgresServer::start_with_tls().await;
    let (files, database) = (Scratch::new().await, Scratch::new().await);
    let hospital = SmallHospital::write(&files);
    SmallHospital::write(&database);
    database.edit("configs/sources.toml", "kind = \"files\"", "kind = \"postgres\"");
    let secrets = database.beside("secrets.json");
    let secret = json!({
        "host": "localhost", "port": server.port(), "username": USER, "password": PASSWORD, "dbname": DATABASE,
        "ca": server.certificate(),
    });
    std::fs::write(&secrets, json!({ "trendytech-hospital-a": secret }).to_string()).unwrap();
    for delivery in 0..2 {
        let extracted_at = rcm::demo::EXTRACTED_AT[delivery];
        files.set_clock(extracted_at);
        files.land(&hospital.landing[delivery]).await;
        let from_files = files.run(&hospital.emr[delivery], as_of()).await;
        assert!(from_files.is_complete(), "{:?}", from_files.failures);

        deliver(&server, &hospital.emr[delivery]).await;
        database.land(&hospital.landing[delivery]).await;
        let environment = Environment { secrets_file: Some(secrets.clone()), ..Environment::default() };
        let context = Context::of(database.lake(), environment, Clock::from_fn(move || extracted_at)).await.unwrap();
        let options = Options { as_of: Some(as_of()), ..Options::default() };
        let first = run(&context, options, &Progress::new(true)).await.unwrap();
        assert!(first.is_complete(), "{:?}", first.failures);
        let second = run(&context, options, &Progress::new(true)).await.unwrap();
        assert!(second.found_nothing_new(), "{:?}", second.stages);
    }
    let (expected, found) = (bronze(&files.lake()).await, bronze(&database.lake()).await);
    assert_eq!(expected["hosa/patients 2"].len(), 2, "one that changed, and one of the day that is read again");
    assert_eq!(found, expected);
    let (expected, found) = (files.content().await, database.content().await);
    for (table, rows) in expected.iter().filter(|(table, _)| !table.starts_with("quarantine/")) {
        assert_eq!(Some(rows), found.get(table), "{table}");
    }
    assert_eq!(expected.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>());
}
