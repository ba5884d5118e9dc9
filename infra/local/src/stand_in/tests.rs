use rcm_model::event::{Outcome, PullInput};
use rcm_platform::config::Environment;
use rcm_platform::context::Clock;
use rcm_platform::{Context, Lake};
use url::Url;

use super::*;
use crate::{defaults, demo};

#[tokio::test(flavor = "multi_thread")]
async fn the_pulls_ask_the_stand_ins_over_http() {
    let folder = tempfile::tempdir().unwrap();
    demo::write(&folder.path().join("sources"), demo::SEED).unwrap();
    let registries = StandIns::start(&folder.path().join("sources/month-1/emr")).await.unwrap();
    let secrets_file = Some(registries.write_secret(folder.path()).unwrap());
    let root = Url::from_directory_path(folder.path().join("lake")).unwrap();
    let lake = Lake::open(root.as_str()).unwrap();
    defaults::install_defaults(&lake).await.unwrap();
    let environment = Environment { secrets_file, ..Environment::default() };
    let mut context = Context::of(lake, environment, Clock::system()).await.unwrap();
    registries.configure(&mut std::sync::Arc::make_mut(&mut context.settings).sources);

    let input = PullInput { run_id: "run-1".to_owned(), force: false };
    let npi = npi_pull::handle(context.clone(), input.clone()).await.unwrap();
    assert_eq!(npi.outcome, Outcome::Done);
    let icd = icd_pull::handle(context, input).await.unwrap();
    assert_eq!((icd.outcome, icd.loads[0].read), (Outcome::Done, 500));
}
