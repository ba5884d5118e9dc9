//! What an empty run reads does not grow with the age of the lake.

use std::collections::BTreeMap;
use std::fs;

use rcm_model::cdm::ENTITIES;
use rcm_platform::Context;
use rcm_platform::bronze::{CHECKPOINT_INTERVAL, LoadLog, Manifest, Refusal, Seen, SeenWhy, SourceObject};
use rcm_platform::config::SourceKind;
use rcm_platform::testing::Reads;
use rcm_tables::delta::{self, Change, Table};

use crate::scratch::{Scratch, SmallHospital, as_of};

/// Loads that every stream has in the end: daily ones of years, the last of them after the last checkpoint.
const LOADS: u64 = 430;
/// Commits that every table gets: a log has checkpoints, and commits after the last one.
const COMMITS: usize = 28;
/// Files that lay in landing/ once and made no load, and as many that were refused.
const NOTES: usize = 100;

/// Requests of an empty run by what they read: `_loads`, `_delta_log`, …
async fn reads_of_an_empty_run(scratch: &mut Scratch, hospital: &SmallHospital) -> Vec<String> {
    let versions = scratch.versions().await;
    let (lake, reads) = Reads::of(&scratch.lake());
    scratch.through(Some(lake.store()));
    let run = scratch.run(&hospital.emr[1], as_of()).await;
    scratch.through(None);
    assert!(run.failures.is_empty(), "{:?}", run.failures);
    assert_eq!(scratch.versions().await, versions, "the run was to find nothing new");
    reads.take()
}

/// Counts keys by their folder; of partitions and runs all are one.
fn by_folder(reads: &[String]) -> BTreeMap<String, usize> {
    let mut folders = BTreeMap::new();
    for key in reads {
        let folder = key.rsplit_once('/').map_or(key.as_str(), |(folder, _)| folder);
        *folders.entry(folder.to_owned()).or_default() += 1;
    }
    folders
}

/// Gives every stream years of loads that brought the same again, and lets the tables record them.
async fn add_loads(context: &Context) {
    for stream in context.settings.streams.iter() {
        let log = LoadLog::new(&context.lake, &stream.name);
        let Some(last) = log.last().await.unwrap() else { continue };
        for sequence in last.sequence + 1..=LOADS {
            let mut source = last.source.clone();
            if last.has_landed() {
                source.name = format!("{}.{sequence}", source.name);
            }
            let load = Manifest { sequence, load_id: format!("{sequence}"), source, ..last.clone() };
            log.commit(&load).await.unwrap();
        }
    }
    for entity in ENTITIES {
        let streams = context.settings.streams_of(entity).map(|stream| (stream.name.clone(), LOADS as i64));
        commit(context, &format!("silver/{}", entity.name), streams.collect()).await;
    }
}

async fn commit(context: &Context, path: &str, transactions: Vec<(String, i64)>) {
    let Some(table) = Table::open(&context.lake, path).await.unwrap() else { return };
    let partitions = table.partition_columns().unwrap();
    let partitions: Vec<&str> = partitions.iter().map(String::as_str).collect();
    let change = Change {
        schema: table.schema(),
        partition_by: &partitions,
        properties: &[],
        add: Vec::new(),
        remove: Vec::new(),
        transactions,
        run_id: "run",
    };
    delta::commit(&context.lake, path, Some(&table), change).await.unwrap();
}

/// Writes notes of files of a feed that made no load. Some of the files still lie there.
async fn add_notes(context: &Context, scratch: &Scratch) {
    let feed = context.settings.sources.feeds.iter().find(|feed| feed.entity == "cpt_codes").unwrap();
    let log = LoadLog::new(&context.lake, &feed.entity);
    for number in 0..NOTES {
        let name = format!("landing/{}/cptcodes_{number}.csv", feed.folder);
        let mut source = SourceObject { name: name.clone(), size: Some(1), last_modified: Some(context.now()) };
        if number % 10 == 0 {
            fs::write(scratch.path(&name), "x").unwrap();
            source = SourceObject::from(&context.lake.head(&name).await.unwrap().unwrap());
        }
        let seen = Seen {
            run_id: "run".to_owned(),
            datasource: "cpt".to_owned(),
            release: feed.release_of(source.file_name()),
            source,
            content_hash: "c".to_owned(),
            why: SeenWhy::Older,
            note: "older".to_owned(),
            seen_at: context.now(),
        };
        log.see(&seen).await.unwrap();
        let refusal = Refusal {
            run_id: "run".to_owned(),
            source: SourceObject { name: format!("{name}.gone"), size: Some(1), last_modified: Some(context.now()) },
            content_hash: format!("{number}"),
            mappings_hash: context.settings.mappings_hash.clone(),
            reason: "no mapping".to_owned(),
            refused_at: context.now(),
        };
        log.refuse(&refusal).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_run_reads_as_little_of_an_old_lake_as_of_a_young_one() {
    let mut scratch = Scratch::new().await;
    let hospital = SmallHospital::write(&scratch);
    for (emr, landing) in hospital.emr.iter().zip(&hospital.landing) {
        scratch.land(landing).await;
        scratch.run(emr, as_of()).await;
    }
    scratch.run(&hospital.emr[1], as_of()).await;
    let young = reads_of_an_empty_run(&mut scratch, &hospital).await;

    let context = scratch.context(&hospital.emr[1]).await;
    add_loads(&context).await;
    let tables: Vec<String> = scratch.versions().await.into_keys().collect();
    for table in &tables {
        for _ in 0..COMMITS {
            commit(&context, table, Vec::new()).await;
        }
    }
    add_notes(&context, &scratch).await;
    scratch.run(&hospital.emr[1], as_of()).await;
    let old = reads_of_an_empty_run(&mut scratch, &hospital).await;
    let notes = |folder: &str| old.iter().filter(|key| key.starts_with(&format!("bronze/cpt_codes/{folder}/"))).count();
    assert_eq!((notes("_seen"), notes("_refused")), (0, 0), "notes about files that were read");
    let landed = context.settings.streams.iter().filter(|stream| stream.kind == SourceKind::LandedFiles).count();
    // Of every table a checkpoint and the commits after it; of every load log that is read a checkpoint and the loads
    // after it.
    let of_age = 52 * tables.len() + landed * (CHECKPOINT_INTERVAL as usize + 3) + NOTES;
    let (young, old) = (by_folder(&young), by_folder(&old));
    let total = |reads: &BTreeMap<String, usize>| reads.values().sum::<usize>();
    assert!(total(&old) <= total(&young) + of_age, "{}: {old:#?}\n{}: {young:#?}", total(&old), total(&young));
}
