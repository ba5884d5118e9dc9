//! What must not drift apart: the functions, their events, their resources and their calls; and the
//! state machine and a run on one machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use chrono::NaiveDate;
use rcm::functions;
use rcm::pipeline::{PIPELINE, RETRY, Step};
use rcm_model::event::WorkPlan;
use rcm_platform::StageError;
use serde_json::{Value, json};

use crate::binaries::ROOT;
use crate::scratch::Scratch;

/// The only function that answers no stage report; a run calls it by itself.
const PLAN: &str = "plan";

// ---- Functions ----

/// Names of what is in a folder, without an ending.
fn names(folder: &str, ending: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(format!("{ROOT}/{folder}")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| Some(name.strip_suffix(ending)?.to_owned())).collect()
}

/// Resources of the template: logical name, and what each says of itself, a line each.
fn resources() -> BTreeMap<String, Vec<String>> {
    let template = fs::read_to_string(format!("{ROOT}/infra/aws/template.yaml")).unwrap();
    let lines = template.lines().skip_while(|line| *line != "Resources:").skip(1);
    let lines = lines.take_while(|line| *line != "Outputs:");
    let mut resources: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut logical_name = "";
    for line in lines {
        if let Some(name) = line.strip_prefix("  ").and_then(|name| name.strip_suffix(':'))
            && name.chars().all(char::is_alphanumeric)
        {
            logical_name = name;
        } else {
            resources.entry(logical_name.to_owned()).or_default().push(line.trim().to_owned());
        }
    }
    resources
}

/// The value of the first line of a resource that begins so.
fn value<'a>(resource: &'a [String], beginning: &str) -> Option<&'a str> {
    resource.iter().find_map(|line| line.strip_prefix(beginning))
}

/// Functions of the template: logical name, folder of the code, and name in the account.
fn function_resources() -> Vec<[String; 3]> {
    let is_function = |resource: &[String]| value(resource, "Type: ") == Some("AWS::Serverless::Function");
    let functions = resources().into_iter().filter(|(_, resource)| is_function(resource));
    let described = functions.map(|(logical_name, resource)| {
        let folder = value(&resource, "CodeUri: ../../functions/").unwrap();
        let name = value(&resource, "FunctionName: !Sub rcm-${EnvironmentName}-").unwrap();
        [logical_name, folder.to_owned(), name.to_owned()]
    });
    described.collect()
}

#[test]
fn a_function_is_one_folder_one_event_and_one_resource() {
    let folders = names("functions", "");
    assert_eq!(names("events", ".json"), folders, "events");
    let resources = function_resources();
    assert_eq!(resources.len(), folders.len(), "{resources:?}");
    for [logical_name, folder, name] in &resources {
        assert_eq!((&kebab(logical_name), name), (folder, folder));
    }
    assert_eq!(resources.into_iter().map(|[_, folder, _]| folder).collect::<BTreeSet<_>>(), folders, "resources");
}

#[test]
fn a_bucket_that_is_kept_keeps_its_policy() {
    let resources = resources();
    let of_type = |name: &str| {
        let found = resources.iter().filter(move |(_, resource)| value(resource, "Type: ") == Some(name));
        found.collect::<Vec<_>>()
    };
    let policies = of_type("AWS::S3::BucketPolicy");
    assert_eq!(policies.len(), of_type("AWS::S3::Bucket").len());
    for (name, policy) in policies {
        let bucket = &resources[value(policy, "Bucket: !Ref ").unwrap()];
        for kept in ["DeletionPolicy: ", "UpdateReplacePolicy: "] {
            assert_eq!(value(policy, kept), value(bucket, kept), "{kept}of {name} and of its bucket");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_function_can_be_called_on_one_machine() {
    let scratch = Scratch::new().await;
    let context = scratch.context(&scratch.beside("emr")).await;
    for name in names("functions", "").into_iter().filter(|name| name != PLAN) {
        let refused = functions::call(&name, context.clone(), json!("no input")).await.unwrap_err();
        assert!(refused.to_string().contains(&format!("input of `{name}`")), "{refused}");
    }
    let unknown = functions::call("no-such-function", context, Value::Null).await.unwrap_err();
    assert_eq!(unknown.name(), "BadConfig");
}

// ---- State machines ----

/// What happens at one point of a run.
#[derive(Debug, PartialEq, Eq)]
struct Node {
    /// Calls that are made side by side: the function, and the list of the plan that it is called for
    /// each item of.
    calls: BTreeSet<(String, Option<String>)>,
    at_once: AtOnce,
    /// Where the run goes on when a call fails for good.
    after_failure: AfterFailure,
}

#[derive(Debug, PartialEq, Eq)]
enum AtOnce {
    AsPlanned,
    Calls(u64),
}

#[derive(Debug, PartialEq, Eq)]
enum AfterFailure {
    /// As if it had not: the other calls, and then the next point.
    GoesOn,
    /// At the point that calls this function.
    At(String),
    End,
}

fn once(function: &str) -> BTreeSet<(String, Option<String>)> {
    BTreeSet::from([(function.to_owned(), None)])
}

/// The run on one machine.
fn run_of_pipeline() -> Vec<Node> {
    let mut nodes = Vec::new();
    for (index, step) in PIPELINE.iter().enumerate() {
        match step {
            Step::Plan => {
                nodes.push(Node { calls: once(PLAN), at_once: AtOnce::Calls(1), after_failure: AfterFailure::End });
            }
            Step::Sources(sources) => {
                let calls =
                    sources.iter().map(|source| (source.function().to_owned(), source.list().map(str::to_owned)));
                let calls = calls.collect();
                nodes.push(Node { calls, at_once: AtOnce::AsPlanned, after_failure: AfterFailure::GoesOn });
            }
            Step::Parallel(functions) => {
                let calls = functions.iter().map(|function| ((*function).to_owned(), None)).collect();
                let at_once = AtOnce::Calls(functions.len() as u64);
                nodes.push(Node { calls, at_once, after_failure: AfterFailure::GoesOn });
            }
            Step::Sequence(functions) => nodes.extend(functions.iter().map(|function| {
                let after_failure = match PIPELINE.get(index + 1) {
                    Some(Step::Sequence(next)) => AfterFailure::At(next[0].to_owned()),
                    _ => AfterFailure::End,
                };
                Node { calls: once(function), at_once: AtOnce::Calls(1), after_failure }
            })),
        }
    }
    nodes
}

fn machine(name: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(format!("{ROOT}/infra/aws/{name}.asl.json")).unwrap()).unwrap()
}

/// The run of a state machine from one of its states up to the summary, as long as nothing fails.
fn run_of_machine(machine: &Value, start: &str) -> Vec<Node> {
    let states = &machine["States"];
    let (mut nodes, mut name) = (Vec::new(), start);
    let mut list_of_calls = &Value::Null;
    while name != "Summary" {
        let state = &states[name];
        match state["Type"].as_str().unwrap() {
            "Pass" => list_of_calls = &state["Result"],
            "Task" => nodes.push(Node {
                calls: once(&function(&state["Parameters"]["FunctionName"])),
                at_once: AtOnce::Calls(1),
                after_failure: after_failure(states, state),
            }),
            "Parallel" => {
                let branches = state["Branches"].as_array().unwrap();
                let calls = branches.iter().map(source).collect();
                nodes.push(Node { calls, at_once: AtOnce::AsPlanned, after_failure: AfterFailure::GoesOn });
            }
            "Map" => {
                is_caught_inside(&state["ItemProcessor"]);
                let calls = list_of_calls.as_array().unwrap().iter().map(|item| {
                    assert_eq!(item["step"].as_str().unwrap(), function(&item["function"]));
                    (function(&item["function"]), None)
                });
                nodes.push(Node {
                    calls: calls.collect(),
                    at_once: AtOnce::Calls(state["MaxConcurrency"].as_u64().unwrap()),
                    after_failure: AfterFailure::GoesOn,
                });
            }
            other => panic!("state {name}: {other}"),
        }
        name = state["Next"].as_str().unwrap();
    }
    nodes
}

/// What one branch of the sources calls, and for which list of the plan.
fn source(branch: &Value) -> (String, Option<String>) {
    let first = &branch["States"][branch["StartAt"].as_str().unwrap()];
    if first["Type"] == "Task" {
        is_caught_inside(branch);
        return (function(&first["Parameters"]["FunctionName"]), None);
    }
    assert_eq!((&first["Type"], &first["MaxConcurrencyPath"]), (&json!("Map"), &json!("$.concurrency")));
    let each = &first["ItemProcessor"];
    is_caught_inside(each);
    let task = &each["States"][each["StartAt"].as_str().unwrap()];
    let list = first["ItemsPath"].as_str().unwrap().strip_prefix("$.").unwrap();
    (function(&task["Parameters"]["FunctionName"]), Some(list.to_owned()))
}

/// A call that fails ends its own branch, well.
fn is_caught_inside(branch: &Value) {
    let task = &branch["States"][branch["StartAt"].as_str().unwrap()];
    let caught = &branch["States"][catcher(task)];
    assert_eq!((&caught["Type"], &caught["End"]), (&json!("Pass"), &json!(true)), "{task}");
}

fn after_failure(states: &Value, task: &Value) -> AfterFailure {
    match states[catcher(task)]["Next"].as_str().unwrap() {
        "Summary" => AfterFailure::End,
        next => AfterFailure::At(function(&states[next]["Parameters"]["FunctionName"])),
    }
}

fn catcher(task: &Value) -> &str {
    let catches = task["Catch"].as_array().unwrap();
    assert_eq!((catches.len(), &catches[0]["ErrorEquals"]), (1, &json!(["States.ALL"])), "{task}");
    catches[0]["Next"].as_str().unwrap()
}

/// `${EmrExtractFunction}` is `emr-extract`.
fn function(substitution: &Value) -> String {
    let substitution = substitution.as_str().unwrap();
    kebab(substitution.strip_prefix("${").and_then(|name| name.strip_suffix("Function}")).unwrap())
}

fn kebab(name: &str) -> String {
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push('-');
        }
        words.extend(letter.to_lowercase());
    }
    words
}

#[test]
fn the_state_machine_and_a_run_on_one_machine_have_the_same_steps_order_and_concurrency() {
    assert_eq!(run_of_machine(&machine("pipeline"), "Start"), run_of_pipeline());
}

#[test]
fn a_landed_file_goes_the_way_of_the_pipeline_from_gold_on() {
    let landed = run_of_machine(&machine("claims-landed"), "GoldDimensions");
    assert_eq!(landed, run_of_machine(&machine("pipeline"), "GoldDimensions"));
}

#[test]
fn the_work_plan_has_what_the_state_machine_takes_from_it() {
    let plan = WorkPlan {
        run_id: String::new(),
        as_of: NaiveDate::default(),
        force: false,
        concurrency: 1,
        extracts: Vec::new(),
        files: Vec::new(),
        files_left: 0,
    };
    let plan = serde_json::to_value(plan).unwrap();
    for Node { calls, .. } in run_of_machine(&machine("pipeline"), "Start") {
        for list in calls.into_iter().filter_map(|(_, list)| list) {
            assert!(plan[&list].is_array(), "{list}");
        }
    }
    assert!(plan["concurrency"].is_u64());
    for pull in ["${NpiPullFunction}", "${IcdPullFunction}"] {
        let machine = machine("pipeline");
        let call = calls(&machine).into_iter().find(|call| call["Parameters"]["FunctionName"] == pull).unwrap();
        let handed = call["Parameters"]["Payload"].as_object().unwrap();
        for (name, place) in handed {
            assert_eq!(format!("$.{}", name.trim_end_matches(".$")), *place, "{pull}");
            assert!(plan.get(name.trim_end_matches(".$")).is_some(), "{pull}: {name}");
        }
        assert!(handed.contains_key("force.$"), "{pull}");
    }
}

// ---- Retries ----

/// One error of every name.
fn errors() -> [StageError; 10] {
    use StageError as E;
    [
        E::SourceUnavailable,
        E::Throttled,
        E::CommitConflict,
        E::Timeout,
        E::Storage,
        E::BadConfig,
        E::BrokenContract,
        E::ThresholdExceeded,
        E::ControlCheckFailed,
        E::CorruptLake,
    ]
    .map(|error: fn(String) -> E| error(String::new()))
}

/// Every state that calls a function, however deep.
fn calls(value: &Value) -> Vec<&Value> {
    let inner = match value {
        Value::Object(fields) => fields.values().flat_map(calls).collect(),
        Value::Array(items) => items.iter().flat_map(calls).collect(),
        _ => Vec::new(),
    };
    let is_call = value["Resource"] == "arn:aws:states:::lambda:invoke";
    is_call.then_some(value).into_iter().chain(inner).collect()
}

#[test]
fn both_try_again_after_the_same_errors_as_often_and_with_the_same_pauses() {
    let retryable: Vec<&str> = errors().iter().filter(|error| error.is_retryable()).map(StageError::name).collect();
    let expected = json!({
        "ErrorEquals": retryable,
        "IntervalSeconds": RETRY.interval.as_secs(),
        "BackoffRate": RETRY.backoff_rate,
        "MaxAttempts": RETRY.max_attempts,
        "MaxDelaySeconds": RETRY.max_delay.as_secs(),
        "JitterStrategy": "FULL",
    });
    for name in ["pipeline", "claims-landed"] {
        let machine = machine(name);
        let calls = calls(&machine);
        assert!(calls.len() > 5, "{name}");
        for call in calls {
            assert_eq!(call["Retry"][0], expected, "{name}: {}", call["Parameters"]);
        }
    }
}

#[test]
fn errors_of_lambda_itself_have_no_name_of_ours() {
    let ours: Vec<&str> = errors().iter().map(StageError::name).collect();
    for machine in [machine("pipeline"), machine("claims-landed")] {
        for call in calls(&machine) {
            for retrier in &call["Retry"].as_array().unwrap()[1..] {
                let names = retrier["ErrorEquals"].as_array().unwrap();
                assert!(names.iter().all(|name| !ours.contains(&name.as_str().unwrap())), "{names:?}");
            }
        }
    }
}

#[test]
fn a_call_for_which_the_account_has_no_function_free_waits_longer_than_one_that_fails() {
    let expected = json!({
        "ErrorEquals": ["Lambda.TooManyRequestsException"],
        "IntervalSeconds": RETRY.interval.as_secs(),
        "BackoffRate": RETRY.backoff_rate,
        "MaxAttempts": 2 * RETRY.max_attempts,
        "MaxDelaySeconds": RETRY.max_delay.as_secs(),
        "JitterStrategy": "FULL",
    });
    for machine in [machine("pipeline"), machine("claims-landed")] {
        for call in calls(&machine) {
            assert_eq!(call["Retry"][1], expected, "{}", call["Parameters"]);
        }
    }
}
