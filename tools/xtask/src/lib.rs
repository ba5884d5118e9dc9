//! `cargo xtask`: writes what follows from the list of entities, and the skeleton of a new entity.
//!
//! The list is [`rcm_model::cdm::ENTITIES`]. Of every entity follow a function with its event, its
//! registration, its resources of the template and its calls in the state machines. [`outputs::all`]
//! is where to look first: each file, and what belongs into it. A test of this package fails where a
//! file is another one, and names it.

mod aws;
pub mod by_hand;
mod local;
mod names;
mod new_entity;
pub mod outputs;
mod regions;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};

use rcm_model::cdm::ENTITIES;

/// What the commands are.
const USAGE: &str = "usage: cargo xtask generate            writes what follows from the list of entities
       cargo xtask generate --check    names the files that are not as `generate` writes them, or are missing
       cargo xtask new entity NAME [tables|landed|registry]
                                       adds an entity whose loads are read from hospitals' tables (the default),
                                       landed files or a registry";

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub enum Error {
    /// There is no such command.
    Usage,
    /// A name that cannot be that of an entity, and why.
    Name { name: String, why: &'static str },
    /// A file that cannot be read or written.
    File { path: PathBuf, error: std::io::Error },
    /// A file without a place that is written into.
    Place { path: PathBuf, place: String },
    /// Files that are not as they should be: what to do about each.
    Unfinished(Vec<String>),
    /// The program that was started failed: what it said.
    Program { command: String, said: String },
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage => formatter.write_str(USAGE),
            Self::Name { name, why } => write!(formatter, "`{name}` cannot be the name of an entity: {why}"),
            Self::File { path, error } => write!(formatter, "{}: {error}", path.display()),
            Self::Place { path, place } => write!(formatter, "{} has no {place}", path.display()),
            Self::Unfinished(left) => write!(formatter, "left to do:\n  {}", left.join("\n  ")),
            Self::Program { command, said } => write!(formatter, "`{command}` failed:\n{said}"),
        }
    }
}

/// Result of a command.
pub type Result<T> = std::result::Result<T, Error>;

/// Runs a command on the workspace at `root`. Returns what it has to say.
///
/// # Errors
/// No such command; a file that cannot be read or written; with `--check`, files that are not as they should be.
pub fn run(root: &Path, arguments: &[&str]) -> Result<String> {
    match arguments {
        ["generate"] => {
            let written = outputs::write(root, &ENTITIES)?;
            Ok(by_hand::with_what_is_left(written, by_hand::left(root, &ENTITIES)?))
        }
        ["generate", "--check"] => {
            let left: Vec<String> =
                outputs::stale(root, &ENTITIES)?.into_iter().chain(by_hand::left(root, &ENTITIES)?).collect();
            if left.is_empty() { Ok("everything is as it should be".to_owned()) } else { Err(Error::Unfinished(left)) }
        }
        ["new", "entity", name] | ["new", "entity", name, "tables"] => new_entity::add(root, name, "Tables"),
        ["new", "entity", name, "landed"] => new_entity::add(root, name, "LandedFiles"),
        ["new", "entity", name, "registry"] => new_entity::add(root, name, "Registry"),
        _ => Err(Error::Usage),
    }
}

/// The text of a file.
fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| Error::File { path: path.to_owned(), error })
}

/// Writes a file, and the folders that it lies in.
fn write(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(path, text))
        .map_err(|error| Error::File { path: path.to_owned(), error })
}
