//! A lake in an object store has the same content as a lake in a folder.

use std::path::Path;

use rcm::landing;
use rcm::print::Progress;
use rcm::run::{Options, run};
use rcm_platform::config::Environment;
use rcm_platform::context::Clock;
use rcm_platform::lake::CONFIGS;
use rcm_platform::{Context, Lake};

use crate::scratch::{Scratch, SmallHospital, as_of, content_of};

/// Copies a folder of extract files to `emr/`.
async fn deliver(lake: &Lake, emr: &Path) {
    for table in std::fs::read_dir(emr.join("hos-a")).unwrap() {
        let path = table.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        lake.put(&format!("emr/hos-a/{name}"), std::fs::read(path).unwrap()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_in_a_bucket_has_the_same_rows_and_a_second_run_finds_nothing_new() {
    let folder = Scratch::new().await;
    let hospital = SmallHospital::write(&folder);
    let lake = Lake::in_memory();
    for file in folder.lake().list(CONFIGS).await.unwrap() {
        let key = file.location.as_ref();
        lake.put(key, folder.lake().get(key).await.unwrap()).await.unwrap();
    }
    for delivery in 0..2 {
        let extracted_at = rcm::demo::EXTRACTED_AT[delivery];
        folder.set_clock(extracted_at);
        folder.land(&hospital.landing[delivery]).await;
        let in_folder = folder.run(&hospital.emr[delivery], as_of()).await;
        assert!(in_folder.is_complete(), "{:?}", in_folder.failures);

        deliver(&lake, &hospital.emr[delivery]).await;
        let clock = Clock::from_fn(move || extracted_at);
        let context = Context::of(lake.clone(), Environment::default(), clock).await.unwrap();
        landing::copy(&lake, &context.settings.landing_folders(), &hospital.landing[delivery]).await.unwrap();
        let options = Options { as_of: Some(as_of()), ..Options::default() };
        let first = run(&context, options, &Progress::new(true)).await.unwrap();
        assert!(first.is_complete(), "{:?}", first.failures);
        let second = run(&context, options, &Progress::new(true)).await.unwrap();
        assert!(second.found_nothing_new(), "{:?}", second.stages);
    }
    let (expected, content) = (folder.content().await, content_of(&lake).await);
    assert!(expected.contains_key("gold/fact_claims") && expected.contains_key("gold/kpi_claims"));
    for (table, rows) in &expected {
        assert_eq!(Some(rows), content.get(table), "{table}");
    }
    assert_eq!(expected.len(), content.len());
}
