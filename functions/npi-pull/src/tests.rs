use std::collections::HashMap;

use chrono::TimeDelta;
use rcm_model::cdm::PROVIDERS;
use rcm_model::event::StageInput;
use rcm_platform::bronze_rows;
use rcm_platform::lake;
use rcm_platform::testing::TestLake;
use rcm_tables::gold::Tables;
use rstest::rstest;
use serde_json::{Value, json};
use wiremock::matchers::{any, query_param};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use super::*;

/// A registry of made-up entries that pages, and shows 1,200 results of a search at most.
struct Entries(Vec<Value>);

impl Respond for Entries {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let query: HashMap<String, String> = request.url.query_pairs().into_owned().collect();
        assert_eq!(query["version"], "2.1");
        let number = |name: &str| query.get(name).map_or(0, |text| text.parse().unwrap());
        let fits = |entry: &&Value| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            query.iter().all(|(name, wanted)| match name.as_str() {
                "number" => text(&entry["number"]) == *wanted,
                "state" => text(&entry["addresses"][0]["state"]) == *wanted,
                "postal_code" => text(&entry["addresses"][0]["postal_code"]).starts_with(wanted.trim_end_matches('*')),
                "enumeration_type" => text(&entry["enumeration_type"]) == *wanted,
                "taxonomy_description" => text(&entry["taxonomies"][0]["desc"]) == *wanted,
                _ => true,
            })
        };
        let (limit, skip) = (number("limit").clamp(10, 200), number("skip").min(1000));
        let page: Vec<&Value> = self.0.iter().filter(fits).skip(skip).take(limit).collect();
        results(&page)
    }
}

fn results(page: &[&Value]) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({"result_count": page.len(), "results": page}))
}

/// Entry of a made-up person.
fn entry(number: usize, postal_code: &str) -> Value {
    json!({
        "number": number.to_string(), "enumeration_type": "NPI-1", "last_updated_epoch": "1700000000000",
        "basic": {"first_name": "QUILLON", "last_name": "FICTOR", "status": "A", "last_updated": "2023-11-14"},
        "addresses": [{"address_purpose": "LOCATION", "state": "ZZ", "postal_code": postal_code}],
        "taxonomies": [{"desc": "Fabulist", "primary": true}],
    })
}

fn errors(field: &str, number: &str) -> ResponseTemplate {
    let error = json!({"field": field, "number": number, "description": "made up"});
    ResponseTemplate::new(200).set_body_json(json!({"Errors": [error]}))
}

async fn registry(entries: Vec<Value>) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(Entries(entries)).with_priority(9).mount(&server).await;
    server
}

/// A lake that asks this server, and searches for this.
fn lake(server: &MockServer, search: &str) -> TestLake {
    let lake = TestLake::new();
    let npi = format!(
        "\n[npi]\nbase_url = \"{}/api/\"\n{search}\n[npi.http]\nrequests_per_second = 100000.0\ntries = 2\n\
         first_pause_seconds = 0.001\n",
        server.uri()
    );
    lake.write("configs/sources.toml", lake.read("configs/sources.toml") + &npi);
    lake
}

/// Brings a whole table of providers with these identifiers to bronze.
async fn providers(lake: &TestLake, run_id: &str, numbers: &[String]) {
    let columns = ["ProviderID", "FirstName", "LastName", "Specialization", "DeptID", "NPI"];
    let row = |(index, number): (usize, &String)| {
        let fields = [&format!("H1-PROV{index}"), "Quillon", "Fictor", "Fabulism", "DEPT1", number];
        Row::Fields(fields.map(|field| Some(field.to_owned())).into())
    };
    let rows: Vec<Row> = numbers.iter().enumerate().map(row).collect();
    let context = lake.context().await;
    let subject = Subject {
        run_id,
        stream: "hosa/providers",
        entity: PROVIDERS.name,
        datasource: "hos-a",
        kind: LoadKind::Snapshot,
        started_at: context.now(),
        landed_at: None,
    };
    bronze_rows::load(&context, &subject, "made up".to_owned(), &columns, &rows, true).await.unwrap();
}

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|index| (1_000_000_000 + index).to_string()).collect()
}

fn input() -> StageInput {
    StageInput { run_id: "run-1".to_owned(), ..StageInput::default() }
}

async fn run(lake: &TestLake) -> Result<StageReport, StageError> {
    handle(lake.context().await, PullInput { run_id: "run-1".to_owned(), force: false }).await
}

async fn requests(server: &MockServer) -> usize {
    server.received_requests().await.unwrap().len()
}

async fn rows_of_loads(lake: &TestLake) -> Vec<u64> {
    lake.loads("npi").await.iter().map(|load| load.rows).collect()
}

/// Identifier and status of the current rows of silver.
async fn silver(lake: &TestLake) -> Vec<(String, String)> {
    use polars::prelude::*;
    let context = lake.context().await;
    silver_npi::handle(context.clone(), input()).await.unwrap();
    let path = lake::silver(NPI.name);
    let tables = Tables::open(&context.lake, [path.clone()]).await.unwrap();
    let rows = tables.scan_current(&path).await.unwrap().unwrap().sort(["npi"], SortMultipleOptions::default());
    let rows = rows.collect().unwrap();
    let texts = |name: &str| -> Vec<String> {
        rows.column(name).unwrap().str().unwrap().iter().map(|text| text.unwrap().to_owned()).collect()
    };
    texts("npi").into_iter().zip(texts("status")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_not_configured_is_left_out_and_said_so() {
    let report = run(&TestLake::new()).await.unwrap();
    assert_eq!(report.outcome, Outcome::Skipped);
    assert!(report.notes[0].contains("no [npi]"), "{:?}", report.notes);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_providers_there_is_nothing_to_ask() {
    let server = registry(Vec::new()).await;
    assert_eq!(run(&lake(&server, "")).await.unwrap().outcome, Outcome::NothingNew);
    assert_eq!(requests(&server).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_identifier_is_asked_for_once_until_the_answer_is_old() {
    let server = registry(vec![entry(1_000_000_000, "00501"), entry(1_000_000_001, "00501")]).await;
    let lake = lake(&server, "");
    let wanted = ["1000000001", "1000000000", "1000000001", "12345", "NULL", ""].map(str::to_owned);
    providers(&lake, "run-0", &wanted).await;
    assert_eq!(run(&lake).await.unwrap().loads[0].read, 2);

    assert_eq!(run(&lake).await.unwrap().outcome, Outcome::NothingNew, "bronze has them");
    let active = || "active".to_owned();
    assert_eq!(silver(&lake).await, [("1000000000".to_owned(), active()), ("1000000001".to_owned(), active())]);
    assert_eq!(run(&lake).await.unwrap().outcome, Outcome::NothingNew, "silver has them");
    assert_eq!(requests(&server).await, 2);

    lake.wait(TimeDelta::days(31));
    assert_eq!(run(&lake).await.unwrap().loads[0].read, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn identifiers_are_those_of_the_last_whole_table_that_an_earlier_run_brought() {
    let server = registry(Vec::new()).await;
    let lake = lake(&server, "");
    for (run_id, number) in [("run-0", "1000000000"), ("run-00", "1000000001"), ("run-1", "1000000002")] {
        providers(&lake, run_id, &[number.to_owned()]).await;
    }
    run(&lake).await.unwrap();
    let asked: Vec<String> =
        server.received_requests().await.unwrap().iter().map(|request| request.url.to_string()).collect();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].contains("number=1000000001"), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_says_the_same_again_makes_no_version_but_is_recent() {
    let server = registry(vec![entry(1_000_000_000, "00501")]).await;
    let lake = lake(&server, "");
    providers(&lake, "run-0", &numbers(1)).await;
    for _ in 0..2 {
        run(&lake).await.unwrap();
        silver(&lake).await;
        lake.wait(TimeDelta::days(31));
    }
    lake.wait(TimeDelta::days(-10));
    assert_eq!(run(&lake).await.unwrap().outcome, Outcome::NothingNew);
    assert_eq!(silver(&lake).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn deactivated_and_unknown_identifiers_are_recorded_as_such() {
    let server = registry(vec![entry(1_000_000_000, "00501")]).await;
    for (number, answer) in [("1000000001", errors("number", "15")), ("1000000002", errors("number", "06"))] {
        Mock::given(query_param("number", number)).respond_with(answer).mount(&server).await;
    }
    let lake = lake(&server, "");
    providers(&lake, "run-0", &numbers(4)).await;
    let report = run(&lake).await.unwrap();
    assert!(report.notes.contains(&"2 identifiers are unknown".to_owned()), "{:?}", report.notes);
    let expected = ["active", "deactivated", "unknown", "unknown"];
    let statuses: Vec<String> = silver(&lake).await.into_iter().map(|(_, status)| status).collect();
    assert_eq!(statuses, expected);
}

#[rstest]
#[case::no_criteria(errors("generic", "04"), "BrokenContract", 3)]
#[case::neither_results_nor_errors(ResponseTemplate::new(200).set_body_json(json!({})), "BrokenContract", 3)]
#[case::of_another_number(results(&[&entry(1, "00501")]), "BrokenContract", 3)]
#[case::not_found(ResponseTemplate::new(404), "BrokenContract", 3)]
#[case::out_of_order(ResponseTemplate::new(500), "SourceUnavailable", 3)]
#[case::throttled(ResponseTemplate::new(429), "Throttled", 1)]
#[tokio::test(flavor = "multi_thread")]
async fn an_identifier_without_an_answer_keeps_no_other_from_being_loaded_unless_the_registry_asks_for_patience(
    #[case] answer: ResponseTemplate,
    #[case] expected: &str,
    #[case] loaded: u64,
) {
    let server = registry(vec![entry(1_000_000_000, "00501")]).await;
    Mock::given(query_param("number", "1000000001")).respond_with(answer).mount(&server).await;
    let lake = lake(&server, "");
    providers(&lake, "run-0", &numbers(4)).await;
    assert_eq!(run(&lake).await.unwrap_err().name(), expected);
    assert_eq!(rows_of_loads(&lake).await, [loaded]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_before_and_after_the_registry_failed_is_not_asked_for_again() {
    let count = NUMBERS_PER_LOAD + 2;
    let server = registry((0..count).map(|index| entry(1_000_000_000 + index, "00501")).collect()).await;
    let second = ResponseTemplate::new(500);
    Mock::given(query_param("number", "1000000001")).respond_with(second).up_to_n_times(2).mount(&server).await;
    let lake = lake(&server, "");
    providers(&lake, "run-0", &numbers(count)).await;
    assert_eq!(run(&lake).await.unwrap_err().name(), "SourceUnavailable");
    assert_eq!(rows_of_loads(&lake).await, [NUMBERS_PER_LOAD as u64 - 1, 2]);
    let report = lake.files("audit/_reports/run-1").pop().unwrap();
    let note = "the registry did not answer for 1 searches or identifiers\"";
    assert!(lake.read(&report).contains(note), "{}", lake.read(&report));
    assert_eq!(run(&lake).await.unwrap().loads[0].read, 1);
    assert_eq!(silver(&lake).await.len(), count);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_out_of_order_is_not_asked_for_everything() {
    let server = registry(Vec::new()).await;
    Mock::given(any()).respond_with(ResponseTemplate::new(503)).mount(&server).await;
    let lake = lake(&server, "");
    providers(&lake, "run-0", &numbers(NUMBERS_PER_LOAD * 2)).await;
    assert_eq!(run(&lake).await.unwrap_err().name(), "SourceUnavailable");
    assert!(requests(&server).await < 100, "{}", requests(&server).await);
    assert_eq!(lake.files("bronze/npi"), [""; 0]);
}

const IN_ZZ: &str = "[[npi.searches]]\nstate = \"ZZ\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_search_is_read_page_by_page_and_again_when_it_is_old() {
    let server = registry((0..450).map(|index| entry(1_000_000_000 + index, "00501")).collect()).await;
    let lake = lake(&server, IN_ZZ);
    let report = run(&lake).await.unwrap();
    assert_eq!((report.loads[0].read, requests(&server).await), (450, 3));
    assert_eq!(lake.loads("npi").await[0].source.name, "NPI registry: state = ZZ");
    assert_eq!(run(&lake).await.unwrap().outcome, Outcome::NothingNew);
    lake.wait(TimeDelta::days(31));
    assert_eq!(run(&lake).await.unwrap().loads[0].read, 450);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_search_found_is_not_asked_for_again() {
    let server = registry(vec![entry(1_000_000_000, "00501")]).await;
    let lake = lake(&server, IN_ZZ);
    providers(&lake, "run-0", &numbers(1)).await;
    run(&lake).await.unwrap();
    assert_eq!((requests(&server).await, lake.loads("npi").await.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_deeper_than_the_registry_shows_is_cut_until_all_is_seen() {
    let postal_code = |index: usize| format!("30{:03}1234", index % 400);
    let entries = (0..3000).map(|index| entry(1_000_000_000 + index, &postal_code(index)));
    let server = registry(entries.collect()).await;
    let lake = lake(&server, IN_ZZ);
    let report = run(&lake).await.unwrap();
    assert_eq!(report.loads[0].read, 3000);
    assert_eq!(silver(&lake).await.len(), 3000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_that_nothing_cuts_says_what_it_could_not_see() {
    let server = registry((0..1300).map(|index| entry(1_000_000_000 + index, "30318")).collect()).await;
    let search = "[[npi.searches]]\npostal_code = \"30318\"\ntaxonomy_description = \"Fabulist\"\n";
    let report = run(&lake(&server, search)).await.unwrap();
    assert_eq!(report.loads[0].read, 1200);
    assert!(report.notes[0].contains("1 parts are deeper than the registry shows"), "{:?}", report.notes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_that_the_registry_refuses_leaves_no_load() {
    let server = registry(Vec::new()).await;
    Mock::given(query_param("state", "ZZ")).respond_with(errors("state", "09")).mount(&server).await;
    let lake = lake(&server, IN_ZZ);
    let error = run(&lake).await.unwrap_err();
    assert_eq!(error.to_string(), "broken contract: NPI registry: answers error 09 for `state`");
    assert_eq!(lake.loads("npi").await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_that_the_registry_refuses_keeps_no_identifier_from_being_asked_for() {
    let server = registry(vec![entry(1_000_000_000, "00501")]).await;
    Mock::given(query_param("state", "ZZ")).respond_with(errors("state", "09")).mount(&server).await;
    let lake = lake(&server, IN_ZZ);
    providers(&lake, "run-0", &numbers(2)).await;
    assert_eq!(run(&lake).await.unwrap_err().name(), "BrokenContract");
    assert_eq!(rows_of_loads(&lake).await, [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dimension_of_providers_says_what_the_registry_knows() {
    use polars::prelude::*;
    let mut renamed = entry(1_000_000_001, "00501");
    renamed["basic"]["last_name"] = json!("INVENTLEY");
    let server = registry(vec![entry(1_000_000_000, "00501"), renamed]).await;
    let lake = lake(&server, "");
    providers(&lake, "run-0", &numbers(3)).await;
    run(&lake).await.unwrap();
    silver(&lake).await;
    let context = lake.context().await;
    silver_providers::handle(context.clone(), input()).await.unwrap();
    gold_dimensions::handle(context.clone(), input()).await.unwrap();
    let path = lake::gold("dim_provider");
    let tables = Tables::open(&context.lake, [path.clone()]).await.unwrap();
    let rows = tables.scan(&path).await.unwrap().unwrap().sort(["npi"], SortMultipleOptions::default());
    let rows = rows.select([col("npi"), col("npi_status"), col("npi_name_matches")]).collect().unwrap();
    let expected = df!(
        "npi" => ["1000000000", "1000000001", "1000000002", "Unknown"],
        "npi_status" => ["active", "active", "unknown", "Unknown"],
        "npi_name_matches" => [Some(true), Some(false), None, None],
    );
    assert_eq!(rows, expected.unwrap());
    let again = gold_dimensions::handle(context, input()).await.unwrap();
    assert_eq!(again.outcome, Outcome::NothingNew);
}
