//! Each lock of `lock.rs` is really taken: whoever needs one waits for whoever has it.
//!
//! The system tells who waits for what (`proc_locks(5)`), so that little here hangs on time: a step that does not wait
//! comes to its end instead, and the test is red.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use icewell::{Announced, Cache, Commit, ErrorKind, Limit, Mode};
use rustix::fs::{FlockOperation, flock};

use crate::support::{Own, Stop, announced, begin, bytes, failed, hit, id, listed, noise, own, put, queued};

/// Whether anybody waits for the `flock` of the file with this inode.
fn is_waited_for(inode: u64) -> bool {
    let locks = fs::read_to_string("/proc/locks").unwrap();
    let waits = |line: &str| line.contains("-> FLOCK") && line.contains(&format!(":{inode} "));
    locks.lines().any(waits)
}

/// Holds the lock of `locked` while `step` runs on another thread: it has to wait, and `unchanged` to hold meanwhile.
#[track_caller]
fn waits_for(locked: &Path, what: &str, step: impl FnOnce() + Send, unchanged: impl FnOnce()) {
    let inode = fs::metadata(locked).unwrap().ino();
    holds_up(locked, what, step, unchanged, || is_waited_for(inode));
}

/// As [`waits_for`], of who tries again and again, which nobody can see from outside: he gets the time for many tries.
#[track_caller]
fn tries_for(locked: &Path, what: &str, step: impl FnOnce() + Send, unchanged: impl FnOnce()) {
    let since = Instant::now();
    holds_up(locked, what, step, unchanged, || since.elapsed() > Duration::from_millis(100));
}

#[track_caller]
fn holds_up(
    locked: &Path,
    what: &str,
    step: impl FnOnce() + Send,
    unchanged: impl FnOnce(),
    long_enough: impl Fn() -> bool,
) {
    let file = File::open(locked).unwrap();
    flock(&file, FlockOperation::LockExclusive).unwrap();
    std::thread::scope(|scope| {
        let stepping = scope.spawn(step);
        while !long_enough() && !stepping.is_finished() {
            std::thread::yield_now();
        }
        let waits = !stepping.is_finished();
        if waits {
            unchanged();
        }
        flock(&file, FlockOperation::Unlock).unwrap();
        stepping.join().unwrap();
        assert!(waits, "{what} does not wait for the lock of {locked:?}");
    });
}

#[test]
fn two_prunes_come_one_after_the_other() {
    let own = own();
    put(&own, "x", b"bytes");
    let nothing = Limit { max_size: 0, ..Limit::default() };
    waits_for(
        &own.dir,
        "a prune",
        || assert_eq!(own.prune(nothing, Mode::Act).unwrap().files(), 1),
        || assert_eq!(listed(&own), ["x"]),
    );
    assert!(listed(&own).is_empty());
}

/// A cache in which everything is there that a step could want.
fn furnished() -> Own {
    let own = own();
    let mut writer = own.write(&id("x")).unwrap();
    writer.start(crate::support::vouched(5, "md5:4b3a6218bb3e3a7303e8a171a60fcf92")).unwrap();
    writer.write(b"bytes").unwrap();
    writer.commit().unwrap();
    begin(&own, "left", b"by", 5).suspend().unwrap();
    begin(&own, "failed", b"by", 5).roll_back("why");
    own
}

#[test]
fn who_counts_removes_or_moves_waits_for_the_directory() {
    type Step = fn(&Cache);
    let steps: [(&str, Step); 9] = [
        ("a clean of failed fills", |cache| assert_eq!(cache.reap_invalid(Duration::ZERO).unwrap(), 1)),
        ("a clean of stalled fills", |cache| assert_eq!(cache.reap_stalled(Duration::ZERO).unwrap(), 1)),
        ("the pass that holds the limit", |cache| assert!(cache.enforce_limit().unwrap())),
        ("a claim", |cache| drop(cache.write(&id("new")).unwrap())),
        ("a roll back", |cache| cache.write(&id("new")).unwrap().roll_back("why")),
        ("a verify that finds rot", |cache| {
            fs::write(cache.dir().join("x"), b"rot!!").unwrap();
            assert!(matches!(cache.verify(&id("x"), &mut |_| {}), Ok(icewell::Verdict::Corrupt(_))));
        }),
        ("a fill's start", |cache| put(cache, "new", b"bytes")),
        ("a fill", |cache| put(cache, "left", b"bytes")),
        ("a prune", |cache| drop(cache.prune(Limit::default(), Mode::Act).unwrap())),
    ];
    for (what, step) in steps {
        let own = furnished();
        let before = crate::support::files_under(&own.dir);
        waits_for(
            &own.dir,
            what,
            || step(&own),
            || assert_eq!(crate::support::files_under(&own.dir), before, "{what}"),
        );
    }
}

/// The steps of one fill, each with the lock held anew.
#[test]
fn a_fill_waits_for_the_directory_when_it_reserves_grows_and_commits() {
    let own = own();
    let used = || own.space().unwrap().incomplete.size;
    let unpromised = |counted| assert_eq!(used(), counted, "nothing is promised without the lock");
    let mut writer = own.write(&id("x")).unwrap();
    waits_for(&own.dir, "a reservation", || writer.start(announced(3)).unwrap(), || unpromised(0));
    writer.release().unwrap();
    let mut writer = own.write(&id("x")).unwrap();
    writer.start(Announced::default()).unwrap();
    let (small, large) = (noise(1, 1000), noise(2, 2 << 20));
    waits_for(&own.dir, "a first step", || writer.write(&small).unwrap(), || unpromised(0));
    let promised = used();
    waits_for(&own.dir, "a larger step", || writer.write(&large).unwrap(), || unpromised(promised));
    let image = own.dir.join("x");
    waits_for(
        &own.dir,
        "a commit",
        || assert_eq!(writer.commit().unwrap(), Commit::Stored),
        || assert!(!image.exists()),
    );
    assert!(bytes(&own, "x").unwrap() == [small, large].concat());
    let writer = begin(&own, "y", b"bytes", 5);
    waits_for(&own.dir, "a roll back", || writer.roll_back("why"), || assert!(failed(&own).is_empty()));
}

#[test]
fn entries_of_the_queue_come_one_after_the_other() {
    let own = own();
    let queue = own.dir.join("queue");
    waits_for(&queue, "queueing", || assert!(own.queue(&id("x")).unwrap()), || assert!(queued(&own).is_empty()));
}

#[test]
fn hits_are_counted_one_after_the_other() {
    let own = own();
    put(&own, "x", b"bytes");
    let image = own.dir.join("x");
    tries_for(&image, "a hit", || hit(&own, "x"), || assert_eq!(own.hits(&id("x")).unwrap(), 0));
    assert_eq!(own.hits(&id("x")).unwrap(), 1);
    rustix::fs::removexattr(&image, icewell::layout::tag::HITS).unwrap();
    let take_over = || assert!(own.read(&id("x")).unwrap().take_over(7, SystemTime::now()).unwrap());
    tries_for(&image, "taking hits over", take_over, || assert_eq!(own.hits(&id("x")).unwrap(), 0));
    assert_eq!(own.hits(&id("x")).unwrap(), 7);
}

/// A lock belongs to a file, not to its name: who has opened the bytes of a fill and gets their lock may have that of a
/// file that somebody else, who held the lock before, has removed. Then two would fill one image.
#[test]
fn a_lock_of_a_file_that_has_lost_its_name_is_no_claim() {
    let own = own();
    let image = id("x");
    let path = own.dir.join("incomplete/.icewell/x");
    let (held, stop) = (AtomicUsize::new(0), Stop::default());
    std::thread::scope(|scope| {
        // Removes what nobody fills: under the lock of the bytes, as anybody may who knows the format, and not under that
        // of the directory, which is Icewell's own.
        scope.spawn(|| {
            while !stop.is_set() {
                if let Ok(file) = File::options().read(true).write(true).open(&path)
                    && try_lock(&file)
                    && fs::metadata(&path).is_ok_and(|named| named.ino() == file.metadata().unwrap().ino())
                {
                    fs::remove_file(&path).ok();
                }
            }
        });
        let _end = stop.setter();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..4000 {
                        match own.write(&image) {
                            Ok(writer) => {
                                assert_eq!(held.fetch_add(1, Ordering::SeqCst), 0, "two fill one image");
                                std::thread::yield_now();
                                held.fetch_sub(1, Ordering::SeqCst);
                                drop(writer);
                            }
                            Err(error) => assert_eq!(error.kind(), ErrorKind::InProgress, "{error}"),
                        }
                    }
                });
            }
        });
    });
    begin(&own, "x", b"bytes", 5).commit().unwrap();
}

/// The write lock of an open file description, if it is free (`fcntl(2)`).
fn try_lock(file: &File) -> bool {
    let lock = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    // SAFETY: `file` is open for the length of the call, and `lock` is a whole `struct flock` that the kernel only reads.
    unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) == 0 }
}
