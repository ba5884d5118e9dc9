//! One row of `load_config.csv` → one bronze load.
//!
//! [`handle`] says which; [`rcm_platform::emr`] reads the table, [`rcm_platform::load`] makes rows a load.

#[cfg(test)]
mod database_tests;
#[cfg(test)]
mod renamed_tests;
#[cfg(test)]
mod short_file_tests;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use rcm_model::event::{ExtractInput, StageReport};
use rcm_model::load_config::{LoadType, is_path_segment};
use rcm_platform::backoff::{Backoff, Tries};
use rcm_platform::bronze::{LoadLog, Manifest};
use rcm_platform::config::LoadKind;
use rcm_platform::emr::{self, Extract, Table};
use rcm_platform::load::{self, Subject};
use rcm_platform::stage::{self, Failure, Work};
use rcm_platform::voids::VoidMark;
use rcm_platform::{Context, StageError, voids};

/// Times that an extract which lost the stream's next number is made again. Each one reads the source.
const RETRIES: u32 = 4;

/// Extracts a table and makes what it brought the stream's next load. A source that has not
/// changed makes none.
///
/// # Errors
/// `SourceUnavailable` if the source does not answer, `BrokenContract` if it lacks a mapped column
/// or cannot be read, `ThresholdExceeded` if a full extract lost too many keys and is not forced,
/// `BadConfig` if the row or its mapping cannot be used, or names a datasource that was another one before.
pub async fn handle(context: Context, input: ExtractInput) -> Result<StageReport, StageError> {
    let stream = input.row.stream();
    stage::report(&context, "emr-extract", &input.run_id, &stream, extract(&context, &input, &stream)).await
}

async fn extract(context: &Context, input: &ExtractInput, stream: &str) -> Result<Work, Failure> {
    let row = &input.row;
    for name in [&row.datasource, &row.targetpath, row.entity()] {
        if !is_path_segment(name) {
            let message = format!("`{}` is no name of a folder or a table", load::printable(name));
            return Err(StageError::bad_config(message).into());
        }
    }
    let mut tries = Tries::new(&Backoff { retries: RETRIES, ..Backoff::after_conflicts() });
    loop {
        let before = Before::read(context, stream).await?;
        if let Some(work) = load_after(context, input, stream, &before).await? {
            return Ok(work);
        }
        if !tries.again().await {
            return Err(load::conflict(stream).into());
        }
    }
}

/// Returns the load of a stream that its next extract goes on from: the last one up to which no voided load has left a
/// hole. None if the next extract is the first.
///
/// # Errors
/// The store fails, or the log cannot be read.
pub async fn goes_on_from(context: &Context, stream: &str) -> Result<Option<Manifest>, StageError> {
    Ok(Before::read(context, stream).await?.valid)
}

/// The loads that an extract comes after.
struct Before {
    /// The last one, which gives the number.
    last: Option<Manifest>,
    /// The last one up to which no voided load has left a hole: its watermark is gone on from, and its content is
    /// what the lake holds.
    valid: Option<Manifest>,
    /// Whether the last one is voided.
    is_voided: bool,
}

impl Before {
    async fn read(context: &Context, stream: &str) -> Result<Self, StageError> {
        let log = LoadLog::new(&context.lake, stream);
        let Some(last) = log.last().await? else { return Ok(Self { last: None, valid: None, is_voided: false }) };
        let voided = voids::voided(&context.lake, stream).await?;
        let valid = if voided.is_empty() && !last.is_correction() {
            Some(last.clone())
        } else {
            whole_up_to(log.after(0).await?, &voided)
        };
        let is_voided = voided.contains_key(&last.sequence);
        Ok(Self { last: Some(last), valid, is_voided })
    }

    /// The last load, if it is voided and has this content.
    fn voided_with(&self, content_hash: &str) -> Option<&Manifest> {
        self.last.as_ref().filter(|last| self.is_voided && last.content_hash == content_hash)
    }
}

/// The last load up to which the loads that are not voided follow one another without a hole: each begins where
/// one before it ended, or has the whole table.
fn whole_up_to(loads: Vec<Manifest>, voided: &BTreeMap<u64, VoidMark>) -> Option<Manifest> {
    let mut whole: Option<Manifest> = None;
    // A correction is of no extract, and has no watermark.
    let of_source = |load: &Manifest| !load.is_correction() && !voided.contains_key(&load.sequence);
    for load in loads.into_iter().filter(of_source) {
        let from = load.watermark.as_ref().and_then(|watermark| watermark.from);
        let reached = whole.as_ref().and_then(|load| load.watermark.as_ref()?.to);
        if from.is_none() || from <= reached {
            whole = Some(load);
        }
    }
    whole
}

/// One try to make the load after the last one; none if another run made it.
async fn load_after(
    context: &Context,
    input: &ExtractInput,
    stream: &str,
    before: &Before,
) -> Result<Option<Work>, StageError> {
    let last = before.valid.as_ref();
    let row = &input.row;
    load::check_datasource(context, row, before.last.as_ref()).await?;
    let mapping = context.settings.mapping(&row.datasource)?;
    if !mapping.reads(row.entity()) {
        let message = format!("configs/cdm maps no `{}` of datasource `{}`", row.entity(), row.datasource);
        return Err(StageError::bad_config(message));
    }
    let subject = Subject {
        run_id: &input.run_id,
        stream,
        entity: row.entity(),
        datasource: &row.datasource,
        kind: match row.loadtype {
            LoadType::Full => LoadKind::Snapshot,
            LoadType::Incremental => LoadKind::Upsert,
        },
        started_at: context.now(),
        landed_at: None,
    };
    let (rows, notes) = match emr::extract(context, &Table { subject, row, mapping, last }).await? {
        Extract::NothingNew(note) => {
            let lag = last.and_then(|last| load::watermark_lag(last, subject.started_at));
            return Ok(Some(Work { metrics: lag.into_iter().collect(), ..load::nothing_new(note) }));
        }
        Extract::Rows(rows, notes) => (rows, notes),
    };
    if let Some(load) = before.voided_with(&rows.content_hash) {
        load::discard(context, &rows).await?;
        let note = format!(
            "`{stream}`: the source says what load {} says, which is voided: it is not loaded again. If it is right \
             after all: rcm load unvoid {stream} {} --why TEXT",
            load.sequence, load.sequence
        );
        return Ok(Some(load::nothing_new(note)));
    }
    if !input.force && subject.kind == LoadKind::Snapshot {
        let loads = known_rows(context, stream, last).await?;
        load::check_lost_keys(context, &subject, &loads, &rows).await?;
    }
    let Some(made) = load::commit_extract(context, &subject, row, before.last.as_ref(), &rows).await? else {
        load::discard(context, &rows).await?;
        return Ok(None);
    };
    let mut work = load::work(&made, last);
    work.notes.extend(notes);
    work.metrics.extend(load::watermark_lag(&made, subject.started_at));
    Ok(Some(work))
}

/// The loads of a stream up to `last`; after a whole table the others do not matter.
async fn known_rows(context: &Context, stream: &str, last: Option<&Manifest>) -> Result<Vec<Manifest>, StageError> {
    match last {
        Some(last) if last.kind == LoadKind::Snapshot => Ok(vec![last.clone()]),
        Some(last) => {
            let mut loads = voids::valid_loads(&context.lake, stream).await?;
            loads.retain(|load| load.sequence <= last.sequence);
            Ok(loads)
        }
        None => Ok(Vec::new()),
    }
}
