//! Checks that the state machine and a run on one machine have the same steps, order, retries and inputs.

use std::collections::BTreeSet;
use std::fs;

use chrono::NaiveDate;
use rcm::pipeline::{PIPELINE, RETRY, Step};
use rcm_model::event::WorkPlan;
use rcm_platform::error::{ErrorKind, LONGEST_MESSAGE};
use rcm_platform::load::UNFINISHED;
use serde_json::{Value, json};

use crate::binaries::ROOT;

/// The only function that returns no stage report; a run calls it directly.
pub(crate) const PLAN: &str = "plan";

/// What happens at one point of a run.
#[derive(Debug, PartialEq, Eq)]
struct Node {
    /// Calls that are made side by side: the function, and the list of the plan that it is called for
    /// each item of.
    calls: BTreeSet<(String, Option<String>)>,
    at_once: AtOnce,
    /// Where the run continues when a call has failed in all its tries.
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

/// The state after the last call of a run: from there on it says how it ended.
const LAST: &str = "CanGoldBeTrusted";

fn machine(name: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(format!("{ROOT}/infra/aws/{name}.asl.json")).unwrap()).unwrap()
}

/// The run of a state machine from one of its states up to its last call, as long as nothing fails.
fn run_of_machine(machine: &Value, start: &str) -> Vec<Node> {
    let states = &machine["States"];
    let (mut nodes, mut name) = (Vec::new(), start);
    let mut list_of_calls = &Value::Null;
    while name != LAST {
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
        LAST => AfterFailure::End,
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

pub(crate) fn kebab(name: &str) -> String {
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
fn a_landed_file_has_the_steps_of_the_pipeline_from_gold_on() {
    let landed = run_of_machine(&machine("claims-landed"), "GoldDimensions");
    assert_eq!(landed, run_of_machine(&machine("pipeline"), "GoldDimensions"));
}

#[test]
fn a_landed_file_that_fails_in_bronze_or_silver_keeps_no_later_step_from_what_others_have_loaded() {
    let machine = machine("claims-landed");
    let of_a_file = &machine["States"]["Files"]["ItemProcessor"]["States"];
    let after_failure = &of_a_file[catcher(&of_a_file["LandingToBronze"])]["Next"];
    assert_eq!((after_failure, after_failure), (&json!("WhatLanded"), &of_a_file["LandingToBronze"]["Next"]));
    let of_a_table = &machine["States"]["Silver"]["ItemProcessor"]["States"];
    assert_eq!(of_a_table[catcher(&of_a_table["SilverTable"])]["End"], true);
    assert_eq!(machine["States"]["Silver"]["Next"], "HasAnythingLanded");
    assert_eq!(machine["States"]["HasAnythingLanded"]["Choices"][0]["Next"], "GoldDimensions");
}

#[test]
fn what_lands_is_taken_by_the_silver_function_of_its_folder() {
    let machine = machine("claims-landed");
    let of_a_file = &machine["States"]["Files"]["ItemProcessor"]["States"];
    let others = of_a_file["WhatLanded"]["Choices"].as_array().unwrap().iter().map(|choice| &choice["Next"]);
    let landed = [&of_a_file["WhatLanded"]["Default"]].into_iter().chain(others);
    let steps: Vec<&Value> = landed.map(|next| &of_a_file[next.as_str().unwrap()]["Parameters"]["step"]).collect();
    let listed = machine["States"]["SilverFunctions"]["Result"].as_array().unwrap();
    assert_eq!(steps, listed.iter().map(|item| &item["step"]).collect::<Vec<_>>());
    for item in listed {
        assert_eq!(item["step"], function(&item["function"]));
    }
}

#[test]
fn a_batch_of_files_that_all_fail_has_room_in_a_state() {
    let template = fs::read_to_string(format!("{ROOT}/infra/aws/template.yaml")).unwrap();
    let (_, parameter) = template.split_once("  LandedFilesBatchSize:\n").unwrap();
    let most: usize = parameter.split_once("MaxValue: ").unwrap().1.lines().next().unwrap().parse().unwrap();
    // Of each its key, of at most 1,024 bytes, the step, the error's name and its message.
    assert!(most * (1024 + LONGEST_MESSAGE + 200) < 256 * 1024, "{most}");
}

#[test]
fn a_landed_file_is_skipped_if_plan_would_skip_it() {
    let machine = machine("claims-landed");
    let of_a_file = &machine["States"]["Files"]["ItemProcessor"]["States"];
    let asked = of_a_file["IsFinishedFileOfFeed"]["Choices"][0]["Or"].as_array().unwrap();
    let patterns: BTreeSet<&str> = asked.iter().map(|asked| asked["StringMatches"].as_str().unwrap()).collect();
    let endings = UNFINISHED.iter().flat_map(|ending| [format!("*{ending}"), format!("*{}", ending.to_uppercase())]);
    let expected: BTreeSet<String> = endings.chain(["landing/*/*/*".to_owned(), "landing/*/.*".to_owned()]).collect();
    assert_eq!(patterns, expected.iter().map(String::as_str).collect());
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

/// Every state that calls a function, however deep.
fn calls(value: &Value) -> Vec<&Value> {
    let inner = match value {
        Value::Object(fields) => fields.values().flat_map(calls).collect(),
        Value::Array(items) => items.iter().flat_map(calls).collect(),
        _ => Vec::new(),
    };
    let is_call = value["Resource"] == "arn:${Partition}:states:::lambda:invoke";
    is_call.then_some(value).into_iter().chain(inner).collect()
}

#[test]
fn both_retry_the_same_errors_as_often_and_with_the_same_pauses() {
    let retryable: Vec<&str> =
        ErrorKind::ALL.into_iter().filter(|kind| kind.is_retryable()).map(ErrorKind::name).collect();
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
fn no_error_of_lambda_has_the_name_of_an_error_kind() {
    let ours: Vec<&str> = ErrorKind::ALL.into_iter().map(ErrorKind::name).collect();
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
fn a_throttled_call_waits_longer_than_a_failed_call() {
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
