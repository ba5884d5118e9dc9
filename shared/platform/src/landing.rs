//! What lies in the folders that files land in.

mod key;
mod outside;

use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, path};
use rcm_model::load_config::is_path_segment;
use tracing::warn;

use crate::config::Feed;
use crate::context::Context;
use crate::error::{Result, StageError};
use crate::load;

pub use key::{LandingKey, folder_key};
pub use outside::{Outside, OutsideFeeds, outside_feeds};

/// What lies in a feed's folder.
#[derive(Debug, Default)]
pub struct Landed {
    pub files: Vec<ObjectMeta>,
    /// The key that the store's listing ended at; what else lies there is not known then.
    pub unusable: Option<String>,
    /// Files of a folder of this machine that are passed over, since no key can be made of their names.
    pub nameless: usize,
    /// Links in a folder of this machine, which are not followed.
    pub links: usize,
}

/// The finished files right in a feed's folder.
///
/// # Errors
/// `BadConfig` if the feed's folder is none; or the store fails.
pub async fn files(context: &Context, feed: &Feed) -> Result<Landed> {
    if !is_path_segment(&feed.folder) {
        let message = format!("configs/sources.toml: `{}` is no name of a folder of landing/", feed.folder);
        return Err(StageError::bad_config(message));
    }
    let folder = folder_key(&feed.folder);
    let mut landed = match context.lake.local_path(&folder) {
        Some(path) => local_files(context, &folder, &path).await?,
        None => objects(context, &folder).await?,
    };
    landed.files.retain(is_finished);
    Ok(landed)
}

/// The objects of a folder of a bucket. The store lists nothing of a folder with a key that is no
/// path, which anybody may put there: such a folder must not stop the others.
async fn objects(context: &Context, folder: &str) -> Result<Landed> {
    match context.lake.store().list_with_delimiter(Some(&Path::from(folder))).await {
        Ok(found) => Ok(Landed { files: found.objects, ..Landed::default() }),
        Err(object_store::Error::InvalidPath { source }) => {
            let key = unusable_key(folder, source);
            warn!(folder, key = load::printable(&key), "nothing in the folder is loaded until this object is removed");
            Ok(Landed { unusable: Some(key), ..Landed::default() })
        }
        Err(error) => Err(error.into()),
    }
}

/// The key below the lake's root that is no path.
fn unusable_key(folder: &str, error: path::Error) -> String {
    match error {
        path::Error::EmptySegment { path } | path::Error::BadSegment { path, .. } => {
            // The lake may be a part of a bucket.
            path.find(&format!("{folder}/")).map_or(path.clone(), |at| path[at..].to_owned())
        }
        _ => format!("{folder}/"),
    }
}

/// The files of a folder of this machine. The store's own listing ends at the first name that is no
/// key, and anybody may drop one; here such a file is passed over.
async fn local_files(context: &Context, folder: &str, path: &std::path::Path) -> Result<Landed> {
    let unreadable = |error: std::io::Error| {
        StageError::of_io(format!("listing `{folder}`: {}", error.kind()), &error, StageError::storage)
    };
    let mut entries = match tokio::fs::read_dir(path).await {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Landed::default()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut landed = Landed::default();
    while let Some(entry) = entries.next_entry().await.map_err(unreadable)? {
        // Of a link it says no, so that nothing outside of the lake is read.
        let kind = entry.file_type().await.map_err(unreadable)?;
        if !kind.is_file() {
            let is_told = kind.is_symlink() && load::is_finished(&entry.file_name().to_string_lossy());
            landed.links += usize::from(is_told);
            continue;
        }
        let key = entry.file_name().to_str().and_then(|name| Path::parse(format!("{folder}/{name}")).ok());
        let Some(key) = key else {
            landed.nameless += usize::from(load::is_finished(&entry.file_name().to_string_lossy()));
            continue;
        };
        match context.lake.head(key.as_ref()).await {
            Ok(meta) => landed.files.extend(meta),
            Err(_) => landed.nameless += 1,
        }
    }
    if landed.nameless > 0 {
        warn!(folder, nameless = landed.nameless, "files are passed over: their names are no keys of objects");
    }
    Ok(landed)
}

/// Whether a file is there as a whole, by its name, and is no marker of a folder.
fn is_finished(meta: &ObjectMeta) -> bool {
    let name = meta.location.filename().unwrap_or_default();
    is_no_folder(name, meta.size) && load::is_finished(name)
}

/// Whether an object is no marker of a folder.
fn is_no_folder(name: &str, size: u64) -> bool {
    size > 0 || name.contains('.')
}
