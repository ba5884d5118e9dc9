//! Files from a folder into the lake's landing zone.

use std::collections::BTreeSet;
use std::fs::FileType;
use std::io;
use std::path::{Path, PathBuf};

use rcm_platform::csv_stream::{self, Csv};
use rcm_platform::lake::LANDING;
use rcm_platform::{Lake, StageError, load};
use tokio::fs;

use crate::print::PassedOver;

/// What became of the files of a folder.
#[derive(Debug, Default)]
pub struct Landed {
    /// The folders below `landing/` that files belong in; an empty name is `landing/` itself.
    pub folders: BTreeSet<String>,
    /// What was not copied.
    pub passed_over: Vec<PassedOver>,
}

/// Copies every file below a folder to the same place below `landing/`. A file that is there with
/// the same size and bytes is left alone. A link is passed over, and so is a name that no key can be made of.
///
/// # Errors
/// A file cannot be read, or the store fails.
pub async fn copy(lake: &Lake, folder: &Path) -> Result<Landed, StageError> {
    let unreadable = |error: io::Error| StageError::SourceUnavailable(format!("{}: {error}", folder.display()));
    let mut landed = Landed::default();
    for (path, kind) in all_below(folder).await.map_err(unreadable)? {
        let Ok(below) = path.strip_prefix(folder) else { continue };
        let below = match place_of(below, kind) {
            Ok(below) => below,
            Err(reason) => {
                let name = load::printable(&path.to_string_lossy());
                landed.passed_over.push(PassedOver { name, reason });
                continue;
            }
        };
        let key = format!("{LANDING}/{below}");
        let size = fs::metadata(&path).await.map_err(unreadable)?.len();
        if !is_there(lake, &key, &path, size).await? {
            lake.put_from(&key, fs::File::open(&path).await.map_err(unreadable)?).await?;
        }
        landed.folders.insert(below.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned());
    }
    Ok(landed)
}

/// The place below `landing/` of what has a path below the folder, or why it has none. Two names that are not
/// UTF-8 could become one key.
fn place_of(below: &Path, kind: FileType) -> Result<&str, &'static str> {
    match below.to_str() {
        _ if kind.is_symlink() => Err("a link, which is not followed"),
        _ if !kind.is_file() => Err("no file"),
        Some(below) => Ok(below),
        None => Err("its name is not UTF-8"),
    }
}

/// Whether the lake has the file already. Only of one with the same size are the bytes read.
async fn is_there(lake: &Lake, key: &str, path: &Path, size: u64) -> Result<bool, StageError> {
    let Some(there) = lake.head(key).await?.filter(|meta| meta.size == size) else { return Ok(false) };
    let file = Csv::on_disk(path.to_owned(), path.display().to_string());
    let object = Csv::in_lake(lake, there.location, key.to_owned());
    Ok(csv_stream::content_hash(&file).await? == csv_stream::content_hash(&object).await?)
}

/// All that is below a folder, but for the folders in it, in order.
async fn all_below(folder: &Path) -> io::Result<Vec<(PathBuf, FileType)>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let mut entries = fs::read_dir(folder).await?;
        while let Some(entry) = entries.next_entry().await? {
            let kind = entry.file_type().await?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else {
                found.push((entry.path(), kind));
            }
        }
    }
    found.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    Ok(found)
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
        let landed = copy(&Lake::in_memory(), folder.path()).await.unwrap();
        assert_eq!(landed.folders.into_iter().collect::<Vec<_>>(), ["", "claims", "claims/old"]);
        assert_eq!(landed.passed_over, []);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn links_and_names_that_are_not_utf_8_are_passed_over() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        use std::os::unix::fs::symlink;

        let folder = tempfile::tempdir().unwrap();
        for name in [&b"a\xff.csv"[..], b"a\xfe.csv", b"b.csv"] {
            std::fs::write(folder.path().join(OsStr::from_bytes(name)), "x").unwrap();
        }
        symlink(folder.path().join("b.csv"), folder.path().join("c.csv")).unwrap();
        symlink(folder.path(), folder.path().join("d")).unwrap();
        let lake = Lake::in_memory();
        let landed = copy(&lake, folder.path()).await.unwrap();
        let keys: Vec<String> =
            lake.list(LANDING).await.unwrap().into_iter().map(|meta| meta.location.to_string()).collect();
        assert_eq!(keys, ["landing/b.csv"]);
        let (not_utf_8, link) = ("its name is not UTF-8", "a link, which is not followed");
        let reasons: Vec<&str> = landed.passed_over.iter().map(|passed_over| passed_over.reason).collect();
        assert_eq!(reasons, [not_utf_8, not_utf_8, link, link]);
        assert!(landed.passed_over[0].name.ends_with("a\u{fffd}.csv"), "{:?}", landed.passed_over);
    }
}
