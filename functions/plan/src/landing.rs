use std::collections::{BTreeSet, HashSet};

use rcm_platform::bronze::{LoadLog, Seen, SourceObject};
use rcm_platform::{Context, StageError, landing, streams, voids};

/// Keys of the landed files that no load holds and that are neither refused nor seen to make none, oldest
/// first; then the keys that keep the store from listing a feed's folder, so that each is told as a file
/// that failed.
pub(crate) async fn new_files(context: &Context) -> Result<Vec<String>, StageError> {
    let mut files = Vec::new();
    let mut unusable = Vec::new();
    for feed in &context.settings.sources.feeds {
        let log = LoadLog::new(&context.lake, &feed.entity);
        let loads = streams::landed_loads(&context.lake, &feed.entity).await?;
        let mut seen = log.seen(feed).await?;
        let datasources: BTreeSet<String> = seen.iter().map(|seen| seen.datasource.clone()).collect();
        for datasource in datasources {
            let voided = voids::voided(&context.lake, &streams::landed(&feed.entity, &datasource)).await?;
            let still_holds = |seen: &Seen| seen.datasource != datasource || voids::still_holds(seen, &loads, &voided);
            seen.retain(still_holds);
        }
        let mut known: HashSet<SourceObject> = loads.into_iter().map(|load| load.source).collect();
        let refusals = log.refusals(&context.settings.mappings_hash).await?;
        known.extend(refusals.into_iter().map(|refusal| refusal.source));
        known.extend(seen.into_iter().map(|seen| seen.source));
        let landed = landing::files(context, feed).await?;
        files.extend(landed.files.into_iter().filter(|meta| !known.contains(&SourceObject::from(meta))));
        unusable.extend(landed.unusable);
    }
    files.sort_by(|a, b| (a.last_modified, &a.location).cmp(&(b.last_modified, &b.location)));
    Ok(files.into_iter().map(|meta| meta.location.into()).chain(unusable).collect())
}
