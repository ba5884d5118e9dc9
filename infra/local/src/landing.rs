//! Files from a folder into the lake's landing zone.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use rcm_platform::csv_stream::{self, Csv};
use rcm_platform::lake::LANDING;
use rcm_platform::{Lake, StageError};
use tokio::fs;

/// Copies every file below a folder to the same place below `landing/`. A file that is there with
/// the same size and bytes is left alone. Answers the folders below `landing/` that the files belong
/// in; an empty name is `landing/` itself.
///
/// # Errors
/// A file cannot be read, or the store fails.
pub async fn copy(lake: &Lake, folder: &Path) -> Result<BTreeSet<String>, StageError> {
    let unreadable = |error: io::Error| StageError::SourceUnavailable(format!("{}: {error}", folder.display()));
    let mut folders = BTreeSet::new();
    for path in files_below(folder).await.map_err(unreadable)? {
        let Ok(below) = path.strip_prefix(folder) else { continue };
        let below = below.to_string_lossy();
        let key = format!("{LANDING}/{below}");
        let size = fs::metadata(&path).await.map_err(unreadable)?.len();
        if !is_there(lake, &key, &path, size).await? {
            lake.put_from(&key, fs::File::open(&path).await.map_err(unreadable)?).await?;
        }
        folders.insert(below.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned());
    }
    Ok(folders)
}

/// Whether the lake has the file already. Only of one with the same size are the bytes read.
async fn is_there(lake: &Lake, key: &str, path: &Path, size: u64) -> Result<bool, StageError> {
    let Some(there) = lake.head(key).await?.filter(|meta| meta.size == size) else { return Ok(false) };
    let file = Csv::on_disk(path.to_owned(), path.display().to_string());
    let object = Csv::in_lake(lake, there.location, key.to_owned());
    Ok(csv_stream::content_hash(&file).await? == csv_stream::content_hash(&object).await?)
}

/// All files below a folder, in order.
async fn files_below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let mut entries = fs::read_dir(folder).await?;
        while let Some(entry) = entries.next_entry().await? {
            let kind = entry.file_type().await?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_copied_again_only_if_its_bytes_are_others() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::in_memory();
        let write = |text: &str| {
            std::fs::create_dir_all(folder.path().join("claims")).unwrap();
            std::fs::write(folder.path().join("claims/a.csv"), text).unwrap();
        };
        let mut copied_at = Vec::new();
        for text in ["one", "one", "two", "three"] {
            write(text);
            copy(&lake, folder.path()).await.unwrap();
            assert_eq!(lake.get("landing/claims/a.csv").await.unwrap(), text);
            copied_at.push(lake.head("landing/claims/a.csv").await.unwrap().unwrap().last_modified);
        }
        copied_at.dedup();
        assert_eq!(copied_at.len(), 3);
    }

    #[tokio::test]
    async fn a_file_that_is_larger_than_a_part_arrives_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..25_000_000_u32).map(|number| (number % 251) as u8).collect();
        std::fs::write(folder.path().join("a.csv"), &bytes).unwrap();
        let lake = Lake::in_memory();
        copy(&lake, folder.path()).await.unwrap();
        assert!(lake.get("landing/a.csv").await.unwrap() == bytes);
    }

    #[tokio::test]
    async fn the_folders_of_all_files_are_answered() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["claims/a.csv", "claims/old/b.csv", "c.csv"] {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        let folders = copy(&Lake::in_memory(), folder.path()).await.unwrap();
        assert_eq!(folders.into_iter().collect::<Vec<_>>(), ["", "claims", "claims/old"]);
    }
}
