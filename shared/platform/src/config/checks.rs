//! What is checked of `configs/sources.toml` beside its shape: values that mean something else than what
//! was meant, and names that nothing has.

use rcm_model::cdm;
use rcm_model::load_config::LoadRow;

use super::sources::Emr;
use super::{Feed, Format, LoadKind, Sources, StreamRegistry, keys};
use crate::csv_stream::Dialect;
use crate::error::{Result, StageError};

/// Longest time in days that a setting may have: a hundred years. Of much longer ones no date is left.
const MOST_DAYS: u32 = 36_500;

/// Checks what the file says of days, shares, streams, entities and releases.
///
/// # Errors
/// `BadConfig` with the key that cannot be used.
pub(super) fn check(sources: &Sources, load_config: &[LoadRow], streams: &StreamRegistry) -> Result<()> {
    for (key, days) in days(sources) {
        if days > MOST_DAYS {
            return Err(unusable(&key, &format!("cannot be {days}: {MOST_DAYS} days is the most")));
        }
    }
    for (key, share) in shares(&sources.emr) {
        if !(0.0..=1.0).contains(&share) {
            return Err(unusable(&key, &format!("cannot be {share}: it is a share, from 0 to 1")));
        }
    }
    sources.feeds.iter().try_for_each(check_release)?;
    // What is said of a feed's entity holds for the streams of all its datasources.
    let lands = |stream: &str| {
        let entity = stream.split_once('/').map_or(stream, |(entity, _)| entity);
        sources.feeds.iter().any(|feed| feed.entity == entity)
    };
    let is_known = |stream: &str| streams.find(stream).is_some() || lands(stream);
    if let Some(stream) = sources.emr.streams.keys().find(|stream| !is_known(stream)) {
        return Err(unusable(
            &of_stream(stream),
            "names an unknown stream: no line of load_config.csv and no feed makes it",
        ));
    }
    check_dialects(sources, load_config)?;
    match sources.silver.buckets.keys().find(|name| cdm::entity(name).is_none()) {
        Some(name) => Err(unusable(&format!("[silver.buckets] {name}"), "names an unknown entity")),
        None => Ok(()),
    }
}

fn check_release(feed: &Feed) -> Result<()> {
    let Some(release) = &feed.release else { return Ok(()) };
    let unusable = |reason: &str| unusable(&format!("[[landing]] of folder `{}`: release", feed.folder), reason);
    if feed.load != LoadKind::Snapshot {
        return Err(unusable("is of whole lists alone: this feed's load is no snapshot"));
    }
    release.check().map_err(|reason| unusable(&reason))
}

/// Checks how files are written, and that there is such a datasource.
fn check_dialects(sources: &Sources, load_config: &[LoadRow]) -> Result<()> {
    for feed in &sources.feeds {
        let key = |key: &str| format!("[[landing]] `{}` {key}", feed.folder);
        let dialect = Dialect::of(feed.delimiter.as_deref(), feed.encoding.as_deref());
        dialect.map_err(|(name, reason)| unusable(&key(name), &reason))?;
        let given = [("delimiter", &feed.delimiter), ("encoding", &feed.encoding)];
        if let Some((name, _)) = given.iter().find(|(_, value)| feed.format != Format::Csv && value.is_some()) {
            return Err(unusable(&key(name), "has no effect: only files of the format `csv` have one"));
        }
    }
    for (datasource, options) in &sources.emr.files {
        let key = format!("[emr.files.\"{datasource}\"]");
        let dialect = Dialect::of(options.delimiter.as_deref(), options.encoding.as_deref());
        dialect.map_err(|(name, reason)| unusable(&format!("{key} {name}"), &reason))?;
        if !load_config.iter().any(|row| row.datasource == *datasource) {
            return Err(unusable(&key, "names an unknown datasource: no line of load_config.csv names it"));
        }
    }
    Ok(())
}

fn days(sources: &Sources) -> Vec<(String, u32)> {
    let emr = &sources.emr;
    let mut days = vec![
        ("[emr] overlap_days".to_owned(), emr.overlap_days),
        ("[maintenance] leftovers_after_days".to_owned(), sources.maintenance.leftovers_after_days),
    ];
    let of_streams = emr.streams.iter();
    days.extend(
        of_streams.filter_map(|(name, options)| Some((of_stream(name) + " overlap_days", options.overlap_days?))),
    );
    days.extend(sources.npi.as_ref().map(|npi| ("[npi] max_age_days".to_owned(), npi.max_age_days)));
    days.extend(sources.icd.as_ref().map(|icd| ("[icd] max_age_days".to_owned(), icd.max_age_days)));
    days
}

fn shares(emr: &Emr) -> Vec<(String, f64)> {
    let mut shares = vec![("[emr] max_lost_share".to_owned(), emr.max_lost_share)];
    let of_streams = emr.streams.iter();
    shares.extend(
        of_streams.filter_map(|(name, options)| Some((of_stream(name) + " max_lost_share", options.max_lost_share?))),
    );
    shares
}

fn of_stream(stream: &str) -> String {
    format!("[emr.streams.\"{stream}\"]")
}

fn unusable(key: &str, reason: &str) -> StageError {
    StageError::bad_config(format!("{}: {key} {reason}", keys::SOURCES))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rcm_model::load_config::{self, HEADER};

    use super::*;

    fn checked(text: &str) -> Result<()> {
        let sources: Sources = toml::from_str(&format!("emr.kind = \"files\"\n{text}")).unwrap();
        let lines = format!("{HEADER}\ndb,hos-a,dbo.patients,Full,,1,hosa\ndb,hos-a,dbo.providers,Full,,0,hosa\n");
        let load_config = load_config::parse(&lines).unwrap();
        let streams = StreamRegistry::new(&load_config, &sources, &BTreeMap::new());
        check(&sources, &load_config, &streams)
    }

    #[rstest::rstest]
    #[case("emr.max_lost_share = 20.0", "[emr] max_lost_share cannot be 20")]
    #[case("emr.max_lost_share = -0.2", "[emr] max_lost_share cannot be -0.2")]
    #[case("emr.max_lost_share = nan", "[emr] max_lost_share cannot be NaN")]
    #[case("emr.overlap_days = 36501", "[emr] overlap_days cannot be 36501")]
    #[case("emr.streams.\"hosa/patients\".max_lost_share = 2.0", "[emr.streams.\"hosa/patients\"] max_lost_share")]
    #[case("emr.streams.\"hosa/patients\".overlap_days = 4000000000", "[emr.streams.\"hosa/patients\"] overlap_days")]
    #[case("emr.streams.\"hosa/patient\".shards = 2", "[emr.streams.\"hosa/patient\"] names an unknown stream")]
    #[case("emr.streams.claims.max_lost_share = 0.5", "[emr.streams.\"claims\"] names an unknown stream")]
    #[case("emr.files.\"hos-a\".delimiter = \"||\"", "[emr.files.\"hos-a\"] delimiter cannot be \"||\"")]
    #[case("emr.files.\"hos-a\".encoding = \"latin\"", "[emr.files.\"hos-a\"] encoding cannot be \"latin\"")]
    #[case("emr.files.\"hos-x\".delimiter = \"|\"", "[emr.files.\"hos-x\"] names an unknown datasource")]
    #[case(
        "landing = [{ folder = \"c\", entity = \"claims\", load = \"upsert\", delimiter = '\"' }]",
        "[[landing]] `c` delimiter cannot be"
    )]
    #[case(
        "landing = [{ folder = \"c\", entity = \"claims\", load = \"upsert\", delimiter = \"§\" }]",
        "[[landing]] `c` delimiter cannot be"
    )]
    #[case(
        "landing = [{ folder = \"c\", entity = \"claims\", load = \"upsert\", delimiter = \"\\n\" }]",
        "[[landing]] `c` delimiter cannot be"
    )]
    #[case(
        "landing = [{ folder = \"c\", entity = \"claims\", load = \"upsert\", encoding = \"cp1252x\" }]",
        "[[landing]] `c` encoding cannot be \"cp1252x\""
    )]
    #[case("silver.buckets.patient = 4", "[silver.buckets] patient names an unknown entity")]
    #[case("maintenance.leftovers_after_days = 100000000", "[maintenance] leftovers_after_days")]
    #[case("npi = { base_url = \"x\", max_age_days = 100000000 }", "[npi] max_age_days")]
    #[case("icd = { base_url = \"x\", release = \"2019\", max_age_days = 100000000 }", "[icd] max_age_days")]
    #[case(
        "landing = [{ folder = \"c\", entity = \"claims\", load = \"upsert\", release = \"(?<year>\\\\d{4})\" }]",
        "[[landing]] of folder `c`: release is of whole lists alone"
    )]
    #[case(
        "landing = [{ folder = \"c\", entity = \"claims\", load = \"snapshot\", release = \"2024\" }]",
        "[[landing]] of folder `c`: release has no group `year`"
    )]
    fn what_cannot_be_meant_is_refused_with_its_file_and_key(#[case] text: &str, #[case] expected: &str) {
        let error = checked(text).unwrap_err();
        assert_eq!(error.name(), "BadConfig");
        assert!(error.to_string().contains(&format!("configs/sources.toml: {expected}")), "{error}");
    }

    #[rstest::rstest]
    #[case("emr.max_lost_share = 1.0\nemr.overlap_days = 36500")]
    #[case("emr.max_lost_share = 0.0\nemr.overlap_days = 0")]
    #[case("emr.streams.\"hosa/providers\".max_lost_share = 0.5")]
    #[case("emr.streams.icd_codes.max_lost_share = 0.5")]
    #[case(
        "landing = [{ folder = \"c\", entity = \"claims\", load = \"snapshot\" }]\n\
         emr.streams.claims.max_lost_share = 1.0"
    )]
    #[case("emr.files.\"hos-a\" = { delimiter = \"|\", encoding = \"windows-1252\" }")]
    #[case("landing = [{ folder = \"c\", entity = \"claims\", load = \"upsert\", delimiter = \"\\t\" }]")]
    #[case("silver.buckets.patients = 4")]
    fn what_can_be_meant_is_taken(#[case] text: &str) {
        assert_eq!(checked(text), Ok(()));
    }
}
