//! Where oslo.config looks for files that nobody names.

use std::path::{Path, PathBuf};

/// The folders in which Glance's files are looked for, in order.
fn folders() -> Vec<PathBuf> {
    let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = named("HOME");
    let snaps = ["SNAP_COMMON", "SNAP"].map(|name| named(name).map(|snap| snap.join("etc/glance")));
    let folders = [home.as_ref().map(|home| home.join(".glance")), home];
    let system = [Some("/etc/glance".into()), Some("/etc".into())];
    folders.into_iter().chain(system).chain(snaps).flatten().collect()
}

/// The first of each of these names in the places where Glance's files may be: `glance` and `program`.
fn find(program: &str, extension: &str) -> Vec<PathBuf> {
    let folders = folders();
    let first =
        |name: &str| folders.iter().map(|folder| folder.join(format!("{name}{extension}"))).find(|p| p.exists());
    [first("glance"), first(program)].into_iter().flatten().collect()
}

/// The files that a program of Glance's reads where none are named, in order.
pub(crate) fn default_files(program: &str) -> Vec<PathBuf> {
    find(program, ".conf")
}

/// The folders whose files a program of Glance's reads after those where none are named.
pub(crate) fn default_folders(program: &str) -> Vec<PathBuf> {
    find(program, ".conf.d")
}

/// The path with the user's own folder for a leading `~`.
pub(crate) fn expand_home(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), std::env::var_os("HOME")) {
        (Ok(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => path.into(),
    }
}
