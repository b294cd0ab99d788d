//! Failpoints: where a test has a build for development fail, stop or die. A release build has none of it.
//!
//! There are two kinds of points. A [`Call`] is one of the calls to the system that this folder makes; it can be made to
//! fail as the system would. A [`Step`] is a moment between two calls that a crash must survive; there the process can die
//! or stop. Each is one line of a table below, so that a test can walk all of them: a new one that no test reaches is an
//! error there, one that nobody names is a warning of the compiler here.
//!
//! `CONTRIBUTING.md` says how they are set.

#[cfg(debug_assertions)]
mod armed;
#[cfg(debug_assertions)]
mod plan;

#[cfg(debug_assertions)]
pub use armed::{Armed, arm, calls, steps};

use rustix::io::Errno;

/// Names the points of one kind.
macro_rules! points {
    ($(#[$doc:meta])* $kind:ident, $names:ident: $($point:ident $name:literal)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub(crate) enum $kind { $($point),* }

        #[cfg(debug_assertions)]
        const $names: &[&str] = &[$($name),*];
    };
}

points! {
    /// A call to the system, before it is made.
    Call, CALLS:
    CopyFileRange "copy_file_range"
    Fadvise "fadvise"
    Fchmod "fchmod"
    Fchown "fchown"
    Fdatasync "fdatasync"
    Ficlone "ficlone"
    Fgetxattr "fgetxattr"
    FillLock "fcntl_setlk"
    FillLocked "fcntl_getlk"
    Flock "flock"
    Fremovexattr "fremovexattr"
    Fsetxattr "fsetxattr"
    Fstatfs "fstatfs"
    Fsync "fsync"
    Ftruncate "ftruncate"
    Getdents "getdents"
    Getxattrat "getxattrat"
    Lease "fcntl_setlease"
    Linkat "linkat"
    Lseek "lseek"
    Mkdirat "mkdirat"
    Openat "openat"
    Pread "pread"
    Pwrite "pwrite"
    Renameat "renameat"
    Renameat2 "renameat2"
    Statx "statx"
    SyncFileRange "sync_file_range"
    Syncfs "syncfs"
    Unlinkat "unlinkat"
    Utimensat "utimensat"
}

points! {
    /// A moment between two calls.
    Step, STEPS:
    // An image in.
    ClaimLocked "claim.locked"
    ClaimSigned "claim.signed"
    ClaimMarked "claim.marked"
    StartReplaced "start.replaced"
    StartTagged "start.tagged"
    StartMarked "start.marked"
    ResumeCut "resume.cut"
    ResumeMarked "resume.marked"
    ReserveRoomMade "reserve.room-made"
    ReserveRecorded "reserve.recorded"
    RoomRemoved "room.removed"
    WriteWritten "write.written"
    WriteMarked "write.marked"
    VerifyCompared "verify.compared"
    TagUnmarked "tag.unmarked"
    TagTagged "tag.tagged"
    CommitUnsynced "commit.unsynced"
    CommitSynced "commit.synced"
    CommitUnnamed "commit.unnamed"
    CommitRenamed "commit.renamed"
    CommitDurable "commit.durable"
    CommitUnsigned "commit.unsigned"
    CommitUnqueued "commit.unqueued"
    FailCut "fail.cut"
    InvalidateNoted "invalidate.noted"
    InvalidateRenamed "invalidate.renamed"
    FailAside "fail.aside"
    SuspendSynced "suspend.synced"
    SuspendMarked "suspend.marked"
    ReleaseRemoved "release.removed"
    // What is there.
    HitLocked "hit.locked"
    HitCounted "hit.counted"
    CopyCopied "copy.copied"
    CompareCompared "compare.compared"
    PinTagged "pin.tagged"
    RemoveRemoved "remove.removed"
    PruneRemoved "prune.removed"
    CleanRemoved "clean.removed"
    LimitHalfSet "limit.half-set"
    // What is wanted.
    QueueMade "queue.made"
    QueueDated "queue.dated"
    QueueDurable "queue.durable"
    UnqueueFound "unqueue.found"
}

/// Fails where a test wants this call to fail. It stands before each call to the system, and is nothing in a release build.
#[cfg(debug_assertions)]
pub(super) fn call(call: Call) -> Result<(), Errno> {
    armed::reach(call as usize)
}

/// As above.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub(super) const fn call(_: Call) -> Result<(), Errno> {
    Ok(())
}

/// Dies or stops where a test wants that.
#[cfg(debug_assertions)]
pub(crate) fn step(step: Step) {
    // What a step may do is checked where it is set: it cannot fail.
    armed::reach(CALLS.len() + step as usize).ok();
}

/// As above.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub(crate) const fn step(_: Step) {}
