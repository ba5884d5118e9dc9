//! The quality rules of the lake, `configs/quality`, read and checked as a whole.

use std::collections::BTreeMap;

use rcm_domain::quality::Rulebook;
use rcm_model::cdm::Entity;
use rcm_platform::config::{keys, toml_files};
use rcm_platform::error::Result;
use rcm_platform::{Lake, StageError};

use crate::frames::blocking;

/// The quality rules of every entity.
#[derive(Debug, Clone, Default)]
pub struct Rulebooks(BTreeMap<String, Rulebook>);

impl Rulebooks {
    /// Reads and checks the files of all entities.
    ///
    /// # Errors
    /// `BadConfig` if a file is not that of an entity, or has a rule that cannot run.
    pub async fn read(lake: &Lake) -> Result<Self> {
        let files = toml_files(lake, keys::QUALITY).await?;
        blocking(move || {
            let parsed = files.into_iter().map(|(name, text)| {
                let entity = name.trim_end_matches(".toml").to_owned();
                let rulebook = Rulebook::parse(&entity, &text)
                    .map_err(|error| StageError::bad_config(format!("quality/{name}: {error}")))?;
                Ok((entity, rulebook))
            });
            parsed.collect::<Result<_>>().map(Self)
        })
        .await
    }

    /// The rules of an entity; none where it has no file.
    #[must_use]
    pub fn of(&self, entity: &Entity) -> Rulebook {
        self.0.get(entity.name).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use rcm_platform::testing::TestLake;

    use super::*;

    #[tokio::test]
    async fn a_second_file_of_rules_of_an_entity_is_refused() {
        let lake = TestLake::new();
        lake.write("configs/quality/old/patients.toml", lake.read("configs/quality/patients.toml"));
        let error = Rulebooks::read(&lake.lake()).await.unwrap_err();
        assert_eq!(error.name(), "BadConfig");
        assert!(error.to_string().contains("quality/old/patients.toml"), "{error}");
    }
}
