//! What the gold stages share: which tables are due, their one commit each, and how a stage ends.
//!
//! Every commit of a gold table records, as Delta application transactions, the versions of the
//! tables it was made from. A table whose record says what the lake holds is left alone.

mod buckets;
mod references;
mod tables;
mod target;
mod zones;

use std::future::Future;

use rcm_domain::gold::control;
use rcm_model::event::Outcome;

pub use self::buckets::{Bucket, two_at_once};
pub use self::references::{parents_of, reference_counts};
pub use self::tables::Tables;
pub use self::target::{Due, GOLD_REVISION, Target};
pub use self::zones::{record_of_zones, zones};
use rcm_platform::error::{ErrorKind, Result, StageError};
use rcm_platform::stage::{Failure, Work};

use crate::delta::Conflicts;

/// What the reports of the gold stages are about.
pub const SUBJECT: &str = "gold";

/// Runs a stage's round as [`crate::delta::retry_on_conflict`] does. What the rounds before the last one committed stays in
/// the result.
///
/// # Errors
/// The error of the last round, with what was done until then.
pub async fn retry_on_conflict<F, Fut>(round: F) -> std::result::Result<Work, Failure>
where
    F: Fn() -> Fut,
    Fut: Future<Output = std::result::Result<Work, Failure>>,
{
    retry(Conflicts::default(), round).await
}

async fn retry<F, Fut>(mut conflicts: Conflicts, round: F) -> std::result::Result<Work, Failure>
where
    F: Fn() -> Fut,
    Fut: Future<Output = std::result::Result<Work, Failure>>,
{
    let mut done = Work::default();
    loop {
        match Box::pin(round()).await {
            Ok(work) => {
                done.add(work);
                break;
            }
            Err(Failure { error, work }) => {
                done.add(work);
                if !conflicts.may_retry(&error).await {
                    return Err(Failure { error, work: done });
                }
            }
        }
    }
    if done.commits.is_empty() {
        done.outcome = Some(Outcome::NothingNew);
    }
    Ok(done)
}

/// Combines the results of a round's tables: a table that fails does not stop the others.
///
/// # Errors
/// A conflict with another run, else the first error of a table, else the control checks that
/// failed.
#[allow(clippy::result_large_err, reason = "a failure carries what was done until then, once per stage")]
pub fn collect_results(tables: Vec<Result<Work>>) -> std::result::Result<Work, Failure> {
    let (mut work, mut errors) = (Work::default(), Vec::new());
    for table in tables {
        match table {
            Ok(done) => work.add(done),
            Err(error) => errors.push(error),
        }
    }
    let conflict = errors.iter().position(|error| error.kind() == ErrorKind::CommitConflict);
    let failed_checks = control::failures(&work.checks).map(StageError::control_check_failed);
    match conflict.map(|index| errors.swap_remove(index)).or_else(|| errors.into_iter().next()).or(failed_checks) {
        Some(error) => Err(Failure { error, work }),
        None => Ok(work),
    }
}

#[cfg(test)]
mod tests {
    use rcm_model::event::{ControlCheck, TableCommit};

    use super::*;

    fn committed(table: &str) -> Work {
        let commit = TableCommit { table: table.to_owned(), version: 1, rows: 1 };
        Work { commits: vec![commit], ..Work::default() }
    }

    #[test]
    fn a_table_that_fails_does_not_hide_what_the_others_did() {
        let failed = Err(StageError::storage("gone".to_owned()));
        let failure = collect_results(vec![Ok(committed("gold/a")), failed, Ok(committed("gold/b"))]).unwrap_err();
        assert_eq!((failure.error.name(), failure.work.commits.len()), ("Storage", 2));
    }

    #[test]
    fn a_failed_check_fails_the_stage_with_its_figures() {
        let check = ControlCheck::equal("gold/a", "rows of current silver", &2, &1);
        let failure = collect_results(vec![Ok(Work { checks: vec![check], ..Work::default() })]).unwrap_err();
        let expected = "control check failed: `gold/a`: rows of current silver: expected 2, got 1";
        assert_eq!(failure.error.to_string(), expected);
    }

    #[tokio::test]
    async fn a_conflict_starts_the_round_over_and_keeps_what_was_committed() {
        let rounds = std::sync::atomic::AtomicUsize::new(0);
        let round = || async {
            match rounds.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
                0 => collect_results(vec![Ok(committed("gold/a")), Err(StageError::commit_conflict(String::new()))]),
                _ => Ok(committed("gold/b")),
            }
        };
        let work = retry_on_conflict(round).await.unwrap();
        assert_eq!(work.commits.iter().map(|commit| commit.table.as_str()).collect::<Vec<_>>(), ["gold/a", "gold/b"]);
    }

    #[tokio::test]
    async fn a_stage_gives_up_when_the_conflicts_do_not_end() {
        let round = || async { collect_results(vec![Err(StageError::commit_conflict(String::new()))]) };
        assert_eq!(retry(Conflicts::at_once(), round).await.unwrap_err().error.name(), "CommitConflict");
    }
}
