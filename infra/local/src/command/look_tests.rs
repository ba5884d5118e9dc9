//! Tests of the commands that look at a lake: `sql`, `diff`, `profile` and `history`.

use std::fmt::Write;
use std::path::Path;

use chrono::{DateTime, Utc};
use clap::Parser;
use polars::prelude::*;
use rcm_domain::cdm::timestamp;
use rcm_domain::money;
use rcm_tables::delta::{self, Change, Table};
use serde_json::Value;
use tempfile::TempDir;

use super::*;

/// A lake of two patients, one of whom moved, with three claims of which one is paid later.
struct Small {
    folder: TempDir,
}

impl Small {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(&lake_url(folder.path().to_str().unwrap()).unwrap()).unwrap();
        defaults::install_defaults(&lake).await.unwrap();
        let small = Self { folder };
        small.put("silver/patients", &patients()).await;
        for paid in [[Some("0.00"), None, Some("5.00")], [Some("0.00"), Some("80.00"), Some("5.00")]] {
            small.put("gold/fact_claims", &claims(paid)).await;
        }
        small
    }

    async fn context(&self) -> Context {
        existing(self.folder.path().to_str().unwrap()).await.unwrap()
    }

    /// Replaces the rows of a table by one commit.
    async fn put(&self, path: &str, rows: &DataFrame) {
        let context = self.context().await;
        let table = Table::open(&context.lake, path).await.unwrap();
        let file = delta::write(&context, path, rows, &[]).await.unwrap();
        let change = Change {
            schema: rows.schema(),
            partition_by: &[],
            properties: &[],
            add: vec![file],
            remove: table.as_ref().map_or_else(Vec::new, |table| table.files().to_vec()),
            transactions: Vec::new(),
            run_id: "run-of-tests",
        };
        delta::commit(&context.lake, path, table.as_ref(), change).await.unwrap();
    }

    async fn call(&self, arguments: &[&str]) -> Result<CommandOutput, StageError> {
        let lake = ["--lake", self.folder.path().to_str().unwrap()];
        let all = ["rcm"].iter().chain(arguments).chain(&lake);
        carry_out(Arguments::try_parse_from(all).unwrap()).await
    }

    async fn text(&self, arguments: &[&str]) -> String {
        self.call(arguments).await.unwrap().text
    }

    /// The rows that a query answers, as JSON.
    async fn rows(&self, sql: &str, more: &[&str]) -> Vec<Value> {
        let arguments: Vec<&str> = ["sql", sql, "--json"].iter().chain(more).copied().collect();
        let document: Value = serde_json::from_str(&self.text(&arguments).await).unwrap();
        document["rows"].as_array().unwrap().clone()
    }

    async fn refusal(&self, arguments: &[&str]) -> String {
        let error = self.call(arguments).await.unwrap_err();
        assert_eq!(error.name(), "BadConfig", "{error}");
        error.to_string()
    }
}

fn at(day: &str) -> i64 {
    format!("{day}T00:00:00Z").parse::<DateTime<Utc>>().unwrap().timestamp_micros()
}

/// Versions of two made-up patients.
fn patients() -> DataFrame {
    let rows = df!(
        "patient_key" => ["P1-hos-a", "P1-hos-a", "P2-hos-a"],
        "src_patient_id" => ["P1", "P1", "P2"],
        "datasource" => ["hos-a", "hos-a", "hos-a"],
        "first_name" => ["Quillon", "Quillon", "Corvane"],
        "last_name" => ["Fictor", "Fictor", "NULL"],
        "ssn" => ["123-45-6789", "123-45-6789", "987-65-4321"],
        "middle_name" => [None::<&str>, None, None],
        "phone_number" => ["555-0100", "555-0100", "555-0199"],
        "gender" => ["Male", "Male", "Female"],
        "dob" => ["1984-11-07", "1984-11-07", "1990-01-31"],
        "address" => ["1 Figment Lane", "22 Nowhere Road", "3 Mirage Court"],
        "effective_from" => [at("2024-09-01"), at("2024-09-10"), at("2024-09-01")],
        "effective_to" => [Some(at("2024-09-10")), None, None],
        "inserted_at" => [at("2024-09-02"), at("2024-09-25"), at("2024-09-02")],
        "is_current" => [false, true, true],
        "is_deleted" => [false, false, false],
        "load_id" => ["one", "two", "one"],
    );
    let moments = ["effective_from", "effective_to", "inserted_at"].map(|name| col(name).cast(timestamp()));
    let format = StrptimeOptions { format: Some("%Y-%m-%d".into()), ..StrptimeOptions::default() };
    let born = col("dob").str().to_date(format);
    rows.unwrap().lazy().with_columns(moments).with_columns([born]).collect().unwrap()
}

fn claims(paid: [Option<&str>; 3]) -> DataFrame {
    let rows = df!(
        "claim_key" => ["C1-hos-a", "C2-hos-a", "C3-hos-a"],
        "patient_key" => ["P1-hos-a", "P1-hos-a", "P2-hos-a"],
        "datasource" => ["hos-a", "hos-a", "hos-a"],
        "claim_amount" => ["100.00", "80.00", "5.00"],
        "paid_amount" => paid,
        "load_id" => ["one", "one", "one"],
    );
    let amounts = ["claim_amount", "paid_amount"].map(|name| col(name).cast(money::dtype()));
    rows.unwrap().lazy().with_columns(amounts).collect().unwrap()
}

/// What may be in no output.
const PRIVATE: [&str; 9] =
    ["Quillon", "Fictor", "Corvane", "123-45", "Figment", "Nowhere", "1984-11", "P1-hos-a", "C2-hos-a"];

fn assert_private(text: &str) {
    let found: Vec<&str> = PRIVATE.into_iter().filter(|value| text.contains(value)).collect();
    assert_eq!(found, Vec::<&str>::new(), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_shows_shapes_whatever_it_does_with_a_value() {
    let small = Small::new().await;
    for sql in [
        "select * from silver.patients",
        "select * from silver.patients_current order by ssn",
        "select first_name || ' ' || last_name as x, substr(ssn, 1, 3) as y, upper(address) from silver.patients",
        "select max(dob), min(ssn) from silver.patients where gender = 'Male'",
        "with p as (select ssn as s, dob as d from silver.patients) select s, count(*) from p group by s",
        "select case when last_name like 'F%' then 'F' else last_name end as x from silver.patients",
        "select p.*, c.* from silver.patients_current p join gold.fact_claims c on c.patient_key = p.patient_key",
        "select patient_key from silver.patients union all select claim_key from gold.fact_claims",
        "select (select max(ssn) from silver.patients) as x, * from gold.fact_claims",
    ] {
        let answer = small.call(&["sql", sql]).await;
        assert_private(&answer.map_or_else(|error| error.to_string(), |answer| answer.text));
    }
    let shapes = small.rows("select first_name, last_name, ssn, dob, gender from silver.patients_current", &[]).await;
    let expected = json!({
        "first_name": "Aaaaaaa", "last_name": "Aaaaaa", "ssn": "999-99-9999", "dob": "9999-99-99", "gender": "Male"
    });
    assert_eq!(shapes[0], expected);
    assert_eq!(shapes[1]["last_name"], "NULL", "the word is no value");
    for probe in ["ssn = '123-45-6789'", "first_name like 'Q%'", "patient_key = 'P1-hos-a'", "dob < '1985-01-01'"] {
        let found = small.rows(&format!("select gender from silver.patients_current where {probe}"), &[]).await;
        assert_eq!(found, Vec::<Value>::new(), "{probe}: a condition looks at shapes too");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn joins_and_counts_say_of_tokens_what_they_say_of_keys() {
    let small = Small::new().await;
    let sql = "select p.gender, count(distinct c.patient_key) as patients, count(*) as claims, sum(c.claim_amount) as amount \
               from gold.fact_claims c join silver.patients_current p on p.patient_key = c.patient_key \
               group by p.gender order by p.gender";
    let rows = small.rows(sql, &[]).await;
    assert_eq!(rows[0], json!({ "gender": "Female", "patients": 1, "claims": 1, "amount": "5.00" }));
    assert_eq!(rows[1], json!({ "gender": "Male", "patients": 1, "claims": 2, "amount": "180.00" }));
    let key = "select distinct patient_key from gold.fact_claims order by patient_key";
    assert_eq!(small.rows(key, &[]).await, small.rows(key, &[]).await, "tokens of two queries can be compared");
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_shown_with_a_reason_which_is_recorded_first() {
    let small = Small::new().await;
    let sql = "select ssn from silver.patients_current where patient_key = 'P1-hos-a'";
    let refused = Arguments::try_parse_from(["rcm", "sql", sql, "--values", "--lake", "x"]).unwrap_err();
    assert!(refused.to_string().contains("--why"), "{refused}");
    assert!(small.refusal(&["sql", sql, "--values", "--why", " "]).await.contains("--why is empty"));
    let asked = ["--values", "--why", "ticket 4711", "--by", "R. Egistrar"];
    let rows = small.rows(sql, &asked).await;
    assert_eq!(rows[0]["ssn"], "123-45-6789");
    let folder = small.folder.path().join("audit/readings");
    let records: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    let record: Value = serde_json::from_str(&records[0]).unwrap();
    assert_eq!((records.len(), &record["why"], &record["who"]), (1, &json!("ticket 4711"), &json!("R. Egistrar")));
    assert!(record["what"].as_str().unwrap().contains("silver.patients_current"), "{record}");
    assert_private(&records[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_date_shows_the_versions_that_held_then_and_refuses_tables_of_today() {
    let small = Small::new().await;
    let sql = "select count(*) as n from silver.patients_current where address like '9 %'";
    assert_eq!(small.rows(sql, &[]).await[0]["n"], 1, "one has moved to a number of two digits");
    for (date, expected) in [("2024-09-05", 2), ("2024-09-09", 2), ("2024-09-10", 1), ("2024-08-31", 0)] {
        assert_eq!(small.rows(sql, &["--as-of", date]).await[0]["n"], expected, "{date}");
    }
    for (sql, expected) in [
        ("select * from gold.fact_claims", "cannot be seen at another date"),
        ("select * from silver.patients", "ask silver.patients_current"),
    ] {
        assert!(small.refusal(&["sql", sql, "--as-of", "2024-09-05"]).await.contains(expected));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_cut_and_said_to_be_and_written_whole_to_a_file() {
    let small = Small::new().await;
    let sql = "select datasource, claim_amount from gold.fact_claims order by claim_amount";
    let cut = small.text(&["sql", sql, "--limit", "2"]).await;
    assert!(cut.starts_with("The first 2 rows; there are more.") && !cut.contains("100.00"), "{cut}");
    assert!(small.text(&["sql", sql]).await.starts_with("3 rows"));
    let csv = "datasource,claim_amount\nhos-a,5.00\nhos-a,80.00\nhos-a,100.00\n";
    assert_eq!(small.text(&["sql", sql, "--format", "csv"]).await, csv);
    for format in ["csv", "json", "parquet", "table"] {
        let file = small.folder.path().join(format!("out.{format}"));
        let said = small.text(&["sql", sql, "--format", format, "--out", file.to_str().unwrap()]).await;
        assert!(said.starts_with("3 rows in "), "{said}");
        assert_eq!(mode(&file), 0o600, "{format}");
    }
    let parquet = small.folder.path().join("out.parquet");
    assert_eq!(ParquetReader::new(std::fs::File::open(parquet).unwrap()).finish().unwrap().height(), 3);
    assert!(small.refusal(&["sql", sql, "--format", "parquet"]).await.contains("--out"));
}

fn code(output: &CommandOutput) -> String {
    format!("{:?}", output.exit)
}

fn code_of(code: u8) -> String {
    format!("{:?}", ExitCode::from(code))
}

fn mode(file: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_cannot_be_asked_is_refused_without_its_texts() {
    let small = Small::new().await;
    for (sql, expected) in [
        ("select * from silver.patient where ssn = '123-45-6789'", "silver has patients, patients_current"),
        ("select shoe from silver.patients where ssn = '123-45-6789'", "silver.patients has patient_key"),
        ("select * from silver.patients where last_name = \"Fictor\"", "texts are in single quotes"),
        ("select * from read_parquet('silver/patients/1984.parquet')", "read files cannot be used"),
        ("select frobnicate(ssn, '123-45-6789') from silver.patients", "cannot be run"),
        ("select * from bronze.\"hosa/patients\"", "bronze has"),
        ("select * from gold.\"../silver/patients\"", "there is no table"),
        ("drop table silver.patients", "only queries"),
    ] {
        let refusal = small.refusal(&["sql", sql]).await;
        assert!(refusal.contains(expected), "{sql}: {refusal}");
        assert_private(&refusal);
    }
    let failed = small
        .refusal(&["sql", "select cast(last_name as int) from silver.patients", "--values", "--why", "a test"])
        .await;
    assert_private(&failed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_diff_counts_rows_columns_and_money_and_shows_no_value() {
    let small = Small::new().await;
    let text = small.text(&["diff", "gold/fact_claims"]).await;
    assert_private(&text);
    let lines: Vec<String> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for expected in ["3 3 0 0 1", "paid_amount 1 null to a value 1 5.00 85.00 +80.00"] {
        assert!(lines.iter().any(|line| line == expected), "`{expected}` in {text}");
    }
    assert!(text.starts_with("gold/fact_claims: version 0 (") && text.contains("run run-of-tests"), "{text}");
    let document: Value = serde_json::from_str(&small.text(&["diff", "gold.fact_claims", "--json"]).await).unwrap();
    assert_eq!((&document["changed"], &document["columns"][0]["sums"]["difference"]), (&json!(1), &json!("80.00")));
    assert_eq!(document["rows"], json!([]));

    let values = small.text(&["diff", "gold/fact_claims", "--values", "--why", "month end"]).await;
    assert!(values.contains("C2-hos-a") && values.contains("80.00"), "{values}");
    let same = small.call(&["diff", "gold/fact_claims", "--from", "1", "--exit-code"]).await.unwrap();
    assert!(same.text.contains("No difference.") && code(&same) == code_of(0), "{}", same.text);
    let other = small.call(&["diff", "gold/fact_claims", "--exit-code"]).await.unwrap();
    assert_eq!(code(&other), code_of(SOME_FAILED));
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_that_cannot_be_compared_are_refused() {
    let small = Small::new().await;
    for (arguments, expected) in [
        (["gold/fact_claims", "--from", "7"], "has the versions 0 to 1, not 7"),
        (
            ["gold/fact_claims", "--from", "2020-01-31"],
            "no version of 2020-01-31 or before; its log begins with version 0",
        ),
        (["silver/patients", "--from", "last"], "has had one version"),
        (["gold/fact_encounters", "--from", "last"], "there is no table `gold/fact_encounters`"),
        (["audit/load_logs", "--from", "last"], "no table whose rows have a key"),
    ] {
        let refusal = small.refusal(&["diff", arguments[0], arguments[1], arguments[2]]).await;
        assert!(refusal.contains(expected), "{refusal}");
    }
    let context = small.context().await;
    let table = Table::open(&context.lake, "gold/fact_claims").await.unwrap().unwrap();
    let replaced = table.at_version(0).await.unwrap();
    context.lake.delete(&format!("gold/fact_claims/{}", replaced.files()[0].path())).await.unwrap();
    let refusal = small.refusal(&["diff", "gold/fact_claims"]).await;
    assert!(
        refusal.contains("version 0 of table `gold/fact_claims` cannot be read: maintenance has removed 1"),
        "{refusal}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn history_tells_the_version_of_a_date_and_what_was_known_on_another() {
    let small = Small::new().await;
    let of = ["history", "patients", "P1-hos-a"];
    let then = small.text(&[&of[..], &["--as-of", "2024-09-15"]].concat()).await;
    assert!(
        then.starts_with("patients P1-hos-a as of the end of 2024-09-15: version 2 of 2, from 2024-09-10\n"),
        "{then}"
    );
    assert!(
        then.contains("known in the lake since 2024-09-25; at that time the lake said address 1 Figment Lane\n"),
        "{then}"
    );
    let known = small.text(&[&of[..], &["--as-of", "2024-09-15", "--known-on", "2024-09-20"]].concat()).await;
    assert!(
        known.starts_with("As the lake knew it at the end of 2024-09-20\n") && known.contains("1 Figment Lane"),
        "{known}"
    );
    let masked = small.text(&[&of[..], &["--as-of", "2024-09-15", "--masked"]].concat()).await;
    assert_private(&masked);
    assert!(masked.contains("9 Aaaaaaa Aaaa"), "{masked}");
    assert_private(&small.text(&[&of[..], &["--masked", "--json"]].concat()).await);
    for nothing in [["--known-on", "2024-08-31"], ["--as-of", "2024-08-31"]] {
        let answer = small.call(&[&of[..], &nothing[..]].concat()).await.unwrap();
        assert_eq!(code(&answer), code_of(SOME_FAILED), "{}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_of_a_file_shows_shapes_and_suggests_rules() {
    let small = Small::new().await;
    let file = small.folder.path().join("patients.csv");
    let mut text =
        "PatientID;FirstName;LastName;MiddleName;SSN;PhoneNumber;Gender;DOB;Address;ModifiedDate;Mothers_Name\n"
            .to_owned();
    for row in 0..300 {
        let (last, gender) = (if row == 7 { "NULL" } else { "Fictor" }, if row % 2 == 0 { "Male" } else { "Female" });
        let id = if row == 9 { 8 } else { row };
        let _ = writeln!(
            text,
            "P{id:04};Quillon;{last};;123-45-6789;555-0100;{gender};1984-11-07;1 Figment Lane;2024-10-31;Corvane"
        );
    }
    std::fs::write(&file, text).unwrap();
    let arguments = ["profile", file.to_str().unwrap(), "--rules"];
    let text = small.text(&arguments).await;
    assert_private(&text);
    let lines: Vec<String> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for expected in [
        "PatientID id – 299 · · A9999 300 ← 1 repeated",
        "FirstName name – 1 · · Aaaaa 300",
        "Gender 2 values – 2 Female 50 %, Male 50 %",
        "ModifiedDate date – 1 2024-10-31 2024-10-31 9999-99-99 300",
        "Mothers_Name text – 1 · · Aaaaa 300",
        "# fires on 1 of 300 rows",
        "id = \"last_name_literal_null\"",
        "values = [\"Female\", \"Male\"]",
    ] {
        assert!(lines.iter().any(|line| line == expected), "`{expected}` in {text}");
    }
    assert!(!text.contains("first_name_literal_null"), "that rule is there already: {text}");
    assert_private(&small.text(&["profile", file.to_str().unwrap(), "--rules", "--json"]).await);

    let without_lake = Arguments::try_parse_from(["rcm", "profile", file.to_str().unwrap()]).unwrap();
    assert_private(&carry_out(without_lake).await.unwrap().text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_of_a_table_shows_what_the_model_allows() {
    let small = Small::new().await;
    let text = small.text(&["profile", "silver/patients", "--rules"]).await;
    assert_private(&text);
    assert!(text.starts_with("silver/patients: 3 rows, ") && text.contains("fewer than 200 rows"), "{text}");
    let claims = small.text(&["profile", "gold/fact_claims"]).await;
    assert_private(&claims);
    assert!(claims.contains("claim_amount"), "{claims}");
    assert!(small.refusal(&["profile", "silver/patient"]).await.contains("is no file and no table"));
}
