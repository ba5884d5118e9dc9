//! A datasource that gets another name, and a hospital that changes its system.

use rcm_model::load_config::{LoadRow, LoadType};
use rcm_platform::testing::TestLake;
use rstest::rstest;

use super::tests::{DEPARTMENTS, departments, full, row, run};

/// A lake that has loaded the departments of a hospital, which has another name since: in the configuration, and in
/// its folder of extracts.
async fn renamed() -> TestLake {
    let lake = TestLake::new();
    lake.write(DEPARTMENTS, departments(3));
    full(&lake).await.unwrap();
    let mapping = lake.read("configs/cdm/hos-a.toml").replace("hos-a", "mercy");
    lake.write("configs/cdm/mercy.toml", mapping);
    lake.write("emr/mercy/departments.csv", departments(4));
    lake
}

fn without_the_old_line(lake: &TestLake) {
    let lines = lake.read("configs/emr/load_config.csv");
    let lines: Vec<&str> = lines.lines().filter(|line| !line.contains(",hos-a,")).collect();
    lake.write("configs/emr/load_config.csv", lines.join("\n") + "\n");
}

#[rstest]
#[case::the_same_stream("hosa")]
#[case::another_stream("mercy")]
#[tokio::test]
async fn a_datasource_that_was_renamed_is_refused_with_both_names_and_what_to_do(#[case] targetpath: &str) {
    let lake = renamed().await;
    without_the_old_line(&lake);
    let row = LoadRow {
        datasource: "mercy".to_owned(),
        targetpath: targetpath.to_owned(),
        ..row("departments", LoadType::Full)
    };
    let error = run(&lake, row, true).await.unwrap_err();
    assert_eq!(error.name(), "BadConfig");
    let message = error.to_string();
    for words in ["`hosa/departments`", "`mercy`", "put `hos-a` back", "configs/cdm/hos-a.toml"] {
        assert!(message.contains(words), "{message}");
    }
    assert_eq!(lake.loads("hosa/departments").await.len(), 1);
}

#[tokio::test]
async fn a_hospital_that_changes_its_system_begins_a_new_stream() {
    let lake = renamed().await;
    without_the_old_line(&lake);
    let row = LoadRow { targetpath: "hosa2".to_owned(), ..row("departments", LoadType::Full) };
    run(&lake, row, false).await.unwrap();
    assert_eq!(lake.loads("hosa2/departments").await.len(), 1);
}

#[tokio::test]
async fn one_table_of_two_datasources_that_are_both_loaded_is_no_renaming() {
    let lake = renamed().await;
    let row = LoadRow {
        datasource: "mercy".to_owned(),
        targetpath: "mercy".to_owned(),
        ..row("departments", LoadType::Full)
    };
    run(&lake, row, false).await.unwrap();
    assert_eq!(lake.loads("mercy/departments").await.len(), 1);
}
