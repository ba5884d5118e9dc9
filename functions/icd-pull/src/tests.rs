use chrono::TimeDelta;
use rcm_model::event::{LoadCounts, StageInput};
use rcm_platform::testing::TestLake;
use rstest::rstest;
use serde_json::{Value, json};
use wiremock::matchers::{any, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;

/// A made-up release: its nodes, what they are, and what is below them.
const NODES: [(&str, &str, &[&str]); 9] = [
    ("", "", &["XC", "XCI"]),
    ("XC", "chapter", &["Z90-Z91"]),
    ("XCI", "chapter", &["Z95"]),
    ("Z90-Z91", "block", &["Z90", "Z91"]),
    ("Z90", "category", &["Z90.0", "Z90.1"]),
    ("Z91", "category", &[]),
    ("Z90.0", "category", &[]),
    ("Z90.1", "category", &[]),
    ("Z95", "category", &[]),
];

fn url_path(code: &str) -> String {
    format!("/icd/release/10/2099/{code}").trim_end_matches('/').to_owned()
}

/// What the API says of a node: addresses with `http`, and no `child` at all below a leaf.
fn answer(code: &str, kind: &str, children: &[&str]) -> Value {
    let link = |code: &str| format!("http://id.test{}", url_path(code));
    let parent = NODES.iter().find(|(_, _, children)| children.contains(&code)).map_or("", |(parent, _, _)| parent);
    let mut answer = json!({
        "@id": link(code), "code": code, "classKind": kind, "parent": [link(parent)],
        "title": {"@language": "en", "@value": format!("Made up {code}")},
    });
    if !children.is_empty() {
        answer["child"] = children.iter().map(|child| link(child)).collect();
    }
    answer
}

async fn server() -> MockServer {
    let server = MockServer::start().await;
    for (code, kind, children) in NODES {
        let answer = ResponseTemplate::new(200).set_body_json(answer(code, kind, children));
        Mock::given(path(url_path(code))).respond_with(answer).with_priority(9).mount(&server).await;
    }
    server
}

/// A lake that walks these chapters of the server's release; all where there are none.
fn lake(server: &MockServer, chapters: &[&str]) -> TestLake {
    let lake = TestLake::new();
    let icd = format!(
        "\n[icd]\nbase_url = \"{}\"\nrelease = \"2099\"\nchapters = {chapters:?}\n[icd.http]\n\
         requests_per_second = 100000.0\ntries = 2\nfirst_pause_seconds = 0.001\n",
        server.uri()
    );
    lake.write("configs/sources.toml", lake.read("configs/sources.toml") + &icd);
    lake
}

async fn run(lake: &TestLake) -> Result<StageReport, StageError> {
    run_with(lake, false).await
}

async fn run_with(lake: &TestLake, force: bool) -> Result<StageReport, StageError> {
    handle(lake.context().await, PullInput { run_id: "run-1".to_owned(), force }).await
}

/// What silver made of the loads that it had not taken in.
async fn silver(lake: &TestLake) -> Vec<LoadCounts> {
    let input = StageInput { run_id: "run-1".to_owned(), ..StageInput::default() };
    silver_icd_codes::handle(lake.context().await, input).await.unwrap().loads
}

async fn requests(server: &MockServer) -> usize {
    server.received_requests().await.unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_is_not_configured_is_left_out_and_said_so() {
    let report = run(&TestLake::new()).await.unwrap();
    assert_eq!(report.outcome, Outcome::Skipped);
    assert!(report.notes[0].contains("no [icd]"), "{:?}", report.notes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_walk_of_the_release_is_a_snapshot_of_its_codes() {
    let server = server().await;
    let lake = lake(&server, &[]);
    let report = run(&lake).await.unwrap();
    assert_eq!((report.loads[0].read, requests(&server).await), (5, NODES.len()));
    let load = &lake.loads("icd_codes").await[0];
    assert_eq!((load.datasource.as_str(), load.kind), ("icd", LoadKind::Snapshot));
    assert_eq!(load.source.name, "ICD API: ICD-10 2099 (en), all chapters");
    assert_eq!(lake.files("bronze/icd_codes/_walk"), [""; 0]);
    let loads = silver(&lake).await;
    assert_eq!((loads[0].new, loads[0].quarantined), (5, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_the_api_does_not_have_is_noted_and_nothing_is_deleted() {
    let server = server().await;
    let lake = lake(&server, &[]);
    run(&lake).await.unwrap();
    silver(&lake).await;
    let gone = ResponseTemplate::new(404);
    Mock::given(path(url_path("Z90"))).respond_with(gone).with_priority(1).mount(&server).await;
    lake.wait(TimeDelta::days(181));
    let report = run(&lake).await.unwrap();
    let note = "the API has no node for 1 codes that it names, so that nothing is deleted: Z90";
    assert_eq!((report.loads[0].read, report.notes), (2, vec![note.to_owned()]));
    assert_eq!(lake.loads("icd_codes").await[1].kind, LoadKind::Upsert);
    let loads = silver(&lake).await;
    assert_eq!((loads[0].unchanged, loads[0].deleted), (2, 0));
    assert_eq!(run(&lake).await.unwrap().outcome, Outcome::NothingNew, "it is not asked for at every run");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_says_whether_it_is_a_leaf_and_what_is_above_it() {
    let server = server().await;
    let lake = lake(&server, &["XC"]);
    let context = lake.context().await;
    let options = context.settings.sources.icd.as_ref().unwrap();
    let release = Release::new(&context, options).await.unwrap();
    let walked = walk::walk(&context, options, &release, "bronze/icd_codes/_walk/x").await.unwrap();
    let row = |code: &str, is_leaf: &str, parent: &str| {
        let fields = [code, &format!("Made up {code}"), is_leaf, parent, "2099"];
        Row::Fields(fields.map(|field| Some(field.to_owned())).into())
    };
    let expected = [
        row("Z90", "false", "Z90-Z91"),
        row("Z91", "true", "Z90-Z91"),
        row("Z90.0", "true", "Z90"),
        row("Z90.1", "true", "Z90"),
    ];
    assert_eq!(rows(options, &walked.nodes), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_walk_of_some_chapters_says_nothing_of_the_others() {
    let server = server().await;
    let lake = lake(&server, &["XC"]);
    assert_eq!(run(&lake).await.unwrap().loads[0].read, 4);
    assert_eq!(lake.loads("icd_codes").await[0].kind, LoadKind::Upsert);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_walk_is_made_again_only_when_it_is_old_or_of_something_else() {
    let server = server().await;
    let lake = lake(&server, &["XC"]);
    run(&lake).await.unwrap();
    assert_eq!(run(&lake).await.unwrap().outcome, Outcome::NothingNew);
    lake.edit("configs/sources.toml", "\"XC\"", "\"XCI\"");
    assert_eq!(run(&lake).await.unwrap().loads[0].read, 1);
    lake.wait(TimeDelta::days(181));
    assert_eq!(run(&lake).await.unwrap().loads[0].read, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_walk_goes_on_where_it_ended() {
    let server = server().await;
    let broken = ResponseTemplate::new(503);
    Mock::given(path(url_path("Z90.1"))).respond_with(broken).up_to_n_times(2).mount(&server).await;
    let lake = lake(&server, &[]);
    assert_eq!(run(&lake).await.unwrap_err().name(), "SourceUnavailable");
    assert_eq!(lake.loads("icd_codes").await, []);
    assert!(!lake.files("bronze/icd_codes/_walk").is_empty());

    let before = requests(&server).await;
    let report = run(&lake).await.unwrap();
    assert_eq!(report.loads[0].read, 5);
    assert!(requests(&server).await - before <= 2, "only what was not answered is asked for");
    assert!(report.notes.iter().any(|note| note.contains("a walk that broke")), "{:?}", report.notes);
    assert_eq!(lake.files("bronze/icd_codes/_walk"), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chapter_that_is_not_there_is_no_chapter_of_the_load() {
    let server = server().await;
    let lake = lake(&server, &["XC", "XCIX"]);
    let error = run(&lake).await.unwrap_err();
    assert_eq!(error.to_string(), "broken contract: ICD API: answers 404 for `XCIX`");
    assert_eq!(lake.loads("icd_codes").await, []);
}

#[rstest]
#[case::no_such_chapter(404, "BrokenContract")]
#[case::refused(403, "BadConfig")]
#[case::throttled(429, "Throttled")]
#[case::out_of_order(500, "SourceUnavailable")]
#[tokio::test(flavor = "multi_thread")]
async fn a_walk_that_cannot_be_made_leaves_no_load(#[case] status: u16, #[case] expected: &str) {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(status)).mount(&server).await;
    let lake = lake(&server, &["XC"]);
    assert_eq!(run(&lake).await.unwrap_err().name(), expected);
    assert_eq!(lake.files("bronze/icd_codes"), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_walk_that_lost_too_many_codes_is_taken_if_it_is_forced() {
    let server = server().await;
    let lake = lake(&server, &[]);
    run(&lake).await.unwrap();
    let shorter = ResponseTemplate::new(200).set_body_json(answer("", "", &["XCI"]));
    Mock::given(path(url_path(""))).respond_with(shorter).with_priority(1).mount(&server).await;
    lake.wait(TimeDelta::days(181));
    assert_eq!(run(&lake).await.unwrap_err().name(), "ThresholdExceeded");
    assert_eq!(run_with(&lake, true).await.unwrap().loads[0].read, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_without_codes_is_no_snapshot() {
    let server = MockServer::start().await;
    let empty = ResponseTemplate::new(200).set_body_json(json!({"child": []}));
    Mock::given(any()).respond_with(empty).mount(&server).await;
    let lake = lake(&server, &[]);
    assert_eq!(run(&lake).await.unwrap_err().name(), "BrokenContract");
    assert_eq!(lake.loads("icd_codes").await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_circle_among_the_nodes_is_walked_once() {
    let server = MockServer::start().await;
    for (code, child) in [("Z90", "Z90.0"), ("Z90.0", "Z90")] {
        let answer = ResponseTemplate::new(200).set_body_json(answer(code, "category", &[child]));
        Mock::given(path(url_path(code))).respond_with(answer).expect(1).mount(&server).await;
    }
    assert_eq!(run(&lake(&server, &["Z90"])).await.unwrap().loads[0].read, 2);
}
