//! A lake of version 0.1: the first run migrates it in place, and may be interrupted at any write.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use rcm::functions;
use rcm::pipeline::{RETRY, Retry};
use rcm_model::standstill::StandstillKind;
use rcm_platform::bronze::{LoadLog, Manifest};
use serde_json::json;

use crate::crash::{Fault, Faulty};
use crate::scratch::{Scratch, as_of, copy_folder};

/// No retries, because a dead process does not retry.
const NEVER_AGAIN: Retry = Retry { max_attempts: 0, ..RETRY };

/// Number of first writes that all are tested, because they migrate something; of the others only some are.
const FIRST_WRITES: i64 = 14;
const EVERY_NTH_LATER: i64 = 20;
/// Maximum number of writes of a run.
const MOST_WRITES: i64 = 400;

/// A time after the last run of version 0.1.
const AFTER: &str = "2026-12-01T06:00:00Z";

/// Copies the lake of version 0.1. A checkout changes the times of files, so the landed files get the times in the
/// lake's manifests.
async fn lake_of_before() -> Scratch {
    let scratch = Scratch::empty();
    copy_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("lakes/v0.1"), &scratch.path(""));
    scratch.set_clock(AFTER.parse().unwrap());
    for stream in ["claims", "cpt_codes"] {
        for load in LoadLog::new(&scratch.lake(), stream).after(0).await.unwrap() {
            let file = File::options().write(true).open(scratch.path(&load.source.name)).unwrap();
            file.set_modified(load.source.last_modified.unwrap().into()).unwrap();
        }
    }
    scratch
}

async fn loads(scratch: &Scratch, stream: &str) -> Vec<Manifest> {
    LoadLog::new(&scratch.lake(), stream).after(0).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_run_gives_each_datasource_its_stream_and_continues_where_version_0_1_ended() {
    let scratch = lake_of_before().await;
    let emr = scratch.path("emr");
    let before = loads(&scratch, "claims").await;
    let run = scratch.run(&emr, as_of()).await;
    assert!(
        run.failures.iter().all(|failure| failure.subject == "landing/claims/stranger_09.csv"),
        "{:?}",
        run.failures
    );
    let waiting: Vec<_> = run.standstills.iter().map(|of| (of.kind, of.subject.as_str())).collect();
    assert_eq!(waiting, [(StandstillKind::FileRefused, "landing/claims/stranger_09.csv")]);

    assert_eq!(loads(&scratch, "claims").await, before, "the log of before stays as it is");
    for datasource in ["hos-a", "hos-b"] {
        let own = loads(&scratch, &format!("claims/{datasource}")).await;
        let of_before: Vec<u64> =
            before.iter().filter(|load| load.datasource == datasource).map(|load| load.sequence).collect();
        assert_eq!(own.iter().filter_map(|load| load.moved_from).collect::<Vec<_>>(), of_before);
        assert_eq!(own.len(), of_before.len(), "no file is loaded again");
    }
    // The load that version 0.1 left behind is the last one of hos-b.
    let silver = run.stages.iter().find(|report| report.stage == "silver-claims").unwrap();
    let taken: Vec<_> = silver.loads.iter().map(|load| (load.stream.as_str(), load.sequence)).collect();
    assert_eq!(taken, [("claims/hos-b", 2)]);

    let content = scratch.content().await;
    let again = scratch.run(&emr, as_of()).await;
    assert!(again.failures.is_empty() && again.found_nothing_new(), "{:?}", again.stages);
    assert_eq!(again.standstills.len(), 1);
    assert_eq!(scratch.content().await, content);

    // A rebuild from bronze gives the same rows.
    for entity in ["departments", "patients", "transactions", "claims", "cpt-codes"] {
        let input = json!({"run_id": "rebuild", "rebuild": true});
        functions::call(&format!("silver-{entity}"), scratch.context(&emr).await, input).await.unwrap();
    }
    let anew = scratch.content().await;
    for table in
        ["silver/claims", "silver/cpt_codes", "silver/transactions", "quarantine/claims", "quarantine/patients"]
    {
        assert_eq!(anew.get(table), content.get(table), "{table} made anew");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_run_may_be_interrupted_at_any_write() {
    let before = lake_of_before().await;
    let emr = before.path("emr");
    let undisturbed = before.copy();
    undisturbed.run(&emr, as_of()).await;
    let expected = undisturbed.content().await;
    let mut write = 0;
    while write < MOST_WRITES {
        for fault in [Fault::NotDone, Fault::DoneButReported] {
            let mut scratch = before.copy();
            let left = Arc::new(AtomicI64::new(write));
            let faulty = Faulty { inner: scratch.lake().store(), fault, left: Arc::clone(&left) };
            scratch.through(Some(Arc::new(faulty)));
            scratch.run_with(&emr, as_of(), NEVER_AGAIN).await.ok();
            scratch.through(None);
            if left.load(Ordering::SeqCst) >= 0 {
                assert!(write > FIRST_WRITES, "a run has more writes than {write}");
                return;
            }
            let mended = scratch.run(&emr, as_of()).await;
            let content = scratch.content().await;
            assert_eq!(mended.standstills.len(), 1, "{:?}", mended.standstills);
            for (table, rows) in &expected {
                assert_eq!(Some(rows), content.get(table), "{table} after write {write} failed ({fault:?})");
            }
            for (stream, count) in [("claims/hos-a", 2), ("claims/hos-b", 2), ("cpt_codes/cpt", 1)] {
                assert_eq!(loads(&scratch, stream).await.len(), count, "{stream} after write {write} ({fault:?})");
            }
        }
        write += if write < FIRST_WRITES { 1 } else { EVERY_NTH_LATER };
    }
    panic!("a run has {MOST_WRITES} writes or more");
}
