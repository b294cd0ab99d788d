//! A file system that is full costs the cache its copy, never a client its download.

use std::fs;
use std::process::Command;
use std::thread;

use crate::fixture::{Ask, Daemon, Disk, Image, Origin, Response, until};

#[test]
fn field_03_an_image_larger_than_the_disk_reaches_every_client() {
    let temp = tempfile::tempdir().unwrap();
    let disk = Disk::new("ext4", temp.path(), 40);
    let image = Image::new(1, 60_000_000);
    let origin = Origin::of(&image);
    let daemon = Daemon::start(&disk.path.join("cache"), &origin.url(), &[]);
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
    let disk = Disk::new("ext4", temp.path(), 40);
    for sized in [true, false] {
        let image = Image { etag: None, sized, ..Image::new(3, 60_000_000) };
        let origin = Origin::of(&image);
        let daemon = Daemon::start(&disk.path.join(format!("cache-{sized}")), &origin.url(), &[]);
        daemon.get("/a").is(&image.bytes);
        assert_eq!((origin.requests(), origin.sent()), (1, image.size()));
    }
}

#[test]
fn field_05_room_is_made_from_what_is_least_recently_used() {
    let temp = tempfile::tempdir().unwrap();
    let disk = Disk::new("ext4", temp.path(), 40);
    let image = Image::new(4, 14_000_000);
    let origin = Origin::of(&image);
    let daemon = Daemon::start(&disk.path.join("cache"), &origin.url(), &[]);
    for name in ["/a", "/b", "/c", "/d"] {
        daemon.get(name).is(&image.bytes);
        daemon.idle();
    }
    assert!(!daemon.is_cached("a") && daemon.is_cached("c") && daemon.is_cached("d"));
    assert_eq!(origin.requests(), 4);
}

#[test]
fn field_06_a_disk_that_a_neighbour_has_filled() {
    let temp = tempfile::tempdir().unwrap();
    let disk = Disk::new("ext4", temp.path(), 40);
    let image = Image::new(5, 2_000_000);
    let origin = Origin::of(&image);
    let daemon = Daemon::start(&disk.path.join("cache"), &origin.url(), &[]);
    daemon.get("/hot").is(&image.bytes);
    daemon.idle();
    let neighbour = disk.path.join("neighbour");
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

/// nginx/nginx#868, cvmfs/cvmfs#3832: with room for others on the disk, all the time, and the cache in use.
#[test]
fn what_is_to_stay_free_stays_free_under_load() {
    let temp = tempfile::tempdir().unwrap();
    let disk = Disk::new("ext4", temp.path(), 64);
    let image = Image::new(6, 4_000_000);
    let origin = Origin::of(&image);
    let floor = disk.available() - 22_000_000;
    let daemon = Daemon::start(&disk.path.join("cache"), &origin.url(), &["--min-free", &floor.to_string()]);
    let done = std::sync::atomic::AtomicBool::new(false);
    let lowest = thread::scope(|scope| {
        let sampling = scope.spawn(|| {
            let mut lowest = u64::MAX;
            while !done.load(std::sync::atomic::Ordering::SeqCst) {
                lowest = lowest.min(disk.available());
            }
            lowest
        });
        thread::scope(|scope| {
            for client in 0..3 {
                let (daemon, image) = (&daemon, &image);
                scope.spawn(move || {
                    (0..8).for_each(|n| daemon.get(&format!("/{client}-{n}")).is(&image.bytes));
                });
            }
        });
        daemon.idle();
        done.store(true, std::sync::atomic::Ordering::SeqCst);
        sampling.join().unwrap()
    });
    // Folders and tags take some blocks besides, and under load the blocks of an image that was removed may come free a
    // moment later than it is counted: part of one image, and not more.
    assert!(lowest + image.size() >= floor, "{lowest} bytes free, and {floor} are to stay free");
    assert!(!daemon.ls("").is_empty());
}

/// dragonflyoss/client#1184: a neighbour takes the room; the cache gives way, passes through, and comes back by itself.
#[test]
fn a_neighbour_below_the_floor_costs_the_cache_and_no_client() {
    let temp = tempfile::tempdir().unwrap();
    let disk = Disk::new("ext4", temp.path(), 64);
    let image = Image::new(7, 4_000_000);
    let origin = Origin::of(&image);
    let daemon = Daemon::start(&disk.path.join("cache"), &origin.url(), &["--min-free", "20MB"]);
    daemon.get("/a").is(&image.bytes);
    daemon.idle();
    let neighbour = disk.path.join("neighbour");
    fs::write(&neighbour, vec![1; (disk.available() - 10_000_000) as usize]).unwrap();
    let answer = daemon.get("/b");
    answer.is(&image.bytes);
    assert_eq!(answer.cache_status(), "icewell; fwd=uri-miss; fwd-status=200; detail=no-room");
    daemon.get("/a").is(&image.bytes);
    fs::remove_file(neighbour).unwrap();
    daemon.get("/c").is(&image.bytes);
    daemon.idle();
    assert!(daemon.is_cached("a") && daemon.is_cached("c"));
}

#[test]
fn a_limit_larger_than_the_file_system_is_told_with_the_figure_that_would_fit() {
    let temp = tempfile::tempdir().unwrap();
    let disk = Disk::new("ext4", temp.path(), 40);
    let origin = Origin::of(&Image::new(8, 1000));
    let free = disk.available();
    let daemon = Daemon::start(&disk.path.join("cache"), &origin.url(), &["--min-free", "10MB", "--max-size", "1TB"]);
    until("it is told", || !daemon.logged("what is to stay free holds in its place").is_empty());
    let line = daemon.logged("what is to stay free holds in its place").remove(0);
    let figure: u64 = line.split_once("would_fit=").unwrap().1.split(' ').next().unwrap().parse().unwrap();
    assert!((free - 10_100_000..=free - 10_000_000).contains(&figure), "{line}");
    assert!(line.contains("max_size=1000000000000") && line.contains("min_free=10000000"), "{line}");
}

/// Nobody has to ask for it; what was set once is kept for the next start, and for other commands.
#[test]
fn a_twentieth_stays_free_unless_something_else_was_said() {
    let temp = tempfile::tempdir().unwrap();
    let (dir, origin) = (temp.path().join("cache"), Origin::of(&Image::new(8, 1000)));
    let started = |args: &[&str]| {
        let mut command = crate::fixture::icewell_command();
        command.arg("serve").arg("--dir").arg(&dir).args(["--origin", &origin.url()]).args(args);
        Daemon::run(command, &dir, &origin.url())
    };
    for (args, kept) in [(&[][..], "5%"), (&["--min-free", "1.5%"], "1.5%"), (&[], "1.5%"), (&["--min-free", "0"], "0")]
    {
        drop(started(args));
        let told = crate::fixture::icewell(["status", "--json", "--dir", dir.to_str().unwrap()]).stdout;
        assert!(told.contains(&format!("\"min_free\": \"{kept}\"")), "{told}");
    }
}

/// `EDQUOT` is no other than `ENOSPC`: room is made, and what cannot be kept is passed on.
#[test]
fn a_quota_costs_no_client_its_download() {
    let temp = tempfile::tempdir().unwrap();
    let disk = Disk::new("btrfs", temp.path(), 300);
    let dir = disk.path.join("subvolume");
    for arguments in [&["quota", "enable"][..], &["subvolume", "create"], &["qgroup", "limit", "30M"]] {
        let on = if arguments[0] == "quota" { &disk.path } else { &dir };
        assert!(Command::new("btrfs").args(arguments).arg(on).output().unwrap().status.success());
    }
    let (small, large) = (Image::new(9, 9_000_000), Image::new(10, 40_000_000));
    let (told, told_large) = (small.clone(), large.clone());
    let origin = Origin::new(move |request| match request.target.as_str() {
        "/large" => told_large.answer(request),
        _ => told.answer(request),
    });
    let daemon = Daemon::start(&dir, &origin.url(), &[]);
    for name in ["/a", "/b", "/c", "/d"] {
        daemon.get(name).is(&small.bytes);
        daemon.idle();
    }
    assert!(daemon.is_cached("d") && !daemon.is_cached("a"));
    daemon.get("/large").is(&large.bytes);
    daemon.idle();
    assert!(!daemon.is_cached("large"));
    daemon.get("/e").is(&small.bytes);
    daemon.idle();
    assert!(daemon.is_cached("e"));
}
