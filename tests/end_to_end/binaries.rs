//! Builds programs of the workspace for the tests.

use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Builds programs of the workspace, and returns their folder.
pub(crate) fn built(programs: &[&str]) -> PathBuf {
    let mut build = in_workspace(Path::new(env!("CARGO")));
    build.args(["build", "--workspace"]).args(programs.iter().flat_map(|program| ["--bin", program]));
    assert!(build.status().unwrap().success(), "{programs:?} are built");
    let tests = std::env::current_exe().unwrap();
    tests.parent().and_then(Path::parent).unwrap().to_owned()
}

/// Returns a command that runs in the root of the workspace, without the environment variables that cargo sets for a
/// test: build scripts would treat them as a change and rebuild everything.
pub(crate) fn in_workspace(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(ROOT);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_MANIFEST_") || name.starts_with("CARGO_PKG_") {
            command.env_remove(&*name);
        }
    }
    command
}
