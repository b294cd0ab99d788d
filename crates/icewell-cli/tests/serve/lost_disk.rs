//! A file system that turns read-only, and a folder whose permissions vanish: hits go on where bytes can be read, whatever
//! cannot be kept is passed on, and the cache works again by itself.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

use crate::fixture::{Ask, Daemon, Disk, Gate, Image, Origin, icewell_command, until};

#[test]
fn read_only_and_writable_again() {
    let temp = tempfile::tempdir().unwrap();
    let disk = Disk::new("ext4", temp.path(), 40);
    let image = Image::new(1, 2_000_000);
    let origin = Origin::of(&image);
    let daemon = Daemon::start(&disk.path.join("cache"), &origin.url(), &[]);
    daemon.get("/a").is(&image.bytes);
    daemon.settles_at("a", 0);
    // Not before the last writer has gone.
    until("it is read-only", || disk.try_remount("ro"));
    daemon.get("/a").is(&image.bytes);
    assert_eq!(origin.requests(), 1);
    for _ in 0..2 {
        let answer = daemon.get("/b");
        answer.is(&image.bytes);
        assert_eq!(answer.cache_status(), "icewell; fwd=uri-miss; fwd-status=200; detail=cannot-claim");
    }
    disk.remount("rw");
    daemon.get("/b").is(&image.bytes);
    daemon.idle();
    assert!(daemon.is_cached("b"));
    daemon.get("/a").is(&image.bytes);
    until("hits are counted again", || daemon.hits("a").is_some_and(|hits| hits >= 1));
}

/// As ext4 does of itself when it meets an error of the disk.
#[test]
fn read_only_in_the_middle_of_a_fill() {
    let temp = tempfile::tempdir().unwrap();
    let disk = Disk::new("ext4", temp.path(), 60);
    disk.remount("errors=remount-ro");
    let image = Image::new(2, 20_000_000);
    let gate = Gate::at(5_000_000);
    let (told, gated) = (image.clone(), gate.clone());
    let origin = Origin::new(move |request| match request.target.as_str() {
        "/a" => told.answer(request),
        _ => told.answer(request).gated(&gated),
    });
    let daemon = Daemon::start(&disk.path.join("cache"), &origin.url(), &[]);
    daemon.get("/a").is(&image.bytes);
    daemon.settles_at("a", 0);
    let mut download = Ask::get("/b").begin(daemon.address);
    let mut other = Ask::get("/b").begin(daemon.address);
    download.read_to(1_000_000);
    other.read_to(10);
    disk.meets_an_error();
    gate.open();
    download.finish().is(&image.bytes);
    other.finish().is(&image.bytes);
    daemon.get("/a").is(&image.bytes);
    daemon.get("/c").is(&image.bytes);
    daemon.idle();
    assert!(!daemon.is_cached("b") && !daemon.is_cached("c"));
}

/// A file system that loses what it has not stored yet leaves a hole: made here by hand, where the fill waits.
#[test]
fn what_was_lost_of_a_growing_file_never_ends_as_complete() {
    let temp = tempfile::tempdir().unwrap();
    let image = Image::new(3, 20_000_000);
    let gate = Gate::at(6_000_000);
    let (told, gated) = (image.clone(), gate.clone());
    let origin = Origin::new(move |request| told.answer(request).gated(&gated));
    let dir = temp.path().join("cache");
    let daemon = Daemon::start(&dir, &origin.url(), &[]);
    let mut early = Ask::get("/a").begin(daemon.address);
    early.read_to(5_000_000);
    let fill = fs::File::options().write(true).open(dir.join("incomplete/.icewell/a")).unwrap();
    let flags = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
    rustix::fs::fallocate(&fill, flags, 1 << 20, 1 << 20).unwrap();
    let late = Ask::get("/a").begin(daemon.address);
    let beginning = Ask::get("/a").with("Range", "bytes=0-999999").of(daemon.address);
    gate.open();
    let late = late.finish();
    assert!(!late.whole, "a complete answer, though bytes of it were lost");
    beginning.is_part(&image.bytes[..1_000_000]);
    early.finish();
    daemon.idle();
    assert!(!daemon.is_cached("a"));
    daemon.get("/a").is(&image.bytes);
}

#[test]
fn permissions_that_vanish_and_come_back() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("skipped: only root can become somebody else");
    }
    let temp = tempfile::tempdir().unwrap();
    let open = |mode| fs::set_permissions(temp.path(), fs::Permissions::from_mode(mode)).unwrap();
    open(0o755);
    let dir = temp.path().join("cache");
    fs::create_dir(&dir).unwrap();
    std::os::unix::fs::chown(&dir, Some(65534), Some(65534)).unwrap();
    let image = Image::new(3, 3_000_000);
    let gate = Gate::at(1_000_000);
    let (told, gated) = (image.clone(), gate.clone());
    let origin = Origin::new(move |request| match request.target.as_str() {
        "/slow" => told.answer(request).gated(&gated),
        _ => told.answer(request),
    });
    let mut command = icewell_command();
    command.arg("serve").arg("--dir").arg(&dir).args(["--origin", &origin.url(), "--min-free", "0"]);
    command.uid(65534).gid(65534);
    let daemon = Daemon::run(command, &dir, &origin.url());
    daemon.get("/a").is(&image.bytes);
    daemon.settles_at("a", 0);
    let slow = Ask::get("/slow").begin(daemon.address);
    let permit = |mode| {
        for folder in ["", "incomplete", "incomplete/.icewell", "invalid", "queue"] {
            fs::set_permissions(dir.join(folder), fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    permit(0o000);
    gate.open();
    slow.finish().is(&image.bytes);
    for name in ["/a", "/b", "/a"] {
        daemon.get(name).is(&image.bytes);
    }
    let before = origin.requests();
    permit(0o755);
    until("the cache is used again", || {
        daemon.get("/a").is(&image.bytes);
        daemon.get("/c").is(&image.bytes);
        daemon.idle();
        daemon.is_cached("c")
    });
    daemon.get("/a").is(&image.bytes);
    assert!(origin.requests() <= before + 2, "a is a hit again");
}
