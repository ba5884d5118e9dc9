//! Copies files of a folder to the lake's landing zone.

use std::collections::BTreeMap;
use std::fs::FileType;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcm_platform::csv_stream::{self, Csv};
use rcm_platform::lake::LANDING;
use rcm_platform::landing::LandingKey;
use rcm_platform::{Lake, StageError, load};
use tokio::fs;
use tokio::time::sleep;

use crate::print::PassedOver;

/// A copy that replaces other bytes with the same time is this much newer; smaller differences are ignored.
const SAME_TIME: Duration = Duration::from_millis(1);

/// Resolution of a store's clock: S3 gives the time of an object in seconds.
const STORE_TICK: Duration = Duration::from_secs(1);

/// A file that is copied to `landing/`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct File {
    modified: SystemTime,
    path: PathBuf,
    key: LandingKey,
    size: u64,
}

/// Copies every file `<feed>/<name>` below a folder to the same place below `landing/`, the oldest first. If the lake
/// is a folder, the copy keeps the time of the file, which decides the order of files without an order of their own.
/// Does not copy a file that the lake has with the same size and bytes. Returns the paths that are not copied: files
/// that are not directly in the folder of a feed (one entry per folder), links, and names that cannot be a key.
///
/// # Errors
/// A file cannot be read, or the store fails.
pub async fn copy(lake: &Lake, feeds: &[&str], folder: &Path) -> Result<Vec<PassedOver>, StageError> {
    let unreadable = |error: io::Error| {
        StageError::of_io(format!("{}: {error}", folder.display()), &error, StageError::source_unavailable)
    };
    let mut passed_over = Vec::new();
    let mut elsewhere = BTreeMap::new();
    let mut files = Vec::new();
    for (path, kind) in all_below(folder).await.map_err(unreadable)? {
        let Ok(below) = path.strip_prefix(folder) else { continue };
        let below = match place_of(below, kind) {
            Ok(below) => below,
            Err(reason) => {
                let name = load::printable(&path.to_string_lossy());
                passed_over.push(PassedOver { name, reason });
                continue;
            }
        };
        let key = match key_of(feeds, below) {
            Ok(key) => key,
            Err(Elsewhere { folder, reason }) => {
                if below.split('/').all(load::is_finished) {
                    elsewhere.insert(folder.to_owned(), reason);
                }
                continue;
            }
        };
        let metadata = fs::metadata(&path).await.map_err(unreadable)?;
        files.push(File { modified: metadata.modified().map_err(unreadable)?, key, size: metadata.len(), path });
    }
    files.sort_unstable();
    if files.is_empty() {
        elsewhere.insert(String::new(), "no file in it is in the folder of a feed: nothing is copied");
    }
    passed_over.extend(
        elsewhere
            .into_iter()
            .map(|(below, reason)| PassedOver { name: load::printable(&folder.join(below).to_string_lossy()), reason }),
    );
    // By folder, the last name among the files to which the store may give the same time: names decide their order.
    let mut last_names: BTreeMap<String, String> = BTreeMap::new();
    for file in files {
        if let There::Other { modified } = there(lake, &file).await? {
            let (folder, name) = (file.key.folder(), file.key.file());
            if !is_folder(lake) && last_names.get(folder).is_some_and(|last| name < last.as_str()) {
                sleep(STORE_TICK).await;
                last_names.clear();
            }
            last_names.insert(folder.to_owned(), name.to_owned());
            lake.put_from(&file.key.to_string(), fs::File::open(&file.path).await.map_err(unreadable)?).await?;
            keep_time(lake, &file, modified).await?;
        }
    }
    Ok(passed_over)
}

/// Why a file is not copied: the folder that is reported for it, and the reason.
struct Elsewhere<'a> {
    folder: &'a str,
    reason: &'static str,
}

/// Returns the key for a file that is directly in the folder of a feed.
fn key_of<'a>(feeds: &[&str], below: &'a str) -> Result<LandingKey, Elsewhere<'a>> {
    let Some((folder, rest)) = below.split_once('/') else {
        return Err(Elsewhere { folder: "", reason: "files directly in it belong to no feed" });
    };
    if !feeds.contains(&folder) {
        return Err(Elsewhere { folder, reason: "configs/sources.toml has no feed with this folder" });
    }
    LandingKey::new(folder, rest).ok_or_else(|| {
        let inner = rest.split_once('/').map_or(rest, |(inner, _)| inner);
        Elsewhere {
            folder: &below[..folder.len() + 1 + inner.len()],
            reason: "only files directly in the folder of a feed are copied",
        }
    })
}

/// Returns whether the lake is a folder, where a copy can keep the time of its file.
fn is_folder(lake: &Lake) -> bool {
    lake.local_path(LANDING).is_some()
}

/// Sets the time of a copy to that of its file. A store other than a folder sets its own time.
async fn keep_time(lake: &Lake, file: &File, replaced: Option<SystemTime>) -> Result<(), StageError> {
    let Some(copy) = lake.head(&file.key.to_string()).await? else { return Ok(()) };
    let Some(path) = lake.local_path(copy.location.as_ref()) else { return Ok(()) };
    let kept = match fs::OpenOptions::new().write(true).open(path).await {
        Ok(copy) => copy.into_std().await.set_modified(time_of_copy(file.modified, replaced)),
        Err(error) => Err(error),
    };
    kept.map_err(|error| {
        StageError::of_io(format!("setting the time of `{}`: {}", file.key, error.kind()), &error, StageError::storage)
    })
}

/// Returns the time for a copy: that of the file, or slightly later if the copy replaces other bytes with the same
/// time, because a landed file is distinguished from its predecessor by size and time.
fn time_of_copy(modified: SystemTime, replaced: Option<SystemTime>) -> SystemTime {
    let is_the_same = |replaced: &SystemTime| (modified..modified + SAME_TIME).contains(replaced);
    replaced.filter(is_the_same).map_or(modified, |replaced| replaced + Duration::from_micros(1))
}

/// Returns the place below `landing/` for a path below the folder, or the reason why it has none. Two names that are
/// not UTF-8 could become one key.
fn place_of(below: &Path, kind: FileType) -> Result<&str, &'static str> {
    match below.to_str() {
        _ if kind.is_symlink() => Err("a link, which is not followed"),
        _ if !kind.is_file() => Err("no file"),
        Some(below) => Ok(below),
        None => Err("its name is not UTF-8"),
    }
}

/// The object that the lake has under the key of a file.
enum There {
    TheFile,
    /// Another object with this time, or no object.
    Other {
        modified: Option<SystemTime>,
    },
}

/// Compares a file with the lake. Reads the bytes only of an object with the same size.
async fn there(lake: &Lake, file: &File) -> Result<There, StageError> {
    let Some(there) = lake.head(&file.key.to_string()).await? else { return Ok(There::Other { modified: None }) };
    if there.size == file.size {
        let on_disk = Csv::on_disk(file.path.clone(), file.path.display().to_string());
        let object = Csv::in_lake(lake, there.location, file.key.to_string());
        if csv_stream::content_hash(&on_disk).await? == csv_stream::content_hash(&object).await? {
            return Ok(There::TheFile);
        }
    }
    Ok(There::Other { modified: Some(there.last_modified.into()) })
}

/// Returns all entries below a folder except folders, sorted.
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

    const FEEDS: [&str; 2] = ["claims", "cptcodes"];

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
            copy(&lake, &FEEDS, folder.path()).await.unwrap();
            assert_eq!(lake.get("landing/claims/a.csv").await.unwrap(), text);
            copied_at.push(lake.head("landing/claims/a.csv").await.unwrap().unwrap().last_modified);
        }
        copied_at.dedup();
        assert_eq!(copied_at.len(), 3);
    }

    /// Makes a folder with two files, of which the older one is later in the alphabet.
    fn two_lists() -> (tempfile::TempDir, [SystemTime; 2]) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("cptcodes")).unwrap();
        let time = |day: u64| SystemTime::UNIX_EPOCH + Duration::from_secs((19_800 + day) * 86_400);
        for (name, day) in [("z_older.csv", 1), ("a_newer.csv", 2)] {
            let path = folder.path().join("cptcodes").join(name);
            std::fs::write(&path, name).unwrap();
            std::fs::File::options().write(true).open(path).unwrap().set_modified(time(day)).unwrap();
        }
        (folder, [time(1), time(2)])
    }

    async fn times(lake: &Lake) -> [SystemTime; 2] {
        let time = async |name: &str| {
            let meta = lake.head(&format!("{LANDING}/cptcodes/{name}")).await.unwrap().unwrap();
            SystemTime::from(meta.last_modified)
        };
        [time("z_older.csv").await, time("a_newer.csv").await]
    }

    #[tokio::test]
    async fn a_copy_in_a_folder_has_the_time_of_its_file_and_keeps_it() {
        let (folder, expected) = two_lists();
        let root = tempfile::tempdir().unwrap();
        let lake = Lake::open(url::Url::from_directory_path(root.path()).unwrap().as_str()).unwrap();
        copy(&lake, &FEEDS, folder.path()).await.unwrap();
        assert_eq!(times(&lake).await, expected);
        std::fs::write(folder.path().join("cptcodes/a_newer.csv"), "a_newer.csv").unwrap();
        copy(&lake, &FEEDS, folder.path()).await.unwrap();
        assert_eq!(times(&lake).await, expected, "a file with the same bytes is not copied again");
    }

    #[tokio::test]
    async fn other_bytes_of_the_same_size_and_time_are_another_file() {
        let (folder, [_, time]) = two_lists();
        let root = tempfile::tempdir().unwrap();
        let lake = Lake::open(url::Url::from_directory_path(root.path()).unwrap().as_str()).unwrap();
        let mut seen = Vec::new();
        for text in ["one", "two", "six"] {
            let path = folder.path().join("cptcodes/a_newer.csv");
            std::fs::write(&path, text).unwrap();
            std::fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
            copy(&lake, &FEEDS, folder.path()).await.unwrap();
            seen.push(times(&lake).await[1]);
        }
        assert_eq!(seen[0], time);
        assert!(seen.is_sorted_by(|earlier, later| earlier < later), "{seen:?}");
    }

    #[tokio::test]
    async fn where_a_store_sets_its_own_times_the_oldest_file_is_copied_first() {
        let (folder, _) = two_lists();
        let lake = Lake::in_memory();
        copy(&lake, &FEEDS, folder.path()).await.unwrap();
        let [older, newer] = times(&lake).await;
        assert!(newer.duration_since(older).unwrap() >= STORE_TICK, "the difference that a store can represent");
    }

    #[tokio::test]
    async fn a_file_that_is_larger_than_a_part_arrives_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..25_000_000_u32).map(|number| (number % 251) as u8).collect();
        std::fs::create_dir(folder.path().join("claims")).unwrap();
        std::fs::write(folder.path().join("claims/a.csv"), &bytes).unwrap();
        let lake = Lake::in_memory();
        copy(&lake, &FEEDS, folder.path()).await.unwrap();
        assert!(lake.get("landing/claims/a.csv").await.unwrap() == bytes);
    }

    /// Returns what is copied of a folder with some files, and the paths and reasons of the others.
    async fn copied(files: &[&str]) -> (Vec<String>, Vec<(String, &'static str)>) {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        let lake = Lake::in_memory();
        let passed_over = copy(&lake, &FEEDS, folder.path()).await.unwrap();
        let root = folder.path().to_string_lossy().into_owned();
        let below = |name: &str| name.strip_prefix(&root).unwrap().trim_matches('/').to_owned();
        let told = passed_over.iter().map(|passed_over| (below(&passed_over.name), passed_over.reason));
        (keys(&lake).await, told.collect())
    }

    async fn keys(lake: &Lake) -> Vec<String> {
        lake.list("").await.unwrap().into_iter().map(|meta| meta.location.to_string()).collect()
    }

    #[tokio::test]
    async fn only_files_right_in_the_folder_of_a_feed_are_copied_and_the_other_folders_are_said() {
        let files = [
            "claims/a.csv",
            "claims/old/b.csv",
            "claims/old/c.csv",
            "private/patients.csv",
            "private/2024/d.csv",
            "e.csv",
            ".hidden/f.csv",
            "other/g.csv.part",
        ];
        let (copied, passed_over) = copied(&files).await;
        assert_eq!(copied, ["landing/claims/a.csv"]);
        let folders: Vec<&str> = passed_over.iter().map(|(folder, _)| folder.as_str()).collect();
        assert_eq!(folders, ["", "claims/old", "private"]);
        assert_eq!(passed_over[2].1, "configs/sources.toml has no feed with this folder");
    }

    #[tokio::test]
    async fn a_folder_of_nothing_that_lands_is_said() {
        for files in [&[][..], &["hospital1_a.csv"]] {
            let (copied, passed_over) = copied(files).await;
            assert_eq!(copied, Vec::<String>::new());
            let nothing = "no file in it is in the folder of a feed: nothing is copied";
            assert_eq!(passed_over, [(String::new(), nothing)]);
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn links_and_names_that_are_not_utf_8_are_passed_over() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        use std::os::unix::fs::symlink;

        let folder = tempfile::tempdir().unwrap();
        let claims = folder.path().join("claims");
        std::fs::create_dir(&claims).unwrap();
        for name in [&b"a\xff.csv"[..], b"a\xfe.csv", b"b.csv"] {
            std::fs::write(claims.join(OsStr::from_bytes(name)), "x").unwrap();
        }
        symlink(claims.join("b.csv"), claims.join("c.csv")).unwrap();
        symlink(&claims, claims.join("d")).unwrap();
        let lake = Lake::in_memory();
        let passed_over = copy(&lake, &FEEDS, folder.path()).await.unwrap();
        assert_eq!(keys(&lake).await, ["landing/claims/b.csv"]);
        let (not_utf_8, link) = ("its name is not UTF-8", "a link, which is not followed");
        let reasons: Vec<&str> = passed_over.iter().map(|passed_over| passed_over.reason).collect();
        assert_eq!(reasons, [not_utf_8, not_utf_8, link, link]);
        assert!(passed_over[0].name.ends_with("a\u{fffd}.csv"), "{passed_over:?}");
    }
}
