//! The cache's files that are open here: their blocks stay taken until the last of them is closed, whatever becomes of the
//! name. So removing one frees nothing at first, and one that somebody removed still takes room.
//!
//! Only what was opened through this cache and its clones is known. What another process holds open is seen in what the
//! file system says is free.

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use crate::space::Usage;
use crate::sys;

/// Who closes what need not be open.
type LetGo = Box<dyn Fn() + Send + Sync>;

/// The files that are open through one cache.
#[derive(Default)]
pub(crate) struct OpenFiles {
    files: Mutex<Vec<Weak<File>>>,
    let_go: OnceLock<LetGo>,
}

/// What is open at one moment.
#[derive(Debug, Default)]
pub(crate) struct Open {
    inodes: HashSet<(u32, u32, u64)>,
    /// Files that have no name any more.
    pub(crate) deleted: Usage,
}

impl Open {
    pub(crate) fn has(&self, inode: (u32, u32, u64)) -> bool {
        self.inodes.contains(&inode)
    }
}

impl OpenFiles {
    /// Notes that the file is open, for as long as somebody holds it.
    pub(crate) fn note(&self, file: &Arc<File>) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if files.len() == files.capacity() {
            files.retain(|file| file.strong_count() > 0);
        }
        files.push(Arc::downgrade(file));
    }

    /// Has `let_go` called before anything is removed to make room. Only the first one counts.
    pub(crate) fn before_removal(&self, let_go: LetGo) {
        self.let_go.set(let_go).ok();
    }

    /// Has whoever keeps files open, only to have them at hand, close them.
    pub(crate) fn let_go(&self) {
        if let Some(let_go) = self.let_go.get() {
            let_go();
        }
    }

    /// What is open now.
    pub(crate) fn look(&self) -> Open {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let files: Vec<_> = files.iter().filter_map(Weak::upgrade).collect();
        let mut open = Open::default();
        for file in files {
            let Ok(stat) = sys::stat(&*file) else { continue };
            if open.inodes.insert(stat.inode) && stat.links == 0 {
                open.deleted.add(stat.size, stat.allocated);
            }
        }
        open
    }
}

impl fmt::Debug for OpenFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenFiles").finish_non_exhaustive()
    }
}
