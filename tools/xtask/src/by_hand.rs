//! What no program can write: the mappings and the rules of an entity. What is missing is named.

use std::path::Path;

use rcm_model::cdm::Entity;

use crate::{Error, Result, read};

/// What is left to write for the entities of the model: the file, and what belongs into it.
///
/// # Errors
/// A file of the default configuration cannot be read.
pub fn left(root: &Path, entities: &[&Entity]) -> Result<Vec<String>> {
    let mappings = mappings(&root.join("infra/config/cdm"))?;
    let mut left = Vec::new();
    for entity in entities.iter().map(|entity| entity.name) {
        let rules = format!("infra/config/quality/{entity}.toml");
        match read(&root.join(&rules)) {
            Err(_) => left.push(format!("{rules}: write its quality rules (docs/data-quality.md)")),
            Ok(text) if text.contains(UNWRITTEN) => left.push(format!("{rules}: write its first rule")),
            Ok(_) => {}
        }
        if !mappings.contains(&format!("[entities.{entity}]")) {
            left.push(format!(
                "infra/config/cdm/<datasource>.toml: write `[entities.{entity}]`, where its columns come from \
                 (docs/pipeline-config.md)"
            ));
        }
        let model = format!("shared/model/src/cdm/{entity}.rs");
        if read(&root.join(&model))?.contains(UNWRITTEN) {
            left.push(format!("{model}: name its key and its columns"));
        }
    }
    Ok(left)
}

/// What a skeleton says where something has to be written.
pub(crate) const UNWRITTEN: &str = "TODO(new entity)";

/// All mappings of the default configuration, one after the other.
fn mappings(folder: &Path) -> Result<String> {
    let failed = |error| Error::File { path: folder.to_owned(), error };
    let entries = std::fs::read_dir(folder).map_err(failed)?;
    let mut text = String::new();
    for entry in entries {
        text += &read(&entry.map_err(failed)?.path())?;
    }
    Ok(text)
}

/// What was done, and what is left to do.
pub(crate) fn with_what_is_left(done: Vec<String>, left: Vec<String>) -> String {
    let left = left.into_iter().map(|left| format!("left to do: {left}"));
    let lines: Vec<String> = done.into_iter().chain(left).collect();
    if lines.is_empty() { "nothing to do".to_owned() } else { lines.join("\n") }
}
