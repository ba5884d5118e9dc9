//! The commands that look at a lake, on the lake of the demo.

use std::path::Path;

use clap::Parser;
use rcm::command::{Arguments, carry_out};
use rcm::demo::DemoFiles;

use crate::scratch::Scratch;

/// Tables with names of providers, who are no patients, but may be called like one.
const OF_PROVIDERS: [&str; 7] = [
    "silver/providers",
    "silver/npi",
    "gold/dim_provider",
    "gold/dim_npi",
    "gold/kpi_provider_department",
    "quarantine/providers",
    "quarantine/npi",
];

/// What a command says, also if it is refused.
async fn said(scratch: &Scratch, arguments: &[&str]) -> String {
    let lake = scratch.path("");
    let lake = ["--lake", lake.to_str().unwrap()];
    let arguments = ["rcm"].iter().chain(arguments).chain(&lake);
    match carry_out(Arguments::try_parse_from(arguments).unwrap()).await {
        Ok(output) => output.text,
        Err(error) => error.to_string(),
    }
}

fn csv_files(folder: &Path, files: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            csv_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "csv") && !path.ends_with("providers.csv") {
            files.push(path.to_str().unwrap().to_owned());
        }
    }
}

/// Runs every command that looks at the lake of the demo, on all that there is, and returns what they say without values
/// having been asked for.
pub(crate) async fn everything_said(scratch: &Scratch, files: &DemoFiles) -> String {
    let mut all = String::new();
    let tables: Vec<String> =
        scratch.versions().await.into_keys().filter(|table| !OF_PROVIDERS.contains(&table.as_str())).collect();
    assert!(tables.len() > 20, "{tables:?}");
    for table in &tables {
        let name = table.replace('/', ".");
        let rows = said(scratch, &["sql", &format!("select * from {name}")]).await;
        assert!(rows.contains(" rows") || rows.contains("1 row\n") || rows == "no rows\n", "{table}: {rows}");
        all += &rows;
        if table.starts_with("silver/") {
            all += &said(scratch, &["sql", &format!("select * from {name}_current"), "--as-of", "2024-10-01"]).await;
        }
        all += &said(scratch, &["diff", table, "--from", "0"]).await;
        let profile = said(scratch, &["profile", table, "--rules"]).await;
        assert!(profile.starts_with(table), "{profile}");
        all += &profile;
    }
    for stream in ["hosa/patients", "hosb/patients", "hosb/transactions", "claims/hos-a"] {
        let rows = said(scratch, &["sql", &format!("select * from bronze.\"{stream}\""), "--limit", "500"]).await;
        assert!(rows.contains("_position"), "{stream}: {rows}");
        all += &rows;
    }
    let mut sources = Vec::new();
    for delivery in &files.deliveries {
        csv_files(&delivery.emr, &mut sources);
        csv_files(&delivery.landing, &mut sources);
    }
    for file in &sources {
        all += &said(scratch, &["profile", file, "--rules", "--top", "5"]).await;
    }
    let masked = said(scratch, &["history", "patients", "HOSP1-000001-hos-a", "--masked"]).await;
    assert!(masked.starts_with("patients AAAA9-999999-aaa-a\n"), "{masked}");
    all += &masked;
    all += &said(scratch, &["quarantine", "list"]).await;
    all += &said(scratch, &["status"]).await;
    figures(scratch).await;
    all + &said_by_the_others(scratch, files).await
}

/// What the commands say that change a lake, or look at what it is made from.
async fn said_by_the_others(scratch: &Scratch, files: &DemoFiles) -> String {
    let emr = files.deliveries[0].emr.join("hos-a");
    let emr = emr.to_str().unwrap();
    let export = scratch.beside("export.csv");
    let export = export.to_str().unwrap();
    let places = "select stream, sequence, position from quarantine.patients order by 1, 2, 3";
    let places = said(scratch, &["sql", places, "--format", "csv"]).await;
    let place = places.lines().nth(1).unwrap().replace(',', ":");
    let commands: [(&[&str], &str); 17] = [
        (&["quarantine", "show", &place], "shape"),
        (&["quarantine", "replay", "--dry-run"], "Nothing was written"),
        (&["quarantine", "replay"], "assessed with the mappings and rules of today"),
        (
            &["quarantine", "export", export, "--entity", "patients", "--hospital", "hos-a", "--why", "a test"],
            "export.csv",
        ),
        (&["quarantine", "correct", export, "--why", "a test", "--dry-run"], "passed over"),
        (&["quarantine", "correct", export, "--why", "a test"], "passed over"),
        (&["quarantine", "discard", "--entity", "patients", "--why", "a test"], "discarded"),
        (&["plan"], "nothing is written"),
        (&["doctor", "--offline"], "lake write"),
        (&["load", "list"], "hosa/patients"),
        (&["load", "void", "hosa/departments", "1", "--why", "a test"], "voided"),
        (&["load", "unvoid", "hosa/departments", "1", "--why", "a test"], "counts again"),
        (&["landing", "dismiss", "claims/hospital9_claims_2024-09.csv", "--why", "a test"], "dismissed"),
        (&["rebuild", "departments"], "departments"),
        (&["close", "2024-09"], "2024-09 is closed"),
        (&["reopen", "2024-09", "--why", "a test"], "2024-09"),
        (&["hospital", "add", "hos-x", "--from", emr, "--dry-run"], "hos-x"),
    ];
    let mut all = String::new();
    for (command, expected) in commands {
        for json in [&[][..], &["--json"]] {
            let told = said(scratch, &[command, json].concat()).await;
            // What was done once may be refused the second time.
            assert!(!json.is_empty() || told.contains(expected), "{command:?}: {told}");
            all += &told;
        }
    }
    all += &said(scratch, &["report"]).await;
    all + &said(scratch, &["maintain"]).await
}

/// What the commands say is what the tables hold.
async fn figures(scratch: &Scratch) {
    let by_token = "select count(distinct c.patient_key) as n from gold.fact_claims c \
                    join silver.patients_current p on p.patient_key = c.patient_key";
    let masked = said(scratch, &["sql", by_token, "--format", "csv"]).await;
    let values = said(scratch, &["sql", by_token, "--format", "csv", "--values", "--why", "a test"]).await;
    assert!(masked == values && masked != "n\n0\n", "a join by tokens is the join by keys: {masked} {values}");
    let facts = scratch.rows("gold/fact_transactions").await.unwrap().height();
    let counted = said(scratch, &["sql", "select count(*) as n from gold.fact_transactions", "--format", "csv"]).await;
    assert_eq!(counted, format!("n\n{facts}\n"));
    let diff = said(scratch, &["diff", "gold/fact_transactions", "--from", "0", "--json"]).await;
    let diff: serde_json::Value = serde_json::from_str(&diff).unwrap();
    let number = |value: &serde_json::Value| value.as_i64().unwrap();
    let grown = number(&diff["added"]) - number(&diff["removed"]);
    assert_eq!(number(&diff["after"]["rows"]) - number(&diff["before"]["rows"]), grown, "{diff}");
    assert!(grown > 0 && number(&diff["changed"]) > 0, "the demo adds and changes transactions every month: {diff}");
    let key = "HOSP1-000001-hos-a";
    let known = said(scratch, &["history", "patients", key, "--known-on", "2024-09-08", "--json"]).await;
    let known: serde_json::Value = serde_json::from_str(&known).unwrap();
    assert_eq!(known["versions"][0]["known_by"], "hosa/patients load 1", "{known}");
}
