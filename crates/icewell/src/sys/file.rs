//! Open files: bytes, times, durability.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, IoSliceMut, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{self, SeekFrom, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use super::Stat;
use super::failpoints::{Call, call};

/// What a file outside the cache is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    /// Made if missing, with mode 0666 less the umask; not truncated. Not readable as well: of a pipe we would be a
    /// reader ourselves then, and never hear that the other one has gone.
    Write,
}

/// Opens a file by a path that the caller of the library gave: where bytes come from or go to, outside the cache.
pub(crate) fn open_outside(path: &Path, access: Access) -> io::Result<File> {
    call(Call::Openat)?;
    let mut options = OpenOptions::new();
    match access {
        Access::Read => options.read(true),
        Access::Write => options.write(true).create(true).truncate(false),
    };
    options.custom_flags(libc::O_CLOEXEC).open(path)
}

/// The text of a small file outside the cache, such as one in `/proc`.
pub(super) fn read_outside(path: &str) -> io::Result<String> {
    let mut text = String::new();
    let file = open_outside(Path::new(path), Access::Read)?;
    call(Call::Pread)?;
    file.take(1 << 16).read_to_string(&mut text)?;
    Ok(text)
}

/// A new open file description, for reading only, of an open file that may have no name any more.
pub(crate) fn reopen_for_reading<Fd: AsFd>(dir: &super::Dir, name: &str, same_as: Fd) -> io::Result<Option<File>> {
    let Some((fd, stat)) = dir.open_file(name)? else { return Ok(None) };
    Ok((stat.inode == super::stat(same_as)?.inode).then(|| File::from(fd)))
}

/// What an open file is, if it has this name in the folder; none where the name is another's or nobody's.
///
/// How many names it has would say nothing by itself: somebody's file may be linked in, opened, and be unlinked again before
/// it is looked at. Each such step changes the time of change (`inode(7)`), so the name is looked for between two looks
/// that agree. That makes such a race rare, not impossible: the kernel shows steps half done, and before Linux 6.13 that
/// time moves in ticks. Who may make the link has the right to read and write that file, as long as
/// `fs.protected_hardlinks` is on (`proc_sys_fs(5)`).
pub(crate) fn stat_named<Fd: AsFd + Copy>(dir: &super::Dir, name: &OsStr, fd: Fd) -> io::Result<Option<Stat>> {
    // Somebody may tag the file meanwhile, which is no reason; who goes on and on with it has another one.
    for _ in 0..64 {
        let before = super::stat(fd)?;
        if dir.stat(name)?.is_none_or(|named| named.inode != before.inode) {
            return Ok(None);
        }
        let after = super::stat(fd)?;
        if (after.changed, after.links) == (before.changed, before.links) {
            return Ok(Some(after));
        }
    }
    Ok(None)
}

/// A file time to set, or to leave as it is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SetTime {
    To(SystemTime),
    Keep,
}

/// Sets access and modification time, to the nanosecond where the file system keeps it. Owner only (`utimensat(2)`).
pub(crate) fn set_times<Fd: AsFd>(fd: Fd, accessed: SetTime, modified: SetTime) -> io::Result<()> {
    let spec = |time| match time {
        SetTime::Keep => Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        SetTime::To(time) => {
            let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
            Timespec { tv_sec: since.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: since.subsec_nanos().into() }
        }
    };
    call(Call::Utimensat)?;
    Ok(fs::futimens(fd, &Timestamps { last_access: spec(accessed), last_modification: spec(modified) })?)
}

/// Sets the size; bytes that are new read as zeros and take no blocks.
pub(crate) fn truncate(file: &File, size: u64) -> io::Result<()> {
    call(Call::Ftruncate)?;
    Ok(fs::ftruncate(file, size)?)
}

/// Writes all of `bytes` at `offset`.
pub(crate) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    call(Call::Pwrite)?;
    file.write_all_at(bytes, offset)
}

/// Reads at `offset`; 0 bytes at the end.
pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    call(Call::Pread)?;
    file.read_at(buffer, offset)
}

/// Reads as many bytes as there is room for; fewer are an error.
pub(crate) fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    call(Call::Pread)?;
    file.read_exact_at(buffer, offset)
}

/// Reads where the file's own position is.
pub(crate) fn read(mut file: &File, buffer: &mut [u8]) -> io::Result<usize> {
    call(Call::Pread)?;
    file.read(buffer)
}

/// Has the kernel bring in no more of an open file than is asked for.
pub(crate) fn read_nothing_ahead(file: &File) -> io::Result<()> {
    call(Call::Fadvise)?;
    Ok(fs::fadvise(file, 0, None, fs::Advice::Random)?)
}

/// Reads at `offset`. What is not in the page cache is not left there afterwards; what is, stays.
pub(crate) fn read_gently(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        let mut buffers = [IoSliceMut::new(buffer)];
        match call(Call::Pread).and_then(|()| preadv2(file, &mut buffers, offset, ReadWriteFlags::NOWAIT)) {
            Ok(length) if length > 0 => return Ok(length),
            Err(Errno::INTR) => {}
            // Not in memory, at the end, or on a file system that cannot tell.
            Ok(_) | Err(Errno::AGAIN | Errno::OPNOTSUPP) => break,
            Err(error) => return Err(error.into()),
        }
    }
    let length = read_at(file, buffer, offset)?;
    let read = std::num::NonZeroU64::new(length as u64);
    if read.is_some() {
        call(Call::Fadvise)?;
        fs::fadvise(file, offset, read, fs::Advice::DontNeed)?;
    }
    Ok(length)
}

/// Data, size, tags and times reach the disk.
pub(crate) fn sync(file: &File) -> io::Result<()> {
    call(Call::Fsync)?;
    Ok(fs::fsync(file)?)
}

/// Data and size reach the disk.
pub(crate) fn sync_data(file: &File) -> io::Result<()> {
    call(Call::Fdatasync)?;
    Ok(fs::fdatasync(file)?)
}

/// What was written to the file system that holds an open file reaches the disk.
pub(crate) fn sync_file_system<Fd: AsFd>(fd: Fd) -> io::Result<()> {
    call(Call::Syncfs)?;
    Ok(fs::syncfs(fd)?)
}

/// The next run of data at or after `offset`, as start and end; none if there are only holes up to the end.
pub(crate) fn next_data(file: &File, offset: u64) -> io::Result<Option<(u64, u64)>> {
    let start = match call(Call::Lseek).and_then(|()| fs::seek(file, SeekFrom::Data(offset))) {
        Ok(start) => start,
        Err(Errno::NXIO) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    call(Call::Lseek)?;
    Ok(Some((start, fs::seek(file, SeekFrom::Hole(start))?)))
}

/// Makes `to` share all of `from`'s blocks (a reflink); whether the file system could.
pub(crate) fn clone_range(from: &File, to: &File) -> io::Result<bool> {
    match call(Call::Ficlone).and_then(|()| fs::ioctl_ficlone(to, from)) {
        Ok(()) => Ok(true),
        // Not on this file system, not across two, or the target is no regular file (`ioctl_ficlone(2)`).
        Err(Errno::OPNOTSUPP | Errno::XDEV | Errno::INVAL | Errno::NOTTY | Errno::BADF | Errno::NOSYS) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Copies up to `length` bytes inside the kernel; how many. None where the kernel cannot for these two files.
pub(crate) fn copy_range(from: &File, to: &File, offset: u64, length: usize) -> io::Result<Option<usize>> {
    let (mut from_offset, mut to_offset) = (offset, offset);
    let copied = call(Call::CopyFileRange)
        .and_then(|()| fs::copy_file_range(from, Some(&mut from_offset), to, Some(&mut to_offset), length));
    match copied {
        Ok(copied) => Ok(Some(copied)),
        Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::BADF) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
