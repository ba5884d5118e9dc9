//! Retries of a round of reading, deciding and committing.

use std::future::Future;

use rcm_platform::error::{ErrorKind, Result, StageError};

/// Rounds of reading, deciding and committing before a stage gives up.
const ROUNDS: usize = 5;

/// Counts the commits of one piece of work that another run got ahead of.
#[derive(Debug, Default)]
pub struct Conflicts(usize);

impl Conflicts {
    /// Whether an error is a conflict with another run after which the work may read and decide again.
    pub fn may_retry(&mut self, error: &StageError) -> bool {
        if error.kind() != ErrorKind::CommitConflict {
            return false;
        }
        self.0 += 1;
        self.0 < ROUNDS
    }
}

/// Runs a round that reads, decides and commits, and runs it again from its reading on while other runs commit in
/// between.
///
/// # Errors
/// The error of the last round: that of the first one that failed of something else than a conflict, or the conflict
/// of the fifth.
pub async fn retry_on_conflict<T, F, Fut>(round: F) -> Result<T>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<T>>,
{
    let mut conflicts = Conflicts::default();
    loop {
        match Box::pin(round()).await {
            Err(error) if conflicts.may_retry(&error) => {}
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
        let result = retry_on_conflict(round).await;
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
    async fn the_fifth_conflict_is_the_error() {
        let (result, run) = rounds(&[ErrorKind::CommitConflict; 9]).await;
        assert_eq!((result.unwrap_err().kind(), run), (ErrorKind::CommitConflict, 5));
    }
}
