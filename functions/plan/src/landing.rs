use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};
use rcm_domain::load_config::is_path_segment;
use rcm_platform::bronze::{LoadLog, Source};
use rcm_platform::config::Feed;
use rcm_platform::lake::LANDING;
use rcm_platform::{Context, StageError};
use tracing::warn;

/// Endings of files that a transfer has not finished.
const UNFINISHED: [&str; 5] = [".tmp", ".part", ".partial", ".filepart", ".crdownload"];

/// Keys of the landed files that no load holds and that are not refused, oldest first.
pub(crate) async fn new_files(context: &Context) -> Result<Vec<String>, StageError> {
    let mut files = Vec::new();
    for feed in &context.settings.sources.feeds {
        let log = LoadLog::new(&context.lake, &feed.entity);
        let mut seen: Vec<Source> = log.after(0).await?.into_iter().map(|load| load.source).collect();
        let refusals = log.refusals().await?;
        let refusals = refusals.into_iter().filter(|refusal| refusal.mappings_hash == context.settings.mappings_hash);
        seen.extend(refusals.map(|refusal| refusal.source));
        let landed = landed(context, feed).await?;
        files.extend(landed.into_iter().filter(|meta| !seen.contains(&source(meta))));
    }
    files.sort_by(|a, b| (a.last_modified, &a.location).cmp(&(b.last_modified, &b.location)));
    Ok(files.into_iter().map(|meta| meta.location.into()).collect())
}

fn source(meta: &ObjectMeta) -> Source {
    Source { name: meta.location.to_string(), size: Some(meta.size), last_modified: Some(meta.last_modified) }
}

/// The finished files right in a feed's folder.
async fn landed(context: &Context, feed: &Feed) -> Result<Vec<ObjectMeta>, StageError> {
    if !is_path_segment(&feed.folder) {
        let message = format!("configs/sources.toml: `{}` is no name of a folder of landing/", feed.folder);
        return Err(StageError::BadConfig(message));
    }
    let folder = format!("{LANDING}/{}", feed.folder);
    let mut files = match context.lake.local_path(&folder) {
        Some(path) => local_files(context, &folder, &path).await?,
        None => context.lake.store().list_with_delimiter(Some(&Path::from(folder))).await?.objects,
    };
    files.retain(is_finished);
    Ok(files)
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
    let name = meta.location.filename().unwrap_or_default().to_lowercase();
    let is_folder = meta.size == 0 && !name.contains('.');
    !name.is_empty() && !name.starts_with('.') && !is_folder && !UNFINISHED.iter().any(|ending| name.ends_with(ending))
}
