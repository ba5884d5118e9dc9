//! Mended rows as loads: they follow the other loads of their stream, and say which rows they take the place of.

use crate::backoff::Tries;
use crate::bronze::{Correction, LoadLog, Manifest};
use crate::bronze_rows::{self, Row};
use crate::config::LoadKind;
use crate::context::Context;
use crate::error::Result;
use crate::lake::PutOutcome;
use crate::{load, voids};

/// Mended rows of one load.
#[derive(Debug, Clone, Copy)]
pub struct MendedLoad<'a> {
    pub run_id: &'a str,
    /// The load that has the rows.
    pub corrected: &'a Manifest,
    /// Columns of the rows.
    pub columns: &'a [&'a str],
    /// In the order of the fingerprints of `correction`.
    pub rows: &'a [Row],
    pub correction: &'a Correction,
}

/// Makes mended rows the next load of their stream, whatever other runs load meanwhile. The load that has these very rows
/// already is not made again.
///
/// # Errors
/// The store fails, or other runs kept loading to the stream.
pub async fn load(context: &Context, mended: MendedLoad<'_>) -> Result<Manifest> {
    let MendedLoad { run_id, corrected, columns, rows, correction } = mended;
    let stream = &corrected.stream;
    let started_at = context.now();
    let written = bronze_rows::write(context, stream, corrected.source.clone(), columns, rows).await?;
    let log = LoadLog::new(&context.lake, stream);
    let mut tries = Tries::default();
    loop {
        let voided = voids::voided(&context.lake, stream).await?;
        let loads = log.after(0).await?;
        let is_same = |load: &&Manifest| {
            let of_rows = load.correction.as_ref().is_some_and(|known| known.fingerprints == correction.fingerprints);
            of_rows && load.content_hash == written.content_hash && !voided.contains_key(&load.sequence)
        };
        if let Some(same) = loads.iter().find(is_same) {
            load::discard(context, &written).await?;
            return Ok(same.clone());
        }
        let last = loads.last();
        let manifest = Manifest {
            load_id: written.load_id.clone(),
            run_id: run_id.to_owned(),
            sequence: last.map_or(1, |last| last.sequence + 1),
            moved_from: None,
            kind: LoadKind::Upsert,
            content_hash: written.content_hash.clone(),
            rows: written.rows,
            malformed: 0,
            watermark: None,
            data_files: vec![written.data_key.clone()],
            unmapped_columns: last.map(|last| last.unmapped_columns.clone()).unwrap_or_default(),
            correction: Some(correction.clone()),
            started_at,
            finished_at: context.now(),
            ..corrected.clone()
        };
        if log.commit(&manifest).await? == PutOutcome::Created {
            return Ok(manifest);
        }
        if !tries.again().await {
            break;
        }
    }
    load::discard(context, &written).await?;
    Err(load::conflict(stream))
}
