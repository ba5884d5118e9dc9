//! Files from a folder into the lake's landing zone.

use std::path::{Path, PathBuf};
use std::{fs, io};

use rcm_platform::lake::LANDING;
use rcm_platform::{Lake, StageError};

/// Copies every file below a folder to the same place below `landing/`. A file that is there with
/// the same size and bytes is left alone. Answers how many were copied.
///
/// # Errors
/// A file cannot be read, or the store fails.
pub async fn copy(lake: &Lake, folder: &Path) -> Result<usize, StageError> {
    let unreadable = |error: io::Error| StageError::SourceUnavailable(format!("{}: {error}", folder.display()));
    let mut files = Vec::new();
    collect(folder, &mut files).map_err(unreadable)?;
    files.sort_unstable();
    let mut copied = 0;
    for path in files {
        let Ok(below) = path.strip_prefix(folder) else { continue };
        let key = format!("{LANDING}/{}", below.to_string_lossy());
        let size = fs::metadata(&path).map_err(unreadable)?.len();
        let there = lake.head(&key).await?;
        let bytes = fs::read(&path).map_err(unreadable)?;
        if there.is_some_and(|meta| meta.size == size) && lake.get(&key).await? == bytes {
            continue;
        }
        lake.put(&key, bytes).await?;
        copied += 1;
    }
    Ok(copied)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            collect(&entry.path(), files)?;
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}
