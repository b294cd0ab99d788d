//! How much there is, how much there may be, and what goes when that is too much.

use super::{Cache, FileSystem};
use crate::error::Result;
use crate::limit::{self, Limit};
use crate::prune::{self, Mode, Pruned};
use crate::removals::{Gone, Removal, Removed, Why};
use crate::space::{self, Space};
use crate::{room, sys};

impl Cache {
    /// Does nothing while the images are within `limit`, and its floor holds; else removes the least recently used until
    /// that is so. Pinned ones stay. A limit of 0 empties the cache. Two prunes, here or in two processes, come one after the other.
    pub fn prune(&self, limit: Limit, mode: Mode) -> Result<Pruned> {
        prune::prune(&self.folders, limit, mode)
    }

    /// The last removals through this cache and its clones since it was opened, for room or to tidy, the latest first: a
    /// hundred at most. What other processes remove, and what is removed by its name, is not among them.
    pub fn removals(&self) -> Vec<Removal> {
        self.folders.removals.last()
    }

    /// How much has gone so, of one kind for one reason.
    pub fn removed(&self, what: Removed, why: Why) -> Gone {
        self.folders.removals.sum(what, why)
    }

    /// The limit in force: the one kept on the directory, or else 10 GiB and no floor.
    pub fn limit(&self) -> Result<Limit> {
        limit::limit(&self.folders)
    }

    /// Keeps the limit on the directory, for every process that uses it.
    pub fn set_limit(&self, limit: Limit) -> Result<()> {
        limit::set_limit(&self.folders, limit)
    }

    /// Removes what is over the limit in force, abandoned and failed fills first; whether the cache is within it then.
    pub fn enforce_limit(&self) -> Result<bool> {
        room::enforce(&*self.all_folders()?)
    }

    /// The largest limit that the file system has room for: what the cache holds, and what is free above the floor.
    pub fn largest_limit(&self) -> Result<u64> {
        room::largest_limit(&*self.all_folders()?, self.limit()?, &self.space()?)
    }

    /// Has `let_go` called before anything is removed to make room: the time to close a [`Reader`](crate::Reader) that is
    /// kept only to have it at hand. What is open stays, because removing it would free nothing. It is called under a
    /// lock, by whichever thread makes room, and must not use the cache. Only the first one counts, for this cache and its
    /// clones.
    pub fn before_removal(&self, let_go: impl Fn() + Send + Sync + 'static) {
        self.folders.open_files.before_removal(Box::new(let_go));
    }

    /// Everything that takes room, by folder.
    pub fn space(&self) -> Result<Space> {
        space::space(&*self.all_folders()?)
    }

    /// The file system that holds the cache.
    pub fn file_system(&self) -> Result<FileSystem> {
        let sys::Volume { file_system, total, available, .. } = space::volume(&self.folders)?;
        Ok(FileSystem { name: file_system, total, available })
    }
}
