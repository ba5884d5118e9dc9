//! What is checked of `configs/sources.toml` beside its shape: values that mean something else than what
//! was meant, and names that nothing has.

use std::collections::BTreeSet;

use rcm_model::cdm::{self, ICD_CODES, NPI};
use rcm_model::load_config::LoadRow;

use super::sources::Emr;
use super::{Sources, keys};
use crate::error::{Result, StageError};

/// Longest time in days that a setting may have: a hundred years. Of much longer ones no date is left.
const MOST_DAYS: u32 = 36_500;

/// Checks what the file says of days, shares, streams and entities.
///
/// # Errors
/// `BadConfig` with the key that cannot be used.
pub(super) fn check(sources: &Sources, load_config: &[LoadRow]) -> Result<()> {
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
    let streams = streams(sources, load_config);
    if let Some(stream) = sources.emr.streams.keys().find(|stream| !streams.contains(stream.as_str())) {
        return Err(unusable(&of_stream(stream), "is of no stream: no line of load_config.csv and no feed makes it"));
    }
    match sources.silver.buckets.keys().find(|name| cdm::entity(name).is_none()) {
        Some(name) => Err(unusable(&format!("[silver.buckets] {name}"), "is of no entity")),
        None => Ok(()),
    }
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

/// Names of all bronze streams: of extracts, those that are switched off too, of feeds and of pulls.
fn streams(sources: &Sources, load_config: &[LoadRow]) -> BTreeSet<String> {
    let extracts = load_config.iter().map(LoadRow::stream);
    let feeds = sources.feeds.iter().map(|feed| feed.entity.clone());
    extracts.chain(feeds).chain([NPI.name, ICD_CODES.name].map(str::to_owned)).collect()
}

fn of_stream(stream: &str) -> String {
    format!("[emr.streams.\"{stream}\"]")
}

fn unusable(key: &str, reason: &str) -> StageError {
    StageError::BadConfig(format!("{}: {key} {reason}", keys::SOURCES))
}

#[cfg(test)]
mod tests {
    use rcm_model::load_config::{self, HEADER};

    use super::*;

    fn checked(text: &str) -> Result<()> {
        let sources: Sources = toml::from_str(&format!("emr.kind = \"files\"\n{text}")).unwrap();
        let lines = format!("{HEADER}\ndb,hos-a,dbo.patients,Full,,1,hosa\ndb,hos-a,dbo.providers,Full,,0,hosa\n");
        check(&sources, &load_config::parse(&lines).unwrap())
    }

    #[rstest::rstest]
    #[case("emr.max_lost_share = 20.0", "[emr] max_lost_share cannot be 20")]
    #[case("emr.max_lost_share = -0.2", "[emr] max_lost_share cannot be -0.2")]
    #[case("emr.max_lost_share = nan", "[emr] max_lost_share cannot be NaN")]
    #[case("emr.overlap_days = 36501", "[emr] overlap_days cannot be 36501")]
    #[case("emr.streams.\"hosa/patients\".max_lost_share = 2.0", "[emr.streams.\"hosa/patients\"] max_lost_share")]
    #[case("emr.streams.\"hosa/patients\".overlap_days = 4000000000", "[emr.streams.\"hosa/patients\"] overlap_days")]
    #[case("emr.streams.\"hosa/patient\".shards = 2", "[emr.streams.\"hosa/patient\"] is of no stream")]
    #[case("emr.streams.claims.max_lost_share = 0.5", "[emr.streams.\"claims\"] is of no stream")]
    #[case("silver.buckets.patient = 4", "[silver.buckets] patient is of no entity")]
    #[case("maintenance.leftovers_after_days = 100000000", "[maintenance] leftovers_after_days")]
    #[case("npi = { base_url = \"x\", max_age_days = 100000000 }", "[npi] max_age_days")]
    #[case("icd = { base_url = \"x\", release = \"2019\", max_age_days = 100000000 }", "[icd] max_age_days")]
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
    #[case("silver.buckets.patients = 4")]
    fn what_can_be_meant_is_taken(#[case] text: &str) {
        assert_eq!(checked(text), Ok(()));
    }
}
