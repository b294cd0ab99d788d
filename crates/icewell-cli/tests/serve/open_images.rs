//! Images that the daemon keeps open between hits: the directory stays the only truth.

use std::fs;
use std::path::PathBuf;

use crate::fixture::{Ask, Daemon, Image, Origin, until};

/// A daemon with `a` cached and hit, so that it is open.
fn opened(image: &Image) -> (Origin, Daemon) {
    let origin = Origin::of(image);
    let daemon = Daemon::of(&origin);
    daemon.get("/a").is(&image.bytes);
    daemon.settles_at("a", 0);
    daemon.get("/a").is(&image.bytes);
    (origin, daemon)
}

#[test]
fn an_image_put_under_its_name_is_sent_at_once() {
    for size in [1000, 300_000] {
        let (image, other) = (Image::new(1, size), Image::new(2, size));
        let (origin, daemon) = opened(&image);
        // As `cp` and `mv` would, with the tags of the first: the same name, another file.
        let (file, aside) = (daemon.dir.join("a"), daemon.dir.join("aside"));
        let copied = std::process::Command::new("cp").args(["--preserve=all"]).args([&file, &aside]).status().unwrap();
        assert!(copied.success());
        fs::write(&aside, other.bytes.as_slice()).unwrap();
        fs::rename(&aside, &file).unwrap();
        daemon.get("/a").is(&other.bytes);
        // The same file with other bytes.
        fs::write(&file, image.bytes.as_slice()).unwrap();
        daemon.get("/a").is(&image.bytes);
        assert_eq!(origin.requests(), 1);
    }
}

#[test]
fn field_07_a_removed_image_is_fetched_anew_and_its_space_is_given_back() {
    let image = Image::new(3, 5_000_000);
    let (origin, daemon) = opened(&image);
    let kept = || -> Vec<PathBuf> {
        let fds = fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap();
        let open = fds.filter_map(|fd| fs::read_link(fd.unwrap().path()).ok());
        let maps = fs::read_to_string(format!("/proc/{}/maps", daemon.pid())).unwrap();
        let mapped =
            maps.lines().filter_map(|line| line.split_once('/').map(|(_, path)| PathBuf::from(format!("/{path}"))));
        open.chain(mapped).filter(|path| path.to_string_lossy().ends_with("/a (deleted)")).collect()
    };
    fs::remove_file(daemon.dir.join("a")).unwrap();
    assert!(!kept().is_empty(), "it was open");
    until("the removed image is closed", || kept().is_empty());
    daemon.get("/a").is(&image.bytes);
    assert_eq!(origin.requests(), 2);
}

#[test]
fn field_more_an_image_cut_off_while_it_is_sent_ends_as_broken() {
    // More than sockets take ahead, so that the daemon comes to the end only after the cut. The origin cannot tell whether
    // it still has the same image.
    let image = Image { etag: None, ..Image::new(4, 40_000_000) };
    let (_origin, daemon) = opened(&image);
    for keep in [30_000_000, 39_999_999] {
        let mut download = Ask::get("/a").begin(daemon.address);
        download.read_to(1000);
        let file = fs::OpenOptions::new().write(true).open(daemon.dir.join("a")).unwrap();
        file.set_len(keep).unwrap();
        download.finish().is_broken_off(&image.bytes);
        // It runs, and has a whole one again.
        until("it is fetched anew", || daemon.is_cached("a"));
        daemon.get("/a").is(&image.bytes);
    }
}

#[test]
fn an_image_cut_off_while_it_is_sent_is_sent_on_from_the_origin() {
    let image = Image::new(6, 40_000_000);
    let (origin, daemon) = opened(&image);
    let mut download = Ask::get("/a").begin(daemon.address);
    download.read_to(1000);
    fs::OpenOptions::new().write(true).open(daemon.dir.join("a")).unwrap().set_len(30_000_000).unwrap();
    download.finish().is(&image.bytes);
    assert!(origin.sent() < 3 * image.size(), "the rest, and a copy to keep");
    until("it is fetched anew", || daemon.is_cached("a"));
    daemon.get("/a").is(&image.bytes);
}

#[test]
fn an_image_cut_off_where_it_has_been_sent_is_not_sent_on() {
    // What a socket holds of it may have changed, and nobody can take it back.
    let image = Image::new(7, 40_000_000);
    let (_origin, daemon) = opened(&image);
    let mut download = Ask::get("/a").begin(daemon.address);
    download.read_to(2_000_000);
    fs::OpenOptions::new().write(true).open(daemon.dir.join("a")).unwrap().set_len(1_000_001).unwrap();
    download.finish().is_broken_off(&image.bytes);
    until("it is fetched anew", || daemon.is_cached("a"));
    daemon.get("/a").is(&image.bytes);
}

#[test]
fn an_image_that_somebody_has_locked_holds_up_the_hits_of_no_other() {
    let image = Image::new(8, 1000);
    let (_origin, daemon) = opened(&image);
    daemon.settles_at("a", 1);
    daemon.get("/b").is(&image.bytes);
    until("both are cached", || daemon.is_cached("b"));
    let file = fs::File::open(daemon.dir.join("a")).unwrap();
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
    daemon.get("/a").is(&image.bytes);
    for hits in 1..10 {
        daemon.get("/b").is(&image.bytes);
        daemon.settles_at("b", hits);
    }
    drop(file);
    daemon.settles_at("a", 2);
}

#[test]
fn hits_are_on_disk_while_the_daemon_runs() {
    let image = Image::new(5, 1000);
    let (_origin, daemon) = opened(&image);
    for hits in 2..20 {
        daemon.get("/a").is(&image.bytes);
        if hits % 5 == 0 {
            daemon.settles_at("a", hits);
        }
    }
    daemon.settles_at("a", 19);
}
