//! The only renames: how a fill becomes an image, how a failed one or a bad image becomes invalid.

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::time::SystemTime;

use tracing::{info, warn};

use crate::attrs::{self, Identity, Tagged};
use crate::claim::Claimed;
use crate::entry;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::folders::Folders;
use crate::holes::Holes;
use crate::image_id::ImageId;
use crate::layout::tag;
use crate::lock;
use crate::sys::{self, Dir, SetTime, Step, step};

/// How a commit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commit {
    /// The fill is the cached image now.
    Stored,
    /// A Glance beside us had cached the image meanwhile: that one stays, this fill was dropped.
    AlreadyThere,
}

/// Makes the whole and tagged bytes of a fill the cached image `id`.
///
/// Bytes and tags reach the disk before the name does, and the name before this returns: after a crash at any instant
/// there is the fill or the image, whole. What stands under the name is never replaced if it is a cached image. What
/// is none (another image that somebody moved there, or our own claim that a Glance committed) goes to `invalid/`.
///
/// # Errors
///
/// The bytes have lost their name: by now another fill's may have it.
pub(crate) fn commit(
    folders: &Folders,
    id: &ImageId,
    claimed: &Claimed,
    holes: &Holes,
    now: SystemTime,
) -> Result<Commit> {
    let (name, fill) = (id.as_str(), &claimed.bytes);
    let path = || folders.root.path_of(name);
    let fill_path = || folders.fills.path_of(name);
    step(Step::CommitUnsynced);
    sys::sync(fill).context("make durable", fill_path)?;
    // A file system that lost bytes says so at the sync, unless somebody else asked it before (`fsync(2)`, ERRORS).
    let size = sys::stat(fill).context("look at", fill_path)?.size;
    if holes.bytes_are_lost(fill, 0..size).context("look for holes in", fill_path)? {
        return Err(
            Error::new(ErrorKind::Io, "commit", fill_path()).with_detail("the file system has lost bytes of it")
        );
    }
    step(Step::CommitSynced);
    // Between two folders a file could be missed by whoever counts them. And nobody claims the image from the look at
    // the name to the rename: what has the name is this fill.
    let held = lock::space(folders)?;
    claimed.check_named(folders, id)?;
    step(Step::CommitUnnamed);
    loop {
        match folders.fills.rename_no_replace(name, &folders.root) {
            Ok(()) => break,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => return other.context("commit", path).map(|()| Commit::Stored),
        }
        check_not_in_the_way(folders, id)?;
        let there = Tagged::Name(&folders.root, OsStr::new(name)).identity(id).context("read the tags of", path)?;
        match there {
            Identity::Itself | Identity::Untagged => {
                info!(image_id = %id, "another cached copy is there already and stays");
                folders.fills.unlink(OsStr::new(name)).context("remove", || folders.fills.path_of(name))?;
                return Ok(Commit::AlreadyThere);
            }
            Identity::Another => invalidate(folders, &folders.root, id, "its tag names another image", now)?,
            Identity::Claim => {
                invalidate(folders, &folders.root, id, "it is a claim and was committed by another", now)?;
            }
        }
    }
    drop(held);
    step(Step::CommitRenamed);
    folders.root.sync().context("make durable", path)?;
    folders.fills.sync().context("make durable", || folders.fills.path().into())?;
    step(Step::CommitDurable);
    Ok(Commit::Stored)
}

/// A folder, a link or the like under the image's name is not ours to replace or to remove, nor is somebody's file that
/// has another name elsewhere.
pub(crate) fn check_not_in_the_way(folders: &Folders, id: &ImageId) -> Result<()> {
    let path = || folders.root.path_of(id.as_str());
    let there = folders.root.stat(OsStr::new(id.as_str())).context("look at", path)?;
    if there.is_some_and(|stat| stat.kind != sys::Kind::File) {
        let error = Error::new(ErrorKind::Io, "cache", path());
        return Err(error.with_detail("something that is not a regular file is in the way; remove it"));
    }
    let tags = Tagged::Name(&folders.root, OsStr::new(id.as_str()));
    if there.is_some_and(|stat| entry::is_linked_in(&stat, &tags)) {
        let error = Error::new(ErrorKind::Io, "cache", path());
        return Err(error.with_detail("a hard link to a file that is none of ours is in the way; remove it"));
    }
    Ok(())
}

/// Moves `id` from a folder to `invalid/`, over an earlier one, and notes why and when on it: the grace until it is
/// reaped begins now, not when it was written. One that is gone needs nothing. The caller holds the space lock.
pub(crate) fn invalidate(folders: &Folders, from: &Dir, id: &ImageId, why: &str, now: SystemTime) -> Result<()> {
    let name = id.as_str();
    // Nothing is written to a file that is somebody else's, not even a tag.
    if let Some((fd, _)) = from.open_file(name).context("open", || from.path_of(name))?
        && let Some(named) = sys::stat_named(from, OsStr::new(name), &fd).context("look at", || from.path_of(name))?
        && !entry::is_linked_in(&named, &Tagged::File(&fd))
    {
        note_error(&fd, name, why);
        if let Err(error) = sys::set_times(&fd, SetTime::Keep, SetTime::To(now)) {
            warn!(name, %error, "the time of the failure cannot be noted");
        }
    }
    step(Step::InvalidateNoted);
    match from.rename(name, &folders.invalid) {
        // A Glance has committed or removed it since it was looked at; or the folder that it is to go to was removed.
        Err(error)
            if error.kind() == io::ErrorKind::NotFound
                && from.stat(OsStr::new(name)).is_ok_and(|stat| stat.is_none()) =>
        {
            return Ok(());
        }
        renamed => renamed.context("set aside", || from.path_of(name))?,
    }
    step(Step::InvalidateRenamed);
    warn!(image_id = %id, why, "moved to invalid");
    Ok(())
}

/// Best effort: that the fill failed matters more than that it says why.
fn note_error<Fd: AsFd>(fd: Fd, name: &str, why: &str) {
    if let Err(error) = attrs::set_cut_to_fit(fd.as_fd(), tag::ERROR, why) {
        warn!(name, %error, "the reason cannot be noted on the failed fill");
    }
}
