//! The order in which loads are applied to a table.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use rcm_platform::bronze::Manifest;
use xxhash_rust::xxh3::xxh3_64;

use super::nature::Nature;

/// Ordinals of landed files that have the same time.
const FILES_OF_ONE_TIME: i64 = 1 << 10;

/// Sorts loads into the order in which they are applied: that in which they were committed to bronze, and those of a
/// stream always by their numbers. `loads` has the loads of every stream by their numbers.
///
/// When a load was committed never changes, and a load that comes later has a later time. So a datasource with
/// several streams, such as that of a hospital that changed its system, has the same history whether its loads are
/// applied as they come or all at once.
pub(super) fn sort(loads: &mut Vec<Manifest>) {
    let mut latest: HashMap<String, DateTime<Utc>> = HashMap::new();
    let mut placed: Vec<(DateTime<Utc>, Manifest)> = Vec::with_capacity(loads.len());
    for load in loads.drain(..) {
        // The clocks of two machines may differ: the number counts before the time.
        let latest = latest.entry(load.stream.clone()).or_insert(load.finished_at);
        *latest = load.finished_at.max(*latest);
        placed.push((*latest, load));
    }
    placed.sort_by(|(a, of_a), (b, of_b)| (a, &of_a.stream).cmp(&(b, &of_b.stream)));
    loads.extend(placed.into_iter().map(|(_, load)| load));
}

/// The ordinal of a load, which the observations of a version keep.
///
/// Of an extract it is when the load was committed. Of a landed file it is the file's time, then its name, so that
/// files which land together give the same history in whichever order they are loaded; it is above that of every
/// extract.
#[must_use]
pub fn ordinal(load: &Manifest) -> i64 {
    match Nature::of(load) {
        Nature::Extract => load.finished_at.timestamp_micros(),
        Nature::Event => {
            let name = xxh3_64(load.source.name.as_bytes()) as i64 & (FILES_OF_ONE_TIME - 1);
            // A correction has the file and the time of what it corrects, and is later.
            let at = if load.correction.is_some() { load.finished_at } else { load.extracted_at };
            at.timestamp_micros().saturating_mul(FILES_OF_ONE_TIME) + name
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use rcm_platform::testing::manifest;

    use super::*;

    #[test]
    fn loads_come_as_they_were_committed_and_those_of_a_stream_by_their_numbers_whatever_the_clock() {
        let load =
            |stream, sequence, minute| manifest(stream, sequence, DateTime::UNIX_EPOCH + TimeDelta::minutes(minute));
        let mut loads =
            vec![load("new", 1, 2), load("new", 2, 7), load("old", 1, 1), load("old", 2, 6), load("old", 3, 4)];
        sort(&mut loads);
        let sorted: Vec<(&str, u64)> = loads.iter().map(|load| (load.stream.as_str(), load.sequence)).collect();
        assert_eq!(sorted, [("old", 1), ("new", 1), ("old", 2), ("old", 3), ("new", 2)]);
    }
}
