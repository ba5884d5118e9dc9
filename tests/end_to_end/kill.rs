//! A run may be killed at any moment: the next run completes the lake.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rcm::demo;
use rcm_platform::Lake;

use crate::binaries::built;
use crate::scratch::{AS_OF, Scratch, SmallHospital, as_of, content_of_before};
use crate::seaweed::SeaweedFs;

const KILLS_PER_DELIVERY: usize = 10;
const KILLS_ON_A_BUCKET: usize = 5;

/// A lake on which runs are separate processes.
struct Place<'a> {
    rcm: &'a Path,
    lake: Lake,
    url: String,
    variables: Vec<(&'static str, String)>,
    emr: &'a Path,
}

impl Place<'_> {
    fn start(&self) -> Child {
        let mut command = Command::new(self.rcm);
        command.args(["run", "--lake", &self.url, "--as-of", AS_OF, "--json"]).arg("--emr").arg(self.emr);
        command.envs(self.variables.iter().cloned()).stdout(Stdio::null()).spawn().unwrap()
    }

    fn run(&self) {
        assert!(self.start().wait().unwrap().success(), "{}", self.url);
    }

    /// Starts a run and kills it after a delay; returns whether it was still running.
    fn kill_after(&self, moment: Duration) -> bool {
        let mut run = self.start();
        sleep(moment);
        run.kill().unwrap();
        // One that had ended by itself has a code.
        run.wait().unwrap().code().is_none()
    }

    async fn content(&self, since: DateTime<Utc>) -> BTreeMap<String, String> {
        content_of_before(&self.lake, since).await
    }
}

/// Returns a time before everything that is written later, also in a store with times in whole seconds.
#[expect(clippy::disallowed_methods, reason = "the runs are processes of their own, whose clock is the system's")]
fn now() -> DateTime<Utc> {
    Utc::now() - TimeDelta::seconds(1)
}

/// Runs undisturbed on one lake, then on copies of it where a first run is killed, and compares them.
#[expect(clippy::print_stdout, reason = "a failure needs the seed to be reproduced")]
async fn runs_may_be_killed<'a>(
    kills: usize,
    since: DateTime<Utc>,
    undisturbed: Place<'a>,
    others: impl AsyncFn(usize) -> Place<'a>,
) {
    let started = Instant::now();
    undisturbed.run();
    let duration = started.elapsed();
    let expected = undisturbed.content(since).await;
    let seed: u64 = rand::random();
    println!("the moments are those of the seed {seed}");
    let mut dice = StdRng::seed_from_u64(seed);
    let mut hits = 0;
    for kill in 0..kills {
        let place = others(kill).await;
        // The first one is sure to meet a run, however much faster it is than the one that was timed.
        let moment = if kill == 0 { duration / 10 } else { duration.mul_f64(dice.random()) };
        hits += usize::from(place.kill_after(moment));
        place.run();
        let content = place.content(since).await;
        for (table, rows) in &expected {
            assert_eq!(Some(rows), content.get(table), "{table} after a kill at {moment:?} of {duration:?}");
        }
        assert_eq!(expected.len(), content.len(), "tables after a kill at {moment:?} of {duration:?}");
    }
    println!("{hits} of {kills} runs were killed before they ended");
    assert!(hits > 0, "no run was killed before it ended");
}

/// Kills runs of a delivery on lakes in folders.
async fn a_run_may_be_killed(delivery: usize) {
    let rcm = built(&["rcm"]).join("rcm");
    let before = Scratch::new().await;
    let hospital = SmallHospital::write(&before);
    for earlier in 0..delivery {
        before.set_clock(demo::EXTRACTED_AT[earlier]);
        before.land(&hospital.landing[earlier]).await;
        assert!(before.run(&hospital.emr[earlier], as_of()).await.is_complete());
    }
    before.land(&hospital.landing[delivery]).await;
    let since = now();
    let copies: Vec<Scratch> = (0..=KILLS_PER_DELIVERY).map(|_| before.copy()).collect();
    let place = |scratch: &Scratch| Place {
        rcm: &rcm,
        lake: scratch.lake(),
        url: scratch.path("").display().to_string(),
        variables: Vec::new(),
        emr: &hospital.emr[delivery],
    };
    let others = async |kill: usize| place(&copies[kill]);
    runs_may_be_killed(KILLS_PER_DELIVERY, since, place(&copies[KILLS_PER_DELIVERY]), others).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_run_that_is_killed_is_completed_by_the_next() {
    a_run_may_be_killed(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_run_that_is_killed_is_completed_by_the_next() {
    a_run_may_be_killed(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_on_a_bucket_that_is_killed_is_completed_by_the_next() {
    let rcm = built(&["rcm"]).join("rcm");
    let before = Scratch::new().await;
    let hospital = SmallHospital::write(&before);
    before.land(&hospital.landing[0]).await;
    let server = SeaweedFs::start();
    let place = async |name: String| {
        let url = server.url(&name);
        let lake = server.lake_at(&url);
        for file in before.lake().list("").await.unwrap() {
            let key = file.location.as_ref();
            lake.put(key, before.lake().get(key).await.unwrap()).await.unwrap();
        }
        Place { rcm: &rcm, lake, url, variables: server.variables().to_vec(), emr: &hospital.emr[0] }
    };
    let since = now();
    let others = async |kill: usize| place(format!("killed-{kill}")).await;
    runs_may_be_killed(KILLS_ON_A_BUCKET, since, place("undisturbed".to_owned()).await, others).await;
}
