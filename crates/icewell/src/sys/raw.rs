//! System calls that no crate wraps: open-file-description locks, leases, `getxattrat`.

use std::ffi::{CStr, OsStr};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::path::Arg;

use super::failpoints::{Call, call};

fn whole_file(kind: libc::c_int) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

/// Takes the write lock of an open file description (`fcntl(2)`, "Open file description locks") if it is free.
pub(super) fn lock_fill(fd: BorrowedFd<'_>) -> io::Result<bool> {
    let lock = whole_file(libc::F_WRLCK);
    // SAFETY: `fd` is open for the length of the call, and `lock` is a whole `struct flock` that the kernel only reads.
    let result = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) };
    if result == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EACCES) => Ok(false),
        _ => Err(error),
    }
}

/// Gives the lock of an open file description back. It cannot fail on a lock that is held.
pub(super) fn unlock_fill(fd: BorrowedFd<'_>) {
    let lock = whole_file(libc::F_UNLCK);
    // SAFETY: `fd` is open for the length of the call, and `lock` is a whole `struct flock` that the kernel only reads.
    unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) };
}

/// Whether somebody holds the write lock of this file. Asks without taking it, so that no filler is ever turned away
/// because somebody was looking.
pub(crate) fn fill_is_locked<Fd: AsFd>(fd: Fd) -> io::Result<bool> {
    call(Call::FillLocked)?;
    let mut lock = whole_file(libc::F_RDLCK);
    // SAFETY: `fd` is open for the length of the call, and `lock` is a whole `struct flock` that the kernel may write.
    let result = unsafe { libc::fcntl(fd.as_fd().as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) };
    if result == 0 { Ok(lock.l_type != libc::F_UNLCK as libc::c_short) } else { Err(io::Error::last_os_error()) }
}

/// Whether any process has this file open for writing, as a live Glance has the file it fills; none where the system
/// does not tell: another owner's file, a file system without leases.
///
/// A read lease is granted exactly when nobody has the file open for writing (`fcntl(2)`, `F_SETLEASE`). `fd` must be
/// open for reading only.
pub(crate) fn being_written<Fd: AsFd>(fd: Fd) -> Option<bool> {
    if let Err(error) = call(Call::Lease) {
        return (error == rustix::io::Errno::AGAIN).then_some(true);
    }
    let fd = fd.as_fd().as_raw_fd();
    // A writer that comes while the lease is ours makes the kernel send us a signal, by default the deadly SIGIO.
    // SIGURG is ignored by default.
    // SAFETY: plain integers go in, none of our memory is touched; `fd` is open for the length of the calls.
    let result = unsafe {
        libc::fcntl(fd, F_SETSIG, libc::SIGURG);
        libc::fcntl(fd, libc::F_SETLEASE, libc::F_RDLCK)
    };
    if result != 0 {
        return (io::Error::last_os_error().raw_os_error() == Some(libc::EAGAIN)).then_some(true);
    }
    // SAFETY: as above.
    unsafe { libc::fcntl(fd, libc::F_SETLEASE, libc::F_UNLCK) };
    Some(false)
}

/// Has the system begin to write these bytes to the disk, and does not wait for it (`sync_file_range(2)`). A hint: where it
/// cannot be followed, a sync writes them later.
pub(crate) fn begin_to_store<Fd: AsFd>(fd: Fd, offset: u64, length: u64) {
    let (Ok(offset), Ok(length), Ok(())) = (offset.try_into(), length.try_into(), call(Call::SyncFileRange)) else {
        return;
    };
    // SAFETY: plain integers go in, none of our memory is touched; `fd` is open for the length of the call.
    unsafe { libc::sync_file_range(fd.as_fd().as_raw_fd(), offset, length, libc::SYNC_FILE_RANGE_WRITE) };
}

/// `struct xattr_args` of `getxattrat(2)`.
#[repr(C)]
struct XattrArgs {
    value: u64,
    size: u32,
    flags: u32,
}

/// The number of `getxattrat` on every architecture that took part in the common numbering (Linux 6.13).
const SYS_GETXATTRAT: libc::c_long = 464;

/// `F_SETSIG` of `fcntl(2)`, the same number on every Linux architecture.
const F_SETSIG: libc::c_int = 10;

static NO_GETXATTRAT: AtomicBool = AtomicBool::new(false);

/// Reads an extended attribute of a name in a folder without opening the file: its length, or the system's error.
/// None where the kernel does not know the call, or does not let us.
pub(super) fn getxattrat(dir: BorrowedFd<'_>, name: &OsStr, key: &str, value: &mut [u8]) -> Option<io::Result<usize>> {
    if NO_GETXATTRAT.load(Ordering::Relaxed) {
        return None;
    }
    if let Err(error) = call(Call::Getxattrat) {
        return Some(Err(error.into()));
    }
    // Both with their NUL on the stack: a pass over many images comes here for each.
    let called = name.into_with_c_str(|name| key.into_with_c_str(|key| Ok(call_getxattrat(dir, name, key, value))));
    called.unwrap_or_else(|refused| Some(Err(refused.into())))
}

fn call_getxattrat(dir: BorrowedFd<'_>, name: &CStr, key: &CStr, value: &mut [u8]) -> Option<io::Result<usize>> {
    let mut args =
        XattrArgs { value: value.as_mut_ptr() as u64, size: value.len().try_into().unwrap_or(u32::MAX), flags: 0 };
    // SAFETY: `name` and `key` end with NUL and live through the call; `args` is a whole `struct xattr_args` that names
    // `value`'s memory with its length, and the kernel writes no more than that.
    let result = unsafe {
        libc::syscall(
            SYS_GETXATTRAT,
            dir.as_raw_fd(),
            name.as_ptr(),
            libc::AT_SYMLINK_NOFOLLOW,
            key.as_ptr(),
            &raw mut args,
            size_of::<XattrArgs>(),
        )
    };
    if result >= 0 {
        return Some(Ok(usize::try_from(result).unwrap_or(0)));
    }
    let error = io::Error::last_os_error();
    // EPERM is no answer about a file, to a question about one of its `user.` tags: it comes from a filter of system calls
    // that is older than this one, of a container or of systemd.
    if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) {
        NO_GETXATTRAT.store(true, Ordering::Relaxed);
        return None;
    }
    Some(Err(error))
}

/// Sends this thread a signal. For failpoints, which no release build has.
#[cfg(debug_assertions)]
pub(super) fn raise(signal: libc::c_int) {
    // SAFETY: a plain integer goes in; what the signal does is what the caller wants.
    unsafe { libc::raise(signal) };
}
