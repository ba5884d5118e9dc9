//! Files that make no load, and what a person reads about them.

use chrono::TimeDelta;
use rcm_platform::bronze::{LoadLog, Manifest, Seen, SeenWhy, SourceObject};
use rcm_platform::config::{Feed, LoadKind};
use rcm_platform::stage::Work;
use rcm_platform::{Context, StageError, load};

use crate::landed::Landed;
use crate::order::{self, Newest, Place};

/// Longest time in days that the date of a list may lie ahead: they are published some months before.
const FURTHEST_AHEAD: i64 = 366;

/// The load that has a file's content already: it was made from this very file; it is the one before a whole
/// list; its rows say when they were modified and it came first; or it was made from the first of the files
/// right before this one that all say the same. What comes again after something else is the last word again.
pub(crate) async fn same_load<'a>(
    context: &Context,
    landed: &Landed<'_>,
    source: &SourceObject,
    content_hash: &str,
    loads: &'a [Manifest],
) -> Result<Option<&'a Manifest>, StageError> {
    let mapping = landed.mapping(&context.settings)?;
    let of_datasource = || loads.iter().filter(|load| load.datasource == mapping.datasource && !load.is_correction());
    let same = || of_datasource().filter(|load| load.content_hash == content_hash);
    if let Some(load) = same().find(|load| load.source == *source) {
        return Ok(Some(load));
    }
    if landed.feed.load == LoadKind::Snapshot {
        return Ok(of_datasource().next_back().filter(|load| load.content_hash == content_hash));
    }
    if !order::counts(landed.feed, mapping) {
        return Ok(same().find(|load| load.source.last_modified <= source.last_modified));
    }
    if same().next().is_none() {
        return Ok(None);
    }
    let first = order::first_of_same(context, landed, source, loads).await?;
    Ok(same().find(|load| first != *source && load.source == first))
}

/// Notes that a file has the content of a load, where the file would be looked at again for nothing.
pub(crate) async fn same_content(
    context: &Context,
    run_id: &str,
    landed: &Landed<'_>,
    source: &SourceObject,
    load: &Manifest,
) -> Result<Work, StageError> {
    let Landed { printable, .. } = landed;
    let note = format!("`{printable}` has the same content as load {} of `{}`", load.sequence, load.stream);
    if load.source == *source || !order::counts(landed.feed, landed.mapping(&context.settings)?) {
        return Ok(load::nothing_new(note));
    }
    see(context, run_id, landed, source, &load.content_hash, SeenWhy::SameContent, note).await
}

/// Notes that a file makes no load.
pub(crate) async fn see(
    context: &Context,
    run_id: &str,
    landed: &Landed<'_>,
    source: &SourceObject,
    content_hash: &str,
    why: SeenWhy,
    note: String,
) -> Result<Work, StageError> {
    let seen = Seen {
        run_id: run_id.to_owned(),
        datasource: landed.mapping(&context.settings)?.datasource.clone(),
        source: source.clone(),
        release: landed.feed.release_of(landed.key.file()),
        content_hash: content_hash.to_owned(),
        why,
        note: note.clone(),
        seen_at: context.now(),
    };
    LoadLog::new(&context.lake, &landed.feed.entity).see(&seen).await?;
    Ok(load::nothing_new(note))
}

/// Checks that the date of a list is one that may be meant: with a mistyped year no later list would ever
/// be the newest.
pub(crate) fn check_release(context: &Context, landed: &Landed<'_>) -> Result<(), StageError> {
    let release = landed.feed.release_of(landed.key.file()).filter(|_| landed.feed.load == LoadKind::Snapshot);
    let latest = (context.now() + TimeDelta::days(FURTHEST_AHEAD)).date_naive();
    match release.filter(|release| *release > latest) {
        Some(release) => Err(StageError::broken_contract(format!(
            "`{}` is of release {release} by its name, more than a year ahead: correct the name",
            landed.printable
        ))),
        None => Ok(()),
    }
}

/// What is said of a list that is older than the last one taken.
pub(crate) fn older(landed: &Landed<'_>, source: &SourceObject, newest: &Newest<'_>) -> String {
    let Landed { feed, printable, .. } = landed;
    let way = match feed.release_of(landed.key.file()) {
        Some(_) => "under a name that says a later release",
        None => "once more, so that its file is the newest",
    };
    format!(
        "`{printable}` ({}) is older than the whole table that is load {} of `{}` (`{}`, {}): it is left out. There \
         is nothing to do, unless this is the list that holds from now on: then save it {way}",
        date_of(feed, source),
        newest.load.sequence,
        newest.load.stream,
        load::printable(newest.source.file_name()),
        date_of(feed, newest.source),
    )
}

/// What is said of a list that lost too many keys when those after it are taken.
pub(crate) fn lost_keys(landed: &Landed<'_>, next: &Landed<'_>, reason: &str) -> String {
    format!(
        "`{}` is not taken: {reason}. What comes after it, such as `{}`, is checked against the last list taken; \
         after that this one is left out as older",
        landed.printable, next.printable
    )
}

/// What is said of a list whose name has not the date that the feed's configuration looks for.
pub(crate) fn no_release(landed: &Landed<'_>) -> Option<String> {
    let is_missing = landed.feed.release.is_some() && landed.feed.release_of(landed.key.file()).is_none();
    is_missing
        .then(|| format!("`{}` says no release in its name, so its file's time counts for its date", landed.printable))
}

/// The loads that come before a file by its place, and those of other datasources.
pub(crate) fn loads_before<'a>(
    feed: &Feed,
    loads: impl Iterator<Item = &'a Manifest>,
    source: &SourceObject,
) -> Vec<Manifest> {
    let place = Place::of(feed, source);
    loads.filter(|load| Place::of(feed, &load.source) < place).cloned().collect()
}

fn date_of(feed: &Feed, source: &SourceObject) -> String {
    match (feed.release_of(source.file_name()), source.last_modified) {
        (Some(release), _) => format!("release {release}"),
        (None, Some(modified)) => format!("file of {}", modified.format("%Y-%m-%d %H:%M:%S")),
        (None, None) => "no date".to_owned(),
    }
}
