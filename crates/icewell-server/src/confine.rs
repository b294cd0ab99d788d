//! What the daemon gives up before it serves: every file that it has no use for, and the way to new privileges.
//!
//! Landlock (`landlock(7)`) is the second line: the library opens nothing by a path that somebody else could choose, and
//! if it ever did, the kernel would refuse what lies outside of these:
//!
//! | what | for |
//! |---|---|
//! | the cache directory | files and folders read, written, made, moved, removed; no device, pipe, socket or link made |
//! | the origin, if it is a folder | read |
//! | the folders of certificates, keys, tokens and settings | read: each may be replaced by a new file while it runs |
//! | `/etc`, and where the system keeps its libraries and resolver | read, for names of hosts; not where the origin is a folder and no traces are exported |
//! | `/proc/self`, `/proc/sys`, `/sys/fs/cgroup`, `/dev/null`, `/dev/urandom` | read |
//!
//! Nothing can be executed. Sockets are not restricted: an origin may redirect anywhere. What was open before stays open.
//! A kernel without Landlock, or with an older one, holds as much of it as it can.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, PathBeneath, PathFd, RestrictionStatus, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetStatus, path_beneath_rules,
};
use tracing::{info, warn};

use crate::error::chain;

/// What a process itself is told by the system, and what the standard library and the allocator look at.
const SYSTEM: [&str; 5] = ["/proc/self", "/proc/sys", "/sys/fs/cgroup", "/dev/null", "/dev/urandom"];

/// What it takes to find out where a host is: `nsswitch.conf(5)`, `resolv.conf(5)`, modules that the C library loads.
/// Whole folders, because their files are replaced by new ones when a network changes.
const NAMES: [&str; 11] = [
    "/etc",
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
];

/// What the daemon needs.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    /// The cache directory.
    pub(crate) dir: PathBuf,
    /// The origin's folder, if it is one.
    pub(crate) folder: Option<PathBuf>,
    /// Whether hosts have to be found.
    pub(crate) hosts: bool,
    /// Files that may be read again while it runs.
    pub(crate) files: Vec<PathBuf>,
}

/// Gives the rest up, for this thread and all that it starts from now on. It must be the only one.
pub(crate) fn confine(needs: &Needs) {
    match restrict(needs) {
        Ok(RestrictionStatus { ruleset: RulesetStatus::NotEnforced, .. }) => {
            info!("this kernel has no Landlock: the daemon may open whatever its user may");
        }
        Ok(RestrictionStatus { ruleset, .. }) => {
            let whole = ruleset == RulesetStatus::FullyEnforced;
            info!(whole, "confined: only files of the cache, the origin and the settings can be opened");
        }
        Err(error) => warn!(error = chain(&*error), "not confined: the daemon may open whatever its user may"),
    }
}

fn restrict(needs: &Needs) -> Result<RestrictionStatus, Box<dyn std::error::Error>> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let keep = read
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir
        | AccessFs::Refer;
    let names: &[&str] = if needs.hosts { &NAMES } else { &[] };
    let mut readable: Vec<PathBuf> = SYSTEM.iter().chain(names).map(PathBuf::from).collect();
    readable.extend(needs.folder.clone());
    readable.extend(needs.files.iter().flat_map(|file| folders_of(file)));
    let dir = PathFd::new(&needs.dir)?;
    let ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(ABI::V5))?
        .create()?
        .add_rule(PathBeneath::new(dir, keep))?
        .add_rules(path_beneath_rules(readable, read))?;
    Ok(ruleset.restrict_self()?)
}

/// Where a file is replaced by a new one: the folder that has its name, and that of the file behind a link, for such a link
/// is set anew. Of a file in the root folder nothing but itself: the rest would be everything.
fn folders_of(file: &Path) -> Vec<PathBuf> {
    let real = std::fs::canonicalize(file).ok();
    let named = std::path::absolute(file).ok();
    let folder = |path: PathBuf| match path.parent() {
        Some(folder) if folder.parent().is_some() => folder.to_owned(),
        _ => path,
    };
    real.into_iter().chain(named).map(folder).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_again_in_its_folder_and_behind_its_link() {
        let temporary = tempfile::tempdir().unwrap();
        let base = std::fs::canonicalize(temporary.path()).unwrap();
        std::fs::create_dir_all(base.join("archive")).unwrap();
        std::fs::create_dir_all(base.join("live")).unwrap();
        std::fs::write(base.join("archive/cert1.pem"), "").unwrap();
        std::os::unix::fs::symlink("../archive/cert1.pem", base.join("live/cert.pem")).unwrap();
        assert_eq!(folders_of(&base.join("live/cert.pem")), [base.join("archive"), base.join("live")]);
        assert_eq!(folders_of(&base.join("gone")), std::slice::from_ref(&base));
    }

    #[test]
    fn the_root_folder_is_not_given_away() {
        assert_eq!(folders_of(Path::new("/no-such-file.pem")), [Path::new("/no-such-file.pem")]);
    }
}
