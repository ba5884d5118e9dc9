//! `rcm landing dismiss`: excludes a refused file.

use std::collections::BTreeSet;
use std::process::ExitCode;

use rcm_platform::bronze::{Dismissal, LoadLog, Refusal, SourceObject};
use rcm_platform::config::Feed;
use rcm_platform::lake::PutOutcome;
use rcm_platform::landing::{self, LandingKey, folder_key};
use rcm_platform::load::printable;
use rcm_platform::{Context, StageError, standstill};

use super::reason::Reason;
use super::{CommandOutput, SOME_FAILED};

/// Dismisses a refused file. `file` is its key in the lake, with or without `landing/`. Does nothing if the file is
/// already dismissed.
///
/// # Errors
/// The store fails.
pub(super) async fn dismiss(context: &Context, file: &str, reason: Reason) -> Result<CommandOutput, StageError> {
    let below = file.strip_prefix(&folder_key("")).unwrap_or(file);
    let key = folder_key(below);
    let name = printable(&key);
    let Some(feed) = LandingKey::parse(&key).and_then(|key| context.settings.feed(key.folder())) else {
        return Ok(nothing_dismissed(&format!(
            "`{name}` is not in the folder of a feed; hint: move it to the folder of a feed, or remove it"
        )));
    };
    let landed = landing::files(context, feed).await?;
    let Some(source) = landed.files.iter().map(SourceObject::from).find(|source| source.name == key) else {
        return Ok(nothing_dismissed(&format!(
            "there is no file `{name}` in the lake; hint: `rcm status` lists the files that wait"
        )));
    };
    let log = LoadLog::new(&context.lake, &feed.entity);
    let files = BTreeSet::from([source.clone()]);
    if let Some(earlier) = log.dismissals_of(&files).await?.first() {
        return Ok(dismissed_before(&name, earlier));
    }
    let Some(refusal) = standstill::refused(context, feed, &files).await?.pop() else {
        return Ok(nothing_dismissed(&not_refused(context, feed, &name, &source).await?));
    };
    let dismissal = Dismissal {
        refusal: Refusal { source, ..refusal },
        dismissed_by: reason.who,
        dismissed_at: context.now(),
        why: reason.why,
    };
    if log.dismiss(&dismissal).await? == PutOutcome::AlreadyThere
        && let Some(earlier) = log.dismissals_of(&files).await?.first()
    {
        return Ok(dismissed_before(&name, earlier));
    }
    let text = format!(
        "`{name}` is dismissed: no run checks it again until it is replaced. It was refused because: {}\n",
        printable(&dismissal.refusal.reason)
    );
    Ok(CommandOutput { text, exit: ExitCode::SUCCESS })
}

fn dismissed_before(name: &str, earlier: &Dismissal) -> CommandOutput {
    let Dismissal { dismissed_by, dismissed_at, why, .. } = earlier;
    let at = dismissed_at.format("%Y-%m-%d %H:%M:%S");
    let (by, why) = (printable(dismissed_by), printable(why));
    CommandOutput { text: format!("`{name}` was dismissed by {by} on {at} UTC: {why}\n"), exit: ExitCode::SUCCESS }
}

/// Returns the reason why an existing file is not refused.
async fn not_refused(context: &Context, feed: &Feed, name: &str, source: &SourceObject) -> Result<String, StageError> {
    let Some(entity) = rcm_model::cdm::entity(&feed.entity) else { return Ok(format!("`{name}` is not refused")) };
    for stream in context.settings.streams_of(entity) {
        let log = LoadLog::new(&context.lake, &stream.name);
        if let Some(load) = log.after(0).await?.iter().find(|load| load.source == *source) {
            return Ok(format!("`{name}` is not refused: it is load {} of `{}`", load.sequence, load.stream));
        }
    }
    let seen = LoadLog::new(&context.lake, &feed.entity).seen(feed).await?;
    if seen.iter().any(|seen| seen.source == *source) {
        return Ok(format!("`{name}` is not refused: the lake has the same content, or a later file"));
    }
    Ok(format!("`{name}` is not refused: no run has checked its current content; hint: `rcm run` checks it"))
}

fn nothing_dismissed(why: &str) -> CommandOutput {
    CommandOutput { text: format!("{why}\n"), exit: ExitCode::from(SOME_FAILED) }
}
