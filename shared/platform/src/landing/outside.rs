//! Files below `landing/` that no run takes, since they do not lie right in the folder of a feed.

use std::fs::Metadata;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use futures::StreamExt;
use object_store::ObjectStore;
use object_store::path::Path;

use super::{folder_key, unusable_key};
use crate::context::Context;
use crate::error::{Result, StageError};
use crate::lake::LANDING;
use crate::load;

/// Files that are counted of one folder.
const MOST_FILES: usize = 1000;
/// Folders that are looked into.
const MOST_FOLDERS: usize = 100;

/// What lies below `landing/` and outside the folders of the feeds.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct OutsideFeeds {
    /// The folders with such files, in order: `landing` itself, those that no feed names, and those in a
    /// feed's folder, of which the first with files stands for all.
    pub folders: Vec<Outside>,
    /// Folders that were not looked into, since there are so many.
    pub folders_left: usize,
    /// The key that the store's listing ended at.
    pub unusable: Option<String>,
}

/// Files of one folder, and of those in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outside {
    /// Key of the folder, such as `landing/claim`.
    pub folder: String,
    /// The feed's folder that it lies in.
    pub of_feed: Option<String>,
    /// How many there are; no more than are counted.
    pub files: usize,
    pub are_more: bool,
    /// The time of the oldest one.
    pub oldest: Option<DateTime<Utc>>,
}

/// Files that were counted.
#[derive(Debug, Default, Clone, Copy)]
struct Counted {
    files: usize,
    oldest: Option<DateTime<Utc>>,
}

/// Names of what lies right in a folder.
#[derive(Debug, Default)]
struct RightIn {
    folders: Vec<String>,
    files: Counted,
}

/// Finds the files below `landing/` that no run takes. Hidden files and folders, and files that a transfer has
/// not finished, are none of them; links are not followed.
///
/// # Errors
/// The store fails.
pub async fn outside_feeds(context: &Context) -> Result<OutsideFeeds> {
    let top = match right_in(context, LANDING).await {
        Ok(top) => top,
        Err(object_store::Error::InvalidPath { source }) => {
            return Ok(OutsideFeeds { unusable: Some(unusable_key(LANDING, source)), ..OutsideFeeds::default() });
        }
        Err(error) => return Err(error.into()),
    };
    let mut found = OutsideFeeds::default();
    found.folders.extend(outside(LANDING.to_owned(), None, top.files));
    let mut looked_into = 0;
    for name in top.folders {
        let folder = folder_key(&name);
        if context.settings.feed(&name).is_none() {
            looked_into += 1;
            if looked_into > MOST_FOLDERS {
                found.folders_left += 1;
                continue;
            }
            let files = below(context, &folder).await?;
            found.folders.extend(outside(folder, None, files));
            continue;
        }
        // That the folder cannot be listed is told with the files of the feed.
        let Ok(in_feed) = right_in(context, &folder).await else { continue };
        for name in in_feed.folders {
            looked_into += 1;
            if looked_into > MOST_FOLDERS {
                found.folders_left += 1;
                break;
            }
            let inner = format!("{folder}/{name}");
            let files = below(context, &inner).await?;
            if let Some(outside) = outside(inner, Some(folder.clone()), files) {
                found.folders.push(outside);
                break;
            }
        }
    }
    Ok(found)
}

fn outside(folder: String, of_feed: Option<String>, counted: Counted) -> Option<Outside> {
    let Counted { files, oldest } = counted;
    let (files, are_more) = (files.min(MOST_FILES), files > MOST_FILES);
    (files > 0).then_some(Outside { folder, of_feed, files, are_more, oldest })
}

async fn right_in(context: &Context, folder: &str) -> std::result::Result<RightIn, object_store::Error> {
    if let Some(path) = context.lake.local_path(folder) {
        return local_right_in(path).await.map_err(|error| unreadable(folder, &error));
    }
    let found = context.lake.store().list_with_delimiter(Some(&Path::from(folder))).await?;
    let mut right_in = RightIn::default();
    let names = found.common_prefixes.iter().filter_map(|prefix| prefix.filename());
    right_in.folders = names.filter(|name| !is_hidden(name)).map(str::to_owned).collect();
    right_in.folders.sort_unstable();
    for meta in found.objects {
        right_in.files.add(meta.location.filename().unwrap_or_default(), meta.size, Some(meta.last_modified));
    }
    Ok(right_in)
}

/// Counts the files of a folder and of those in it, one more than are told at most.
async fn below(context: &Context, folder: &str) -> Result<Counted> {
    if let Some(path) = context.lake.local_path(folder) {
        let counted = local_below(path).await.map_err(|error| unreadable(folder, &error));
        return counted.map_err(StageError::from);
    }
    let mut counted = Counted::default();
    let store = context.lake.store();
    let mut listed = store.list(Some(&Path::from(folder)));
    while counted.files <= MOST_FILES {
        match listed.next().await {
            None => break,
            Some(Ok(meta)) => {
                let mut parts = meta.location.parts();
                if !parts.any(|part| is_hidden(part.as_ref())) {
                    let name = meta.location.filename().unwrap_or_default();
                    counted.add(name, meta.size, Some(meta.last_modified));
                }
            }
            // A key that is no path is a file too, and the last one that the store lists.
            Some(Err(object_store::Error::InvalidPath { .. })) => {
                counted.files += 1;
                break;
            }
            Some(Err(error)) => return Err(error.into()),
        }
    }
    Ok(counted)
}

/// Of a folder of this machine; empty where there is none.
async fn local_right_in(path: PathBuf) -> std::io::Result<RightIn> {
    let mut right_in = RightIn::default();
    let mut entries = match tokio::fs::read_dir(path).await {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(right_in),
        Err(error) => return Err(error),
    };
    while let Some(entry) = entries.next_entry().await? {
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type().await?;
        if kind.is_dir() && !is_hidden(&name) {
            right_in.folders.push(name);
        } else if kind.is_file() {
            // One that is gone meanwhile is none.
            let Ok(metadata) = entry.metadata().await else { continue };
            right_in.files.add(&name, metadata.len(), modified(&metadata));
        }
    }
    right_in.folders.sort_unstable();
    Ok(right_in)
}

async fn local_below(path: PathBuf) -> std::io::Result<Counted> {
    let mut counted = Counted::default();
    let mut folders = vec![path];
    while let Some(folder) = folders.pop() {
        let right_in = local_right_in(folder.clone()).await?;
        counted.extend(right_in.files);
        if counted.files > MOST_FILES {
            break;
        }
        folders.extend(right_in.folders.into_iter().map(|name| folder.join(name)));
    }
    Ok(counted)
}

fn modified(metadata: &Metadata) -> Option<DateTime<Utc>> {
    metadata.modified().ok().map(DateTime::from)
}

fn unreadable(folder: &str, source: &std::io::Error) -> object_store::Error {
    let source = std::io::Error::new(source.kind(), format!("listing `{folder}`: {}", source.kind()));
    object_store::Error::Generic { store: "landing", source: source.into() }
}

fn is_hidden(name: &str) -> bool {
    name.starts_with('.')
}

impl Counted {
    /// Counts a file, if it is one as a whole and not hidden.
    fn add(&mut self, name: &str, size: u64, modified: Option<DateTime<Utc>>) {
        if !super::is_no_folder(name, size) || !load::is_finished(name) {
            return;
        }
        self.extend(Self { files: 1, oldest: modified });
    }

    fn extend(&mut self, other: Self) {
        self.files += other.files;
        self.oldest = [self.oldest, other.oldest].into_iter().flatten().min();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::Lake;
    use crate::testing::TestLake;

    const FILES: [&str; 9] = [
        "landing/a.csv",
        "landing/claim/b.csv",
        "landing/claim/2024/c.csv",
        "landing/claims/d.csv",
        "landing/claims/old/e.csv",
        "landing/claims/older/f.csv",
        "landing/.hidden/g.csv",
        "landing/claim/.h.csv",
        "landing/claim/i.csv.part",
    ];

    fn told(found: &OutsideFeeds) -> Vec<(&str, Option<&str>, usize)> {
        found.folders.iter().map(|of| (of.folder.as_str(), of.of_feed.as_deref(), of.files)).collect()
    }

    #[tokio::test]
    async fn a_folder_and_a_bucket_say_the_same_of_files_outside_of_feeds() {
        let lake = TestLake::new();
        for file in FILES {
            lake.write(file, "x");
        }
        let in_folder = lake.context().await;
        let bucket = Context { lake: Lake::in_memory(), ..lake.context().await };
        for file in FILES {
            bucket.lake.put(file, "x").await.unwrap();
        }
        let expected =
            [("landing", None, 1), ("landing/claim", None, 2), ("landing/claims/old", Some("landing/claims"), 1)];
        for context in [in_folder, bucket] {
            let found = outside_feeds(&context).await.unwrap();
            assert_eq!(told(&found), expected);
            assert!(found.folders.iter().all(|of| of.oldest.is_some() && !of.are_more));
        }
    }

    #[tokio::test]
    async fn of_many_files_and_folders_no_more_are_counted_than_are_told() {
        let context = Context { lake: Lake::in_memory(), ..TestLake::new().context().await };
        for number in 0..MOST_FILES + 5 {
            context.lake.put(&format!("landing/claim/{number}.csv"), "x").await.unwrap();
        }
        for number in 0..MOST_FOLDERS + 5 {
            context.lake.put(&format!("landing/other-{number}/a.csv"), "x").await.unwrap();
        }
        let found = outside_feeds(&context).await.unwrap();
        assert_eq!((found.folders[0].files, found.folders[0].are_more), (MOST_FILES, true));
        assert_eq!((found.folders.len(), found.folders_left), (MOST_FOLDERS, 6));
    }

    #[tokio::test]
    async fn a_lake_without_landing_has_no_files_outside_of_feeds() {
        assert_eq!(outside_feeds(&TestLake::new().context().await).await.unwrap(), OutsideFeeds::default());
    }
}
