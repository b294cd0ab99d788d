//! A file system that is full costs the cache its copy, never a client its download.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use crate::fixture::{Ask, Daemon, Image, Origin, Response};

/// A small file system, mounted until it is dropped.
struct Disk(PathBuf);

impl Disk {
    fn new(temp: &Path, megabytes: u32) -> Self {
        let disk = Disk(temp.join("disk"));
        disk.script(&["mount", "ext4", &megabytes.to_string()]);
        disk
    }

    fn script(&self, args: &[&str]) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/loopfs.sh");
        let mut command = Command::new(script);
        match args {
            [verb, rest @ ..] => command.arg(verb).args(rest).arg(&self.0),
            [] => unreachable!(),
        };
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.script(&["umount"]);
    }
}

#[test]
fn an_image_larger_than_the_disk_reaches_every_client() {
    let temp = tempfile::tempdir().unwrap();
    let disk = Disk::new(temp.path(), 40);
    let image = Image::new(1, 60_000_000);
    let origin = Origin::of(&image);
    let daemon = Daemon::start(&disk.0.join("cache"), &origin.url(), &[]);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| daemon.get("/a").is(&image.bytes));
        }
        scope.spawn(|| {
            let part = Ask::get("/a").with("Range", "bytes=30000000-59999999").of(daemon.address);
            part.is_part(&image.bytes[30_000_000..]);
        });
    });
    daemon.idle();
    for state in ["", "--incomplete", "--invalid"] {
        assert_eq!(daemon.ls(state).len(), 0, "{state}");
    }
    // The room is back, and the cache goes on.
    let small = Image::new(2, 30_000_000);
    let told = small.clone();
    origin.now(move |request| told.answer(request));
    daemon.get("/small").is(&small.bytes);
    daemon.idle();
    assert!(daemon.is_cached("small"));
}

#[test]
fn without_validators_what_is_on_its_way_is_passed_on() {
    let temp = tempfile::tempdir().unwrap();
    let disk = Disk::new(temp.path(), 40);
    for sized in [true, false] {
        let image = Image { etag: None, sized, ..Image::new(3, 60_000_000) };
        let origin = Origin::of(&image);
        let daemon = Daemon::start(&disk.0.join(format!("cache-{sized}")), &origin.url(), &[]);
        daemon.get("/a").is(&image.bytes);
        assert_eq!((origin.requests(), origin.sent()), (1, image.size()));
    }
}

#[test]
fn room_is_made_from_what_is_least_recently_used() {
    let temp = tempfile::tempdir().unwrap();
    let disk = Disk::new(temp.path(), 40);
    let image = Image::new(4, 14_000_000);
    let origin = Origin::of(&image);
    let daemon = Daemon::start(&disk.0.join("cache"), &origin.url(), &[]);
    for name in ["/a", "/b", "/c", "/d"] {
        daemon.get(name).is(&image.bytes);
        daemon.idle();
    }
    assert!(!daemon.is_cached("a") && daemon.is_cached("c") && daemon.is_cached("d"));
    assert_eq!(origin.requests(), 4);
}

#[test]
fn a_disk_that_a_neighbour_has_filled() {
    let temp = tempfile::tempdir().unwrap();
    let disk = Disk::new(temp.path(), 40);
    let image = Image::new(5, 2_000_000);
    let origin = Origin::of(&image);
    let daemon = Daemon::start(&disk.0.join("cache"), &origin.url(), &[]);
    daemon.get("/hot").is(&image.bytes);
    daemon.idle();
    let neighbour = disk.0.join("neighbour");
    while fs::OpenOptions::new().append(true).create(true).open(&neighbour).is_ok_and(|mut file| {
        use std::io::Write;
        file.write_all(&[1; 4096]).is_ok()
    }) {}
    // A hit first, and then whatever becomes of the others: all are right.
    let answers: Vec<Response> = ["/hot", "/x", "/y", "/hot", "/x"].iter().map(|name| daemon.get(name)).collect();
    for answer in answers {
        answer.is(&image.bytes);
    }
    daemon.idle();
    fs::remove_file(neighbour).unwrap();
    daemon.get("/z").is(&image.bytes);
    daemon.idle();
    assert!(daemon.is_cached("z"));
}
