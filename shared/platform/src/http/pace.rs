use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// When the next request may start: all tasks of one client take turns.
pub(super) struct Pace {
    interval: Duration,
    next: Mutex<Instant>,
}

impl Pace {
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, next: Mutex::new(Instant::now()) }
    }

    /// Waits for a turn.
    pub(super) async fn turn(&self) {
        sleep_until(self.take_turn()).await;
    }

    /// Lets nobody start for a while: the server asked for it.
    pub(super) fn hold(&self, pause: Duration) {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        *next = (*next).max(Instant::now() + pause);
    }

    fn take_turn(&self) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = (*next).max(Instant::now());
        *next = turn + self.interval;
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_start_no_faster_than_the_interval() {
        let pace = Pace::new(Duration::from_secs(100));
        let first = pace.take_turn();
        let turns: Vec<u64> = (0..3).map(|_| (pace.take_turn() - first).as_secs()).collect();
        assert_eq!(turns, [100, 200, 300]);
    }

    #[test]
    fn nobody_starts_while_the_server_asks_for_patience() {
        let (pace, start) = (Pace::new(Duration::ZERO), Instant::now());
        pace.hold(Duration::from_secs(700));
        pace.hold(Duration::from_secs(7));
        assert!(pace.take_turn() - start >= Duration::from_secs(700));
    }
}
