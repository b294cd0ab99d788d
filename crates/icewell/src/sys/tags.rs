//! Extended attributes.

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;

use rustix::fs::{self, XattrFlags};
use rustix::io::Errno;

use super::{Dir, raw};

/// The longest value that is read: `user.*` values of ext4 fit a 4 KiB block, and no tag of ours is longer elsewhere.
const MAX_VALUE: usize = 4096;

/// What nearly every value fits: passes over many images read so much first.
const SHORT_VALUE: usize = 256;

/// The value of a tag of an open file; none if it has no such tag. One longer than 4 KiB is `ERANGE`.
pub(crate) fn get_tag<Fd: AsFd>(fd: Fd, key: &str) -> io::Result<Option<Vec<u8>>> {
    let mut value = [0; MAX_VALUE];
    match fs::fgetxattr(fd, key, &mut value[..]) {
        Ok(length) => Ok(Some(value[..length].to_vec())),
        Err(Errno::NODATA) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The value of a tag of a name in a folder; none if there is no such name, no such tag, or no regular file.
pub(crate) fn get_tag_at(dir: &Dir, name: &OsStr, key: &str) -> io::Result<Option<Vec<u8>>> {
    match get_tag_at_up_to::<SHORT_VALUE>(dir, name, key) {
        Err(error) if error.raw_os_error() == Some(libc::ERANGE) => get_tag_at_up_to::<MAX_VALUE>(dir, name, key),
        other => other,
    }
}

fn get_tag_at_up_to<const LENGTH: usize>(dir: &Dir, name: &OsStr, key: &str) -> io::Result<Option<Vec<u8>>> {
    let mut value = [0; LENGTH];
    match raw::getxattrat(dir.as_fd(), name, key, &mut value) {
        Some(Ok(length)) => return Ok(Some(value[..length].to_vec())),
        Some(Err(error)) => {
            let missing = [libc::ENODATA, libc::ENOENT].map(Some).contains(&error.raw_os_error());
            return if missing { Ok(None) } else { Err(error) };
        }
        None => {}
    }
    let Some(name) = name.to_str() else { return Ok(None) };
    match dir.open_file(name)? {
        Some((fd, _)) => get_tag(fd, key),
        None => Ok(None),
    }
}

/// Sets a tag, over the value it may have.
pub(crate) fn set_tag<Fd: AsFd>(fd: Fd, key: &str, value: &[u8]) -> io::Result<()> {
    Ok(fs::fsetxattr(fd, key, value, XattrFlags::empty())?)
}

/// Removes a tag if it is there.
pub(crate) fn remove_tag<Fd: AsFd>(fd: Fd, key: &str) -> io::Result<()> {
    match fs::fremovexattr(fd, key) {
        Err(Errno::NODATA) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
