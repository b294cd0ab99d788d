//! Extended attributes.

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;

use rustix::fs::{self, XattrFlags};
use rustix::io::Errno;

use super::failpoints::{Call, call};
use super::{Dir, raw};

/// The longest value that is read: `user.*` values of ext4 fit a 4 KiB block, and no tag of ours is longer elsewhere.
const MAX_VALUE: usize = 4096;

/// What nearly every value fits: passes over many images read so much first.
const SHORT_VALUE: usize = 256;

/// The value of a tag of an open file; none if it has no such tag. One longer than 4 KiB is `ERANGE`.
pub(crate) fn get_tag<Fd: AsFd>(fd: Fd, key: &str) -> io::Result<Option<Vec<u8>>> {
    read_tag(fd, key, |value| value.map(<[u8]>::to_vec))
}

/// What `read` makes of the value of a tag of an open file; as [`get_tag`].
pub(crate) fn read_tag<Fd: AsFd, T>(fd: Fd, key: &str, read: impl FnOnce(Option<&[u8]>) -> T) -> io::Result<T> {
    tag_into(fd, key, &mut [0; MAX_VALUE]).map(read)
}

/// What `read` makes of the value of a tag of a name in a folder; it gets none if there is no such name, no such tag, or
/// no regular file.
pub(crate) fn read_tag_at<T>(
    dir: &Dir,
    name: &OsStr,
    key: &str,
    read: impl FnOnce(Option<&[u8]>) -> T,
) -> io::Result<T> {
    match tag_at_into(dir, name, key, &mut [0; SHORT_VALUE]) {
        Err(error) if error.raw_os_error() == Some(libc::ERANGE) => {
            tag_at_into(dir, name, key, &mut [0; MAX_VALUE]).map(read)
        }
        other => other.map(read),
    }
}

fn tag_into<'v, Fd: AsFd>(fd: Fd, key: &str, value: &'v mut [u8]) -> io::Result<Option<&'v [u8]>> {
    match call(Call::Fgetxattr).and_then(|()| fs::fgetxattr(fd, key, &mut *value)) {
        Ok(length) => Ok(Some(&value[..length])),
        Err(Errno::NODATA) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn tag_at_into<'v>(dir: &Dir, name: &OsStr, key: &str, value: &'v mut [u8]) -> io::Result<Option<&'v [u8]>> {
    match raw::getxattrat(dir.as_fd(), name, key, value) {
        Some(Ok(length)) => return Ok(Some(&value[..length])),
        Some(Err(error)) => {
            let missing = [libc::ENODATA, libc::ENOENT].map(Some).contains(&error.raw_os_error());
            return if missing { Ok(None) } else { Err(error) };
        }
        None => {}
    }
    match name.to_str().map(|name| dir.open_file(name)).transpose()?.flatten() {
        Some((fd, _)) => tag_into(fd, key, value),
        None => Ok(None),
    }
}

/// Sets a tag, over the value it may have.
pub(crate) fn set_tag<Fd: AsFd>(fd: Fd, key: &str, value: &[u8]) -> io::Result<()> {
    call(Call::Fsetxattr)?;
    Ok(fs::fsetxattr(fd, key, value, XattrFlags::empty())?)
}

/// Removes a tag if it is there.
pub(crate) fn remove_tag<Fd: AsFd>(fd: Fd, key: &str) -> io::Result<()> {
    match call(Call::Fremovexattr).and_then(|()| fs::fremovexattr(fd, key)) {
        Err(Errno::NODATA) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
