//! Names of the bronze streams, and what became of streams that several datasources shared.
//!
//! Every stream belongs to one datasource, so that what one hospital sends can hold up no other's: tables of a
//! hospital are `<targetpath>/<table>`, landed files `<entity>/<datasource>`, registries `<entity>`. Version 0.1
//! put the landed files of all datasources of an entity into one stream, `<entity>`. Such a stream is split in
//! place: each of its landed loads becomes the next load of its datasource's own stream, with the same data
//! files. The shared log stays as it is, and nobody reads it any more.

use std::collections::{BTreeMap, BTreeSet};

use rcm_model::cdm::Entity;
use tracing::info;

use crate::bronze::{LoadLog, Manifest};
use crate::context::Context;
use crate::error::Result;
use crate::lake::{Lake, PutOutcome};

/// The stream of what lands of an entity from a datasource, such as `claims/hos-a`.
#[must_use]
pub fn landed(entity: &str, datasource: &str) -> String {
    format!("{entity}/{datasource}")
}

/// Whether a stream is one of what lands of an entity.
#[must_use]
pub fn is_landed(entity: &str, stream: &str) -> bool {
    stream.split_once('/').is_some_and(|(first, _)| first == entity)
}

/// The streams below a folder of bronze, which is that of an entity whose files land, whatever is configured today.
///
/// # Errors
/// The store fails.
pub async fn landed_in_lake(lake: &Lake, entity: &str) -> Result<Vec<String>> {
    let folders = lake.folders(&format!("bronze/{entity}")).await?;
    let is_stream = |folder: &String| folder != "data" && !folder.starts_with('_');
    Ok(folders.iter().filter(|folder| is_stream(folder)).map(|folder| landed(entity, folder)).collect())
}

/// Every stream of an entity: those that are configured, and those of landed files that the lake holds beside them.
///
/// # Errors
/// The store fails.
pub async fn of_entity(context: &Context, entity: &Entity) -> Result<BTreeSet<String>> {
    let in_lake = landed_in_lake(&context.lake, entity.name).await?;
    let is_unknown = |stream: &String| context.settings.streams.find(stream).is_none();
    let configured = context.settings.streams_of(entity).map(|stream| stream.name.clone());
    Ok(configured.chain(in_lake.into_iter().filter(is_unknown)).collect())
}

/// Every stream of two parts that the lake holds, such as `hosa/patients`, whatever is configured today.
///
/// # Errors
/// The store fails.
pub async fn in_lake(lake: &Lake) -> Result<Vec<String>> {
    let mut streams = Vec::new();
    for folder in lake.folders("bronze").await? {
        streams.extend(landed_in_lake(lake, &folder).await?);
    }
    Ok(streams)
}

/// Every load of files that landed of an entity, from whatever datasource and whether it is voided or not.
///
/// # Errors
/// The store fails, or a log cannot be read.
pub async fn landed_loads(lake: &Lake, entity: &str) -> Result<Vec<Manifest>> {
    let mut loads = Vec::new();
    for stream in landed_in_lake(lake, entity).await? {
        loads.extend(LoadLog::new(lake, &stream).after(0).await?);
    }
    Ok(loads)
}

/// Splits the streams that the landed files of several datasources share, of some entities. Does nothing where
/// that is done. It may be cut off at any write and called by several at once: every load is moved once.
/// Answers how many loads were moved.
///
/// # Errors
/// The store fails, or a log cannot be read.
pub async fn split_shared<'a>(lake: &Lake, entities: impl IntoIterator<Item = &'a str>) -> Result<u64> {
    let mut moved = 0;
    for entity in entities {
        moved += split(lake, entity).await?;
    }
    if moved > 0 {
        info!(moved, "loads of landed files were moved to streams of their datasources");
    }
    Ok(moved)
}

async fn split(lake: &Lake, entity: &str) -> Result<u64> {
    let shared = LoadLog::new(lake, entity);
    let done = last_split(lake, entity).await?;
    let waiting = shared.after(done).await?;
    let Some(last) = waiting.last().map(|load| load.sequence) else { return Ok(0) };
    let mut by_datasource: BTreeMap<String, Vec<Manifest>> = BTreeMap::new();
    for load in waiting.into_iter().filter(Manifest::was_moved) {
        by_datasource.entry(load.datasource.clone()).or_default().push(load);
    }
    let mut moved = 0;
    for (datasource, loads) in by_datasource {
        moved += append(lake, &landed(entity, &datasource), loads).await?;
    }
    lake.put_if_absent(&mark(entity, last), Vec::new()).await?;
    Ok(moved)
}

/// Appends loads of a shared stream to the stream of their datasource, but for those that are there.
async fn append(lake: &Lake, stream: &str, loads: Vec<Manifest>) -> Result<u64> {
    let log = LoadLog::new(lake, stream);
    let mut there = log.after(0).await?;
    let mut moved = 0;
    for load in loads {
        loop {
            if there.iter().any(|known| known.load_id == load.load_id) {
                break;
            }
            let sequence = there.last().map_or(1, |last| last.sequence + 1);
            let (stream, moved_from) = (stream.to_owned(), Some(load.sequence));
            let own = Manifest { stream, sequence, moved_from, ..load.clone() };
            match log.commit(&own).await? {
                PutOutcome::Created => {
                    there.push(own);
                    moved += 1;
                }
                PutOutcome::AlreadyThere => there.extend(log.after(sequence - 1).await?),
            }
        }
    }
    Ok(moved)
}

/// How far a shared stream was split: `bronze/<entity>/_split/<20-digit sequence>`.
async fn last_split(lake: &Lake, entity: &str) -> Result<u64> {
    let marks = lake.list(&split_folder(entity)).await?;
    let sequences = marks.iter().filter_map(|meta| meta.location.filename()?.parse::<u64>().ok());
    Ok(sequences.max().unwrap_or(0))
}

fn mark(entity: &str, sequence: u64) -> String {
    format!("{}/{sequence:020}", split_folder(entity))
}

fn split_folder(entity: &str) -> String {
    format!("bronze/{entity}/_split")
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::testing::manifest;

    /// A stream of claims that two hospitals share, as version 0.1 made it.
    async fn shared(lake: &Lake, datasources: &[&str]) {
        for (sequence, datasource) in (1..).zip(datasources) {
            let load = Manifest {
                datasource: (*datasource).to_owned(),
                load_id: format!("load-{sequence}"),
                ..manifest("claims", sequence, DateTime::UNIX_EPOCH)
            };
            LoadLog::new(lake, "claims").commit(&load).await.unwrap();
        }
    }

    async fn moved_from(lake: &Lake, stream: &str) -> Vec<(u64, Option<u64>)> {
        let loads = LoadLog::new(lake, stream).after(0).await.unwrap();
        assert!(loads.iter().all(|load| load.stream == stream));
        loads.iter().map(|load| (load.sequence, load.moved_from)).collect()
    }

    #[tokio::test]
    async fn loads_of_a_shared_stream_keep_their_order_in_their_own() {
        let lake = Lake::in_memory();
        shared(&lake, &["hos-a", "hos-b", "hos-a"]).await;
        assert_eq!(split_shared(&lake, ["claims", "icd_codes"]).await.unwrap(), 3);
        assert_eq!(moved_from(&lake, "claims/hos-a").await, [(1, Some(1)), (2, Some(3))]);
        assert_eq!(moved_from(&lake, "claims/hos-b").await, [(1, Some(2))]);
        assert_eq!(split_shared(&lake, ["claims", "icd_codes"]).await.unwrap(), 0, "it is done");
    }

    #[tokio::test]
    async fn a_split_that_was_cut_off_is_finished_without_a_load_twice() {
        let whole = Lake::in_memory();
        shared(&whole, &["hos-a", "hos-b", "hos-a"]).await;
        split_shared(&whole, ["claims"]).await.unwrap();
        let written: Vec<String> = whole.list("bronze").await.unwrap().into_iter().map(|m| m.location.into()).collect();
        let own: Vec<&String> = written.iter().filter(|key| !key.starts_with("bronze/claims/_")).collect();
        for there in 0..=own.len() {
            let lake = Lake::in_memory();
            shared(&lake, &["hos-a", "hos-b", "hos-a"]).await;
            for key in &own[..there] {
                lake.put(key, whole.get(key).await.unwrap()).await.unwrap();
            }
            split_shared(&lake, ["claims", "icd_codes"]).await.unwrap();
            let now: Vec<String> = lake.list("bronze").await.unwrap().into_iter().map(|m| m.location.into()).collect();
            assert_eq!(now, written, "cut off after {there} writes");
        }
    }

    #[tokio::test]
    async fn a_load_that_the_version_of_before_made_meanwhile_comes_next() {
        let lake = Lake::in_memory();
        shared(&lake, &["hos-a"]).await;
        split_shared(&lake, ["claims", "icd_codes"]).await.unwrap();
        let own = Manifest { load_id: "new".to_owned(), ..manifest("claims/hos-a", 2, DateTime::UNIX_EPOCH) };
        LoadLog::new(&lake, "claims/hos-a").commit(&own).await.unwrap();
        let after = Manifest { load_id: "late".to_owned(), ..manifest("claims", 2, DateTime::UNIX_EPOCH) };
        LoadLog::new(&lake, "claims").commit(&after).await.unwrap();
        assert_eq!(split_shared(&lake, ["claims", "icd_codes"]).await.unwrap(), 1);
        assert_eq!(moved_from(&lake, "claims/hos-a").await, [(1, Some(1)), (2, None), (3, Some(2))]);
    }

    #[tokio::test]
    async fn what_a_registry_answered_stays_where_it_is() {
        let lake = Lake::in_memory();
        let pulled = Manifest {
            source: crate::bronze::SourceObject { name: "ICD API".to_owned(), size: None, last_modified: None },
            ..manifest("icd_codes", 1, DateTime::UNIX_EPOCH)
        };
        LoadLog::new(&lake, "icd_codes").commit(&pulled).await.unwrap();
        assert_eq!(split_shared(&lake, ["claims", "icd_codes"]).await.unwrap(), 0);
        assert_eq!(landed_in_lake(&lake, "icd_codes").await.unwrap(), [""; 0]);
    }
}
