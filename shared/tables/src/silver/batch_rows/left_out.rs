//! Rows of a load that stay out of silver because a person has decided so.

use std::collections::HashSet;
use std::sync::Arc;

use polars::prelude::*;
use rcm_domain::cdm::to_model;
use rcm_platform::bronze::POSITION;
use rcm_platform::error::Result;

use super::{LoadSource, entries};
use crate::frames::blocking;
use crate::quarantine::Withheld;
use crate::silver::portions::Portion;

/// Positions of the rows of a portion that a person has decided to leave out. `raw` has rows of it.
pub(super) async fn withheld_rows(
    portion: &Portion,
    raw: &DataFrame,
    source: &LoadSource,
    withheld: &Arc<Withheld>,
) -> Result<HashSet<i64>> {
    if withheld.is_empty() {
        return Ok(HashSet::new());
    }
    let (raw, source, known) = (raw.clone(), source.clone(), Arc::clone(withheld));
    let (candidates, source) = blocking(move || {
        let keys = keys_of(&raw, &source)?;
        let may_be: BooleanChunked = keys.iter().map(|key| key.is_some_and(|key| known.has_key(key))).collect();
        let none = StringChunked::full_null("reasons".into(), raw.height());
        let rows = df!(
            "key" => keys.into_series(),
            "reasons" => none.into_series(),
            POSITION => raw.column(POSITION)?.as_materialized_series().clone(),
        )?;
        Ok((rows.filter(&may_be)?, source))
    })
    .await?;
    if candidates.height() == 0 {
        return Ok(HashSet::new());
    }
    let (raw, known) = (portion.read_all().await?, Arc::clone(withheld));
    blocking(move || {
        let entries = entries(raw, &candidates, &source.load, source.load.finished_at)?;
        let (keys, fingerprints) = (entries.column("key")?.str()?, entries.column("fingerprint")?.str()?);
        let positions = entries.column("position")?.i64()?;
        let is_out = |key: Option<&str>, fingerprint: Option<&str>| {
            key.zip(fingerprint).is_some_and(|(key, fingerprint)| known.has(key, fingerprint))
        };
        let all = keys.iter().zip(fingerprints.iter()).zip(positions.iter());
        Ok(all.filter(|((key, fingerprint), _)| is_out(*key, *fingerprint)).filter_map(|(_, at)| at).collect())
    })
    .await
}

/// The keys of rows, of which the columns of the id suffice.
pub(super) fn keys_of(raw: &DataFrame, source: &LoadSource) -> Result<StringChunked> {
    let LoadSource { entity, mapping, columns, load } = source;
    let mut rows = raw.clone();
    for column in columns.source_columns() {
        if rows.column(column).is_err() {
            let none = Column::full_null(PlSmallStr::from_str(column), rows.height(), &DataType::String);
            rows.with_column(none)?;
        }
    }
    let model = to_model(&rows, entity, mapping, columns, load.extracted_at)?;
    Ok(model.column(entity.key)?.str()?.clone())
}
