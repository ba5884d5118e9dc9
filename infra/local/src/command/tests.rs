use clap::Parser;
use polars::prelude::*;
use rcm_tables::delta::{self, Change, Table};
use tempfile::TempDir;

use super::*;

/// A lake with the default configuration.
async fn context(folder: &TempDir) -> Context {
    let lake = Lake::open(&lake_url(folder.path().to_str().unwrap()).unwrap()).unwrap();
    defaults::install_defaults(&lake).await.unwrap();
    Context::of(lake, Environment::default(), Clock::system()).await.unwrap()
}

/// A run with one stage.
fn a_run(context: &Context, stage: &str) -> Run {
    let now = context.now();
    let stages = vec![StageReport::new("run", stage, "claims", StageTimes { started_at: now, finished_at: now })];
    Run {
        run_id: "run".to_owned(),
        as_of: now.date_naive(),
        stages,
        failures: Vec::new(),
        files_left: 0,
        standstills: Vec::new(),
    }
}

#[tokio::test]
async fn a_run_whose_kpis_cannot_be_read_ends_with_that_failure_and_nothing_else_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let context = context(&folder).await;
    context.lake.put("gold/kpi_days_in_ar/_delta_log/00000000000000000000.json", "no log").await.unwrap();
    let mut run = a_run(&context, "silver-claims");
    assert!(kpis_of(&context, &mut run).await.is_none());
    assert_eq!((run.stages.len(), run.failures.len()), (2, 1));
    assert!(run.failures[0].error.message.starts_with("the KPIs cannot be read: "), "{:?}", run.failures);
    assert_eq!(format!("{:?}", exit_of(&run)), format!("{:?}", ExitCode::from(SOME_FAILED)));
}

#[tokio::test]
async fn kpis_that_the_run_did_not_make_are_said_to_be_of_an_earlier_one() {
    let folder = tempfile::tempdir().unwrap();
    let context = context(&folder).await;
    let says_so = |stage: &str| kpi_text(Some(&Kpis::default()), &a_run(&context, stage)).contains("an earlier run");
    assert_eq!((says_so("gold-facts"), says_so(GOLD_KPIS)), (true, false));
}

#[tokio::test]
async fn what_was_not_copied_and_what_has_to_wait_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let link = PassedOver { name: "drop/a.csv".to_owned(), reason: "a link" };
    let context = context(&folder).await;
    let run = Run { files_left: 3, ..a_run(&context, GOLD_KPIS) };
    let told = passed_over(vec![link], &run);
    let names: Vec<&str> = told.iter().map(|passed_over| passed_over.name.as_str()).collect();
    assert_eq!(names, ["drop/a.csv", "3 landed files"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_without_tables_has_nothing_to_be_maintained() {
    let folder = tempfile::tempdir().unwrap();
    context(&folder).await;
    let answer = maintain(folder.path().to_str().unwrap(), false).await.unwrap();
    assert_eq!(answer.text, "There was nothing to do.\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn maintenance_says_what_it_did() {
    let folder = tempfile::tempdir().unwrap();
    let context = context(&folder).await;
    for key in ["P1-hos-a", "P2-hos-a", "P3-hos-a", "P4-hos-a"] {
        put_patient(&context, key, true).await;
    }
    let answer = maintain(folder.path().to_str().unwrap(), false).await.unwrap();
    assert!(answer.text.contains("silver/patients: 4 small files became 1"), "{}", answer.text);
}

/// Adds a version of a patient to silver.
async fn put_patient(context: &Context, key: &str, is_current: bool) {
    let path = "silver/patients";
    let rows = df!("patient_key" => [key]).unwrap();
    let file = delta::write(context, path, &rows, &[("is_current", Some(is_current.to_string()))]).await.unwrap();
    let schema = [("patient_key", DataType::String), ("is_current", DataType::Boolean)];
    let change = Change {
        schema: &schema.into_iter().map(|(name, dtype)| Field::new(name.into(), dtype)).collect(),
        partition_by: &["is_current"],
        properties: &[],
        add: vec![file],
        remove: Vec::new(),
        transactions: Vec::new(),
        run_id: "run",
    };
    let table = Table::open(&context.lake, path).await.unwrap();
    delta::commit(&context.lake, path, table.as_ref(), change).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_to_look_at_is_one_that_the_lake_has_and_one_with_a_past_if_there_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let context = context(&folder).await;
    let run = a_run(&context, "silver-claims");
    let next = async || next_lines("lake", &context.lake, &run).await;
    assert_eq!(next().await, ["rcm status --lake lake"]);
    put_patient(&context, "P1-hos-c", true).await;
    assert_eq!(next().await[1], "rcm history patients P1-hos-c --lake lake");
    put_patient(&context, "P2-hos-c", false).await;
    assert_eq!(next().await[1], "rcm history patients P2-hos-c --lake lake");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_is_called_alone_with_its_event() {
    let folder = tempfile::tempdir().unwrap();
    context(&folder).await;
    let event = folder.path().join("event.json");
    std::fs::write(&event, r#"{"run_id": "by-hand"}"#).unwrap();
    let lake = folder.path().to_str().unwrap();
    let call = |function: &'static str, event: PathBuf| async move {
        let arguments = Arguments::parse_from(["rcm", "call", function, event.to_str().unwrap(), "--lake", lake]);
        carry_out(arguments).await
    };
    let answer = call("silver-claims", event.clone()).await.unwrap();
    let report: serde_json::Value = serde_json::from_str(&answer.text).unwrap();
    assert_eq!((report["run_id"].as_str(), report["outcome"].as_str()), (Some("by-hand"), Some("nothing_new")));
    let plan: serde_json::Value = serde_json::from_str(&call("plan", event.clone()).await.unwrap().text).unwrap();
    assert_eq!(plan["run_id"], "by-hand");

    for (function, event, expected) in [
        ("silver-nothing", event.clone(), "there is no function `silver-nothing`"),
        ("silver-claims", folder.path().join("none.json"), "none.json: "),
    ] {
        let error = call(function, event).await.unwrap_err();
        assert!(error.name() == "BadConfig" && error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_fails_says_so_in_its_answer_and_in_the_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let context = context(&folder).await;
    context.lake.put("silver/claims/_delta_log/00000000000000000000.json", "no log").await.unwrap();
    let answer = call::call(context, "silver-claims", json!({ "run_id": "by-hand" })).await.unwrap();
    let told: serde_json::Value = serde_json::from_str(&answer.text).unwrap();
    assert!(told["errorType"].is_string() && told["errorMessage"].is_string(), "{told}");
    assert_eq!(format!("{:?}", answer.exit), format!("{:?}", ExitCode::from(SOME_FAILED)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_without_kpis_has_no_report() {
    let folder = tempfile::tempdir().unwrap();
    let context = context(&folder).await;
    let error = report::report(context, report::Request { as_of: None, out: None, open: false, json: false })
        .await
        .unwrap_err();
    assert_eq!((error.name(), error.to_string().contains("hint: `rcm run` makes them")), ("BadConfig", true));
}

/// The output of a command, and whether it succeeded.
async fn said(words: &[&str]) -> (String, bool) {
    let output = carry_out(Arguments::parse_from(["rcm"].iter().chain(words))).await.unwrap();
    (output.text, format!("{:?}", output.exit) == format!("{:?}", ExitCode::SUCCESS))
}

#[tokio::test]
async fn an_error_is_explained_and_an_unknown_one_is_refused_with_the_one_that_is_meant() {
    let (text, is_done) = said(&["explain", "ThresholdExceeded"]).await;
    assert!(is_done && text.starts_with("ThresholdExceeded\n\nMore rows failed a rule"), "{text}");
    let (text, _) = said(&["explain"]).await;
    assert!(text.lines().any(|line| line == "load_waits"), "{text}");
    let (text, _) = said(&["explain", "Timeout", "--json"]).await;
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["explanations"][0]["title"], "Tried again by itself");
    let error = carry_out(Arguments::parse_from(["rcm", "explain", "BadConfg"])).await.unwrap_err();
    assert!(error.to_string().ends_with("hint: did you mean `BadConfig`?"), "{error}");
}

#[tokio::test]
async fn schemas_and_completions_are_printed() {
    let (text, is_done) = said(&["schema", "cdm"]).await;
    let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(is_done && schema["properties"]["entities"]["properties"]["claims"].is_object(), "{text}");
    for shell in ["bash", "zsh", "fish"] {
        let (text, is_done) = said(&["completions", shell]).await;
        assert!(is_done && text.contains("hospital") && text.contains("log-format"), "{shell}");
    }
}

#[test]
fn the_arguments_are_well_formed_and_a_mistyped_entity_is_told_with_the_one_that_is_meant() {
    Arguments::command().debug_assert();
    for words in [["rebuild", "claim"].as_slice(), &["history", "claim", "K1-hos-a"]] {
        let error = Arguments::try_parse_from(["rcm"].iter().chain(words).chain(&["--lake", "x"])).unwrap_err();
        assert!(error.to_string().contains("'claims'") && error.exit_code() == 2, "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_that_reads_a_lake_can_print_json() {
    let folder = tempfile::tempdir().unwrap();
    context(&folder).await;
    let lake = folder.path().to_str().unwrap();
    let commands: [&[&str]; 8] = [
        &["status"],
        &["plan"],
        &["load", "list"],
        &["quarantine", "list"],
        &["quarantine", "show", "hosb/patients:1:402"],
        &["history", "patients", "P9-hos-c"],
        &["landing", "dismiss", "claims/a.csv", "--why", "a test"],
        &["maintain"],
    ];
    for command in commands {
        let (text, _) = said(&[command, &["--json", "--lake", lake]].concat()).await;
        let document: serde_json::Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{command:?}: {error}: {text}"));
        assert!(document.is_object(), "{command:?}: {text}");
    }
}
