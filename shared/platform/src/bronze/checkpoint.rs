//! Checkpoints of a load log: all its manifests up to a number in one object, so that a reader of the whole log
//! does not read every manifest on its own.
//!
//! `bronze/<stream>/_checkpoints/<20-digit sequence>.json`. A checkpoint is derived from the manifests, which never
//! change, and can be removed or made again at any time. One that cannot be read, or that goes further than the log,
//! is ignored.

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::{LoadLog, Manifest, from_json};
use crate::error::{Result, StageError};
use crate::lake::PutOutcome;

/// Loads after the last checkpoint that make another one due.
pub const CHECKPOINT_INTERVAL: u64 = 100;

/// The loads of a stream from the first one on, in order.
#[derive(Debug, Serialize, Deserialize)]
struct Checkpoint {
    stream: String,
    loads: Vec<Manifest>,
}

impl LoadLog<'_> {
    /// Writes a checkpoint if [`CHECKPOINT_INTERVAL`] loads or more have come since the last one. Returns whether it
    /// wrote one. Several callers at once are safe: the first one to write it wins, and all would write the same.
    ///
    /// # Errors
    /// The store fails, or the log cannot be read.
    pub async fn checkpoint_if_due(&self) -> Result<bool> {
        let reached = self.last_checkpoint(0).await?.unwrap_or(0);
        let since = self.lake.list_after(&self.folder(), &self.key(reached)).await?;
        if (since.len() as u64) < CHECKPOINT_INTERVAL {
            return Ok(false);
        }
        let loads = self.after(0).await?;
        let Some(sequence) = loads.last().map(|load| load.sequence) else { return Ok(false) };
        let checkpoint = Checkpoint { stream: self.stream.to_owned(), loads };
        let json = serde_json::to_vec(&checkpoint)
            .map_err(|error| StageError::corrupt_lake(format!("writing JSON: {error}")))?;
        Ok(self.lake.put_if_absent(&self.checkpoint_key(sequence), json).await? == PutOutcome::Created)
    }

    /// As [`LoadLog::checkpoint_if_due`], where a checkpoint that is not written must not fail what was done before:
    /// the next run writes it.
    pub(super) async fn try_checkpoint(&self) {
        if let Err(error) = self.checkpoint_if_due().await {
            warn!(stream = self.stream, error = error.name(), message = %error, "no checkpoint of the load log written");
        }
    }

    /// Keys of all checkpoints but the last two. A reader that has just listed an older one may still be reading it.
    ///
    /// # Errors
    /// The store fails.
    pub async fn replaced_checkpoints(&self) -> Result<Vec<String>> {
        let listed = self.lake.list(&self.checkpoint_folder()).await?;
        let replaced = listed.len().saturating_sub(2);
        Ok(listed.into_iter().take(replaced).map(|meta| String::from(meta.location)).collect())
    }

    /// The number that the last checkpoint after a sequence number reaches; none if there is no such checkpoint.
    pub(super) async fn last_checkpoint(&self, sequence: u64) -> Result<Option<u64>> {
        let listed = self.lake.list_after(&self.checkpoint_folder(), &self.checkpoint_key(sequence)).await?;
        let number = |name: &str| name.strip_suffix(".json")?.parse::<u64>().ok();
        Ok(listed.iter().rev().find_map(|meta| number(meta.location.filename()?)))
    }

    /// The loads after a sequence number that the last checkpoint holds; empty where none can be used.
    pub(super) async fn checkpointed(&self, sequence: u64) -> Result<Vec<Manifest>> {
        let Some(reached) = self.last_checkpoint(sequence).await? else { return Ok(Vec::new()) };
        let key = self.checkpoint_key(reached);
        let Some(json) = self.lake.get_if_exists(&key).await? else { return Ok(Vec::new()) };
        if self.lake.head(&self.key(reached)).await?.is_none() {
            warn!(key, "the checkpoint goes further than its log and is ignored");
            return Ok(Vec::new());
        }
        match from_json::<Checkpoint>(&key, &json) {
            Ok(checkpoint) if checkpoint.is_whole(self.stream, reached) => {
                Ok(checkpoint.loads.into_iter().skip_while(|load| load.sequence <= sequence).collect())
            }
            _ => {
                warn!(key, "the checkpoint cannot be read and is ignored");
                Ok(Vec::new())
            }
        }
    }

    fn checkpoint_folder(&self) -> String {
        format!("bronze/{}/_checkpoints", self.stream)
    }

    fn checkpoint_key(&self, sequence: u64) -> String {
        format!("{}/{sequence:020}.json", self.checkpoint_folder())
    }
}

impl Checkpoint {
    /// Whether it holds every load of a stream up to a sequence number.
    fn is_whole(&self, stream: &str, reached: u64) -> bool {
        self.stream == stream
            && self.loads.len() as u64 == reached
            && (1..).zip(&self.loads).all(|(expected, load)| load.sequence == expected)
    }
}
