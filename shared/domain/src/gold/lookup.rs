//! Which version of a dimension a row points to.

use polars::prelude::*;

use super::UNKNOWN_SK;

/// The versions of a dimension by their keys.
#[derive(Debug)]
pub struct Lookup {
    /// Places of a key's versions in the other fields.
    places: PlHashMap<String, std::ops::Range<usize>>,
    from: Vec<i64>,
    to: Vec<Option<i64>>,
    surrogates: Vec<i64>,
    fingerprint: u64,
}

impl Lookup {
    /// The versions that a [`timeline`](super::fact::timeline) has.
    ///
    /// # Errors
    /// The timeline lacks a column.
    pub fn new(timeline: &DataFrame) -> PolarsResult<Self> {
        let rows = timeline.sort(["_key", "_from"], SortMultipleOptions::default())?;
        let keys = rows.column("_key")?.str()?;
        let numbers = |name: &str| Ok::<_, PolarsError>(rows.column(name)?.i64()?.iter().collect::<Vec<_>>());
        let known = |name: &str| Ok::<_, PolarsError>(numbers(name)?.into_iter().map(Option::unwrap_or_default));
        let (from, to, surrogates) =
            (known("_from")?.collect::<Vec<_>>(), numbers("_to")?, known("_sk")?.collect::<Vec<_>>());
        let mut places: PlHashMap<String, std::ops::Range<usize>> = PlHashMap::default();
        let mut hasher = xxhash_rust::xxh3::Xxh3::new();
        for (place, key) in keys.iter().enumerate().filter_map(|(place, key)| Some((place, key?))) {
            places.entry_ref(key).or_insert(place..place).end = place + 1;
            hasher.update(key.as_bytes());
            for number in [from[place], to[place].unwrap_or(i64::MAX), surrogates[place]] {
                hasher.update(&number.to_le_bytes());
            }
        }
        Ok(Self { places, from, to, surrogates, fingerprint: hasher.digest() })
    }

    /// A hash of all versions: an equal one gives every row the same surrogate key.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// The surrogate keys of the versions that were valid at the moments of rows: of the key's first version if none was;
    /// of the unknown member if the key is not known.
    #[must_use]
    pub fn surrogates(&self, name: &str, keys: &StringChunked, moments: &Int64Chunked) -> Column {
        let rows = keys.iter().zip(moments.iter());
        let found: Vec<i64> = if self.places.is_empty() {
            vec![UNKNOWN_SK; keys.len()]
        } else {
            rows.map(|(key, moment)| self.surrogate(key, moment.unwrap_or(i64::MIN))).collect()
        };
        Column::new(name.into(), found)
    }

    fn surrogate(&self, key: Option<&str>, moment: i64) -> i64 {
        let Some(places) = key.and_then(|key| self.places.get(key)) else { return UNKNOWN_SK };
        let begun = self.from[places.clone()].partition_point(|from| *from <= moment);
        let Some(last) = begun.checked_sub(1).map(|begun| places.start + begun) else { return UNKNOWN_SK };
        let was_valid = self.to[last].is_none_or(|to| moment < to);
        self.surrogates[if was_valid { last } else { places.start }]
    }
}
