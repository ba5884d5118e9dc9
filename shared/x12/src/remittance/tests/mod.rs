#![expect(clippy::inconsistent_digit_grouping, reason = "amounts are in cents")]

mod balance;
mod cases;
mod faults;
mod loops;
mod prefixes;

use chrono::NaiveDate;

use super::{Collected, RemittanceSet, collect};
use crate::write::{Interchange, Set};
use crate::{Counts, Problem};

/// Reads a file and checks that every claim, line, triplet and pair is accounted for.
fn read(bytes: &[u8]) -> Collected {
    let collected = collect(bytes);
    if collected.stopped.is_none() && collected.other_sets.is_empty() {
        assert_eq!(collected.counts(), Counts::of(bytes).unwrap());
    }
    collected
}

/// Reads a file of one set that has no fault and no warning.
fn only(set: Set) -> RemittanceSet {
    let mut collected = read(&Interchange::new(1).set(set).to_bytes());
    assert_eq!((collected.sets.len(), problems(&collected)), (1, vec![]));
    collected.sets.remove(0)
}

/// The text of a file of one set, without line breaks, to change it.
fn text(set: Set) -> String {
    String::from_utf8(Interchange::new(1).set(set).line_break("").to_bytes()).unwrap()
}

/// Every problem of a file, in its order.
fn problems(collected: &Collected) -> Vec<Problem> {
    let of_sets = collected.sets.iter().flat_map(|set| &set.unreadable).chain(&collected.unreadable_sets);
    of_sets
        .map(|unreadable| unreadable.fault)
        .chain(collected.warnings.iter().copied())
        .map(|fault| fault.problem)
        .collect()
}

fn date(text: &str) -> Option<NaiveDate> {
    text.parse().ok()
}
