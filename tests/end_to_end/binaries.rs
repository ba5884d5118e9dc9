//! The workspace's programs, as they are built beside the tests.

use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Builds programs of the workspace, and answers the folder that they are in.
pub(crate) fn built(programs: &[&str]) -> PathBuf {
    let mut build = in_workspace(Path::new(env!("CARGO")));
    build.args(["build", "--workspace"]).args(programs.iter().flat_map(|program| ["--bin", program]));
    assert!(build.status().unwrap().success(), "{programs:?} are built");
    let tests = std::env::current_exe().unwrap();
    tests.parent().and_then(Path::parent).unwrap().to_owned()
}

/// A program in the root of the workspace, without what cargo tells a test about its package: build
/// scripts would take it for a change and build everything again.
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
