//! Keys that rows of a full extract name although they are in quarantine: they are not gone.

use std::collections::BTreeSet;

use polars::prelude::*;
use rcm_domain::cdm::to_model;
use rcm_domain::scd2::{self, LOAD_ID};
use rcm_model::cdm::ColumnSource;
use rcm_platform::error::Result;

use super::batch_rows::LoadSource;

/// Most ids that are tried of one record whose key is made of several columns.
const MOST_IDS: usize = 10_000;

/// Returns the keys with their bucket: `key`, [`LOAD_ID`], `bucket`.
///
/// `keys` are those of rows that fit the header and failed a rule; `malformed` the records that do not fit it,
/// of which every field may be the id.
///
/// # Errors
/// The mapping names no id.
pub(super) fn named_keys(
    keys: &StringChunked,
    malformed: &StringChunked,
    source: &LoadSource,
    buckets: u32,
) -> Result<DataFrame> {
    let mut named: BTreeSet<String> = keys.iter().flatten().map(str::to_owned).collect();
    let columns = source.columns.source(source.entity.id()).into_iter().flat_map(ColumnSource::columns);
    let columns: Vec<&str> = columns.collect();
    let ids: BTreeSet<Vec<String>> =
        malformed.iter().flatten().flat_map(|record| ids_of(&words_of(record), columns.len())).collect();
    if !ids.is_empty() {
        named.extend(as_keys(&ids, &columns, source)?);
    }
    let named = StringChunked::from_iter_values("key".into(), named.iter());
    let keys = named.into_column();
    let bucket = scd2::bucket_of(&keys, buckets)?;
    let mut frame = DataFrame::new_infer_height(vec![keys, bucket.into_column()])?;
    let height = frame.height();
    let load_id = Scalar::from(PlSmallStr::from_str(&source.load.load_id));
    frame.with_column(Column::new_scalar(LOAD_ID.into(), load_id, height))?;
    Ok(frame)
}

/// Returns no keys.
///
/// # Errors
/// Never.
pub(super) fn none() -> Result<DataFrame> {
    let none: [&str; 0] = [];
    let mut frame = df!("key" => none, "bucket" => Vec::<i32>::new())?;
    frame.with_column(StringChunked::from_iter_values(LOAD_ID.into(), none.iter()).into_column())?;
    Ok(frame)
}

/// The words of a record that does not fit its header: its fields, and what stands between separators in them.
fn words_of(record: &str) -> BTreeSet<String> {
    let fields: Vec<String> = serde_json::from_str(record).unwrap_or_default();
    let separators = [',', ';', '|', '\t', '\n', '\r', '"'];
    let words = fields.iter().flat_map(|field| field.split(separators).chain([field.as_str()]));
    words.map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect()
}

/// Ids of one word each, or of so many words in any order where a key is made of several columns.
fn ids_of(words: &BTreeSet<String>, parts: usize) -> Vec<Vec<String>> {
    let mut ids: Vec<Vec<String>> = vec![Vec::new()];
    for _ in 0..parts {
        let longer =
            ids.iter().flat_map(|id| words.iter().map(|word| [id.as_slice(), std::slice::from_ref(word)].concat()));
        ids = longer.take(MOST_IDS).collect();
    }
    ids
}

/// The keys that ids, in the parts of the source's columns, would have.
fn as_keys(ids: &BTreeSet<Vec<String>>, id_columns: &[&str], source: &LoadSource) -> Result<Vec<String>> {
    let LoadSource { entity, mapping, columns, load } = source;
    let mut rows = DataFrame::empty_with_height(ids.len());
    for (part, column) in id_columns.iter().enumerate() {
        let texts = ids.iter().map(|id| id[part].as_str());
        rows.with_column(StringChunked::from_iter_values(PlSmallStr::from_str(column), texts).into_column())?;
    }
    for column in columns.source_columns().filter(|column| !id_columns.contains(column)) {
        rows.with_column(Column::full_null(PlSmallStr::from_str(column), ids.len(), &DataType::String))?;
    }
    let model = to_model(&rows, entity, mapping, columns, load.extracted_at)?;
    Ok(model.column(entity.key)?.str()?.iter().flatten().map(str::to_owned).collect())
}
