//! Bit rot: found by the scrub, or met in the middle of a response. What is bad leaves service at once and is fetched anew,
//! and no client gets a whole copy of it.

use std::fs;
use std::os::unix::fs::FileExt;

use rustix::process::Signal;

use crate::fixture::{Ask, Daemon, Disk, Image, Origin, until};

const ALWAYS: [&str; 4] = ["--scrub-every", "1s", "--scrub-rate", "1GB"];

/// Flips a bit as a bad disk does, without a trace in the times.
fn flip(daemon: &Daemon, id: &str, at: u64) {
    let file = fs::File::options().read(true).write(true).open(daemon.dir.join(id)).unwrap();
    let modified = file.metadata().unwrap().modified().unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    file.set_modified(modified).unwrap();
}

/// juicedata/juicefs#5981, and Glance's own: a cached image that is corrupt, and every later hit with it.
#[test]
fn what_the_disk_has_lost_is_found_and_fetched_anew() {
    let temp = tempfile::tempdir().unwrap();
    let disk = Disk::new("ext4", temp.path(), 64);
    let (image, sound) = (Image::new(1, 5_000_000), Image::new(2, 1_000_000));
    let (told, told_sound) = (image.clone(), sound.clone());
    let origin = Origin::new(move |request| match request.target.as_str() {
        "/sound" => told_sound.answer(request),
        _ => told.answer(request),
    });
    let daemon = Daemon::start(&disk.path.join("cache"), &origin.url(), &ALWAYS);
    daemon.get("/a").is(&image.bytes);
    daemon.get("/sound").is(&sound.bytes);
    daemon.settles_at("a", 0);
    disk.forget(&daemon.dir.join("a"));
    disk.rot(&image.bytes, 4_000_000);
    until("it is found", || {
        disk.forget(&daemon.dir.join("a"));
        daemon.metric("icewell_corrupt_images_total") == 1
    });
    until("it is fetched anew", || daemon.is_cached("a"));
    daemon.get("/a").is(&image.bytes);
    assert_eq!(origin.requests(), 3);
    let invalid = daemon.ls("--invalid");
    assert_eq!(invalid[0]["image_id"], "a");
    assert!(invalid[0]["error"].as_str().unwrap().starts_with("verify: the digest was sha256:"), "{invalid:?}");
    assert!(daemon.is_cached("sound"));
    until("what is sound is read again", || daemon.metric("icewell_scrubbed_images_total") >= 2);
    assert_eq!(daemon.metric("icewell_corrupt_images_total"), 1);
}

#[test]
fn a_response_of_an_image_that_is_found_corrupt_does_not_come_to_its_end() {
    // More than sockets take ahead.
    let image = Image::new(3, 40_000_000);
    let origin = Origin::of(&image);
    let daemon = Daemon::with(&origin, &ALWAYS);
    daemon.get("/a").is(&image.bytes);
    daemon.settles_at("a", 0);
    let mut download = Ask::get("/a").begin(daemon.address);
    download.read_to(1000);
    flip(&daemon, "a", 39_000_000);
    until("it is found", || daemon.metric("icewell_corrupt_images_total") == 1);
    let broken = download.finish();
    assert!(!broken.whole, "{} bytes", broken.body.len());
    until("it is fetched anew", || daemon.is_cached("a"));
    daemon.get("/a").is(&image.bytes);
}

#[test]
fn a_read_error_in_the_middle_of_a_hit_is_healed_from_the_origin() {
    let temp = tempfile::tempdir().unwrap();
    let disk = Disk::new("btrfs", temp.path(), 200);
    let image = Image::new(4, 20_000_000);
    let origin = Origin::of(&image);
    let daemon = Daemon::start(&disk.path.join("cache"), &origin.url(), &[]);
    daemon.get("/a").is(&image.bytes);
    daemon.settles_at("a", 0);
    disk.forget(&daemon.dir.join("a"));
    disk.rot(&image.bytes, 15_000_000);
    daemon.get("/a").is(&image.bytes);
    assert_eq!(daemon.metric("icewell_read_errors_total"), 1);
    assert_eq!(daemon.metric("icewell_read_errors_healed_total"), 1);
    let asked = origin.seen();
    let rest = asked.iter().find(|request| request.header("range").is_some()).unwrap();
    assert!(rest.header("range").unwrap().ends_with("-19999999") && rest.header("if-range").is_some(), "{rest:?}");
    until("it is fetched anew", || daemon.is_cached("a"));
    let invalid = daemon.ls("--invalid");
    assert!(invalid[0]["error"].as_str().unwrap().starts_with("read: cannot be read at byte "), "{invalid:?}");
    daemon.get("/a").is(&image.bytes);
    assert_eq!(daemon.metric("icewell_read_errors_total"), 1);
}

#[test]
fn where_the_origin_cannot_heal_it_the_response_ends_as_broken() {
    let temp = tempfile::tempdir().unwrap();
    let disk = Disk::new("btrfs", temp.path(), 200);
    // Nobody could tell whether a part of what the origin has now is of the same image.
    let image = Image { etag: None, ..Image::new(5, 20_000_000) };
    let origin = Origin::of(&image);
    let daemon = Daemon::start(&disk.path.join("cache"), &origin.url(), &[]);
    daemon.get("/a").is(&image.bytes);
    daemon.settles_at("a", 0);
    disk.forget(&daemon.dir.join("a"));
    disk.rot(&image.bytes, 15_000_000);
    daemon.get("/a").is_broken_off(&image.bytes);
    assert_eq!(daemon.metric("icewell_read_errors_healed_total"), 0);
    until("it is fetched anew", || daemon.is_cached("a"));
    daemon.get("/a").is(&image.bytes);
}

#[test]
fn a_slow_scrub_keeps_nobody_from_stopping() {
    let image = Image::new(6, 3_000_000);
    let origin = Origin::of(&image);
    let mut daemon = Daemon::with(&origin, &["--scrub-every", "1s", "--scrub-rate", "1kB"]);
    daemon.get("/a").is(&image.bytes);
    until("a megabyte is read", || daemon.metric("icewell_scrubbed_bytes_total") >= 1_000_000);
    assert_eq!(daemon.metric("icewell_scrubbed_images_total"), 0);
    daemon.signal(Signal::TERM);
    assert!(daemon.ended().success());
}
