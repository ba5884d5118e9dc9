use chrono::NaiveDate;
use lambda_runtime::Diagnostic;
use rcm_platform::bronze::{LoadLog, Manifest, Refusal, Seen, SeenWhy, SourceObject};
use rcm_platform::config::StoreEnvironment;
use rcm_platform::context::Clock;
use rcm_platform::lake::Lake;
use rcm_platform::testing::{BronzeReads, START, TestLake, manifest};
use serde_json::{Value, json};
use wiremock::matchers::{method, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;

async fn plan(lake: &TestLake) -> WorkPlan {
    handle(lake.context().await, PlanInput::default()).await.unwrap()
}

async fn planned_files(lake: &TestLake) -> Vec<String> {
    plan(lake).await.files.into_iter().map(|file| file.key).collect()
}

async fn source(lake: &TestLake, key: &str) -> SourceObject {
    let meta = lake.lake().head(key).await.unwrap().unwrap();
    SourceObject { name: key.to_owned(), size: Some(meta.size), last_modified: Some(meta.last_modified) }
}

async fn note_load(lake: &TestLake, key: &str) {
    let made = manifest("claims/hos-a", 1, START.parse().unwrap());
    let manifest = Manifest { source: source(lake, key).await, ..made };
    LoadLog::new(&lake.lake(), "claims/hos-a").commit(&manifest).await.unwrap();
}

async fn note_refusal(lake: &TestLake, key: &str, mappings_hash: String) {
    let refusal = Refusal {
        run_id: "r".to_owned(),
        source: source(lake, key).await,
        content_hash: "c".to_owned(),
        mappings_hash,
        reason: "no mapping claims it".to_owned(),
        refused_at: START.parse().unwrap(),
    };
    LoadLog::new(&lake.lake(), "claims").refuse(&refusal).await.unwrap();
}

#[tokio::test]
async fn every_active_row_of_the_table_of_sources_is_extracted() {
    let lake = TestLake::new();
    lake.edit("configs/emr/load_config.csv", "dbo.providers,Full,,1,hosb", "dbo.providers,Full,,0,hosb");
    let plan = plan(&lake).await;
    assert_eq!(plan.extracts.len(), 9);
    assert!(plan.extracts.iter().all(|extract| extract.input.row.is_active && extract.input.run_id == plan.run_id));
    assert_eq!(plan.files, []);
}

#[tokio::test]
async fn the_run_has_a_date_and_an_identifier_even_if_nobody_gave_one() {
    let plan = plan(&TestLake::new()).await;
    assert_eq!(plan.as_of, NaiveDate::from_ymd_opt(2024, 11, 7).unwrap());
    assert!(!plan.run_id.is_empty());
}

#[rstest::rstest]
#[case::of_utc(None, None, "2024-11-07")]
#[case::of_a_zone(Some("America/New_York"), None, "2024-11-06")]
#[case::of_the_schedule(Some("America/New_York"), Some("2024-11-05T23:30:00-05:00"), "2024-11-05")]
#[tokio::test]
async fn a_run_is_of_the_day_of_its_schedule_in_the_schedules_zone(
    #[case] zone: Option<&str>,
    #[case] scheduled_at: Option<&str>,
    #[case] expected: &str,
) {
    let lake = TestLake::new();
    let mut context = lake.context().await;
    context.environment.time_zone = zone.map(str::to_owned);
    context.clock = Clock::from_fn(|| "2024-11-07T03:30:00Z".parse().unwrap());
    let scheduled_at = scheduled_at.map(|at| at.parse().unwrap());
    let plan = handle(context, PlanInput { scheduled_at, ..PlanInput::default() }).await.unwrap();
    assert_eq!(plan.as_of.to_string(), expected);
}

#[tokio::test]
async fn a_zone_that_there_is_not_is_named() {
    let mut context = TestLake::new().context().await;
    context.environment.time_zone = Some("Mars/Olympus".to_owned());
    let error = handle(context, PlanInput::default()).await.unwrap_err();
    assert_eq!(error.name(), "BadConfig");
    assert!(error.to_string().contains("`Mars/Olympus`"), "{error}");
}

#[tokio::test]
async fn what_the_caller_asks_for_is_handed_on() {
    let as_of = NaiveDate::from_ymd_opt(2024, 1, 31);
    let input = PlanInput { run_id: Some("run-1".to_owned()), as_of, force: true, ..PlanInput::default() };
    let plan = handle(TestLake::new().context().await, input).await.unwrap();
    assert_eq!((plan.run_id.as_str(), Some(plan.as_of)), ("run-1", as_of));
    assert!(plan.extracts.iter().all(|extract| extract.input.force && extract.input.run_id == "run-1"));
}

#[tokio::test]
async fn only_finished_files_right_in_a_feeds_folder_are_planned() {
    let lake = TestLake::new();
    for name in ["b.csv", "a.csv", ".hidden.csv", "c.csv.tmp", "d.csv.PART", "e.filepart", "archive/old.csv"] {
        lake.write(&format!("landing/claims/{name}"), "x");
    }
    lake.write("landing/claims/folder", "");
    lake.write("landing/unknown/x.csv", "x");
    lake.write("landing/cptcodes/codes.csv", "x");
    let mut files = planned_files(&lake).await;
    files.sort_unstable();
    assert_eq!(files, ["landing/claims/a.csv", "landing/claims/b.csv", "landing/cptcodes/codes.csv"]);
}

#[tokio::test]
async fn a_loaded_file_is_planned_again_only_when_it_changes() {
    let lake = TestLake::new();
    lake.write("landing/claims/hospital1_a.csv", "one");
    note_load(&lake, "landing/claims/hospital1_a.csv").await;
    assert_eq!(planned_files(&lake).await, [""; 0]);
    lake.write("landing/claims/hospital1_a.csv", "three");
    assert_eq!(planned_files(&lake).await, ["landing/claims/hospital1_a.csv"]);
}

#[tokio::test]
async fn a_work_list_is_no_longer_than_a_state_machine_hands_on() {
    let lake = TestLake::new();
    for file in 0..2500 {
        lake.write(&format!("landing/claims/hospital1_{file:04}.csv"), "x");
    }
    let plan = plan(&lake).await;
    // What Lambda answers of an error, a failure as the state machine notes it, and the state that has the work
    // list and all failures; then the alert, which has them as a text.
    let error = StageError::threshold_exceeded("`a` \"b\" ".repeat(1000));
    let Diagnostic { error_type, error_message } = error.into();
    let cause = json!({"errorType": error_type, "errorMessage": error_message}).to_string();
    let failures: Vec<Value> = plan
        .files
        .iter()
        .map(|file| {
            let reason = json!({"Error": error_type, "Cause": cause});
            json!({"step": "landing-to-bronze", "subject": file.key, "reason": reason})
        })
        .collect();
    let state = length(&plan) + length(&failures);
    assert!(state < 250_000, "{state}");
    let alert = length(&json!(failures).to_string());
    assert!(alert < 256 * 1024, "{alert}");
    assert!(plan.files.len() > 200 && plan.files_left > 0, "{}", plan.files.len());
    assert_eq!(plan.files.len() + plan.files_left, 2500);
    assert_eq!(plan.files[0].key, "landing/claims/hospital1_0000.csv", "the oldest first");
}

#[tokio::test]
async fn a_refused_file_is_planned_again_only_when_it_or_a_mapping_changes() {
    let lake = TestLake::new();
    let mappings_hash = lake.context().await.settings.mappings_hash.clone();
    for key in ["landing/claims/a.csv", "landing/claims/copy_of_a.csv"] {
        lake.write(key, "one");
        note_refusal(&lake, key, mappings_hash.clone()).await;
    }
    assert_eq!(planned_files(&lake).await, [""; 0]);

    lake.write("landing/claims/a.csv", "three");
    assert_eq!(planned_files(&lake).await, ["landing/claims/a.csv"]);

    lake.edit("configs/cdm/hos-a.toml", "hospital1_*", "a.csv");
    assert_eq!(planned_files(&lake).await.len(), 2);
}

#[tokio::test]
async fn a_file_that_was_seen_to_make_no_load_is_planned_again_only_when_it_changes() {
    let lake = TestLake::new();
    let key = "landing/cptcodes/a.csv";
    lake.write(key, "one");
    let seen = Seen {
        run_id: "r".to_owned(),
        datasource: "cpt".to_owned(),
        source: source(&lake, key).await,
        release: None,
        content_hash: "c".to_owned(),
        why: SeenWhy::Older,
        note: "it is left out".to_owned(),
        seen_at: START.parse().unwrap(),
    };
    LoadLog::new(&lake.lake(), "cpt_codes").see(&seen).await.unwrap();
    assert_eq!(planned_files(&lake).await, [""; 0]);
    lake.write(key, "three");
    assert_eq!(planned_files(&lake).await, [key]);
}

#[tokio::test]
async fn a_file_that_is_dropped_again_with_the_same_content_is_refused_once_more() {
    let lake = TestLake::new();
    let mappings_hash = lake.context().await.settings.mappings_hash.clone();
    for _ in 0..2 {
        lake.write("landing/claims/a.csv", "one");
        note_refusal(&lake, "landing/claims/a.csv", mappings_hash.clone()).await;
        assert_eq!(planned_files(&lake).await, [""; 0]);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[tokio::test]
async fn hostile_file_names_neither_stop_the_plan_nor_leave_the_lake() {
    let lake = TestLake::new();
    let long = format!("{}.csv", "n".repeat(250));
    for name in ["bell\u{7}.csv", "two\nlines.csv", "upload.csv#1"] {
        lake.write(&format!("landing/claims/{name}"), "x");
    }
    let usable = ["..csv..", "100% [final] #a~b.csv", "grüße 病院.csv", long.as_str()];
    for name in usable {
        lake.write(&format!("landing/claims/{name}"), "x");
    }
    let outside = tempfile::NamedTempFile::new().unwrap();
    std::os::unix::fs::symlink(outside.path(), lake.path("landing/claims/link.csv")).unwrap();

    let context = lake.context().await;
    let mut files = planned_files(&lake).await;
    files.sort_unstable();
    let mut expected = usable.map(|name| format!("landing/claims/{name}"));
    expected.sort_unstable();
    // `..csv..` is hidden, as its name begins with a dot.
    assert_eq!(files, expected.into_iter().filter(|key| !key.contains("..csv..")).collect::<Vec<_>>());
    for key in files {
        assert!(context.lake.head(&key).await.unwrap().is_some(), "{key}");
    }
}

/// A bucket as S3 lists it: what it answers of each folder, and nothing of any other.
async fn bucket(folders: &[(&str, &str)]) -> MockServer {
    let server = MockServer::start().await;
    let listing = |entries: &str| {
        let body = format!("<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>");
        ResponseTemplate::new(200).set_body_string(body)
    };
    for (folder, entries) in folders {
        let listed = Mock::given(method("GET")).and(query_param("prefix", format!("{folder}/")));
        listed.respond_with(listing(entries)).mount(&server).await;
    }
    Mock::given(method("GET")).respond_with(listing("")).mount(&server).await;
    server
}

fn object(key: &str) -> String {
    let time = "2024-11-01T00:00:00.000Z";
    format!("<Contents><Key>{key}</Key><Size>1</Size><LastModified>{time}</LastModified><ETag>e</ETag></Contents>")
}

#[rstest::rstest]
#[case::empty_part("<CommonPrefixes><Prefix>some/part/landing/claims//</Prefix></CommonPrefixes>", "landing/claims//")]
#[case::control_character(&object("some/part/landing/claims/bell&#7;.csv"), "landing/claims/bell\u{7}.csv")]
#[tokio::test]
async fn a_key_that_is_no_path_is_planned_to_be_told_and_stops_no_other_feed(
    #[case] entry: &str,
    #[case] unusable: &str,
) {
    let claims = format!("{entry}{}", object("some/part/landing/claims/hospital1_a.csv"));
    let codes = object("some/part/landing/cptcodes/codes.csv");
    let folders = [("some/part/landing/claims", claims.as_str()), ("some/part/landing/cptcodes", codes.as_str())];
    let server = bucket(&folders).await;
    let endpoint = server.uri();
    let aws = [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_REGION", "us-east-1"),
    ];
    let aws = aws.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let environment = StoreEnvironment { aws: aws.into(), kms_keys: Vec::new() };
    let lake = Lake::open_with("s3://bucket/some/part", &environment).unwrap();

    let context = Context { lake, ..TestLake::new().context().await };
    let plan = handle(context, PlanInput::default()).await.unwrap();
    let files: Vec<&str> = plan.files.iter().map(|file| file.key.as_str()).collect();
    assert_eq!(files, ["landing/cptcodes/codes.csv", unusable]);
    assert!(!plan.extracts.is_empty());
}

#[tokio::test]
async fn the_age_of_a_streams_last_load_is_told_and_of_a_stream_without_one_nothing() {
    let lake = TestLake::new();
    lake.write("landing/claims/hospital1_a.csv", "one");
    note_load(&lake, "landing/claims/hospital1_a.csv").await;
    let context = lake.context().await;
    let later = START.parse::<chrono::DateTime<chrono::Utc>>().unwrap() + chrono::TimeDelta::minutes(90);
    let ages = freshness::load_ages(&context, later).await.unwrap();
    let ages: Vec<_> = ages.iter().map(|age| (age.name.as_str(), age.entity.as_str(), age.value)).collect();
    assert_eq!(ages, [("LoadAgeHours", "claims/hos-a", 1.5), ("LoadAgeHours", "claims", 1.5)]);
}

/// Puts loads below the lake as versions without checkpoints have left them.
async fn put_loads(context: &Context, stream: &str, numbers: std::ops::RangeInclusive<u64>) {
    for sequence in numbers {
        let load = manifest(stream, sequence, START.parse().unwrap());
        let key = format!("bronze/{stream}/_loads/{sequence:020}.json");
        context.lake.put(&key, serde_json::to_vec(&load).unwrap()).await.unwrap();
    }
}

#[tokio::test]
async fn a_plan_reads_as_little_of_long_logs_as_of_short_ones() {
    let streams = ["claims/hos-a", "claims/hos-b", "hosa/patients", "npi"];
    let context = Context { lake: Lake::in_memory(), ..TestLake::new().context().await };
    for stream in streams {
        put_loads(&context, stream, 1..=2000).await;
    }
    handle(context.clone(), PlanInput::default()).await.unwrap();
    let mut counted = Vec::new();
    for longer_by in [0, 1, 1500] {
        for stream in streams {
            put_loads(&context, stream, 2001..=2000 + longer_by).await;
        }
        // The first plan after them writes the checkpoints, as the one after a long backlog does.
        handle(context.clone(), PlanInput::default()).await.unwrap();
        let (lake, reads) = BronzeReads::of(&context.lake);
        let context = Context { lake, ..context.clone() };
        handle(context.clone(), PlanInput::default()).await.unwrap();
        freshness::load_ages(&context, context.now()).await.unwrap();
        counted.push(reads.take());
    }
    let all = context.settings.streams.iter().count();
    assert!(counted[0] < 10 * all, "{counted:?} reads");
    assert!(counted.iter().all(|reads| reads.abs_diff(counted[0]) <= streams.len()), "{counted:?} reads");
}
