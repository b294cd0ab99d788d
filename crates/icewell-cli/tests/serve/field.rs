//! What users of other caches suffered from, where no other module has it already: `docs/reliability.md` has the rows.

use std::fs::{self, File};

use rustix::fs::{FlockOperation, flock};
use rustix::process::Signal;

use crate::fixture::{Ask, Daemon, Image, Origin, icewell_command};

/// Whoever passes over the directory takes its lock: while somebody else has it, a start has to get by without.
#[test]
fn field_13_a_start_waits_for_no_pass_over_the_directory() {
    let image = Image::new(1, 100_000);
    let origin = Origin::of(&image);
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("cache");
    let daemon = Daemon::start(&dir, &origin.url(), &[]);
    daemon.get("/a").is(&image.bytes);
    daemon.settles_at("a", 0);
    drop(daemon);
    let lock = File::open(&dir).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let daemon = Daemon::start(&dir, &origin.url(), &[]);
    daemon.get("/a").is(&image.bytes);
    assert_eq!(Ask::get("/readyz").of(daemon.admin).status, 200);
    assert_eq!(origin.requests(), 1);
    flock(&lock, FlockOperation::Unlock).unwrap();
}

#[test]
fn field_14_what_was_cached_is_a_hit_after_a_restart_and_after_a_kill() {
    let image = Image::new(2, 3_000_000);
    let origin = Origin::of(&image);
    let mut daemon = Daemon::of(&origin);
    daemon.get("/a").is(&image.bytes);
    daemon.settles_at("a", 0);
    for (hits, signal) in [(1, Signal::TERM), (2, Signal::KILL)] {
        daemon = daemon.restarted(signal);
        let answer = daemon.get("/a");
        answer.is(&image.bytes);
        assert!(answer.cache_status().starts_with("icewell; hit"), "{}", answer.cache_status());
        daemon.settles_at("a", hits);
    }
    assert_eq!(origin.requests(), 1);
}

#[test]
fn field_glance_08_times_are_the_same_in_every_time_zone() {
    let image = Image::new(3, 1000);
    let origin = Origin::of(&image);
    let daemon = Daemon::of(&origin);
    daemon.get("/a").is(&image.bytes);
    daemon.settles_at("a", 0);
    let modified = fs::metadata(daemon.dir.join("a")).unwrap().modified().unwrap();
    let seconds = modified.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let told = ["UTC", "Asia/Tokyo", "XYZ+11:30"].map(|zone| {
        let mut command = icewell_command();
        command.args(["ls", "--json", "--dir"]).arg(&daemon.dir).env("TZ", zone);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    });
    assert!(told[0].contains(&format!("\"last_modified\": {seconds}")), "{}", told[0]);
    assert_eq!(told[0], told[1]);
    assert_eq!(told[0], told[2]);
}
