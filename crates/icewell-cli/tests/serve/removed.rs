//! What an operator removes under a running daemon: folders are made anew and images fetched again, and no client notices.

use std::fs;
use std::path::Path;

use crate::fixture::{Ask, Daemon, Gate, Image, Origin, icewell, until};

/// As `rm -r`, until nothing is made anew on the way.
fn remove(folder: &Path) {
    until("it is removed", || fs::remove_dir_all(folder).is_ok() || !folder.exists());
}

#[test]
fn all_that_is_in_the_directory() {
    let image = Image::new(5, 3_000_000);
    let gate = Gate::at(1_000_000);
    let (told, gated) = (image.clone(), gate.clone());
    let origin = Origin::new(move |request| match request.target.as_str() {
        "/slow" => told.answer(request).gated(&gated),
        _ => told.answer(request),
    });
    let daemon = Daemon::of(&origin);
    daemon.get("/a").is(&image.bytes);
    daemon.settles_at("a", 0);
    let mut slow = Ask::get("/slow").begin(daemon.address);
    slow.read_to(500_000);

    // As `rm -rf DIR/*`.
    for entry in fs::read_dir(&daemon.dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { remove(&path) } else { fs::remove_file(path).unwrap() }
    }
    for status in ["icewell; fwd=uri-miss; fwd-status=200; stored", "icewell; hit"] {
        let answer = daemon.get("/a");
        answer.is(&image.bytes);
        assert!(answer.cache_status().starts_with(status), "{}", answer.cache_status());
        until("it has its name", || daemon.is_cached("a"));
    }
    gate.open();
    slow.finish().is(&image.bytes);
    daemon.get("/slow").is(&image.bytes);
    daemon.idle();
    daemon.get("/slow").is(&image.bytes);
    daemon.idle();
    assert!(daemon.is_cached("slow"));

    assert_eq!(Ask::get("/readyz").of(daemon.admin).status, 200);
    for folder in ["incomplete", "invalid", "queue"] {
        let line = format!("made anew folder={}", daemon.dir.join(folder).display());
        assert_eq!(daemon.logged(&line).len(), 1, "{folder}: it is said once");
    }
    let doctor = icewell(["doctor", "--dir", daemon.dir.to_str().unwrap()]);
    assert_eq!(doctor.status, Some(0), "{}{}", doctor.stdout, doctor.stderr);
}

/// The command makes the folder, and the daemon has to find that one.
#[test]
fn the_queue_which_another_process_makes_anew() {
    let image = Image::new(6, 100_000);
    let origin = Origin::of(&image);
    let daemon = Daemon::of(&origin);
    remove(&daemon.dir.join("queue"));
    assert_eq!(icewell(["queue", "a", "--dir", daemon.dir.to_str().unwrap()]).status, Some(0));
    until("what is queued is cached", || daemon.is_cached("a"));
}

#[test]
fn the_directory_itself_so_it_is_not_ready_and_serves_from_the_origin() {
    let image = Image::new(5, 100_000);
    let origin = Origin::of(&image);
    let daemon = Daemon::of(&origin);
    daemon.get("/a").is(&image.bytes);
    daemon.settles_at("a", 0);
    remove(&daemon.dir);
    for remade in [false, true] {
        if remade {
            fs::create_dir(&daemon.dir).unwrap();
        }
        let ready = Ask::get("/readyz").of(daemon.admin);
        assert_eq!(ready.status, 503);
        assert!(String::from_utf8_lossy(&ready.body).contains("somebody has removed it"));
        daemon.get("/a").is(&image.bytes);
    }
    let daemon = daemon.restarted(rustix::process::Signal::TERM);
    daemon.get("/a").is(&image.bytes);
    daemon.settles_at("a", 0);
    assert_eq!(Ask::get("/readyz").of(daemon.admin).status, 200);
}
