//! The order of the files of a feed, which is theirs and not that in which they are loaded.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, NaiveTime, Utc};
use object_store::path::Path;
use rcm_model::cdm::{EntityMapping, Mapping};
use rcm_platform::bronze::{LoadLog, Manifest, Seen, SeenWhy, SourceObject};
use rcm_platform::config::{Feed, LoadKind};
use rcm_platform::voids::{self, VoidMark};
use rcm_platform::{Context, StageError, csv_stream, landing};

use crate::csv;
use crate::landed::Landed;

/// The place of a file among those of its feed: by its date, then its time, then its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// What a whole list says of itself, else the file's time.
    pub(crate) date: DateTime<Utc>,
    modified: DateTime<Utc>,
    name: String,
}

impl Place {
    /// The place of a file that landed; none of what was read from elsewhere.
    pub(crate) fn of(feed: &Feed, source: &SourceObject) -> Option<Self> {
        let modified = source.last_modified?;
        let release = feed.release_of(source.file_name());
        let date = release.map_or(modified, |release| release.and_time(NaiveTime::MIN).and_utc());
        Some(Self { date, modified, name: source.name.clone() })
    }
}

/// What the lake knows of the files of a datasource.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// All of them: what was voided is not loaded again.
    pub(crate) loads: Vec<Manifest>,
    /// Those that are voided, by their numbers.
    pub(crate) voided: BTreeMap<u64, VoidMark>,
    pub(crate) seen: Vec<Seen>,
}

impl Known {
    /// Reads the loads of a file's stream, and where its order counts what was seen to make none. Of a file
    /// that no mapping claims there is none.
    pub(crate) async fn read(context: &Context, landed: &Landed<'_>) -> Result<Self, StageError> {
        let Ok(mapping) = landed.mapping(&context.settings) else { return Ok(Self::default()) };
        let log = LoadLog::new(&context.lake, &landed.feed.entity);
        // What is seen has the content of a load: in this order the load is there too.
        let mut seen = if counts(landed.feed, mapping) { log.seen(landed.feed).await? } else { Vec::new() };
        let stream = landed.stream(&context.settings)?;
        let loads = LoadLog::new(&context.lake, &stream).after(0).await?;
        let voided = voids::voided(&context.lake, &stream).await?;
        seen.retain(|seen| voids::still_holds(seen, &loads, &voided));
        Ok(Self { loads, voided, seen })
    }

    /// The loads that count.
    pub(crate) fn valid(&self) -> impl DoubleEndedIterator<Item = &Manifest> {
        self.loads.iter().filter(|load| !self.voided.contains_key(&load.sequence))
    }

    pub(crate) fn holds(&self, source: &SourceObject) -> bool {
        self.loads.iter().any(|load| load.source == *source)
    }
}

/// The whole list that has the last place of those taken.
#[derive(Debug)]
pub(crate) struct Newest<'a> {
    pub(crate) load: &'a Manifest,
    /// Its file, or the one of a later place that says the same.
    pub(crate) source: &'a SourceObject,
    pub(crate) place: Place,
}

impl<'a> Newest<'a> {
    /// The last list of a datasource; none where the feed has no whole lists or has taken none.
    pub(crate) fn of(feed: &Feed, datasource: &str, known: &'a Known) -> Option<Self> {
        if feed.load != LoadKind::Snapshot {
            return None;
        }
        let is_list = |load: &&Manifest| load.datasource == datasource && load.kind == LoadKind::Snapshot;
        let lists: Vec<&Manifest> = known.valid().filter(is_list).collect();
        let last = *lists.last()?;
        let says_the_same = |seen: &&Seen| seen.datasource == datasource && seen.why == SeenWhy::SameContent;
        let loaded = lists.iter().map(|load| (*load, &load.source));
        let repeated = known.seen.iter().filter(says_the_same).map(|seen| (last, &seen.source));
        let places = loaded.chain(repeated).filter_map(|(load, source)| {
            let place = Place::of(feed, source)?;
            Some(Self { load, source, place })
        });
        places.max_by(|a, b| a.place.cmp(&b.place))
    }

    /// The last list of a datasource, if a file has an earlier place.
    pub(crate) fn before(feed: &Feed, datasource: &str, known: &'a Known, source: &SourceObject) -> Option<Self> {
        let newest = Self::of(feed, datasource, known)?;
        (Place::of(feed, source)? < newest.place).then_some(newest)
    }
}

/// Whether the order of a feed's files counts beyond the time that each row says of itself.
pub(crate) fn counts(feed: &Feed, mapping: &Mapping) -> bool {
    let has_times = |(entity, columns): (&str, &EntityMapping)| entity != feed.entity || columns.has("src_modified_at");
    feed.load == LoadKind::Snapshot || !mapping.all_columns().all(has_times)
}

/// Keys of the files that are taken before one: of a feed of whole lists all that wait and have an earlier
/// place, in their order; else the first of the files right before it that have its very content.
pub(crate) async fn waiting_before(
    context: &Context,
    landed: &Landed<'_>,
    own: &SourceObject,
    known: &Known,
) -> Result<Vec<String>, StageError> {
    let feed = landed.feed;
    let datasource = &landed.mapping(&context.settings)?.datasource;
    if feed.load == LoadKind::Upsert {
        let first = first_of_same(context, landed, own, &known.loads).await?;
        return Ok(if first == *own || known.holds(&first) { Vec::new() } else { vec![first.name] });
    }
    let newest = Newest::of(feed, datasource, known).map(|newest| newest.place);
    let own = Place::of(feed, own);
    let refusals = LoadLog::new(&context.lake, &feed.entity).refusals(&context.settings.mappings_hash).await?;
    let refused = refusals.into_iter().map(|refusal| refusal.source);
    let passed_over: HashSet<SourceObject> = refused.chain(known.seen.iter().map(|seen| seen.source.clone())).collect();
    let sources = sources(context, feed, datasource).await?.into_iter();
    let waiting = sources.filter(|source| !known.holds(source) && !passed_over.contains(source));
    let mut waiting: Vec<Place> = waiting.filter_map(|source| Place::of(feed, &source)).collect();
    waiting.retain(|place| Some(place) < own.as_ref() && Some(place) > newest.as_ref());
    waiting.sort_unstable();
    Ok(waiting.into_iter().map(|place| place.name).collect())
}

/// The first of the files that come right before one and have its very content, be they loaded or waiting;
/// itself if the one before says something else. Whatever is loaded first, this is the same.
pub(crate) async fn first_of_same(
    context: &Context,
    landed: &Landed<'_>,
    own: &SourceObject,
    loads: &[Manifest],
) -> Result<SourceObject, StageError> {
    let feed = landed.feed;
    let datasource = &landed.mapping(&context.settings)?.datasource;
    let loaded = loads.iter().filter(|load| load.datasource == *datasource && !load.is_correction());
    let mut others: Vec<(SourceObject, Option<&str>)> =
        loaded.map(|load| (load.source.clone(), Some(load.content_hash.as_str()))).collect();
    let waiting = sources(context, feed, datasource).await?.into_iter();
    let waiting = waiting.filter(|source| !loads.iter().any(|load| load.source == *source));
    others.extend(waiting.map(|source| (source, None)));
    let own_place = Place::of(feed, own);
    others.retain(|(other, _)| other.last_modified.is_some() && Place::of(feed, other) < own_place);
    others.sort_by_cached_key(|(other, _)| Place::of(feed, other));
    let mut first = own.clone();
    let mut own_hash = None;
    for (other, hash) in others.into_iter().rev() {
        if other.size != own.size {
            break;
        }
        let own_hash = match &own_hash {
            Some(hash) => hash,
            None => own_hash.insert(csv_stream::content_hash(&csv(context, landed)).await?),
        };
        let is_same = if let Some(hash) = hash {
            hash == own_hash
        } else {
            let landed = Landed::find(&context.settings, &other.name)?;
            csv_stream::content_hash(&csv(context, &landed)).await? == *own_hash
        };
        if !is_same {
            break;
        }
        first = other;
    }
    Ok(first)
}

/// The file that comes right after one which was loaded late, if it was passed over because it says the same
/// as the one before: now another one lies between.
pub(crate) fn to_take_again<'a>(
    feed: &Feed,
    datasource: &str,
    known: &'a Known,
    own: &SourceObject,
) -> Option<&'a SourceObject> {
    let own = Place::of(feed, own)?;
    let loads = known.loads.iter().filter(|load| load.datasource == datasource).map(|load| &load.source);
    let seen = known.seen.iter().filter(|seen| seen.datasource == datasource).map(|seen| &seen.source);
    let later = loads.chain(seen).filter(|source| Place::of(feed, source).is_some_and(|place| place > own));
    later.min_by_key(|source| Place::of(feed, source)).filter(|source| !known.holds(source))
}

/// The finished files of a datasource that lie in a feed's folder.
async fn sources(context: &Context, feed: &Feed, datasource: &str) -> Result<Vec<SourceObject>, StageError> {
    let is_of_datasource = |path: &Path| {
        let landed = Landed::find(&context.settings, path.as_ref());
        let mapping = landed.and_then(|landed| landed.mapping(&context.settings));
        mapping.is_ok_and(|mapping| mapping.datasource == datasource)
    };
    let landed = landing::files(context, feed).await?;
    Ok(landed.files.iter().filter(|meta| is_of_datasource(&meta.location)).map(SourceObject::from).collect())
}
