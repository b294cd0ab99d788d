//! The two kinds of lock the kernel gives us; `crate::lock` says what each is for.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::failpoints::{Call, call};
use super::{Dir, raw};

/// How often a lock is tried that somebody else has: nobody of ours has a file's for longer than two calls to the system.
const TRY_EVERY: Duration = Duration::from_millis(1);

/// A lock on a folder, given back on drop or when the process ends.
#[derive(Debug)]
pub(crate) struct Held {
    fd: OwnedFd,
}

/// Given back by name, not only by closing: a process that somebody forked meanwhile shares the open file description,
/// and would hold the lock for as long as it lives.
impl Drop for Held {
    fn drop(&mut self) {
        flock(&self.fd, FlockOperation::Unlock).ok();
    }
}

/// Waits for the exclusive `flock(2)` of a folder. Every call has its own open file description, so that it excludes
/// this process's other threads as well.
pub(crate) fn hold(dir: &Dir) -> io::Result<Held> {
    let fd = dir.reopen()?;
    hold_fd(&fd)?;
    Ok(Held { fd })
}

/// Waits for the exclusive `flock(2)` of an open file, runs `work`, and gives the lock back; none where somebody else had it
/// for so long.
pub(crate) fn hold_file<Fd: AsFd, T>(
    fd: Fd,
    patience: Duration,
    work: impl FnOnce() -> io::Result<T>,
) -> io::Result<Option<T>> {
    let since = Instant::now();
    loop {
        match call(Call::Flock).and_then(|()| flock(&fd, FlockOperation::NonBlockingLockExclusive)) {
            Ok(()) => break,
            Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) if since.elapsed() >= patience => return Ok(None),
            Err(Errno::WOULDBLOCK) => std::thread::sleep(TRY_EVERY),
            Err(error) => return Err(error.into()),
        }
    }
    let result = work();
    // No failpoint here: what is held can always be given back.
    flock(&fd, FlockOperation::Unlock)?;
    result.map(Some)
}

fn hold_fd<Fd: AsFd>(fd: Fd) -> io::Result<()> {
    loop {
        match call(Call::Flock).and_then(|()| flock(&fd, FlockOperation::LockExclusive)) {
            Err(Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

/// Takes the lock of a fill's bytes if it is free; whether it was.
pub(crate) fn try_lock_fill<Fd: AsFd>(fd: Fd) -> io::Result<bool> {
    call(Call::FillLock)?;
    raw::lock_fill(fd.as_fd())
}

/// Gives the lock of a fill's bytes back, also for processes forked meanwhile.
pub(crate) fn unlock_fill<Fd: AsFd>(fd: Fd) {
    raw::unlock_fill(fd.as_fd());
}
