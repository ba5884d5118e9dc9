//! Loads that somebody has voided: what they brought is left out, and taken back where it was taken in.
//!
//! A load in bronze is never changed or removed. A decision about it is a marker of its own,
//! `bronze/<stream>/_voids/<20-digit load>-<20-digit decision>.json`; of several about one load the last counts.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::bronze::{LoadLog, Manifest, Seen, SeenWhy, from_json, to_json};
use crate::config::LoadKind;
use crate::error::{Result, StageError};
use crate::lake::{Lake, PutOutcome};

/// What was decided about a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Leave it out.
    Void,
    /// Take it in again.
    Unvoid,
}

/// A decision about a load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoidMark {
    /// Number of the load in its stream.
    pub sequence: u64,
    pub decision: Decision,
    pub who: String,
    pub why: String,
    pub at: DateTime<Utc>,
}

/// The loads of a stream that anything was ever decided about, by their number, each with the decision that holds.
///
/// # Errors
/// The store fails, or a marker cannot be read.
pub async fn decisions(lake: &Lake, stream: &str) -> Result<BTreeMap<u64, VoidMark>> {
    let mut last: BTreeMap<u64, String> = BTreeMap::new();
    for meta in lake.list(&folder(stream)).await? {
        let load = meta.location.filename().and_then(|name| name.split('-').next()?.parse::<u64>().ok());
        // In the order of the keys the last decision comes last.
        last.extend(load.map(|load| (load, String::from(meta.location.clone()))));
    }
    let mut decisions = BTreeMap::new();
    for (load, key) in last {
        decisions.insert(load, from_json(&key, &lake.get(&key).await?)?);
    }
    Ok(decisions)
}

/// The voided loads of a stream by their number, each with the decision that holds.
///
/// # Errors
/// As [`decisions`].
pub async fn voided(lake: &Lake, stream: &str) -> Result<BTreeMap<u64, VoidMark>> {
    let mut decisions = decisions(lake, stream).await?;
    decisions.retain(|_, mark| mark.decision == Decision::Void);
    Ok(decisions)
}

/// The loads of a stream that are not voided, in order.
///
/// # Errors
/// The store fails, or the log cannot be read.
pub async fn valid_loads(lake: &Lake, stream: &str) -> Result<Vec<Manifest>> {
    let mut loads = LoadLog::new(lake, stream).after(0).await?;
    if !loads.is_empty() {
        let voided = voided(lake, stream).await?;
        loads.retain(|load| !voided.contains_key(&load.sequence));
    }
    Ok(loads)
}

/// Whether a note that a file makes no load still holds beside the voided loads of its stream. A file that was older
/// than a voided list may be the newest now; one that says what a load says is nothing new while that load counts.
#[must_use]
pub fn still_holds(seen: &Seen, loads: &[Manifest], voided: &BTreeMap<u64, VoidMark>) -> bool {
    let is_voided = |load: &Manifest| voided.contains_key(&load.sequence);
    let mut of_source = loads.iter().filter(|load| load.datasource == seen.datasource);
    match seen.why {
        SeenWhy::Older => !of_source.any(|load| is_voided(load) && load.kind == LoadKind::Snapshot),
        SeenWhy::SameContent => {
            let mut same = of_source.filter(|load| load.content_hash == seen.content_hash).peekable();
            same.peek().is_none() || same.any(|load| !is_voided(load))
        }
    }
}

/// Writes down a decision about a load. Answers whether it changes anything: a load that is voided is not voided
/// again.
///
/// # Errors
/// `BadConfig` if the stream has no such load; or the store fails.
pub async fn decide(lake: &Lake, stream: &str, mark: &VoidMark) -> Result<bool> {
    let VoidMark { sequence, decision, .. } = mark;
    let log = LoadLog::new(lake, stream);
    if log.read_if_exists(*sequence).await?.is_none() {
        let message = format!("stream `{stream}` has no load {sequence}; hint: `rcm load list` shows the loads");
        return Err(StageError::bad_config(message));
    }
    loop {
        let is_voided = voided(lake, stream).await?.contains_key(sequence);
        if is_voided == (*decision == Decision::Void) {
            return Ok(false);
        }
        let of_load = format!("{sequence:020}-");
        let made = lake.list(&folder(stream)).await?;
        let made = made.iter().filter(|meta| meta.location.filename().is_some_and(|name| name.starts_with(&of_load)));
        let key = format!("{}/{of_load}{:020}.json", folder(stream), made.count() + 1);
        if lake.put_if_absent(&key, to_json(mark)?).await? == PutOutcome::Created {
            return Ok(true);
        }
    }
}

fn folder(stream: &str) -> String {
    format!("bronze/{stream}/_voids")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::manifest;

    fn mark(sequence: u64, decision: Decision) -> VoidMark {
        let (who, why) = ("somebody".to_owned(), "the file of another month".to_owned());
        VoidMark { sequence, decision, who, why, at: DateTime::UNIX_EPOCH }
    }

    #[tokio::test]
    async fn of_several_decisions_about_a_load_the_last_counts() {
        let lake = Lake::in_memory();
        for sequence in 1..=2 {
            let load = manifest("claims/hos-a", sequence, DateTime::UNIX_EPOCH);
            LoadLog::new(&lake, "claims/hos-a").commit(&load).await.unwrap();
        }
        for (decision, changes, left) in [
            (Decision::Unvoid, false, vec![1, 2]),
            (Decision::Void, true, vec![1]),
            (Decision::Void, false, vec![1]),
            (Decision::Unvoid, true, vec![1, 2]),
            (Decision::Void, true, vec![1]),
        ] {
            assert_eq!(decide(&lake, "claims/hos-a", &mark(2, decision)).await.unwrap(), changes);
            let loads = valid_loads(&lake, "claims/hos-a").await.unwrap();
            assert_eq!(loads.iter().map(|load| load.sequence).collect::<Vec<_>>(), left);
        }
    }

    #[tokio::test]
    async fn a_load_that_there_is_not_cannot_be_voided() {
        let error = decide(&Lake::in_memory(), "claims/hos-a", &mark(1, Decision::Void)).await.unwrap_err();
        assert_eq!(error.name(), "BadConfig");
        assert!(error.to_string().contains("`claims/hos-a` has no load 1"), "{error}");
    }
}
