//! Trying again what passes.

use std::future::Future;
use std::time::Duration;

use tokio::time::sleep;
use tracing::warn;

use crate::config::SqlServer;
use crate::error::{ErrorKind, Result, StageError};

/// Longest pause between two tries.
const MAX_PAUSE: Duration = Duration::from_mins(1);

/// Does something until it succeeds, fails for good, or has been tried as often as the settings
/// allow.
///
/// # Errors
/// Those of the last try.
pub(super) async fn retried<T, F>(settings: &SqlServer, mut work: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let mut pause = Duration::from_millis(settings.retry_pause_ms);
    let mut tries_left = settings.retries;
    loop {
        match work().await {
            Err(error) if tries_left > 0 && passes(&error) => {
                warn!(error = error.name(), message = %error, tries_left, "trying again");
                sleep(jittered(pause)).await;
                tries_left -= 1;
                pause = (pause * 2).min(MAX_PAUSE);
            }
            done => return done,
        }
    }
}

/// Whether the source may be well again soon. A statement that took too long will do so again, and
/// a store that fails is not the source's trouble: these are left to whoever runs the stage.
fn passes(error: &StageError) -> bool {
    matches!(error.kind(), ErrorKind::SourceUnavailable | ErrorKind::Throttled)
}

/// Half the pause to one and a half of it, so that tables that failed together do not come back
/// together.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(0.5..1.5))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::BTreeSet;

    use super::*;

    fn settings(retries: u32) -> SqlServer {
        SqlServer { retries, retry_pause_ms: 1, ..SqlServer::default() }
    }

    async fn tries(retries: u32, error: StageError) -> u32 {
        let tries = Cell::new(0);
        let failed: Result<()> = retried(&settings(retries), || {
            tries.set(tries.get() + 1);
            let error = error.clone();
            async { Err(error) }
        })
        .await;
        failed.unwrap_err();
        tries.get()
    }

    #[tokio::test]
    async fn what_passes_is_tried_again_and_what_stays_is_not() {
        assert_eq!(tries(3, StageError::throttled(String::new())).await, 4);
        assert_eq!(tries(0, StageError::throttled(String::new())).await, 1);
        assert_eq!(tries(3, StageError::bad_config(String::new())).await, 1);
        assert_eq!(tries(3, StageError::storage(String::new())).await, 1);
        assert_eq!(tries(3, StageError::timeout(String::new())).await, 1);
    }

    #[test]
    fn pauses_differ() {
        let pause = Duration::from_secs(10);
        let pauses: BTreeSet<Duration> = (0..100).map(|_| jittered(pause)).collect();
        assert!(pauses.len() > 1, "{pauses:?}");
        assert!(pauses.iter().all(|jittered| *jittered >= pause / 2 && *jittered < pause * 3 / 2), "{pauses:?}");
    }
}
