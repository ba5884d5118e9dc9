//! Pauses between the retries of a request, and between the tries of a commit that others get ahead of.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::time::sleep;

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
    /// The pauses of a writer that lost a race for the next number of a log: each is of any length up to the longest
    /// one (full jitter), so that writers which lost together do not meet again. 32 writers that start at once need a
    /// few of the tries each; all tries together take about 16 seconds.
    #[must_use]
    pub fn after_conflicts() -> Self {
        let (first_pause, longest_pause) = (Duration::from_millis(20), Duration::from_secs(1));
        Self { first_pause, longest_pause, retries: 40, jitter: 0.0..=1.0 }
    }

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

/// Tries of a commit that others may get ahead of.
pub struct Tries(Box<dyn Iterator<Item = Duration> + Send>);

impl Tries {
    /// The first try and one after each pause.
    #[must_use]
    pub fn new(backoff: &Backoff) -> Self {
        Self(Box::new(backoff.pauses()))
    }

    /// Waits before the next try. False, at once, if the last one was made.
    pub async fn again(&mut self) -> bool {
        let Some(pause) = self.0.next() else { return false };
        sleep(pause).await;
        true
    }
}

impl Default for Tries {
    fn default() -> Self {
        Self::new(&Backoff::after_conflicts())
    }
}

impl fmt::Debug for Tries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tries").finish_non_exhaustive()
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

    #[tokio::test]
    async fn there_is_one_try_more_than_there_are_pauses() {
        let none = Backoff { first_pause: Duration::ZERO, longest_pause: Duration::ZERO, ..backoff(0.0..=1.0) };
        let mut tries = Tries::new(&none);
        let mut made = 1;
        while tries.again().await {
            made += 1;
        }
        assert_eq!(made, 6);
    }

    #[test]
    fn a_writer_that_lost_a_race_waits_any_time_up_to_a_longest_one_that_doubles() {
        let after_conflicts = Backoff::after_conflicts();
        let firsts: Vec<Duration> = (0..200).filter_map(|_| after_conflicts.pauses().next()).collect();
        assert!(firsts.iter().all(|pause| *pause <= after_conflicts.first_pause), "{firsts:?}");
        let (shortest, longest) = (firsts.iter().min().unwrap(), firsts.iter().max().unwrap());
        assert!(*shortest < Duration::from_millis(5) && *longest > Duration::from_millis(15), "{firsts:?}");
        let longest: Vec<Duration> = Backoff { jitter: 1.0..=1.0, ..after_conflicts }.pauses().collect();
        let milliseconds: Vec<u128> =
            longest.iter().map(|pause| (pause.as_secs_f64() * 1000.0).round() as u128).collect();
        assert_eq!((milliseconds[1], milliseconds[39]), (40, 1000));
    }

    #[test]
    fn pauses_differ_within_the_jitter() {
        let firsts: BTreeSet<Duration> = (0..100).filter_map(|_| backoff(0.5..=1.0).pauses().next()).collect();
        assert!(firsts.len() > 1, "{firsts:?}");
        let expected = Duration::from_secs(2)..=Duration::from_secs(4);
        assert!(firsts.iter().all(|pause| expected.contains(pause)), "{firsts:?}");
    }
}
