use std::collections::{BTreeMap, BTreeSet, HashSet};

use rcm_platform::bronze::{LoadLog, Manifest, SourceObject};
use rcm_platform::config::Feed;
use rcm_platform::{Context, StageError, landing, streams, voids};

/// Keys of the landed files that no load holds and that are neither refused nor seen to make none, oldest
/// first; then the keys that keep the store from listing a feed's folder, so that each is told as a file
/// that failed. Of the notes about files only those of files that still lie there are read.
pub(crate) async fn new_files(context: &Context) -> Result<Vec<String>, StageError> {
    let mut files = Vec::new();
    let mut unusable = Vec::new();
    for feed in &context.settings.sources.feeds {
        let landed = landing::files(context, feed).await?;
        unusable.extend(landed.unusable);
        if landed.files.is_empty() {
            continue;
        }
        let sources: BTreeSet<SourceObject> = landed.files.iter().map(SourceObject::from).collect();
        let log = LoadLog::new(&context.lake, &feed.entity);
        let seen = without_load(context, feed, &sources).await?;
        let refused = log.passed_over(&sources, &context.settings.mappings_hash).await?;
        let loads = streams::landed_loads(&context.lake, &feed.entity).await?;
        let loaded: HashSet<&SourceObject> = loads.iter().map(|load| &load.source).collect();
        files.extend(landed.files.into_iter().filter(|meta| {
            let source = SourceObject::from(meta);
            !loaded.contains(&source) && !seen.contains(&source) && !refused.contains(&source)
        }));
    }
    files.sort_by(|a, b| (a.last_modified, &a.location).cmp(&(b.last_modified, &b.location)));
    Ok(files.into_iter().map(|meta| meta.location.into()).chain(unusable).collect())
}

/// Those of the files of a feed that were seen to make no load, if what their notes say still holds.
async fn without_load(
    context: &Context,
    feed: &Feed,
    sources: &BTreeSet<SourceObject>,
) -> Result<BTreeSet<SourceObject>, StageError> {
    let log = LoadLog::new(&context.lake, &feed.entity);
    let seen = log.seen_of(feed, sources).await?;
    if seen.is_empty() {
        return Ok(seen);
    }
    let loads: Vec<Manifest> = streams::landed_loads(&context.lake, &feed.entity).await?;
    let datasources: BTreeSet<&str> = loads.iter().map(|load| load.datasource.as_str()).collect();
    let mut voided = BTreeMap::new();
    for datasource in datasources {
        let of_stream = voids::voided(&context.lake, &streams::landed(&feed.entity, datasource)).await?;
        if !of_stream.is_empty() {
            voided.insert(datasource, of_stream);
        }
    }
    // A note says something about loads, and holds while they count.
    if voided.is_empty() {
        return Ok(seen);
    }
    let notes = log.notes_of(feed, &seen).await?.into_iter().filter(|note| {
        voided.get(note.datasource.as_str()).is_none_or(|voided| voids::still_holds(note, &loads, voided))
    });
    Ok(notes.map(|note| note.source).collect())
}
