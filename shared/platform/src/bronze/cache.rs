//! Manifests that this process has read. They never change, so that none has to be read twice.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::Manifest;

/// Manifests that are kept at most, of all streams: about 1 KiB each.
const MOST_MANIFESTS: usize = 50_000;

/// The manifests of some streams, of each those of consecutive numbers.
#[derive(Debug, Default)]
pub(crate) struct ManifestCache(Mutex<HashMap<String, Vec<Manifest>>>);

impl ManifestCache {
    /// The known loads of a stream after a sequence number, in order; none if the first of them is not known.
    pub(super) fn after(&self, stream: &str, sequence: u64) -> Option<Vec<Manifest>> {
        let streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let loads = streams.get(stream)?;
        let (first, last) = (loads.first()?.sequence, loads.last()?.sequence);
        let is_known = first <= sequence + 1 && sequence <= last;
        is_known.then(|| loads[(sequence + 1 - first) as usize..].to_vec())
    }

    /// The last known load of a stream.
    pub(super) fn last(&self, stream: &str) -> Option<Manifest> {
        let streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        streams.get(stream)?.last().cloned()
    }

    /// Keeps consecutive loads of a stream, unless more of them are known already. Where too many are kept, the other
    /// streams are forgotten.
    pub(super) fn keep(&self, stream: &str, loads: &[Manifest]) {
        let (Some(first), Some(last)) = (loads.first(), loads.last()) else { return };
        let mut streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = streams.entry(stream.to_owned()).or_default();
        let reached = known.last().map_or(0, |load| load.sequence);
        if known.first().is_some_and(|known| known.sequence <= first.sequence) && first.sequence <= reached + 1 {
            known.extend(loads.iter().filter(|load| load.sequence > reached).cloned());
        } else if reached <= last.sequence {
            *known = loads.to_vec();
        }
        if streams.values().map(Vec::len).sum::<usize>() > MOST_MANIFESTS {
            streams.retain(|name, loads| name == stream && loads.len() <= MOST_MANIFESTS);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::RangeInclusive;

    use chrono::DateTime;

    use super::*;
    use crate::testing::manifest;

    fn loads(numbers: RangeInclusive<u64>) -> Vec<Manifest> {
        numbers.map(|number| manifest("s", number, DateTime::UNIX_EPOCH)).collect()
    }

    fn numbers(cache: &ManifestCache, after: u64) -> Option<Vec<u64>> {
        Some(cache.after("s", after)?.iter().map(|load| load.sequence).collect())
    }

    #[test]
    fn what_is_known_of_a_stream_has_no_hole_in_whatever_pieces_it_was_read() {
        let cache = ManifestCache::default();
        cache.keep("s", &loads(5..=6));
        assert_eq!(
            (numbers(&cache, 4), numbers(&cache, 6), numbers(&cache, 3)),
            (Some(vec![5, 6]), Some(vec![]), None)
        );
        cache.keep("s", &loads(6..=8));
        assert_eq!(numbers(&cache, 4), Some(vec![5, 6, 7, 8]));
        cache.keep("s", &loads(1..=3));
        assert_eq!(numbers(&cache, 0), None, "fewer than are known");
        cache.keep("s", &loads(1..=9));
        cache.keep("s", &loads(11..=12));
        assert_eq!(numbers(&cache, 8), None, "number 10 is not known");
        assert_eq!(numbers(&cache, 11), Some(vec![12]));
    }
}
