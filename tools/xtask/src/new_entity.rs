//! A new entity: its file in the model and its rules as skeletons, and all that follows from them.

use std::path::Path;
use std::process::Command;

use rcm_model::cdm;

use crate::by_hand::UNWRITTEN;
use crate::names::{constant, fill};
use crate::{Error, Result, read, write};

/// With more letters a line of the registration would be longer than `rustfmt` lets it.
const LONGEST_NAME: usize = 20;
const MODEL: &str = "shared/model/src/cdm/mod.rs";

/// Adds an entity with the origin of this name to the model, and generates what follows from it. The
/// list of the model is compiled, so that `generate` runs as a program of its own, built anew.
pub(crate) fn add(root: &Path, name: &str, origin: &str) -> Result<String> {
    check(name)?;
    let written = skeleton(root, name, origin)?;
    started(root, &["fmt", "--package", "rcm-model"])?;
    let generated = started(root, &["run", "--quiet", "--package", "xtask", "--", "generate"])?;
    Ok(format!("{}\n{generated}", written.join("\n")))
}

fn check(name: &str) -> Result<()> {
    let why = if cdm::entity(name).is_some() {
        "there is one already"
    } else if name.is_empty() || name.len() > LONGEST_NAME {
        "it has 1 to 20 letters"
    } else if !name.split('_').all(|word| !word.is_empty() && word.chars().all(|letter| letter.is_ascii_lowercase())) {
        "it is words of lower-case letters with `_` between them, such as `cpt_codes`"
    } else {
        return Ok(());
    };
    Err(Error::Name { name: name.to_owned(), why })
}

/// Writes the file of the entity, its rules, and its lines of the model.
pub(crate) fn skeleton(root: &Path, name: &str, origin: &str) -> Result<Vec<String>> {
    let one = name.strip_suffix('s').unwrap_or(name);
    let filled = |template: &str| {
        fill(template, name).replace("<one>", one).replace("<origin>", origin).replace("<unwritten>", UNWRITTEN)
    };
    let path = root.join(MODEL);
    write(&path, &listed(&read(&path)?, name, &path)?)?;
    let files = [
        (format!("shared/model/src/cdm/{name}.rs"), filled(include_str!("../templates/entity.rs.txt"))),
        (format!("infra/config/quality/{name}.toml"), filled(include_str!("../templates/rules.toml"))),
    ];
    for (file, text) in &files {
        write(&root.join(file), text)?;
    }
    let written = [MODEL].into_iter().chain(files.iter().map(|(file, _)| file.as_str()));
    Ok(written.map(|file| format!("wrote {file}")).collect())
}

/// The model's list of entities with one more, behind all others: its parents come before it.
fn listed(model: &str, name: &str, path: &Path) -> Result<String> {
    let missing = |place: &str| Error::Place { path: path.to_owned(), place: format!("`{place}`") };
    let (head, list) = model.split_once("pub const ENTITIES: [&Entity; ").ok_or_else(|| missing("ENTITIES"))?;
    let (count, list) = list.split_once(']').ok_or_else(|| missing("]"))?;
    let (entities, rest) = list.split_once("];").ok_or_else(|| missing("];"))?;
    let count = count.parse::<usize>().map_err(|_| missing("[&Entity; <number>]"))? + 1;
    let entities = format!("{}, &{}", entities.trim_end().trim_end_matches(','), constant(name));
    let head = head.replacen("mod claims;", &format!("mod claims;\nmod {name};"), 1);
    let public = "pub use claims::CLAIMS;";
    let head = head.replacen(public, &format!("{public}\npub use {name}::{};", constant(name)), 1);
    Ok(format!("{head}pub const ENTITIES: [&Entity; {count}]{entities}];{rest}"))
}

/// What cargo says, run in the workspace.
fn started(root: &Path, arguments: &[&str]) -> Result<String> {
    let command = format!("cargo {}", arguments.join(" "));
    let output = Command::new("cargo").args(arguments).current_dir(root).output();
    let output = output.map_err(|error| Error::Program { command: command.clone(), said: error.to_string() })?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(said) } else { Err(Error::Program { command, said }) }
}
