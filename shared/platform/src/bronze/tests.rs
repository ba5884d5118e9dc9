//! What is read of a long log.

use chrono::DateTime;

use super::*;
use crate::testing::{BronzeReads, manifest};

const STREAM: &str = "claims/hos-a";
const LOADS: u64 = 2000;

/// A log as versions without checkpoints have left it.
async fn log_without_checkpoints() -> Lake {
    let lake = Lake::in_memory();
    for sequence in 1..=LOADS {
        put(&lake, sequence).await;
    }
    lake
}

async fn put(lake: &Lake, sequence: u64) {
    let load = manifest(STREAM, sequence, DateTime::UNIX_EPOCH);
    lake.put(&LoadLog::new(lake, STREAM).key(sequence), to_json(&load).unwrap()).await.unwrap();
}

fn numbers(loads: &[Manifest]) -> Vec<u64> {
    loads.iter().map(|load| load.sequence).collect()
}

#[tokio::test]
async fn a_log_is_read_from_its_last_checkpoint_on() {
    let lake = log_without_checkpoints().await;
    assert!(LoadLog::new(&lake, STREAM).checkpoint_if_due().await.unwrap());
    assert!(!LoadLog::new(&lake, STREAM).checkpoint_if_due().await.unwrap(), "nothing came since");
    for new in [0, 1] {
        for sequence in LOADS + 1..=LOADS + new {
            put(&lake, sequence).await;
        }
        for after in [0, 7, LOADS] {
            let (lake, reads) = BronzeReads::of(&lake);
            let loads = LoadLog::new(&lake, STREAM).after(after).await.unwrap();
            assert_eq!(numbers(&loads), (after + 1..=LOADS + new).collect::<Vec<_>>());
            let read = reads.take();
            assert!(read <= 5, "{read} reads of the loads after {after}, {new} of which are new");
        }
        let (lake, reads) = BronzeReads::of(&lake);
        assert_eq!(LoadLog::new(&lake, STREAM).last().await.unwrap().unwrap().sequence, LOADS + new);
        assert!(reads.take() <= 3);
    }
}

#[tokio::test]
async fn a_manifest_is_read_once_by_a_process() {
    let (lake, reads) = BronzeReads::of(&log_without_checkpoints().await);
    LoadLog::new(&lake, STREAM).after(LOADS - 50).await.unwrap();
    assert!(reads.take() <= 50 + 3);
    for after in [LOADS - 50, LOADS - 1, LOADS] {
        LoadLog::new(&lake, STREAM).after(after).await.unwrap();
        assert_eq!(reads.take(), 1, "the listing of what came since");
    }
}

#[tokio::test]
async fn loads_that_are_made_one_by_one_leave_a_checkpoint_of_all_before() {
    let lake = Lake::in_memory();
    for sequence in 1..=2 * CHECKPOINT_INTERVAL + 1 {
        let load = manifest(STREAM, sequence, DateTime::UNIX_EPOCH);
        LoadLog::new(&lake, STREAM).commit(&load).await.unwrap();
    }
    assert_eq!(LoadLog::new(&lake, STREAM).last_checkpoint(0).await.unwrap(), Some(2 * CHECKPOINT_INTERVAL));
    let (lake, reads) = BronzeReads::of(&lake);
    assert_eq!(LoadLog::new(&lake, STREAM).after(0).await.unwrap().len() as u64, 2 * CHECKPOINT_INTERVAL + 1);
    assert!(reads.take() <= 5);
}

#[rstest::rstest]
#[case::cut_off(b"{\"stream\":\"claims/hos-a\",\"loads\":[".as_slice())]
#[case::of_no_loads(b"{\"stream\":\"claims/hos-a\",\"loads\":[]}")]
#[tokio::test]
async fn a_checkpoint_that_cannot_be_used_is_ignored(#[case] json: &'static [u8]) {
    let lake = log_without_checkpoints().await;
    let log = LoadLog::new(&lake, STREAM);
    log.checkpoint_if_due().await.unwrap();
    let key = String::from(lake.list("bronze/claims/hos-a/_checkpoints").await.unwrap()[0].location.clone());
    lake.put(&key, json).await.unwrap();
    let (lake, _) = BronzeReads::of(&lake);
    assert_eq!(LoadLog::new(&lake, STREAM).after(0).await.unwrap().len() as u64, LOADS);
}

#[tokio::test]
async fn a_checkpoint_that_goes_further_than_its_log_is_ignored() {
    let lake = log_without_checkpoints().await;
    LoadLog::new(&lake, STREAM).checkpoint_if_due().await.unwrap();
    let restored = (LOADS - 1..=LOADS).map(|sequence| LoadLog::new(&lake, STREAM).key(sequence)).collect();
    lake.delete_all(restored).await.unwrap();
    let (lake, _) = BronzeReads::of(&lake);
    let log = LoadLog::new(&lake, STREAM);
    assert_eq!(log.last().await.unwrap().unwrap().sequence, LOADS - 2);
    assert_eq!(log.after(0).await.unwrap().len() as u64, LOADS - 2);
    assert_eq!(log.after(LOADS - 3).await.unwrap().len(), 1);
}

#[tokio::test]
async fn maintenance_may_remove_all_checkpoints_but_the_last_two() {
    let lake = Lake::in_memory();
    for sequence in 1..=3 * CHECKPOINT_INTERVAL {
        let load = manifest(STREAM, sequence, DateTime::UNIX_EPOCH);
        LoadLog::new(&lake, STREAM).commit(&load).await.unwrap();
    }
    let replaced = LoadLog::new(&lake, STREAM).replaced_checkpoints().await.unwrap();
    assert_eq!(replaced, [format!("bronze/{STREAM}/_checkpoints/{CHECKPOINT_INTERVAL:020}.json")]);
}

#[test]
fn a_load_has_landed_if_its_source_lies_in_a_folder_of_landing() {
    for (name, expected) in
        [("landing/claims/a.csv", true), ("landing/patients.csv", false), ("hos-a/claims.csv", false)]
    {
        let mut load = manifest("claims/hos-a", 1, DateTime::UNIX_EPOCH);
        load.source.name = name.to_owned();
        assert_eq!(load.has_landed(), expected, "{name}");
    }
}
