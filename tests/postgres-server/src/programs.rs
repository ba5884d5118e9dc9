//! Where the programs of PostgreSQL are, and who runs them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where `install-tools.sh postgres` and Debian put the versions of PostgreSQL.
const FOLDERS: [&str; 2] =
    [concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/tools/postgres/usr/lib/postgresql"), "/usr/lib/postgresql"];
/// Where the packages below `target/tools/postgres` put libraries.
const LIBRARIES: [&str; 2] = [
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/tools/postgres/usr/lib"),
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/tools/postgres/lib"),
];
/// `nobody`, whom PostgreSQL does not refuse.
const UNPRIVILEGED: u32 = 65_534;

/// Rights of a user who may not look into the folders above those of the programs and of the data.
const RIGHTS: &str = "+dac_override,+dac_read_search";

/// The programs of one version.
#[derive(Debug)]
pub(crate) struct Programs {
    folder: PathBuf,
    /// User that they run as, if not our own.
    user: Option<u32>,
    /// Whether everybody may look into the folders above those of the programs and of the data.
    is_open: bool,
}

impl Programs {
    /// Finds the programs; `data` is a folder that we made.
    ///
    /// # Panics
    /// There are none.
    pub(crate) fn find(data: &Path) -> Self {
        let found = FOLDERS.iter().find_map(|folder| newest(Path::new(folder)));
        let folder = found.unwrap_or_else(|| {
            panic!("PostgreSQL is not installed: `bash tests/aws/install-tools.sh postgres` installs it")
        });
        let is_root = fs::metadata(data).unwrap().uid() == 0;
        let is_open = is_open(&folder) && data.parent().is_none_or(is_open);
        Self { folder, user: is_root.then_some(UNPRIVILEGED), is_open }
    }

    /// A command of one of the programs.
    pub(crate) fn command(&self, name: &str) -> Command {
        let program = self.folder.join(name);
        let mut command = match self.user {
            Some(user) if !self.is_open => {
                let mut command = Command::new("/usr/bin/setpriv");
                command.args([format!("--reuid={user}"), format!("--regid={user}"), "--clear-groups".to_owned()]);
                command.args([format!("--inh-caps={RIGHTS}"), format!("--ambient-caps={RIGHTS}")]).arg(program);
                command
            }
            _ => Command::new(program),
        };
        // Its messages are looked at, and its own folder is one that everybody may look into.
        command.env_clear().env("LC_ALL", "C").env("LD_LIBRARY_PATH", libraries()).current_dir("/");
        if let Some(user) = self.user.filter(|_| self.is_open) {
            command.uid(user).gid(user);
        }
        command
    }

    /// Gives a file or a folder to the user that the programs run as.
    pub(crate) fn hand_over(&self, path: &Path) {
        if self.user.is_some() {
            std::os::unix::fs::chown(path, self.user, self.user).unwrap();
        }
    }
}

/// Whether everybody may look into a folder and those above it.
fn is_open(folder: &Path) -> bool {
    let folder = folder.canonicalize().unwrap();
    folder.ancestors().all(|folder| fs::metadata(folder).unwrap().mode() & 0o001 != 0)
}

/// The programs of the newest version in a folder of versions.
fn newest(folder: &Path) -> Option<PathBuf> {
    let versions = fs::read_dir(folder).ok()?.filter_map(|version| version.ok()?.file_name().into_string().ok());
    let newest = versions.filter_map(|version| version.parse::<u32>().ok()).max()?;
    let programs = folder.join(newest.to_string()).join("bin");
    programs.join("initdb").exists().then_some(programs)
}

/// Folders of libraries that a machine may not have.
fn libraries() -> String {
    let entries = LIBRARIES.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
    let paths = entries.filter_map(|entry| entry.ok()?.path().into_os_string().into_string().ok());
    paths.filter(|path| path.ends_with("-linux-gnu")).collect::<Vec<_>>().join(":")
}
