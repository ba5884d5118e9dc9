//! Installs the default configuration in a lake that has none.

use include_dir::{Dir, include_dir};
use rcm_model::load_config::HEADER;
use rcm_platform::config::keys;
use rcm_platform::lake::CONFIGS;
use rcm_platform::{Lake, StageError};

/// Datasources of the default configuration that are there to be tried.
const SAMPLE_HOSPITALS: [&str; 2] = ["hos-a", "hos-b"];

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

/// As [`install_defaults`], without the sample hospitals: their mappings, and their lines of `load_config.csv`.
///
/// # Errors
/// The store fails.
pub async fn install_without_hospitals(lake: &Lake) -> Result<(), StageError> {
    if lake.head(keys::SOURCES).await?.is_some() {
        return Ok(());
    }
    lake.put_if_absent(keys::LOAD_CONFIG, format!("{HEADER}\n")).await?;
    let mut files = files(&DEFAULTS);
    files.retain(|(key, _)| !SAMPLE_HOSPITALS.iter().any(|name| *key == format!("{}/{name}.toml", keys::CDM)));
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
    async fn a_lake_for_ones_own_hospitals_has_no_others() {
        let lake = Lake::in_memory();
        install_without_hospitals(&lake).await.unwrap();
        let settings = rcm_platform::config::Settings::read(&lake).await.unwrap();
        let datasources: Vec<&str> = settings.mappings().map(|mapping| mapping.datasource.as_str()).collect();
        assert_eq!((settings.load_config.len(), datasources), (0, vec!["cpt", "icd", "icd10cm", "npi"]));
        assert!(lake.head("configs/quality/patients.toml").await.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_lake_that_has_its_sources_is_left_alone() {
        let lake = Lake::in_memory();
        lake.put(keys::SOURCES, "").await.unwrap();
        install_defaults(&lake).await.unwrap();
        assert_eq!(keys_of(&lake).await, [keys::SOURCES]);
    }
}
