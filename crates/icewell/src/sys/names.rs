//! What names a folder has.

use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::RawDir;

use super::Dir;
use super::failpoints::{Call, call};

/// Room for some hundred names at a time.
const BUFFER: usize = 32 << 10;

/// The names in a folder, in the order of their inodes: what lies together on disk and in memory is looked at together.
#[derive(Debug)]
pub(crate) struct Names {
    /// All names, one after the other.
    text: Vec<u8>,
    /// Inode, and where the name is in `text`.
    found: Vec<(u64, Range<usize>)>,
}

impl Names {
    pub(crate) fn len(&self) -> usize {
        self.found.len()
    }

    /// The name at `place`; none behind the last one.
    pub(crate) fn get(&self, place: usize) -> Option<&OsStr> {
        let (_, range) = self.found.get(place)?;
        self.text.get(range.clone()).map(OsStr::from_bytes)
    }
}

/// The names in a folder, without `.` and `..`.
///
/// A name that is made or removed during the walk may be missed or met; no other name is lost (`readdir(3)`).
pub(crate) fn names(dir: &Dir) -> io::Result<Names> {
    let fd = dir.reopen()?;
    let mut buffer = [MaybeUninit::uninit(); BUFFER];
    let mut entries = RawDir::new(fd, &mut buffer);
    let mut names = Names { text: Vec::new(), found: Vec::new() };
    call(Call::Getdents)?;
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            let start = names.text.len();
            names.text.extend_from_slice(name);
            names.found.push((entry.ino(), start..names.text.len()));
        }
    }
    names.found.sort_unstable_by_key(|(inode, _)| *inode);
    Ok(names)
}
