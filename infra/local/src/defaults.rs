//! Installs the default configuration in a lake that has none.

use include_dir::{Dir, include_dir};
use rcm_platform::config::keys;
use rcm_platform::lake::CONFIGS;
use rcm_platform::{Lake, StageError};

static DEFAULTS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../config");

/// Writes the files of the default configuration that a lake lacks, unless it has a `configs/sources.toml`. That
/// file is written last: the next run completes an interrupted installation, and does not restore files that
/// somebody deleted from a complete configuration.
///
/// # Errors
/// The store fails.
pub async fn install_defaults(lake: &Lake) -> Result<(), StageError> {
    if lake.head(keys::SOURCES).await?.is_some() {
        return Ok(());
    }
    let mut files = files(&DEFAULTS);
    files.sort_by_key(|(key, _)| key == keys::SOURCES);
    for (key, contents) in files {
        lake.put_if_absent(&key, contents).await?;
    }
    Ok(())
}

/// Returns keys and contents of all files below a folder.
fn files(folder: &'static Dir<'static>) -> Vec<(String, &'static [u8])> {
    let own = folder.files().map(|file| (format!("{CONFIGS}/{}", file.path().to_string_lossy()), file.contents()));
    own.chain(folder.dirs().flat_map(files)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn keys_of(lake: &Lake) -> Vec<String> {
        lake.list(CONFIGS).await.unwrap().into_iter().map(|meta| meta.location.to_string()).collect()
    }

    #[tokio::test]
    async fn a_lake_with_some_of_the_configuration_gets_the_rest_and_keeps_what_it_has() {
        let whole = Lake::in_memory();
        install_defaults(&whole).await.unwrap();
        let lake = Lake::in_memory();
        lake.put("configs/cdm/hos-a.toml", "changed").await.unwrap();
        install_defaults(&lake).await.unwrap();
        assert_eq!(keys_of(&lake).await, keys_of(&whole).await);
        assert_eq!(lake.get("configs/cdm/hos-a.toml").await.unwrap(), "changed");
    }

    #[tokio::test]
    async fn a_lake_that_has_its_sources_is_left_alone() {
        let lake = Lake::in_memory();
        lake.put(keys::SOURCES, "").await.unwrap();
        install_defaults(&lake).await.unwrap();
        assert_eq!(keys_of(&lake).await, [keys::SOURCES]);
    }
}
