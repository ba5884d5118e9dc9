//! One landed file → one bronze load.

mod landed;
mod order_file;
#[cfg(test)]
mod tests;

use object_store::ObjectMeta;
use rcm_model::cdm::Mapping;
use rcm_model::event::{LandedFileInput, Outcome, StageReport};
use rcm_platform::bronze::{self, LoadLog, Manifest, Refusal, Source};
use rcm_platform::bronze_rows;
use rcm_platform::config::{Feed, Format, LoadKind};
use rcm_platform::csv_stream::{self, Csv, Wanted};
use rcm_platform::load::{self, Rows, Subject};
use rcm_platform::stage::{self, Failure, Work};
use rcm_platform::{Context, StageError};

use crate::landed::Landed;

/// Makes a landed file the next load of its feed's stream. Content that the stream has already
/// makes none, and neither does a file that is still being written or is gone, or a whole table that
/// is older than the last one.
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
    if !load::is_finished(landed.file_name) {
        return Ok(still_written(&landed));
    }
    let Some(before) = context.lake.head(&input.key).await? else { return Ok(gone(&landed)) };
    let started_at = context.now();
    let loads = LoadLog::new(&context.lake, &landed.feed.entity).after(0).await?;
    let read = read(context, &landed, &before, &loads).await;
    let after = context.lake.head(&input.key).await?;
    if after.as_ref() != Some(&before) {
        if let Ok(Reading::Rows(rows)) = read {
            load::discard(context, &rows).await?;
        }
        return Ok(if after.is_some() { still_written(&landed) } else { gone(&landed) });
    }
    match read {
        Ok(Reading::Known(load)) => Ok(same_content(&landed, &load)),
        Ok(Reading::OutOfDate(load)) => Ok(out_of_date(&landed, &load)),
        Ok(Reading::Rows(rows)) => {
            let subject = Subject {
                run_id: &input.run_id,
                stream: &landed.feed.entity,
                entity: &landed.feed.entity,
                datasource: &landed.mapping(&context.settings)?.datasource,
                kind: landed.feed.load,
                started_at,
                landed_at: before.last_modified.into(),
            };
            Ok(make_load(context, &landed, &subject, &rows, loads, input.force).await?)
        }
        Err(StageError::BrokenContract(reason)) => {
            refuse(context, input, &landed, &before, &reason).await?;
            Err(StageError::BrokenContract(reason).into())
        }
        Err(error) => Err(error.into()),
    }
}

/// What reading a file came to.
enum Reading {
    /// The stream has this content already, in this load.
    Known(Box<Manifest>),
    /// The stream has a whole table that was written later, in this load.
    OutOfDate(Box<Manifest>),
    Rows(Box<Rows>),
}

async fn read(
    context: &Context,
    landed: &Landed<'_>,
    meta: &ObjectMeta,
    loads: &[Manifest],
) -> Result<Reading, StageError> {
    let mapping = landed.mapping(&context.settings)?;
    let stream = &landed.feed.entity;
    let csv = csv(context, landed);
    let source = source(landed, meta);
    if loads.iter().any(|load| load.source.size == source.size) {
        let content_hash = csv_stream::content_hash(&csv).await?;
        if let Some(load) = same_load(loads, mapping, landed.feed, &source, &content_hash) {
            return Ok(Reading::Known(Box::new(load.clone())));
        }
    }
    if let Some(load) = newer_snapshot(loads, mapping, landed.feed, &source) {
        return Ok(Reading::OutOfDate(Box::new(load.clone())));
    }
    if landed.feed.format == Format::Icd10cmOrder {
        return read_order_file(context, landed, meta).await;
    }
    let (load_id, data_key) = load::new_file(context, stream);
    let wanted = Wanted { columns: mapping.source_columns(stream).map(str::to_owned).collect(), newer: None };
    let found = csv_stream::to_parquet(&csv, wanted, &context.lake, &data_key).await?;
    Ok(Reading::Rows(Box::new(Rows {
        load_id,
        data_key,
        source,
        content_hash: found.content_hash,
        rows: found.rows,
        malformed: found.malformed,
        watermark: None,
        unmapped_columns: load::unmapped(&found.columns, mapping.source_columns(stream)),
    })))
}

async fn read_order_file(context: &Context, landed: &Landed<'_>, meta: &ObjectMeta) -> Result<Reading, StageError> {
    let broken = |reason: &str| StageError::BrokenContract(format!("`{}` {reason}", landed.printable));
    let (mapping, stream) = (landed.mapping(&context.settings)?, &landed.feed.entity);
    if let Some(column) = mapping.source_columns(stream).find(|column| !order_file::COLUMNS.contains(column)) {
        return Err(StageError::BadConfig(format!("an order file has no column `{column}`")));
    }
    if meta.size > order_file::SIZE_LIMIT {
        return Err(broken("is larger than any order file"));
    }
    let bytes = context.lake.get(meta.location.as_ref()).await?;
    let rows = order_file::read(landed.file_name, &bytes).map_err(|reason| broken(&reason))?;
    let written = bronze_rows::write(context, stream, source(landed, meta), &order_file::COLUMNS, &rows).await?;
    let content_hash = csv_stream::content_hash(&csv(context, landed)).await?;
    Ok(Reading::Rows(Box::new(Rows { content_hash, ..written })))
}

/// Makes the rows a load after the `loads` that are known, and after those that other runs have made
/// since. What the rows say does not depend on them, so one that came first costs only another try.
async fn make_load(
    context: &Context,
    landed: &Landed<'_>,
    subject: &Subject<'_>,
    rows: &Rows,
    mut loads: Vec<Manifest>,
    force: bool,
) -> Result<Work, StageError> {
    let log = LoadLog::new(&context.lake, subject.stream);
    for _ in 0..load::TRIES {
        let known = loads.last().map_or(0, |load| load.sequence);
        loads.extend(log.after(known).await?);
        let mapping = landed.mapping(&context.settings)?;
        if let Some(load) = same_load(&loads, mapping, landed.feed, &rows.source, &rows.content_hash) {
            load::discard(context, rows).await?;
            return Ok(same_content(landed, load));
        }
        let last = loads.last();
        if let Some(load) = newer_snapshot(&loads, mapping, landed.feed, &rows.source) {
            load::discard(context, rows).await?;
            return Ok(out_of_date(landed, load));
        }
        if !force {
            let known = bronze::since_last_snapshot(&loads, subject.datasource);
            load::check_lost_keys(context, subject, &known, rows).await?;
        }
        if let Some(made) = load::commit(context, subject, last, rows).await? {
            return Ok(load::work(&made, last));
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
    Csv::in_lake(&context.lake, landed.path.clone(), landed.printable.clone())
}

fn source(landed: &Landed<'_>, meta: &ObjectMeta) -> Source {
    Source { name: landed.path.to_string(), size: Some(meta.size), last_modified: Some(meta.last_modified) }
}

/// The load that has a file's content already. Unless it was made from this very file, it only counts where
/// rows say when they were modified, or where it is the one before this file: otherwise what comes again
/// is the last word again.
fn same_load<'a>(
    loads: &'a [Manifest],
    mapping: &Mapping,
    feed: &Feed,
    source: &Source,
    content_hash: &str,
) -> Option<&'a Manifest> {
    let datasource = &mapping.datasource;
    let has_times = mapping.source_column(&feed.entity, "src_modified_at").is_some();
    let of_datasource = || loads.iter().filter(|load| load.datasource == *datasource);
    let before = match feed.load {
        LoadKind::Snapshot => of_datasource().next_back(),
        LoadKind::Upsert => {
            let earlier = of_datasource().filter(|load| Some(load.extracted_at) <= source.last_modified);
            earlier.max_by_key(|load| (load.extracted_at, load.sequence))
        }
    };
    let is_before = |load: &Manifest| before.is_some_and(|before| before.sequence == load.sequence);
    let is_for_good = feed.load == LoadKind::Upsert && has_times;
    of_datasource()
        .find(|load| load.content_hash == content_hash && (is_for_good || is_before(load) || load.source == *source))
}

/// The load of a whole table that was written after this one: files that wait together are loaded in
/// any order. Whoever wants the older one drops it again.
fn newer_snapshot<'a>(loads: &'a [Manifest], mapping: &Mapping, feed: &Feed, source: &Source) -> Option<&'a Manifest> {
    let last = *bronze::since_last_snapshot(loads, &mapping.datasource).first()?;
    let are_snapshots = last.kind == LoadKind::Snapshot && feed.load == LoadKind::Snapshot;
    (are_snapshots && last.source.last_modified > source.last_modified).then_some(last)
}

fn same_content(landed: &Landed<'_>, load: &Manifest) -> Work {
    load::nothing_new(format!(
        "`{}` has the same content as load {} of `{}`",
        landed.printable, load.sequence, load.stream
    ))
}

fn out_of_date(landed: &Landed<'_>, load: &Manifest) -> Work {
    load::nothing_new(format!(
        "`{}` is older than the whole table that is load {} of `{}`; dropped again, it is taken",
        landed.printable, load.sequence, load.stream
    ))
}

fn gone(landed: &Landed<'_>) -> Work {
    load::nothing_new(format!("`{}` is no longer there", landed.printable))
}

fn still_written(landed: &Landed<'_>) -> Work {
    let note = format!("`{}` is still being written: the next run takes it", landed.printable);
    Work { outcome: Some(Outcome::LeftForNextRun), notes: vec![note], ..Work::default() }
}
