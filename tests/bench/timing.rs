//! How the benchmarks of single steps are timed.

use std::time::{Duration, Instant};

const ROUNDS: usize = 5;

/// The time of the fastest of some rounds.
pub(crate) fn best(mut work: impl FnMut() -> usize) -> Duration {
    let timed = |_| {
        let started = Instant::now();
        std::hint::black_box(work());
        started.elapsed()
    };
    (0..ROUNDS).map(timed).min().unwrap_or_default()
}
