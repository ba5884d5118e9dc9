//! What the planning of extracts decided, as rows of the silver schema.

use chrono::{DateTime, Utc};
use polars::prelude::*;
use rcm_model::cdm::Entity;

use super::columns::moments;
use super::events::{POSITION, SEQUENCE};
use super::extract::ExtractLoad;
use super::hash::surrogate;
use super::points::one_observation;
use crate::cdm::{presence_dtype, silver_schema};

const OBSERVATIONS: &str = "observations";

/// A version that an incoming row makes. Moments are microseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewVersion {
    /// The row with its tracked attributes.
    pub row: usize,
    /// The row with the latest values of its untracked columns.
    pub untracked_of: usize,
    pub from: i64,
    pub to: Option<i64>,
    pub is_deleted: bool,
    /// The latest modified time at which the source said this.
    pub modified: i64,
}

/// What changes of a stored version. Moments are microseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Patch {
    pub to: Option<i64>,
    pub is_deleted: bool,
    pub modified: Option<i64>,
    /// The incoming row with the latest values of its untracked columns.
    pub untracked_of: Option<usize>,
}

/// What is written, and what it is made of.
pub(super) struct Planned<'a> {
    pub stored: &'a DataFrame,
    pub rows: &'a DataFrame,
    /// Loads that have untracked columns.
    pub untracked: &'a [&'a ExtractLoad],
    pub made: Vec<NewVersion>,
    /// By stored row.
    pub patches: PlHashMap<usize, Patch>,
}

/// Returns new versions as rows of the silver schema, and patches of stored ones.
///
/// # Errors
/// A frame lacks a column.
pub(super) fn write(
    entity: &Entity,
    planned: &Planned<'_>,
    now: DateTime<Utc>,
) -> PolarsResult<(DataFrame, Vec<DataFrame>)> {
    let mut untracked: Vec<&str> = planned.untracked.iter().flat_map(|load| load.untracked.iter().copied()).collect();
    untracked.sort_unstable();
    untracked.dedup();
    let patches = patches(entity, planned, &untracked, now)?;
    Ok((made(entity, planned, &untracked, now)?, patches))
}

fn patches(
    entity: &Entity,
    planned: &Planned<'_>,
    untracked: &[&str],
    now: DateTime<Utc>,
) -> PolarsResult<Vec<DataFrame>> {
    let mut patches: Vec<(usize, Patch)> = planned.patches.iter().map(|(row, patch)| (*row, *patch)).collect();
    patches.sort_unstable_by_key(|(row, _)| *row);
    if patches.is_empty() {
        return Ok(Vec::new());
    }
    let columns = [entity.surrogate, "effective_to", "is_deleted", "src_modified_at"];
    let columns = columns.into_iter().chain(planned.stored.schema().contains(OBSERVATIONS).then_some(OBSERVATIONS));
    let mut frame = planned.stored.select(columns)?.take(&indexes(patches.iter().map(|(row, _)| *row)))?;
    let ends = frame.column("effective_to")?.datetime()?.physical().clone();
    let modified = frame.column("src_modified_at")?.datetime()?.physical().clone();
    let was_deleted = flags(&frame, "is_deleted")?;
    let of = |index: usize| patches[index].1;
    let each = || 0..patches.len();
    let ends: Vec<Option<i64>> = each().map(|row| of(row).to.or(ends.get(row))).collect();
    frame.with_column(flag("is_current", ends.iter().map(Option::is_none)))?;
    frame.with_column(moments("effective_to", ends)?)?;
    let modified = each().map(|row| of(row).modified.or(modified.get(row))).collect();
    frame.with_column(moments("src_modified_at", modified)?)?;
    let is_deleted =
        each().map(|row| if of(row).to.is_some() { of(row).is_deleted } else { was_deleted.get(row) == Some(true) });
    frame.with_column(flag("is_deleted", is_deleted))?;
    let height = frame.height();
    frame.with_column(Column::full_null("presence".into(), height, &presence_dtype()))?;
    frame.with_column(moments("updated_at", vec![Some(now.timestamp_micros()); height])?)?;
    if frame.schema().contains(OBSERVATIONS) {
        // Tables that were made when modified times decided hold one per extract; the first one is enough.
        frame = frame.lazy().with_column(col(OBSERVATIONS).list().head(lit(1))).collect()?;
    }
    let taken = patches.iter().filter_map(|(row, patch)| Some((*row, patch.untracked_of?)));
    let (rows, taken): (Vec<usize>, Vec<usize>) = taken.unzip();
    let mut all = vec![frame];
    if !untracked.is_empty() && !rows.is_empty() {
        let values = planned.rows.select(untracked.iter().copied())?.take(&indexes(taken.into_iter()))?;
        let of_rows = planned.stored.select([entity.surrogate])?.take(&indexes(rows.into_iter()))?;
        all.push(of_rows.hstack(values.columns())?);
    }
    Ok(all)
}

fn made(entity: &Entity, planned: &Planned<'_>, untracked: &[&str], now: DateTime<Utc>) -> PolarsResult<DataFrame> {
    let made = &planned.made;
    let mut frame = planned.rows.take(&indexes(made.iter().map(|version| version.row)))?;
    let latest = indexes(made.iter().map(|version| version.untracked_of));
    for name in untracked {
        frame.with_column(planned.rows.column(name)?.take(&latest)?)?;
    }
    let height = frame.height();
    frame.with_column(moments("effective_from", made.iter().map(|version| Some(version.from)).collect())?)?;
    frame.with_column(moments("effective_to", made.iter().map(|version| version.to).collect())?)?;
    frame.with_column(flag("is_current", made.iter().map(|version| version.to.is_none())))?;
    frame.with_column(flag("is_deleted", made.iter().map(|version| version.is_deleted)))?;
    frame.with_column(moments("src_modified_at", made.iter().map(|version| Some(version.modified)).collect())?)?;
    for moment in ["inserted_at", "updated_at"] {
        frame.with_column(moments(moment, vec![Some(now.timestamp_micros()); height])?)?;
    }
    frame.with_column(Column::full_null("presence".into(), height, &presence_dtype()))?;
    let surrogates = surrogate(&frame, entity.key)?.with_name(entity.surrogate.into());
    frame.with_column(surrogates.into_column())?;
    let observation = one_observation(col("effective_from"), col("src_inserted_at"), col(SEQUENCE), col(POSITION));
    let frame = frame.lazy().with_column(observation).collect()?;
    in_silver_order(entity, &frame)
}

fn in_silver_order(entity: &Entity, frame: &DataFrame) -> PolarsResult<DataFrame> {
    frame.select(silver_schema(entity).iter_names_cloned())
}

fn indexes(rows: impl Iterator<Item = usize>) -> IdxCa {
    IdxCa::from_iter_values("row".into(), rows.map(|row| row as IdxSize))
}

fn flags(frame: &DataFrame, name: &str) -> PolarsResult<BooleanChunked> {
    Ok(frame.column(name)?.bool()?.rechunk().into_owned())
}

fn flag(name: &str, values: impl Iterator<Item = bool>) -> Column {
    let values: BooleanChunked = values.collect();
    values.with_name(name.into()).into_column()
}
