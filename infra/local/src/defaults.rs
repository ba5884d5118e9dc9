//! The default configuration, laid into a lake that has none.

use include_dir::{Dir, include_dir};
use rcm_platform::lake::CONFIGS;
use rcm_platform::{Lake, StageError};

static DEFAULTS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../config");

/// Writes the default configuration if the lake has no `configs/` yet, and says whether it did.
///
/// # Errors
/// The store fails.
pub async fn lay_in(lake: &Lake) -> Result<bool, StageError> {
    if !lake.list(CONFIGS).await?.is_empty() {
        return Ok(false);
    }
    write(lake, &DEFAULTS).await?;
    Ok(true)
}

async fn write(lake: &Lake, folder: &Dir<'static>) -> Result<(), StageError> {
    for file in folder.files() {
        let key = format!("{CONFIGS}/{}", file.path().to_string_lossy());
        lake.put(&key, file.contents()).await?;
    }
    for inner in folder.dirs() {
        Box::pin(write(lake, inner)).await?;
    }
    Ok(())
}
