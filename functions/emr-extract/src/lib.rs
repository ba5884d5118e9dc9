//! One row of `load_config.csv` → one bronze load.

#[cfg(test)]
mod sql_server_tests;
#[cfg(test)]
mod tests;

use rcm_model::event::{ExtractInput, StageReport};
use rcm_model::load_config::{LoadType, is_path_segment};
use rcm_platform::bronze::{self, LoadLog, Manifest};
use rcm_platform::config::LoadKind;
use rcm_platform::emr::{self, Extract, Table};
use rcm_platform::load::{self, Subject};
use rcm_platform::stage::{self, Failure, Work};
use rcm_platform::{Context, StageError};

/// Extracts a table and makes what it brought the stream's next load. A source that has not
/// changed makes none.
///
/// # Errors
/// `SourceUnavailable` if the source does not answer, `BrokenContract` if it lacks a mapped column
/// or cannot be read, `ThresholdExceeded` if a full extract lost too many keys and is not forced,
/// `BadConfig` if the row or its mapping cannot be used.
pub async fn handle(context: Context, input: ExtractInput) -> Result<StageReport, StageError> {
    let stream = input.row.stream();
    stage::report(&context, "emr-extract", &input.run_id, &stream, extract(&context, &input, &stream)).await
}

async fn extract(context: &Context, input: &ExtractInput, stream: &str) -> Result<Work, Failure> {
    let row = &input.row;
    for name in [&row.datasource, &row.targetpath, row.entity()] {
        if !is_path_segment(name) {
            let message = format!("`{}` is no name of a folder or a table", load::printable(name));
            return Err(StageError::BadConfig(message).into());
        }
    }
    for _ in 0..load::TRIES {
        let last = LoadLog::new(&context.lake, stream).last().await?;
        if let Some(work) = load_after(context, input, stream, last.as_ref()).await? {
            return Ok(work);
        }
    }
    Err(load::conflict(stream).into())
}

/// One try to make the load after `last`; none if another run made it.
async fn load_after(
    context: &Context,
    input: &ExtractInput,
    stream: &str,
    last: Option<&Manifest>,
) -> Result<Option<Work>, StageError> {
    let row = &input.row;
    let mapping = context.settings.mapping(&row.datasource)?;
    if !mapping.maps(row.entity()) {
        let message = format!("configs/cdm maps no `{}` of datasource `{}`", row.entity(), row.datasource);
        return Err(StageError::BadConfig(message));
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
            return Ok(Some(Work { figures: lag.into_iter().collect(), ..load::nothing_new(note) }));
        }
        Extract::Rows(rows, notes) => (rows, notes),
    };
    if !input.force && subject.kind == LoadKind::Snapshot {
        let loads = known_rows(context, stream, last).await?;
        let known = bronze::since_last_snapshot(&loads, subject.datasource);
        load::check_lost_keys(context, &subject, &known, &rows).await?;
    }
    let Some(made) = load::commit(context, &subject, last, &rows).await? else {
        load::discard(context, &rows).await?;
        return Ok(None);
    };
    let mut work = load::work(&made, last);
    work.notes.extend(notes);
    work.figures.extend(load::watermark_lag(&made, subject.started_at));
    Ok(Some(work))
}

/// The loads of a stream up to `last`; after a whole table the others do not matter.
async fn known_rows(context: &Context, stream: &str, last: Option<&Manifest>) -> Result<Vec<Manifest>, StageError> {
    match last {
        Some(last) if last.kind == LoadKind::Snapshot => Ok(vec![last.clone()]),
        Some(last) => {
            let mut loads = LoadLog::new(&context.lake, stream).after(0).await?;
            loads.truncate(last.sequence as usize);
            Ok(loads)
        }
        None => Ok(Vec::new()),
    }
}
