//! Work on frames in an async runtime.

use polars::prelude::*;
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

/// The rows with the columns of a schema, in its order and of its types: those that they lack are null.
///
/// # Errors
/// A value does not fit its type.
pub(crate) fn conform(rows: &DataFrame, schema: &Schema) -> Result<DataFrame> {
    let column = |name: &PlSmallStr, dtype: &DataType| match rows.column(name) {
        Ok(column) if column.dtype() == dtype => Ok(column.clone()),
        Ok(column) => column.strict_cast(dtype),
        Err(_) => Ok(Column::full_null(name.clone(), rows.height(), dtype)),
    };
    let columns = schema.iter().map(|(name, dtype)| column(name, dtype)).collect::<PolarsResult<Vec<_>>>()?;
    Ok(DataFrame::new(rows.height(), columns)?)
}

/// The rows of some frames with the same columns, one after the other; no column if there is no frame.
///
/// # Errors
/// The frames have different columns.
pub(crate) fn stacked(frames: impl IntoIterator<Item = DataFrame>) -> Result<DataFrame> {
    let mut frames = frames.into_iter();
    let mut all = frames.next().unwrap_or_default();
    for rows in frames {
        all.vstack_mut_owned(rows)?;
    }
    Ok(all)
}
