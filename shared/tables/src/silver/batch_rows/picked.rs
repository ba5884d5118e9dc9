//! Some rows of a load, by their places or by their keys, checked by the rules of today.

use std::collections::HashSet;
use std::sync::Arc;

use polars::prelude::*;
use rcm_domain::scd2;
use rcm_platform::bronze::{MALFORMED, Manifest, POSITION};
use rcm_platform::context::Context;
use rcm_platform::error::Result;

use super::left_out::{keys_of, withheld_rows};
use super::source::{LoadSource, OpenLoad, resolve};
use super::{For, Judged, PORTION_ROWS, Place, apply_rules};
use crate::frames::blocking;
use crate::quarantine::Withheld;
use crate::silver::nature::is_full;
use crate::silver::order;
use crate::silver::portions::{Portion, Portioning};

/// Which rows of a load.
#[derive(Debug, Clone)]
pub(in crate::silver) enum Pick {
    /// Those at some positions.
    Rows(HashSet<i64>),
    /// Those of some keys.
    Keys(Arc<HashSet<String>>),
}

/// A row that fails the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::silver) struct FailedRow {
    pub position: i64,
    /// The rules, separated by `; `.
    pub reasons: String,
}

/// Rows of a load that were picked.
#[derive(Debug, Default)]
pub(in crate::silver) struct Picked {
    /// Good ones, as [`scd2::events`] returns them; none if there is none.
    pub good: Option<DataFrame>,
    /// Picked keys that rows of a full extract name although they fail: `key`, `load_id`, `bucket`. None where rows were
    /// picked by their places.
    pub named: Option<DataFrame>,
    /// Picked rows that fail; empty where rows were picked by their keys.
    pub failed: Vec<FailedRow>,
}

/// Reads some rows of a load and checks them. Of a load whose rules look at other rows all rows are read.
///
/// # Errors
/// No mapping reads the load, it lacks a column that its mapping names, or the store fails.
pub(in crate::silver) async fn pick(
    context: &Context,
    of: For<'_>,
    load: &Manifest,
    pick: Pick,
    withheld: &Arc<Withheld>,
) -> Result<Picked> {
    let OpenLoad { files, portioning, source, rulebook, place, .. } = OpenLoad::of(context, of, load).await?;
    let mut picked = Picked::default();
    for portion in files.portions(portioning, PORTION_ROWS) {
        let Some(raw) = candidates(&portion, portioning, &source, &pick).await? else { continue };
        let out = withheld_rows(&portion, &raw, &source, withheld).await?;
        let (source, rulebook, pick) = (source.clone(), Arc::clone(&rulebook), pick.clone());
        let found = blocking(move || {
            let key = source.entity.key;
            only(apply_rules(raw, &source, &rulebook, place, &out)?, &pick, key)
        })
        .await?;
        picked.add(found)?;
    }
    Ok(picked)
}

/// Checks rows that are in no load yet, as rows of a load that has these columns.
///
/// # Errors
/// No mapping reads the load, or the rows lack a column that it names.
pub(in crate::silver) async fn judge_rows(
    context: &Context,
    of: For<'_>,
    load: &Manifest,
    raw: DataFrame,
) -> Result<Picked> {
    let (source, _) = resolve(context, of, load, raw.schema())?;
    let (rulebook, place) = (of.rulebook.clone(), Place { ordinal: order::ordinal(load), buckets: of.buckets });
    blocking(move || {
        let all = raw.column(POSITION)?.i64()?.iter().flatten().collect();
        let key = source.entity.key;
        only(apply_rules(raw, &source, &rulebook, place, &HashSet::new())?, &Pick::Rows(all), key)
    })
    .await
}

/// The rows of a portion that are looked at: those that are picked, and of a full extract the records that may name their
/// keys; all rows where rules look at other ones. None if there is none.
async fn candidates(
    portion: &Portion,
    portioning: Portioning,
    source: &LoadSource,
    pick: &Pick,
) -> Result<Option<DataFrame>> {
    if portioning == Portioning::Whole {
        return portion.read(&source.raw_columns()).await.map(Some);
    }
    let mut columns = vec![POSITION.to_owned(), MALFORMED.to_owned()];
    if matches!(pick, Pick::Keys(_)) {
        columns.extend(source.key_headers().into_iter().map(str::to_owned));
        columns.sort_unstable();
        columns.dedup();
    }
    let probed = portion.read(&columns).await?;
    let (of_source, pick) = (source.clone(), pick.clone());
    let wanted = blocking(move || {
        let positions = probed.column(POSITION)?.i64()?.clone();
        let is_wanted = match &pick {
            Pick::Rows(rows) => is_among(&positions, rows),
            Pick::Keys(keys) => {
                let of_keys = has_key(&keys_of(&probed, &of_source)?, keys);
                let malformed = probed.column(MALFORMED)?.is_not_null();
                if is_full(&of_source.load) { &of_keys | &malformed } else { of_keys }
            }
        };
        Ok(positions.filter(&is_wanted)?.iter().flatten().collect::<HashSet<i64>>())
    })
    .await?;
    if wanted.is_empty() {
        return Ok(None);
    }
    let raw = portion.read(&source.raw_columns()).await?;
    blocking(move || Ok(Some(raw.filter(&is_among(raw.column(POSITION)?.i64()?, &wanted))?))).await
}

fn is_among(positions: &Int64Chunked, wanted: &HashSet<i64>) -> BooleanChunked {
    positions.iter().map(|at| at.is_some_and(|at| wanted.contains(&at))).collect()
}

fn has_key(keys: &StringChunked, wanted: &HashSet<String>) -> BooleanChunked {
    keys.iter().map(|key| key.is_some_and(|key| wanted.contains(key))).collect()
}

/// The picked ones of rows that were checked.
fn only(judged: Judged, pick: &Pick, key: &str) -> Result<Picked> {
    let Judged { good, named, failed, .. } = judged;
    let good = good.into_rows();
    let (is_wanted, named) = match pick {
        Pick::Keys(keys) => {
            let named = named.filter(&has_key(named.column("key")?.str()?, keys))?;
            (has_key(good.column(key)?.str()?, keys), Some(named))
        }
        Pick::Rows(rows) => (is_among(good.column(scd2::POSITION)?.i64()?, rows), None),
    };
    let good = good.filter(&is_wanted)?;
    let mut picked = Picked { good: (good.height() > 0).then_some(good), named, failed: Vec::new() };
    let (Pick::Rows(rows), Some(failed)) = (pick, failed) else { return Ok(picked) };
    let (positions, reasons) = (failed.column(POSITION)?.i64()?, failed.column("reasons")?.str()?);
    for (position, reasons) in positions.iter().zip(reasons.iter()) {
        let (Some(position), Some(reasons)) = (position, reasons) else { continue };
        if rows.contains(&position) {
            picked.failed.push(FailedRow { position, reasons: reasons.to_owned() });
        }
    }
    Ok(picked)
}

impl Picked {
    fn add(&mut self, more: Self) -> Result<()> {
        for (own, more) in [(&mut self.good, more.good), (&mut self.named, more.named)] {
            match (own.as_mut(), more) {
                (Some(own), Some(more)) => {
                    own.vstack_mut(&more)?;
                }
                (None, Some(more)) => *own = Some(more),
                (_, None) => {}
            }
        }
        self.failed.extend(more.failed);
        Ok(())
    }
}
