//! The files that are generated, wholly or in part.

use std::collections::BTreeSet;
use std::path::Path;

use rcm_model::cdm::Entity;

use crate::names::{fill, function};
use crate::regions::Region;
use crate::{Error, Result, aws, local, read};

/// What a file should be.
#[derive(Debug)]
pub struct Output {
    /// Its path below the root of the workspace.
    pub path: String,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// This text.
    Whole(String),
    /// Whatever it is, with these parts.
    Regions(Vec<Region>),
}

impl Output {
    fn whole(path: String, text: String) -> Self {
        Self { path, content: Content::Whole(text) }
    }

    pub(crate) fn regions(path: &str, regions: Vec<Region>) -> Self {
        Self { path: path.to_owned(), content: Content::Regions(regions) }
    }

    /// The text that the file should have.
    fn wanted(&self, root: &Path) -> Result<String> {
        match &self.content {
            Content::Whole(text) => Ok(text.clone()),
            Content::Regions(regions) => {
                let path = root.join(&self.path);
                regions.iter().try_fold(read(&path)?, |text, region| region.put_into(&text, &path))
            }
        }
    }
}

/// Every generated file of a workspace with these entities.
#[must_use]
pub fn all(entities: &[&Entity]) -> Vec<Output> {
    let crates = entities.iter().flat_map(|entity| silver_function(entity.name));
    crates.chain(local::outputs(entities)).chain(aws::outputs(entities)).collect()
}

/// The package of a silver function, and its event.
fn silver_function(entity: &str) -> [Output; 4] {
    let folder = format!("functions/silver-{}", function(entity));
    let file = |name: &str, template: &str| Output::whole(format!("{folder}/{name}"), fill(template, entity));
    [
        file("Cargo.toml", include_str!("../templates/silver-crate.toml")),
        file("src/lib.rs", include_str!("../templates/silver-lib.rs.txt")),
        file("src/main.rs", include_str!("../templates/silver-main.rs.txt")),
        Output::whole(
            format!("events/silver-{}.json", function(entity)),
            include_str!("../templates/silver-event.json").to_owned(),
        ),
    ]
}

/// Writes every generated file that is not as it should be. Returns what it wrote.
///
/// # Errors
/// A file cannot be read or written, or has no place for what belongs into it.
pub fn write(root: &Path, entities: &[&Entity]) -> Result<Vec<String>> {
    let mut written = Vec::new();
    for output in all(entities) {
        let (path, wanted) = (root.join(&output.path), output.wanted(root)?);
        if read(&path).ok().as_ref() != Some(&wanted) {
            crate::write(&path, &wanted)?;
            written.push(format!("wrote {}", output.path));
        }
    }
    Ok(written)
}

/// Files that are not as [`write()`] writes them, and silver functions of no entity.
///
/// # Errors
/// A file cannot be read, or has no place for what belongs into it.
pub fn stale(root: &Path, entities: &[&Entity]) -> Result<Vec<String>> {
    let mut stale = Vec::new();
    for output in all(entities) {
        if read(&root.join(&output.path)).ok() != Some(output.wanted(root)?) {
            stale.push(format!("{}: run `cargo xtask generate`", output.path));
        }
    }
    let known: BTreeSet<String> = entities.iter().map(|entity| format!("silver-{}", function(entity.name))).collect();
    let folder = root.join("functions");
    let entries = std::fs::read_dir(&folder).map_err(|error| Error::File { path: folder, error })?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let strangers = names.filter(|name| name.starts_with("silver-") && !known.contains(name));
    stale.extend(strangers.map(|name| format!("functions/{name}: no entity has this function; remove it")));
    Ok(stale)
}
