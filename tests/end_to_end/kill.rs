//! A run that is killed at any moment leaves a lake that the next run mends.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Instant;

use chrono::Utc;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rcm::demo;

use crate::binaries::built;
use crate::scratch::{AS_OF, Scratch, SmallHospital, as_of};

const KILLS_PER_DELIVERY: usize = 10;

fn start(rcm: &Path, scratch: &Scratch, emr: &Path) -> Child {
    let mut command = Command::new(rcm);
    command.arg("run").arg("--lake").arg(scratch.path("")).arg("--emr").arg(emr).args(["--as-of", AS_OF, "--json"]);
    command.stdout(Stdio::null()).spawn().unwrap()
}

#[expect(clippy::disallowed_methods, reason = "the runs are processes of their own, whose clock is the system's")]
#[expect(clippy::print_stdout, reason = "whoever looks at a failure needs the seed")]
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
    let emr = &hospital.emr[delivery];

    let since = Utc::now();
    let undisturbed = before.copy();
    let started = Instant::now();
    assert!(start(&rcm, &undisturbed, emr).wait().unwrap().success());
    let duration = started.elapsed();
    let expected = undisturbed.content_before(since).await;
    let seed: u64 = rand::random();
    println!("the moments are those of the seed {seed}");
    let mut dice = StdRng::seed_from_u64(seed);
    let mut hits = 0;
    for _ in 0..KILLS_PER_DELIVERY {
        let scratch = before.copy();
        let moment = duration.mul_f64(dice.random());
        let mut run = start(&rcm, &scratch, emr);
        sleep(moment);
        run.kill().unwrap();
        // One that had ended by itself has a code.
        hits += usize::from(run.wait().unwrap().code().is_none());
        assert!(start(&rcm, &scratch, emr).wait().unwrap().success(), "after a kill at {moment:?} of {duration:?}");
        let content = scratch.content_before(since).await;
        for (table, rows) in &expected {
            assert_eq!(Some(rows), content.get(table), "{table} after a kill at {moment:?} of {duration:?}");
        }
        assert_eq!(expected.len(), content.len(), "tables after a kill at {moment:?} of {duration:?}");
    }
    println!("{hits} of {KILLS_PER_DELIVERY} runs were killed before they ended");
    assert!(hits > 0, "no run was killed before it ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_run_that_is_killed_is_mended_by_the_next() {
    a_run_may_be_killed(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_run_that_is_killed_is_mended_by_the_next() {
    a_run_may_be_killed(1).await;
}
