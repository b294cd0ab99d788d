//! Claims: how one filler gets an image, and how a Glance beside us is told.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::time::SystemTime;

use crate::entry::{self, Claim};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::folders::Folders;
use crate::image_id::ImageId;
use crate::layout::tag;
use crate::sys::{self, Kind, Step, step};
use crate::{attrs, lock, publish};

/// An image claimed: the bytes' file with the fill lock on it.
#[derive(Debug)]
pub(crate) struct Claimed {
    /// Holds the fill lock for as long as it is open.
    pub(crate) bytes: File,
    /// The inode of the sign in `incomplete/`, so that only ours is ever removed; none where a Glance's file stands there
    /// and keeps other Glances off as well.
    sign: Option<Inode>,
}

type Inode = (u32, u32, u64);

/// Claims `id` for the caller.
///
/// # Errors
///
/// [`ErrorKind::AlreadyCached`]; [`ErrorKind::InProgress`] where another Icewell or a live Glance fills it.
pub(crate) fn claim(folders: &Folders, id: &ImageId, now: SystemTime) -> Result<Claimed> {
    // Whoever removes abandoned fills holds the space lock from the look at the fill's lock to the removal.
    let _held = lock::space(folders)?;
    let bytes = File::from(lock_bytes(folders, id)?);
    step(Step::ClaimLocked);
    let claimed = check_not_cached(folders, id, now).and_then(|()| put_sign(folders, id)).and_then(|sign| {
        // A Glance may have committed between the first look and the sign.
        check_not_cached(folders, id, now).inspect_err(|_| drop(withdraw(folders, id, sign))).map(|()| sign)
    });
    match claimed {
        Ok(sign) => Ok(Claimed { bytes, sign }),
        Err(error) => {
            // What an earlier fill left of an image that is cached is of no use to anyone; an empty file never is.
            let empty = sys::stat(&bytes).is_ok_and(|stat| stat.size == 0);
            if empty || error.kind() == ErrorKind::AlreadyCached {
                folders.fills.unlink(OsStr::new(id.as_str())).ok();
            }
            Err(error)
        }
    }
}

/// A process forked during the fill shares the open file description: closing ours would not free the claim.
impl Drop for Claimed {
    fn drop(&mut self) {
        sys::unlock_fill(&self.bytes);
    }
}

impl Claimed {
    /// Whether the bytes still have their name. Who removed it may have let another begin anew under it.
    pub(crate) fn check_named(&self, folders: &Folders, id: &ImageId) -> Result<()> {
        let path = || folders.fills.path_of(id.as_str());
        let named = folders.fills.stat(OsStr::new(id.as_str())).context("look at", path)?;
        let ours = sys::stat(&self.bytes).context("look at", path)?;
        if named.is_some_and(|named| named.inode == ours.inode) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Io, "find", path()).with_detail("somebody removed it during the fill"))
    }

    /// Begins with a file of its own under the same name, locked as well.
    pub(crate) fn replace_bytes(&mut self, folders: &Folders, id: &ImageId) -> Result<()> {
        let path = || folders.fills.path_of(id.as_str());
        // Nobody claims the image between the removal and the lock.
        let _held = lock::space(folders)?;
        self.check_named(folders, id)?;
        folders.fills.unlink(OsStr::new(id.as_str())).context("remove", path)?;
        let bytes = File::from(lock_bytes(folders, id)?);
        sys::unlock_fill(&self.bytes);
        self.bytes = bytes;
        Ok(())
    }

    /// Takes the sign away from a fill that gave no image. The lock goes with the bytes' file.
    pub(crate) fn withdraw(&self, folders: &Folders, id: &ImageId) -> Result<()> {
        withdraw(folders, id, self.sign)
    }

    /// Takes the sign away, or sets aside what a Glance has left in its place: the image is cached now, and nobody needs
    /// another. A Glance that is about to commit it finds nothing to rename, which is no harm.
    pub(crate) fn fulfil(&self, folders: &Folders, id: &ImageId, now: SystemTime) -> Result<()> {
        let path = || folders.incomplete.path_of(id.as_str());
        match (found(folders, id)?, entry::claim(folders, id)?) {
            (Some(found), Claim::Ours) if Some(found.inode) == self.sign => {
                folders.incomplete.unlink(OsStr::new(id.as_str())).context("remove", path).map(drop)
            }
            (_, Claim::Left | Claim::Ours) if self.sign.is_none() => {
                publish::invalidate(folders, &folders.incomplete, id, "incomplete fetch", now)
            }
            _ => Ok(()),
        }
    }

    /// Tells a Glance beside us that the fill is alive: its cleaner goes by the time of the sign.
    pub(crate) fn refresh_sign(&self, folders: &Folders, id: &ImageId, now: SystemTime) {
        if let Ok(Some((fd, stat))) = folders.incomplete.open_file(id.as_str())
            && Some(stat.inode) == self.sign
        {
            sys::set_times(fd, sys::SetTime::Keep, sys::SetTime::To(now)).ok();
        }
    }
}

/// Opens the bytes' file and takes its lock. The name may be renamed away between the two: then it is another's by now.
fn lock_bytes(folders: &Folders, id: &ImageId) -> Result<OwnedFd> {
    let name = id.as_str();
    let path = || folders.fills.path_of(name);
    loop {
        let fd = folders.fills.open_or_create_file(name).context("open", path)?;
        let opened = sys::stat(&fd).context("look at", path)?;
        if opened.kind != Kind::File {
            return Err(Error::new(ErrorKind::Io, "fill", path()).with_detail("it is not a regular file; remove it"));
        }
        if !sys::try_lock_fill(&fd).context("lock", path)? {
            return Err(Error::new(ErrorKind::InProgress, "fill", path()));
        }
        if let Some(named) = sys::stat_named(&folders.fills, OsStr::new(name), &fd).context("look at", path)? {
            if entry::is_linked_in(&named, &attrs::Tagged::File(&fd)) {
                let error = Error::new(ErrorKind::Io, "fill", path());
                return Err(error.with_detail("it is a hard link to a file that is none of ours; remove it"));
            }
            return Ok(fd);
        }
    }
}

fn check_not_cached(folders: &Folders, id: &ImageId, now: SystemTime) -> Result<()> {
    let path = || folders.root.path_of(id.as_str());
    let Some((fd, stat)) = folders.root.open_file(id.as_str()).context("open", path)? else {
        return publish::check_not_in_the_way(folders, id);
    };
    let tags = attrs::Tagged::File(&fd);
    match tags.identity(id).context("read the tags of", path)? {
        attrs::Identity::Untagged if entry::is_linked_in(&stat, &tags) => publish::check_not_in_the_way(folders, id),
        attrs::Identity::Untagged if entry::is_no_image(folders, id, &stat, &tags)? => {
            Err(Error::new(ErrorKind::Io, "cache", path()).with_detail("a file of Glance's own has that name"))
        }
        attrs::Identity::Untagged if entry::is_unsettled(&fd, &stat, now) => {
            Err(Error::new(ErrorKind::InProgress, "fill", path()))
        }
        attrs::Identity::Itself | attrs::Identity::Untagged => {
            Err(Error::new(ErrorKind::AlreadyCached, "fill", path()))
        }
        attrs::Identity::Another | attrs::Identity::Claim => Ok(()),
    }
}

/// Puts our sign into `incomplete/`. The caller holds the fill lock, so a sign that is there already was left behind.
///
/// What a Glance has written and closed stays, and stands for our sign: that Glance may be about to rename it into its
/// place as an image, and would do so with whatever has the name by then, an empty sign of ours too.
fn put_sign(folders: &Folders, id: &ImageId) -> Result<Option<Inode>> {
    let name = id.as_str();
    let path = || folders.incomplete.path_of(name);
    loop {
        match folders.incomplete.create_file(name) {
            Ok(fd) => {
                step(Step::ClaimSigned);
                if let Err(error) = sys::set_tag(&fd, tag::CLAIM, b"1") {
                    // Unmarked it would be taken for somebody else's fill, for ever.
                    folders.incomplete.unlink(OsStr::new(name)).ok();
                    return Err(Error::io("mark", path(), error));
                }
                step(Step::ClaimMarked);
                return Ok(Some(sys::stat(&fd).context("look at", path)?.inode));
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::io("claim", path(), error)),
        }
        match entry::claim(folders, id)? {
            Claim::Written => return Err(Error::new(ErrorKind::InProgress, "fill", path())),
            Claim::Left => return Ok(None),
            Claim::Ours if found(folders, id)?.is_some_and(|sign| sign.size > 0) => return Ok(None),
            // Made anew, not taken over: a Glance may still hold what it opened.
            Claim::Ours => drop(folders.incomplete.unlink(OsStr::new(name)).context("remove", path)?),
            Claim::Absent => {
                if found(folders, id)?.is_some_and(|stat| stat.kind != Kind::File) {
                    let error = Error::new(ErrorKind::Io, "claim", path());
                    return Err(error.with_detail("something that is not a regular file is in the way; remove it"));
                }
            }
        }
    }
}

/// What has the name of the image's sign.
fn found(folders: &Folders, id: &ImageId) -> Result<Option<sys::Stat>> {
    let path = || folders.incomplete.path_of(id.as_str());
    folders.incomplete.stat(OsStr::new(id.as_str())).context("look at", path)
}

/// Removes our sign, unless a Glance has written into it: then it is that one's to commit or to remove.
fn withdraw(folders: &Folders, id: &ImageId, sign: Option<Inode>) -> Result<()> {
    let ours = found(folders, id)?.is_some_and(|found| Some(found.inode) == sign && found.size == 0);
    // The tag, too: where ours was removed, its inode's number may be a Glance's fill by now.
    if ours && entry::claim(folders, id)? == Claim::Ours {
        let path = || folders.incomplete.path_of(id.as_str());
        folders.incomplete.unlink(OsStr::new(id.as_str())).context("remove", path)?;
    }
    Ok(())
}
