use std::collections::HashSet;

use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, path};
use rcm_model::load_config::is_path_segment;
use rcm_platform::bronze::{LoadLog, Source};
use rcm_platform::config::Feed;
use rcm_platform::lake::LANDING;
use rcm_platform::{Context, StageError, load};
use tracing::warn;

/// What lies in a feed's folder.
#[derive(Debug)]
struct Landed {
    files: Vec<ObjectMeta>,
    /// The key that the store's listing ended at; what else lies there is not known then.
    unusable: Option<String>,
}

/// Keys of the landed files that no load holds and that are not refused, oldest first; then the keys
/// that keep the store from listing a feed's folder, so that each is told as a file that failed.
pub(crate) async fn new_files(context: &Context) -> Result<Vec<String>, StageError> {
    let mut files = Vec::new();
    let mut unusable = Vec::new();
    for feed in &context.settings.sources.feeds {
        let log = LoadLog::new(&context.lake, &feed.entity);
        let mut seen: HashSet<Source> = log.after(0).await?.into_iter().map(|load| load.source).collect();
        let refusals = log.refusals(&context.settings.mappings_hash).await?;
        seen.extend(refusals.into_iter().map(|refusal| refusal.source));
        let landed = landed(context, feed).await?;
        files.extend(landed.files.into_iter().filter(|meta| !seen.contains(&source(meta))));
        unusable.extend(landed.unusable);
    }
    files.sort_by(|a, b| (a.last_modified, &a.location).cmp(&(b.last_modified, &b.location)));
    Ok(files.into_iter().map(|meta| meta.location.into()).chain(unusable).collect())
}

fn source(meta: &ObjectMeta) -> Source {
    Source { name: meta.location.to_string(), size: Some(meta.size), last_modified: Some(meta.last_modified) }
}

/// The finished files right in a feed's folder.
async fn landed(context: &Context, feed: &Feed) -> Result<Landed, StageError> {
    if !is_path_segment(&feed.folder) {
        let message = format!("configs/sources.toml: `{}` is no name of a folder of landing/", feed.folder);
        return Err(StageError::BadConfig(message));
    }
    let folder = format!("{LANDING}/{}", feed.folder);
    let mut landed = match context.lake.local_path(&folder) {
        Some(path) => Landed { files: local_files(context, &folder, &path).await?, unusable: None },
        None => objects(context, &folder).await?,
    };
    landed.files.retain(is_finished);
    Ok(landed)
}

/// The objects of a folder of a bucket. The store lists nothing of a folder with a key that is no
/// path, which anybody may put there: such a folder must not stop the others.
async fn objects(context: &Context, folder: &str) -> Result<Landed, StageError> {
    match context.lake.store().list_with_delimiter(Some(&Path::from(folder))).await {
        Ok(found) => Ok(Landed { files: found.objects, unusable: None }),
        Err(object_store::Error::InvalidPath { source }) => {
            let key = unusable_key(folder, source);
            warn!(folder, key = load::printable(&key), "nothing in the folder is loaded until this object is removed");
            Ok(Landed { files: Vec::new(), unusable: Some(key) })
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
async fn local_files(context: &Context, folder: &str, path: &std::path::Path) -> Result<Vec<ObjectMeta>, StageError> {
    let unreadable = |error: std::io::Error| StageError::Storage(format!("listing `{folder}`: {}", error.kind()));
    let mut entries = match tokio::fs::read_dir(path).await {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut files = Vec::new();
    let mut unusable = 0;
    while let Some(entry) = entries.next_entry().await.map_err(unreadable)? {
        // Of a link it says no, so that nothing outside of the lake is read.
        if !entry.file_type().await.map_err(unreadable)?.is_file() {
            continue;
        }
        let key = entry.file_name().to_str().and_then(|name| Path::parse(format!("{folder}/{name}")).ok());
        let Some(key) = key else {
            unusable += 1;
            continue;
        };
        match context.lake.head(key.as_ref()).await {
            Ok(meta) => files.extend(meta),
            Err(_) => unusable += 1,
        }
    }
    if unusable > 0 {
        warn!(folder, unusable, "files are passed over: their names are no keys of objects");
    }
    Ok(files)
}

/// Whether a file is there as a whole, as far as its name tells, and is no marker of a folder.
fn is_finished(meta: &ObjectMeta) -> bool {
    let name = meta.location.filename().unwrap_or_default();
    let is_folder = meta.size == 0 && !name.contains('.');
    !is_folder && load::is_finished(name)
}
