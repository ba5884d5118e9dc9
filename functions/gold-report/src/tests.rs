use rcm_model::event::{Outcome, StageInput};
use rcm_platform::testing::TestLake;

use super::*;

fn input(as_of: &str) -> StageInput {
    StageInput { run_id: "run".to_owned(), as_of: Some(as_of.parse().unwrap()), ..StageInput::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_made_once_and_again_when_its_configuration_changes() {
    let lake = TestLake::new();
    let context = lake.context().await;
    let made = handle(context.clone(), input("2024-11-07")).await.unwrap();
    assert_eq!(
        (made.outcome, made.notes),
        (Outcome::Done, vec!["the report of 2024-11-07 is report/2024-11-07/index.html".to_owned()])
    );
    let page = lake.read("report/latest/index.html");
    assert!(
        page.contains("No receivables are open on 7 November 2024.") && page.contains("There is no data yet."),
        "{page}"
    );
    assert_eq!(page, lake.read("report/2024-11-07/index.html"));
    assert!(lake.files("report/latest").contains(&"report/latest/figures.xlsx".to_owned()));
    assert_eq!(handle(context.clone(), input("2024-11-07")).await.unwrap().outcome, Outcome::NothingNew);

    lake.edit(CONFIG, "title = \"Hospital group\"", "title = \"<Made-up> & group\"");
    assert_eq!(handle(context.clone(), input("2024-11-07")).await.unwrap().outcome, Outcome::Done);
    let page = lake.read("report/latest/index.html");
    assert!(page.contains("&#60;Made-up&#62; &#38; group"), "{page}");

    assert_eq!(handle(context.clone(), input("2024-12-31")).await.unwrap().outcome, Outcome::Done);
    assert!(lake.read("report/latest/index.html").contains("31 December 2024"));
    assert!(lake.read("report/2024-11-07/index.html").contains("7 November 2024"), "it stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_cannot_be_read_is_named() {
    let lake = TestLake::new();
    lake.edit(CONFIG, "culprit = 0.4", "culprit = 40");
    let error = handle(lake.context().await, input("2024-11-07")).await.unwrap_err();
    assert_eq!(error.name(), "BadConfig");
    assert!(error.to_string().contains("configs/report.toml: materiality.culprit is a share"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_without_a_configuration_of_its_report_has_one_all_the_same() {
    let lake = TestLake::new();
    std::fs::remove_file(lake.path(CONFIG)).unwrap();
    assert_eq!(handle(lake.context().await, input("2024-11-07")).await.unwrap().outcome, Outcome::Done);
    assert!(lake.read("report/latest/index.html").contains("Hospital group"));
}

#[test]
fn the_page_lets_nothing_run_but_its_own_script() {
    let report = Report::of(
        &Facts::default(),
        About {
            config: &ReportConfig::default(),
            as_of: "2024-11-07".parse().unwrap(),
            made_at: chrono::DateTime::UNIX_EPOCH,
            run: &RunFacts::default(),
        },
    );
    let page = page::page(&report).unwrap();
    assert!(page.contains("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-"), "{page}");
    for outside in ["http://", "https://", "src=\"", "@import"] {
        assert!(!page.contains(outside), "{outside}");
    }
}
