//! One landed file → one bronze load.
//!
//! [`handle`] takes a file or refuses it. `landed.rs` finds out whose it is, `order.rs` which of several
//! comes first, `passed_over.rs` which is left out.

mod landed;
mod order;
mod order_file;
mod passed_over;
mod renamed;
#[cfg(test)]
mod tests;

use object_store::ObjectMeta;
use rcm_model::event::{LandedFileInput, Outcome, StageReport};
use rcm_platform::backoff::Tries;
use rcm_platform::bronze::{LoadLog, Manifest, Refusal, SeenWhy, SourceObject};
use rcm_platform::bronze_rows;
use rcm_platform::config::{Format, LoadKind};
use rcm_platform::csv_stream::{self, Csv, Wanted};
use rcm_platform::error::ErrorKind;
use rcm_platform::load::{self, Rows, Subject};
use rcm_platform::stage::{self, Failure, Work};
use rcm_platform::{Context, StageError, streams};

use crate::landed::Landed;
use crate::order::{Known, Newest};

/// Makes a landed file the next load of its feed's stream, after those that wait and come before it: the
/// whole lists of a feed are taken in their own order, whichever of them is asked for first. Content that
/// the stream has already makes none, and neither does a file that is still being written or is gone, or a
/// whole list that is older than the last one taken.
///
/// # Errors
/// `BrokenContract` if no mapping claims the file or it is not what its mapping says: the file is
/// refused whole, and the refusal noted, so that it is not tried again before something changes.
/// `BadConfig` if nothing is configured to land in its folder, `ThresholdExceeded` if a snapshot
/// lost too many keys and is not forced.
pub async fn handle(context: Context, input: LandedFileInput) -> Result<StageReport, StageError> {
    let subject = load::printable(&input.key);
    stage::report(&context, "landing-to-bronze", &input.run_id, &subject, take(&context, &input)).await
}

async fn take(context: &Context, input: &LandedFileInput) -> Result<Work, Failure> {
    let landed = Landed::find(&context.settings, &input.key)?;
    streams::split_shared(&context.lake, [landed.feed.entity.as_str()]).await?;
    if !load::is_finished(landed.key.file()) {
        return Ok(still_written(&landed));
    }
    let Some(meta) = context.lake.head(&input.key).await? else { return Ok(gone(&landed)) };
    let own = SourceObject::from(&meta);
    let mapping = landed.mapping(&context.settings);
    let Some(mapping) = mapping.ok().filter(|mapping| order::counts(landed.feed, mapping)) else {
        return take_one(context, input, &landed, Turn::Own).await;
    };
    let known = Known::read(context, &landed).await?;
    if let Some(seen) = known.seen.iter().find(|seen| seen.source == own && !known.holds(&own)) {
        return Ok(load::nothing_new(seen.note.clone()));
    }
    let mut work = Work::default();
    for key in order::waiting_before(context, &landed, &own, &known).await? {
        match take_older(context, input, &key, &landed, &mut work).await {
            Ok(true) => {}
            Ok(false) => return Ok(with(work, waits(&landed, &key))),
            Err(error) => return Err(Failure { error, work }),
        }
    }
    work = match take_one(context, input, &landed, Turn::Own).await {
        Ok(own) => with(work, own),
        Err(Failure { error, work: own }) => return Err(Failure { error, work: with(work, own) }),
    };
    if landed.feed.load == LoadKind::Upsert && work.outcome == Some(Outcome::Done) {
        let known = Known::read(context, &landed).await?;
        if let Some(again) = order::to_take_again(landed.feed, &mapping.datasource, &known, &own)
            && context.lake.head(&again.name).await?.is_some_and(|meta| SourceObject::from(&meta) == *again)
            && let Err(error) = take_older(context, input, &again.name, &landed, &mut work).await
        {
            return Err(Failure { error, work });
        }
    }
    Ok(work)
}

/// Takes a file whose turn comes with that of another one. False if it is still being written. One that is
/// broken stops no other: its own call refuses it, and says so.
async fn take_older(
    context: &Context,
    input: &LandedFileInput,
    key: &str,
    asked_for: &Landed<'_>,
    work: &mut Work,
) -> Result<bool, StageError> {
    let landed = Landed::find(&context.settings, key)?;
    match take_one(context, input, &landed, Turn::OfAnother).await {
        Ok(mut done) => {
            let outcome = done.outcome;
            if outcome == Some(Outcome::Done) {
                done.notes = done.notes.into_iter().map(|note| format!("`{}`: {note}", landed.printable)).collect();
                work.add(done);
                work.outcome = outcome;
            }
            Ok(outcome != Some(Outcome::LeftForNextRun))
        }
        Err(Failure { error, .. }) if error.kind() == ErrorKind::BrokenContract => Ok(true),
        Err(Failure { error, .. }) if error.kind() == ErrorKind::ThresholdExceeded => {
            work.notes.push(passed_over::lost_keys(&landed, asked_for, error.message()));
            Ok(true)
        }
        Err(Failure { error, .. }) => Err(error),
    }
}

/// What was done before and what was done last; it is done if any of it is.
fn with(mut before: Work, last: Work) -> Work {
    let outcome = match (before.outcome, last.outcome) {
        (Some(Outcome::Done), Some(Outcome::NothingNew)) => Some(Outcome::Done),
        (_, outcome) => outcome,
    };
    before.add(last);
    Work { outcome, ..before }
}

/// Whose turn a file is taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Own,
    OfAnother,
}

async fn take_one(
    context: &Context,
    input: &LandedFileInput,
    landed: &Landed<'_>,
    turn: Turn,
) -> Result<Work, Failure> {
    let key = landed.path.as_ref();
    let Some(before) = context.lake.head(key).await? else { return Ok(gone(landed)) };
    let started_at = context.now();
    let known = Known::read(context, landed).await?;
    renamed::check(context, landed, &known).await?;
    let read = read(context, landed, &before, &known, &input.run_id).await;
    let after = context.lake.head(key).await?;
    if after.as_ref() != Some(&before) {
        if let Ok(Reading::Rows(rows)) = read {
            load::discard(context, &rows).await?;
        }
        return Ok(if after.is_some() { still_written(landed) } else { gone(landed) });
    }
    match read {
        Ok(Reading::Known(load)) => {
            Ok(passed_over::same_content(context, &input.run_id, landed, &source(landed, &before), &load).await?)
        }
        Ok(Reading::OutOfDate { content_hash, note }) => {
            let source = source(landed, &before);
            let why = SeenWhy::Older;
            Ok(passed_over::see(context, &input.run_id, landed, &source, &content_hash, why, note).await?)
        }
        Ok(Reading::Rows(rows)) => {
            let place = order::Place::of(landed.feed, &rows.source);
            let stream = landed.stream(&context.settings)?;
            let subject = Subject {
                run_id: &input.run_id,
                stream: &stream,
                entity: &landed.feed.entity,
                datasource: &landed.mapping(&context.settings)?.datasource,
                kind: landed.feed.load,
                started_at,
                landed_at: place.map(|place| place.date),
            };
            Ok(make_load(context, landed, &subject, &rows, known, input.force).await?)
        }
        Err(error) if error.kind() == ErrorKind::BrokenContract => {
            if turn == Turn::Own {
                refuse(context, input, landed, &before, error.message()).await?;
            }
            Err(error.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// What reading a file came to.
enum Reading {
    /// The stream has this content already, in this load.
    Known(Box<Manifest>),
    /// The stream has a later whole list, of another run.
    OutOfDate {
        content_hash: String,
        note: String,
    },
    Rows(Box<Rows>),
}

async fn read(
    context: &Context,
    landed: &Landed<'_>,
    meta: &ObjectMeta,
    known: &Known,
    run_id: &str,
) -> Result<Reading, StageError> {
    let mapping = landed.mapping(&context.settings)?;
    let (entity, stream) = (&landed.feed.entity, landed.stream(&context.settings)?);
    let csv = csv(context, landed);
    let source = source(landed, meta);
    if known.loads.iter().any(|load| load.source.size == source.size) {
        let content_hash = csv_stream::content_hash(&csv).await?;
        if let Some(load) = passed_over::same_load(context, landed, &source, &content_hash, &known.loads).await? {
            return Ok(Reading::Known(Box::new(load.clone())));
        }
    }
    // One that waited in this very run is read all the same: what is wrong with it is said in any order.
    if let Some(newest) = Newest::before(landed.feed, &mapping.datasource, known, &source)
        && newest.load.run_id != run_id
    {
        let content_hash = csv_stream::content_hash(&csv).await?;
        return Ok(Reading::OutOfDate { content_hash, note: passed_over::older(landed, &source, &newest) });
    }
    passed_over::check_release(context, landed)?;
    if landed.feed.format == Format::Icd10cmOrder {
        return read_order_file(context, landed, meta).await;
    }
    let (load_id, data_key) = load::new_file(context, &stream);
    let wanted = Wanted { mapping: mapping.columns(entity, landed.key.file()).cloned(), ..Wanted::default() };
    let found = csv_stream::to_parquet(&csv, wanted, &context.lake, &data_key).await?;
    Ok(Reading::Rows(Box::new(Rows {
        load_id,
        data_key,
        source,
        content_hash: found.content_hash,
        rows: found.rows,
        malformed: found.malformed,
        watermark: None,
        unmapped_columns: load::unmapped(&found.columns, mapping.source_columns_of(entity, landed.key.file())),
    })))
}

async fn read_order_file(context: &Context, landed: &Landed<'_>, meta: &ObjectMeta) -> Result<Reading, StageError> {
    let broken = |reason: &str| StageError::broken_contract(format!("`{}` {reason}", landed.printable));
    let (mapping, stream) = (landed.mapping(&context.settings)?, landed.stream(&context.settings)?);
    let columns = mapping.columns(&landed.feed.entity, landed.key.file());
    if let Some(Err(missing)) = columns.map(|columns| columns.resolve(|name| order_file::COLUMNS.contains(&name))) {
        return Err(StageError::bad_config(format!("an order file has no column {}", missing.join(", "))));
    }
    if meta.size > order_file::SIZE_LIMIT {
        return Err(broken("is larger than any order file"));
    }
    let bytes = context.lake.get(meta.location.as_ref()).await?;
    let rows = order_file::read(landed.key.file(), &bytes).map_err(|reason| broken(&reason))?;
    let written = bronze_rows::write(context, &stream, source(landed, meta), &order_file::COLUMNS, &rows).await?;
    let content_hash = csv_stream::content_hash(&csv(context, landed)).await?;
    Ok(Reading::Rows(Box::new(Rows { content_hash, ..written })))
}

/// Makes the rows a load after those that are known, and after those that other runs have made
/// since. What the rows say does not depend on them, so one that came first costs only another try.
async fn make_load(
    context: &Context,
    landed: &Landed<'_>,
    subject: &Subject<'_>,
    rows: &Rows,
    mut known: Known,
    force: bool,
) -> Result<Work, StageError> {
    let (log, source) = (LoadLog::new(&context.lake, subject.stream), &rows.source);
    let mut tries = Tries::default();
    loop {
        let last = known.loads.last().map_or(0, |load| load.sequence);
        known.loads.extend(log.after(last).await?);
        if let Some(load) = passed_over::same_load(context, landed, source, &rows.content_hash, &known.loads).await? {
            load::discard(context, rows).await?;
            return passed_over::same_content(context, subject.run_id, landed, source, load).await;
        }
        if let Some(newest) = Newest::before(landed.feed, subject.datasource, &known, source) {
            if !force && newest.load.run_id == subject.run_id {
                let before = passed_over::loads_before(landed.feed, known.valid(), source);
                load::check_lost_keys(context, subject, &before, rows).await?;
            }
            load::discard(context, rows).await?;
            let (why, note) = (SeenWhy::Older, passed_over::older(landed, source, &newest));
            return passed_over::see(context, subject.run_id, landed, source, &rows.content_hash, why, note).await;
        }
        if !force {
            let valid: Vec<Manifest> = known.valid().cloned().collect();
            load::check_lost_keys(context, subject, &valid, rows).await?;
        }
        if let Some(made) = load::commit_landed(context, subject, &known.loads, rows).await? {
            let mut work = load::work(&made, known.loads.last());
            work.notes.extend(passed_over::no_release(landed));
            return Ok(work);
        }
        if !tries.again().await {
            break;
        }
    }
    load::discard(context, rows).await?;
    Err(load::conflict(subject.stream))
}

async fn refuse(
    context: &Context,
    input: &LandedFileInput,
    landed: &Landed<'_>,
    meta: &ObjectMeta,
    reason: &str,
) -> Result<(), StageError> {
    let refusal = Refusal {
        run_id: input.run_id.clone(),
        source: source(landed, meta),
        content_hash: csv_stream::content_hash(&csv(context, landed)).await?,
        mappings_hash: context.settings.mappings_hash.clone(),
        reason: reason.to_owned(),
        refused_at: context.now(),
    };
    LoadLog::new(&context.lake, &landed.feed.entity).refuse(&refusal).await?;
    Ok(())
}

fn csv(context: &Context, landed: &Landed<'_>) -> Csv {
    Csv::in_lake(&context.lake, landed.path.clone(), landed.printable.clone()).with_dialect(landed.feed.dialect())
}

fn source(landed: &Landed<'_>, meta: &ObjectMeta) -> SourceObject {
    SourceObject { name: landed.path.to_string(), size: Some(meta.size), last_modified: Some(meta.last_modified) }
}

fn gone(landed: &Landed<'_>) -> Work {
    load::nothing_new(format!("`{}` is no longer there", landed.printable))
}

fn still_written(landed: &Landed<'_>) -> Work {
    let note = format!("`{}` is still being written: the next run takes it", landed.printable);
    Work { outcome: Some(Outcome::LeftForNextRun), notes: vec![note], ..Work::default() }
}

fn waits(landed: &Landed, older: &str) -> Work {
    let older = load::printable(older);
    let note =
        format!("`{}` comes after `{older}`, which is still being written: the next run takes both", landed.printable);
    Work { outcome: Some(Outcome::LeftForNextRun), notes: vec![note], ..Work::default() }
}
