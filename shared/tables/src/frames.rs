//! Work on frames in an async runtime.

use rcm_platform::error::{Result, StageError};

/// Runs work on frames on a thread that may block, so that other stages go on meanwhile.
///
/// # Errors
/// The work's own error.
pub async fn blocking<T, F>(work: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(StageError::internal("a computation on frames ended early")),
    }
}
