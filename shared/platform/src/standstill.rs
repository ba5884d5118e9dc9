//! Landed files that wait for a person.

use std::collections::{BTreeMap, BTreeSet};

use rcm_model::cdm;
use rcm_model::standstill::{Standstill, StandstillKind};

use crate::bronze::{LoadLog, Refusal, SourceObject};
use crate::config::Feed;
use crate::context::Context;
use crate::error::Result;
use crate::lake::LANDING;
use crate::landing::{self, Landed, LandingKey, Outside, folder_key};
use crate::load::printable;

/// Folders outside of feeds that are told one by one.
const FOLDERS_TOLD: usize = 20;

/// Finds the landed files that go no further by themselves: those that are refused, until they are replaced,
/// removed or dismissed, and those that lie where nothing is configured to land.
///
/// # Errors
/// The store fails, or what was noted of a refused file cannot be read.
pub async fn files(context: &Context) -> Result<Vec<Standstill>> {
    let mut standstills = Vec::new();
    for feed in &context.settings.sources.feeds {
        let landed = landing::files(context, feed).await?;
        standstills.extend(landed.unusable.as_deref().map(unusable));
        standstills.extend(not_taken(feed, &landed));
        let files: BTreeSet<SourceObject> = landed.files.iter().map(SourceObject::from).collect();
        let refused = refused(context, feed, &files).await?;
        standstills.extend(refused.iter().map(|refused| of_refused(context, refused)));
    }
    standstills.extend(outside_feeds(context).await?);
    Ok(standstills)
}

/// The refusals, of some files that lie in a feed's folder, that wait for a person: those of files that nobody
/// has dismissed and that no load was made of since, under other mappings. Of each file the first one comes
/// with the reason of the last.
///
/// # Errors
/// The store fails, or what was noted of a refused file cannot be read.
pub async fn refused(context: &Context, feed: &Feed, files: &BTreeSet<SourceObject>) -> Result<Vec<Refusal>> {
    let log = LoadLog::new(&context.lake, &feed.entity);
    let refusals = log.refusals_of(files).await?;
    if refusals.is_empty() {
        return Ok(Vec::new());
    }
    let mut refused: BTreeMap<SourceObject, Refusal> = BTreeMap::new();
    for refusal in refusals {
        match refused.get_mut(&refusal.source) {
            None => {
                refused.insert(refusal.source.clone(), refusal);
            }
            Some(known) => {
                let first = known.refused_at.min(refusal.refused_at);
                if counts_before(context, &refusal, known) {
                    *known = refusal;
                }
                known.refused_at = first;
            }
        }
    }
    for dismissal in log.dismissals_of(files).await? {
        refused.remove(&dismissal.refusal.source);
    }
    let Some(entity) = cdm::entity(&feed.entity).filter(|_| !refused.is_empty()) else {
        return Ok(refused.into_values().collect());
    };
    let sources = refused.keys().cloned().collect();
    for seen in log.seen_of(feed, &sources).await? {
        refused.remove(&seen);
    }
    for stream in context.settings.streams_of(entity) {
        let log = LoadLog::new(&context.lake, &stream.name);
        for load in log.after(0).await? {
            // What says the same as a load is not refused again under the mappings of today.
            let is_taken = |refusal: &Refusal| {
                refusal.source == load.source
                    || !is_of_today(context, refusal) && refusal.content_hash == load.content_hash
            };
            refused.retain(|_, refusal| !is_taken(refusal));
        }
    }
    Ok(refused.into_values().collect())
}

/// Whether the reason of a refusal counts before that of another one of the same file.
fn counts_before(context: &Context, refusal: &Refusal, other: &Refusal) -> bool {
    (is_of_today(context, refusal), refusal.refused_at) > (is_of_today(context, other), other.refused_at)
}

/// Whether a file was refused under the mappings of today. The next run looks at one that was not.
fn is_of_today(context: &Context, refusal: &Refusal) -> bool {
    refusal.mappings_hash == context.settings.mappings_hash
}

fn of_refused(context: &Context, refusal: &Refusal) -> Standstill {
    let name = printable(&refusal.source.name);
    let file = shell_word(&LandingKey::parse(&name).map_or_else(|| name.clone(), |key| key.below()));
    let again =
        if is_of_today(context, refusal) { "" } else { " (the mappings have changed: the next run looks again)" };
    Standstill {
        kind: StandstillKind::FileRefused,
        since: Some(refusal.refused_at),
        because: format!("{}{again}", refusal.reason),
        hint: format!(
            "drop a corrected file in its place, correct the mapping in configs/cdm, remove the file from landing/, or \
             leave it out for good with `rcm landing dismiss {file} --why TEXT`"
        ),
        subject: name,
    }
}

/// A name as a shell takes it.
fn shell_word(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    if name.chars().all(is_plain) { name.to_owned() } else { format!("'{}'", name.replace('\'', r"'\''")) }
}

fn unusable(key: &str) -> Standstill {
    Standstill {
        kind: StandstillKind::FileRefused,
        subject: printable(key),
        since: None,
        because: "it is no key of an object, and the store lists nothing of a folder with such a key: nothing in the \
                  folder is taken"
            .to_owned(),
        hint: "remove the object; the next run takes what has waited".to_owned(),
    }
}

/// What lies in a feed's folder on this machine and is no file that a key can name.
fn not_taken(feed: &Feed, landed: &Landed) -> impl Iterator<Item = Standstill> {
    let subject = folder_key(&feed.folder);
    let (nameless, links) = (count_of(landed.nameless, false), landed.links);
    let of_names = (landed.nameless > 0).then(|| Standstill {
        kind: StandstillKind::FileRefused,
        subject: subject.clone(),
        since: None,
        because: format!("{nameless} cannot be taken, since no key can be made of such names"),
        hint: "use names in UTF-8, without control characters".to_owned(),
    });
    let of_links = (links > 0).then(|| Standstill {
        kind: StandstillKind::FileRefused,
        subject,
        since: None,
        because: format!(
            "of its entries {links} {} no file but a link, which is not followed",
            if links == 1 { "is" } else { "are" }
        ),
        hint: "copy the file itself, or remove the link".to_owned(),
    });
    of_names.into_iter().chain(of_links)
}

async fn outside_feeds(context: &Context) -> Result<Vec<Standstill>> {
    let found = landing::outside_feeds(context).await?;
    let feeds: Vec<String> = context.settings.sources.feeds.iter().map(|feed| folder_key(&feed.folder)).collect();
    let mut standstills: Vec<Standstill> = found.unusable.iter().map(|key| unusable(key)).collect();
    standstills.extend(found.folders.iter().take(FOLDERS_TOLD).map(|outside| of_outside(outside, &feeds)));
    let left = found.folders.len().saturating_sub(FOLDERS_TOLD) + found.folders_left;
    standstills.extend((left > 0).then(|| Standstill {
        kind: StandstillKind::FileOutsideFeeds,
        subject: format!("{left} more folders of {LANDING}"),
        since: None,
        because: "no [[landing]] table of configs/sources.toml names them".to_owned(),
        hint: format!("only files right in the folder of a feed are taken: {}", feeds.join(", ")),
    }));
    Ok(standstills)
}

fn of_outside(outside: &Outside, feeds: &[String]) -> Standstill {
    let folder = printable(&outside.folder);
    let files = count_of(outside.files, outside.are_more);
    let because = match &outside.of_feed {
        Some(feed) => format!("{files} in a folder of {feed}: only files right in a feed's folder are taken"),
        None if folder == LANDING => format!("{files} right in {LANDING}/, which is the folder of no feed"),
        None => format!("{files} in a folder that no [[landing]] table of configs/sources.toml names"),
    };
    let hint = match &outside.of_feed {
        Some(feed) => format!("move what the lake is to take up to {feed}, and anything else out of {LANDING}/"),
        None if folder == LANDING => {
            format!("move what the lake is to take to the folder of its feed: {}", feeds.join(", "))
        }
        None => format!(
            "move what the lake is to take to the folder of its feed ({}), or add a [[landing]] table for this one; \
             move anything else out of {LANDING}/",
            feeds.join(", ")
        ),
    };
    Standstill { kind: StandstillKind::FileOutsideFeeds, subject: folder, since: outside.oldest, because, hint }
}

fn count_of(files: usize, are_more: bool) -> String {
    match (files, are_more) {
        (_, true) => format!("more than {files} files"),
        (1, false) => "1 file".to_owned(),
        (_, false) => format!("{files} files"),
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;
    use crate::bronze::{Dismissal, Manifest};
    use crate::testing::{TestLake, manifest};

    const KEY: &str = "landing/claims/a.csv";

    async fn source_of(context: &Context, key: &str) -> SourceObject {
        SourceObject::from(&context.lake.head(key).await.unwrap().unwrap())
    }

    async fn refusal(context: &Context, mappings_hash: &str) -> Refusal {
        Refusal {
            run_id: "run".to_owned(),
            source: source_of(context, KEY).await,
            content_hash: "c0".to_owned(),
            mappings_hash: mappings_hash.to_owned(),
            reason: "lacks the column `Paid`".to_owned(),
            refused_at: context.now(),
        }
    }

    async fn subjects(context: &Context) -> Vec<String> {
        files(context).await.unwrap().into_iter().map(|standstill| standstill.subject).collect()
    }

    /// A lake with a file, and the refusal of it under the mappings of this hash; those of today if none is given.
    async fn refused_lake(mappings_hash: Option<&str>) -> (TestLake, Context, Refusal) {
        let lake = TestLake::new();
        lake.write(KEY, "x");
        let context = lake.context().await;
        let mappings_hash = mappings_hash.unwrap_or(&context.settings.mappings_hash).to_owned();
        let refusal = refusal(&context, &mappings_hash).await;
        LoadLog::new(&context.lake, "claims").refuse(&refusal).await.unwrap();
        (lake, context, refusal)
    }

    async fn load(context: &Context, load: Manifest) {
        LoadLog::new(&context.lake, "claims/hos-a").commit(&load).await.unwrap();
    }

    #[tokio::test]
    async fn a_refused_file_stands_still_until_it_is_another_one_or_gone() {
        let (lake, context, refusal) = refused_lake(None).await;
        let found = files(&context).await.unwrap();
        assert_eq!((found.len(), found[0].since), (1, Some(refusal.refused_at)));
        assert!(found[0].to_string().contains("lacks the column `Paid`"), "{}", found[0]);
        assert!(found[0].hint.contains("rcm landing dismiss claims/a.csv --why"), "{}", found[0]);
        lake.write(KEY, "other bytes");
        assert_eq!(subjects(&context).await, Vec::<String>::new());
        std::fs::remove_file(lake.path(KEY)).unwrap();
        assert_eq!(subjects(&context).await, Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_file_that_was_refused_under_older_mappings_stands_still_until_it_is_taken() {
        let (_lake, context, refusal) = refused_lake(Some("0123456789abcdef-of-then")).await;
        assert!(files(&context).await.unwrap()[0].because.contains("the next run looks again"));
        let taken = Manifest { source: refusal.source.clone(), ..manifest("claims/hos-a", 1, context.now()) };
        load(&context, taken).await;
        assert_eq!(subjects(&context).await, Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_file_whose_content_a_load_has_stands_still_only_if_the_mappings_of_today_refuse_it() {
        for (mappings_hash, expected) in [(Some("0123456789abcdef-of-then"), 0), (None, 1)] {
            let (_lake, context, refusal) = refused_lake(mappings_hash).await;
            let same = Manifest { content_hash: refusal.content_hash, ..manifest("claims/hos-a", 1, context.now()) };
            load(&context, same).await;
            assert_eq!(subjects(&context).await.len(), expected, "{mappings_hash:?}");
        }
    }

    #[tokio::test]
    async fn a_file_that_is_refused_again_is_told_with_the_last_reason_and_the_first_time() {
        let (_lake, context, first) = refused_lake(Some("0123456789abcdef-of-then")).await;
        let again =
            Refusal { reason: "is empty".to_owned(), ..refusal(&context, &context.settings.mappings_hash).await };
        LoadLog::new(&context.lake, "claims").refuse(&again).await.unwrap();
        let found = files(&context).await.unwrap();
        assert_eq!((found.len(), found[0].since, found[0].because.as_str()), (1, Some(first.refused_at), "is empty"));
    }

    #[tokio::test]
    async fn a_dismissed_file_waits_for_nobody_whatever_the_mappings_until_it_is_replaced() {
        let (lake, context, refusal) = refused_lake(None).await;
        let dismissal = Dismissal {
            refusal,
            dismissed_by: "ada".to_owned(),
            dismissed_at: DateTime::<Utc>::UNIX_EPOCH,
            why: "a test of the hospital".to_owned(),
        };
        let log = LoadLog::new(&context.lake, "claims");
        log.dismiss(&dismissal).await.unwrap();
        assert_eq!(subjects(&context).await, Vec::<String>::new());
        let passed_over = log.refusals("of other mappings").await.unwrap();
        assert_eq!(passed_over, std::slice::from_ref(&dismissal.refusal), "no run looks at it again");
        lake.write(KEY, "other bytes");
        let refusal = self::refusal(&context, &context.settings.mappings_hash).await;
        log.refuse(&refusal).await.unwrap();
        assert_eq!(subjects(&context).await, [KEY]);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn links_and_names_that_no_key_can_be_made_of_are_told_of_their_folder() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;

        let lake = TestLake::new();
        lake.write("elsewhere.csv", "x");
        let claims = lake.path("landing/claims");
        std::fs::create_dir_all(&claims).unwrap();
        std::fs::write(claims.join(OsStr::from_bytes(b"a\xff.csv")), "x").unwrap();
        std::os::unix::fs::symlink(lake.path("elsewhere.csv"), claims.join("b.csv")).unwrap();
        let found = files(&lake.context().await).await.unwrap();
        let told: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert!(found.len() == 2 && found.iter().all(|of| of.subject == "landing/claims"), "{told:?}");
        assert!(told[0].contains("1 file cannot be taken") && told[1].contains("1 is no file but a link"), "{told:?}");
    }

    #[test]
    fn a_name_with_blanks_is_one_word_of_a_shell() {
        assert_eq!(shell_word("claims/a b's.csv"), r"'claims/a b'\''s.csv'");
    }
}
