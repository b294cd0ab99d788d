//! The account: how many bytes there are under DIR, and on the file system that holds it.

use std::os::fd::AsFd;

use crate::entry;
use crate::error::{Context, Result};
use crate::folders::Folders;
use crate::limit::Count;
use crate::scan::{self, Found};
use crate::sys::{self, Dir};

/// Number and bytes of some files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// How many there are.
    pub files: u64,
    /// The sum of their sizes in bytes.
    pub size: u64,
    /// The bytes of disk blocks behind them.
    pub allocated: u64,
}

impl Usage {
    pub(crate) fn add(&mut self, size: u64, allocated: u64) {
        self.files += 1;
        self.size = self.size.saturating_add(size);
        self.allocated = self.allocated.saturating_add(allocated);
    }
}

/// Everything that takes room, by folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Space {
    /// Files in DIR itself.
    pub images: Usage,
    /// Fills under way and abandoned ones; the size of one of Icewell's is what it reserved.
    pub incomplete: Usage,
    /// Failed fills.
    pub invalid: Usage,
    /// Files that were removed, and are still being read through this cache or a clone of it.
    pub deleted: Usage,
    /// Of what fills under way have reserved, the bytes that are not written yet.
    pub promised: u64,
}

impl Space {
    /// The bytes that the limit is about.
    pub fn counted(&self, count: Count) -> u64 {
        let of = |usage: &Usage| match count {
            Count::Size => usage.size,
            Count::Allocated => usage.allocated,
        };
        // A fill under way will take what it reserved; until then blocks do not tell.
        let incomplete = self.incomplete.size.max(of(&self.incomplete));
        [of(&self.images), of(&self.invalid), of(&self.deleted)].into_iter().fold(incomplete, u64::saturating_add)
    }
}

/// A folder whose files count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Folder {
    Root,
    Incomplete,
    Fills,
    Invalid,
}

impl Folder {
    const ALL: [Folder; 4] = [Folder::Root, Folder::Incomplete, Folder::Fills, Folder::Invalid];

    pub(crate) fn of(self, folders: &Folders) -> &Dir {
        match self {
            Folder::Root => &folders.root,
            Folder::Incomplete => &folders.incomplete,
            Folder::Fills => &folders.fills,
            Folder::Invalid => &folders.invalid,
        }
    }
}

/// Counts everything that takes room in one pass and hands each file to `visit`.
pub(crate) fn count(folders: &Folders, mut visit: impl FnMut(Folder, Found)) -> Result<Space> {
    let mut space = Space { deleted: folders.open_files.look().deleted, ..Space::default() };
    for folder in Folder::ALL {
        for found in scan::files(folder.of(folders))? {
            let mut found = found?;
            if let (Folder::Fills, Some(id)) = (folder, &found.id) {
                let written = found.stat.size;
                found.stat.size = entry::reservation(folders, id, written)?;
                space.promised = space.promised.saturating_add(found.stat.size.saturating_sub(written));
            }
            let usage = match folder {
                Folder::Root => &mut space.images,
                Folder::Incomplete | Folder::Fills => &mut space.incomplete,
                Folder::Invalid => &mut space.invalid,
            };
            usage.add(found.stat.size, found.stat.allocated);
            visit(folder, found);
        }
    }
    Ok(space)
}

/// Counts everything that takes room.
pub(crate) fn space(folders: &Folders) -> Result<Space> {
    count(folders, |_, _| {})
}

/// The bytes that are free for an ordinary user on the file system that holds the cache, and its size.
pub(crate) fn volume(folders: &Folders) -> Result<sys::Volume> {
    sys::volume(folders.root.as_fd()).context("look at the file system of", || folders.root.path().into())
}
