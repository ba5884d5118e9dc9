//! What is known of refused files beside the refusals of today: those of before, and what a person dismissed.

use std::collections::{BTreeSet, HashSet};

use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::{LoadLog, READS_AT_ONCE, Refusal, SourceObject, from_json, short, to_json};
use crate::error::Result;
use crate::lake::PutOutcome;

/// How the name of a dismissal ends.
const DISMISSED: &str = "-dismissed.json";

/// A refused file that a person has dismissed: `bronze/<entity>/_refused/<content>-<file>-dismissed.json`. It
/// waits for nobody any more and no run looks at it, whatever the mappings, until it is replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dismissal {
    #[serde(flatten)]
    pub refusal: Refusal,
    pub dismissed_by: String,
    pub dismissed_at: DateTime<Utc>,
    pub why: String,
}

impl LoadLog<'_> {
    /// The refusals of some files, under whatever mappings that was. Another file of the same name is not
    /// among them.
    ///
    /// # Errors
    /// The store fails, or one of them cannot be read.
    pub async fn refusals_of(&self, files: &BTreeSet<SourceObject>) -> Result<Vec<Refusal>> {
        let mut refusals: Vec<Refusal> = self.noted_of(files, |key| !key.ends_with(DISMISSED)).await?;
        refusals.retain(|refusal| files.contains(&refusal.source));
        Ok(refusals)
    }

    /// Those of some files that are passed over under the mappings of this hash: they were refused under them, whenever
    /// that was, or a person has dismissed them.
    ///
    /// # Errors
    /// The store fails, or one of their notes cannot be read.
    pub async fn passed_over(
        &self,
        files: &BTreeSet<SourceObject>,
        mappings_hash: &str,
    ) -> Result<BTreeSet<SourceObject>> {
        let mappings = short(mappings_hash);
        let noted: Vec<Refusal> = self.noted_of(files, |key| is_passed_over(key, mappings)).await?;
        Ok(noted.into_iter().map(|refusal| refusal.source).filter(|source| files.contains(source)).collect())
    }

    /// The dismissals of some files. Another file of the same name is not among them.
    ///
    /// # Errors
    /// The store fails, or one of them cannot be read.
    pub async fn dismissals_of(&self, files: &BTreeSet<SourceObject>) -> Result<Vec<Dismissal>> {
        let mut dismissals: Vec<Dismissal> = self.noted_of(files, |key| key.ends_with(DISMISSED)).await?;
        dismissals.retain(|dismissal| files.contains(&dismissal.refusal.source));
        Ok(dismissals)
    }

    /// Notes that a refused file is dismissed; of several dismissals the first one counts.
    ///
    /// # Errors
    /// The store fails.
    pub async fn dismiss(&self, dismissal: &Dismissal) -> Result<PutOutcome> {
        let name = file_of(&dismissal.refusal.content_hash, &dismissal.refusal.source);
        self.lake.put_if_absent(&format!("{}/{name}{DISMISSED}", self.refused_folder()), to_json(dismissal)?).await
    }

    pub(super) fn refused_folder(&self) -> String {
        format!("bronze/{}/_refused", self.stream)
    }

    /// Reads the notes whose keys say that they may be of some files, and that are wanted.
    async fn noted_of<T: DeserializeOwned>(
        &self,
        files: &BTreeSet<SourceObject>,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<T>> {
        if files.is_empty() {
            return Ok(Vec::new());
        }
        let hashes: HashSet<String> = files.iter().map(hash_of).collect();
        let is_of_files = |key: &String| key.split('-').any(|part| hashes.contains(part));
        let listed = self.lake.list(&self.refused_folder()).await?;
        let keys = listed.into_iter().map(|meta| String::from(meta.location));
        let keys = keys.filter(|key| is_of_files(key) && is_wanted(key));
        let reads = keys.map(async |key| from_json(&key, &self.lake.get(&key).await?));
        futures::stream::iter(reads).buffered(READS_AT_ONCE).try_collect().await
    }
}

/// Whether a key below `_refused/` says that the file is passed over under these mappings: it was refused under
/// them, or dismissed.
pub(super) fn is_passed_over(key: &str, mappings: &str) -> bool {
    key.ends_with(&format!("-{mappings}.json")) || key.ends_with(DISMISSED)
}

/// The start of the name of what is noted of a refused file.
pub(super) fn file_of(content_hash: &str, source: &SourceObject) -> String {
    format!("{content_hash}-{}", hash_of(source))
}

fn hash_of(source: &SourceObject) -> String {
    let SourceObject { name, last_modified, .. } = source;
    format!("{:016x}", xxh3_64(format!("{name}\n{last_modified:?}").as_bytes()))
}
