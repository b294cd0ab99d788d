//! Real file systems, by the project's script.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/loopfs.sh");

/// A file system of a test's own, gone at the end.
pub struct Mount {
    pub path: PathBuf,
    _temporary: TempDir,
}

/// Mounts a file system; none, with a word about it, for who may not.
pub fn mount(kind: &str, size_mb: u32, options: &str) -> Option<Mount> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can mount a {kind}");
        return None;
    }
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("fs");
    let mut script = script(&["mount", kind, &size_mb.to_string()]);
    script.arg(&path);
    if !options.is_empty() {
        script.arg(options);
    }
    assert!(script.status().unwrap().success(), "cannot mount a {kind} of {size_mb} MB with {options:?}");
    Some(Mount { path, _temporary: temporary })
}

impl Mount {
    /// Changes a byte of this image wherever it lies on the disk, behind the file system's back.
    pub fn rot(&self, image: &[u8], at: usize) {
        // Files begin at the beginning of a block, the smallest of which is this long.
        const BLOCK: usize = 1024;
        let path = self.path.with_extension("img");
        let disk = fs::read(&path).unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        let wanted = &image[at..at + 64];
        let places = (at % BLOCK..disk.len() - wanted.len()).step_by(BLOCK);
        let found: Vec<_> = places.filter(|place| disk[*place..].starts_with(wanted)).collect();
        assert!(!found.is_empty(), "the bytes are not on the disk");
        for place in found {
            std::os::unix::fs::FileExt::write_all_at(&file, &[!wanted[0]], place as u64).unwrap();
        }
        file.sync_all().unwrap();
    }

    pub fn remount(&self, options: &str) {
        let status = Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(&self.path).status();
        assert!(status.unwrap().success(), "cannot remount with {options}");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        script(&["umount"]).arg(&self.path).status().ok();
    }
}

fn script(arguments: &[&str]) -> Command {
    let mut command = Command::new(Path::new(SCRIPT));
    command.args(arguments).stdin(Stdio::null());
    command
}
