//! Trying again what passes.

use std::time::Duration;

use backon::Retryable;
use tracing::warn;

use crate::backoff::Backoff;
use crate::config::DatabaseLimits;
use crate::error::{ErrorKind, Result, StageError};

/// Longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// Does something until it succeeds, fails for good, or has been tried as often as the limits allow.
///
/// # Errors
/// Those of the last try.
pub(super) async fn retried<T, F>(limits: &DatabaseLimits, work: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let backoff = Backoff {
        first_pause: limits.retry_pause,
        longest_pause: LONGEST_PAUSE,
        retries: limits.retries,
        // Tables that failed together do not come back together.
        jitter: 0.5..=1.5,
    };
    let notify = |error: &StageError, pause: Duration| {
        warn!(error = error.name(), message = %error, pause_seconds = pause.as_secs_f64(), "trying again");
    };
    work.retry(backoff.pauses()).when(passes).notify(notify).await
}

/// Whether the source may be well again soon. A statement that took too long will do so again, and
/// a store that fails is not the source's trouble: these are left to whoever runs the stage.
fn passes(error: &StageError) -> bool {
    matches!(error.kind(), ErrorKind::SourceUnavailable | ErrorKind::Throttled)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    async fn tries(retries: u32, error: StageError) -> u32 {
        let tries = Cell::new(0);
        let second = Duration::from_secs(1);
        let limits = DatabaseLimits {
            connect_timeout: second,
            statement_timeout: second,
            retries,
            retry_pause: Duration::from_millis(1),
        };
        let failed: Result<()> = retried(&limits, || {
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
}
