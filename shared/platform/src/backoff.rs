//! Pauses between the retries of a request.

use std::ops::RangeInclusive;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

/// Exponential backoff: pauses that double up to a longest one, each multiplied by a random factor, so that requests
/// that failed together are not repeated together.
#[derive(Debug, Clone)]
pub struct Backoff {
    pub first_pause: Duration,
    pub longest_pause: Duration,
    /// Pauses there are; no further retry after the last.
    pub retries: u32,
    /// The random factor, evenly distributed.
    pub jitter: RangeInclusive<f64>,
}

impl Backoff {
    /// Returns the pauses, for `backon`'s `retry`.
    #[must_use]
    pub fn pauses(&self) -> impl backon::Backoff + use<> {
        let jitter = self.jitter.clone();
        let pauses = ExponentialBuilder::new()
            .with_factor(2.0)
            .with_min_delay(self.first_pause.min(self.longest_pause))
            .with_max_delay(self.longest_pause)
            .with_max_times(self.retries as usize)
            .build();
        pauses.map(move |pause| pause.mul_f64(rand::random_range(jitter.clone())))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn backoff(jitter: RangeInclusive<f64>) -> Backoff {
        let (first_pause, longest_pause) = (Duration::from_secs(4), Duration::from_secs(20));
        Backoff { first_pause, longest_pause, retries: 5, jitter }
    }

    #[test]
    fn pauses_double_up_to_the_longest_one_and_end_with_the_last_retry() {
        let pauses: Vec<u64> = backoff(1.0..=1.0).pauses().map(|pause| pause.as_secs()).collect();
        assert_eq!(pauses, [4, 8, 16, 20, 20]);
    }

    #[test]
    fn a_first_pause_that_is_longer_than_the_longest_one_is_cut_to_it() {
        let backoff = Backoff { first_pause: Duration::from_mins(1), ..backoff(1.0..=1.0) };
        assert_eq!(backoff.pauses().next(), Some(Duration::from_secs(20)));
    }

    #[test]
    fn pauses_differ_within_the_jitter() {
        let firsts: BTreeSet<Duration> = (0..100).filter_map(|_| backoff(0.5..=1.0).pauses().next()).collect();
        assert!(firsts.len() > 1, "{firsts:?}");
        let expected = Duration::from_secs(2)..=Duration::from_secs(4);
        assert!(firsts.iter().all(|pause| expected.contains(pause)), "{firsts:?}");
    }
}
