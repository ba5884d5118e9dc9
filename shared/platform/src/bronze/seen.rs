//! Notes of files that make no load. The name of a note follows from its file, so that no note is read to know which
//! files have one, however many were written over the years.

use std::collections::{BTreeSet, HashSet};

use chrono::NaiveDate;
use futures::{StreamExt, TryStreamExt};
use xxhash_rust::xxh3::xxh3_64;

use super::{LoadLog, READS_AT_ONCE, Seen, SourceObject, from_json};
use crate::config::Feed;
use crate::error::Result;

impl LoadLog<'_> {
    /// Returns those of some files of a feed that a note says to make no load. It lists the notes and reads none.
    ///
    /// # Errors
    /// The store fails.
    pub async fn seen_of(&self, feed: &Feed, files: &BTreeSet<SourceObject>) -> Result<BTreeSet<SourceObject>> {
        if files.is_empty() {
            return Ok(BTreeSet::new());
        }
        let listed = self.lake.list(&self.seen_folder()).await?;
        let names: HashSet<&str> = listed.iter().filter_map(|meta| meta.location.filename()).collect();
        let is_seen = |file: &&SourceObject| names.contains(note_of(feed, file).as_str());
        Ok(files.iter().filter(is_seen).cloned().collect())
    }

    /// Reads the notes of some files of a feed, each of which has one.
    ///
    /// # Errors
    /// The store fails, or a note cannot be read.
    pub async fn notes_of(&self, feed: &Feed, seen: &BTreeSet<SourceObject>) -> Result<Vec<Seen>> {
        let keys = seen.iter().map(|file| format!("{}/{}", self.seen_folder(), note_of(feed, file)));
        let reads = keys.map(async |key| from_json(&key, &self.lake.get(&key).await?));
        futures::stream::iter(reads).buffered(READS_AT_ONCE).try_collect().await
    }

    pub(super) fn seen_folder(&self) -> String {
        format!("bronze/{}/_seen", self.stream)
    }
}

fn note_of(feed: &Feed, file: &SourceObject) -> String {
    name_of(file, feed.release_of(file.file_name()))
}

/// Name of the note of a file that says this date of itself.
pub(super) fn name_of(source: &SourceObject, release: Option<NaiveDate>) -> String {
    let SourceObject { name, size, last_modified } = source;
    format!("{:016x}.json", xxh3_64(format!("{name}\n{size:?}\n{last_modified:?}\n{release:?}").as_bytes()))
}
