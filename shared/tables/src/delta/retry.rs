//! Retries of a round of reading, deciding and committing.

use std::future::Future;
#[cfg(test)]
use std::time::Duration;

#[cfg(test)]
use rcm_platform::backoff::Backoff;
use rcm_platform::backoff::Tries;
use rcm_platform::error::{ErrorKind, Result, StageError};

/// The commits of one piece of work that another run got ahead of.
#[derive(Debug, Default)]
pub struct Conflicts(Tries);

impl Conflicts {
    /// As the default, without pauses.
    #[cfg(test)]
    pub(crate) fn at_once() -> Self {
        Self(Tries::new(&Backoff { longest_pause: Duration::ZERO, ..Backoff::after_conflicts() }))
    }

    /// Whether an error is a conflict with another run after which the work may read and decide again. Waits before it
    /// may: runs that lost together do not meet again.
    pub async fn may_retry(&mut self, error: &StageError) -> bool {
        error.kind() == ErrorKind::CommitConflict && self.0.again().await
    }
}

/// Runs a round that reads, decides and commits, and runs it again from its reading on while other runs commit in
/// between.
///
/// # Errors
/// The error of the last round: that of the first one that failed of something else than a conflict, or the conflict
/// of the last one that there is.
pub async fn retry_on_conflict<T, F, Fut>(round: F) -> Result<T>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<T>>,
{
    retry(Conflicts::default(), round).await
}

async fn retry<T, F, Fut>(mut conflicts: Conflicts, round: F) -> Result<T>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<T>>,
{
    loop {
        match Box::pin(round()).await {
            Err(error) if conflicts.may_retry(&error).await => {}
            ended => return ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Ends of the rounds, and how many were run.
    async fn rounds(ends: &[ErrorKind]) -> (Result<()>, usize) {
        let run = AtomicUsize::new(0);
        let round = || async {
            let end = ends.get(run.fetch_add(1, Ordering::Relaxed));
            end.map_or(Ok(()), |kind| Err(StageError::new(*kind, "")))
        };
        let result = retry(Conflicts::at_once(), round).await;
        (result, run.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn a_round_is_run_again_after_a_conflict_alone() {
        let (result, run) = rounds(&[ErrorKind::CommitConflict, ErrorKind::CommitConflict]).await;
        assert!(result.is_ok() && run == 3);
        let (result, run) = rounds(&[ErrorKind::CommitConflict, ErrorKind::Storage]).await;
        assert_eq!((result.unwrap_err().kind(), run), (ErrorKind::Storage, 2));
    }

    #[tokio::test]
    async fn conflicts_that_do_not_end_are_the_error() {
        let (result, run) = rounds(&[ErrorKind::CommitConflict; 99]).await;
        assert_eq!((result.unwrap_err().kind(), run), (ErrorKind::CommitConflict, 41));
    }
}
