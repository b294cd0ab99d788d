//! Who excludes whom.
//!
//! | lock | what it is | held |
//! |---|---|---|
//! | fill | write lock of the open file description of `incomplete/.icewell/ID` | as long as the [`Writer`] lives |
//! | space | `flock` of DIR | while bytes are counted, room is made and a fill grows; while one prunes or cleans; while a fill is claimed, or gets another folder |
//! | queue | `flock` of `queue/` | while an entry is added or removed |
//! | image | `flock` of a cached image | while its hits are counted |
//!
//! Nobody takes two of one kind. Only the fill lock is held for long, and nobody waits for it: who finds it taken is
//! told "in progress"; so it may be taken under the space lock, and the space lock under it. Of those that are waited
//! for nobody takes one while holding another. All of them belong to open file
//! descriptions, so they exclude threads and processes alike, and a process that dies gives them back at once.
//!
//! **Fill.** It lies on the bytes, where no Glance ever writes, not on the claim `incomplete/ID`, which is only the sign
//! by which a Glance sees the fill: a Glance may remove or overwrite it. A lock belongs to an inode and survives a
//! rename, so whoever gets it compares the inode with the name and begins again if they differ: the file may have
//! been committed a moment before. It is not a `flock`, because an open-file-description lock can be asked about
//! without being taken (`F_OFD_GETLK`): nobody is ever turned away because somebody else was looking.
//!
//! **Space.** A fill's reservation stands in the mark of its bytes and counts while somebody holds their lock, for every
//! process that looks; a crash leaves nothing to undo. The space lock makes "count, remove, record" one step. A fill lock
//! is taken under it as well: who removes a fill that nobody holds does so before anybody can get hold of it.
//!
//! **Queue.** It gives each entry a later time than the one before, also within one tick of the clock. Of two callers
//! who queue the same image the exclusive creation of the file decides, not the lock.
//!
//! **Image.** Extended attributes have no compare-and-set. Hits are exact for every thread and process of Icewell; a
//! Glance that counts at the same moment does not know the lock and may lose some of its own.
//!
//! A folder that somebody has removed is made anew under the space lock ([`Folders::mended`]), by whoever needs it first,
//! before he takes any lock of his own. DIR is never another one while a cache is open: the space lock is the same for all.
//!
//! What is *not* excluded: readers by anything (a removed image stays readable to who has it open); a Glance beside us
//! by anything (so nothing of ours is ever in a place where it writes); an operator with `rm` and `mv` (each file says
//! whose it is).
//!
//! [`Writer`]: crate::Writer
//! [`Folders::mended`]: crate::folders::Folders::mended

use crate::error::{Context, Result};
use crate::folders::Folders;
use crate::sys::{self, Held};

/// Waits for the space lock.
pub(crate) fn space(folders: &Folders) -> Result<Held> {
    sys::hold(&folders.root).context("lock the cache directory", || folders.root.path().into())
}

/// Waits for the queue lock.
pub(crate) fn queue(folders: &Folders) -> Result<Held> {
    sys::hold(&folders.queue).context("lock the queue", || folders.queue.path().into())
}
