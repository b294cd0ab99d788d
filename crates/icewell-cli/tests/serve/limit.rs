//! Everything under DIR stays within the limit, all the time; what does not fit is passed through.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crate::fixture::{Ask, Daemon, Gate, Image, Origin, icewell, until};

const LIMIT: u64 = 30_000_000;

/// Inode and size of all regular files below a folder.
fn files(folder: &Path) -> BTreeMap<u64, u64> {
    let Ok(entries) = fs::read_dir(folder) else { return BTreeMap::new() };
    let mut found = BTreeMap::new();
    for entry in entries.flatten() {
        match entry.path().symlink_metadata() {
            Ok(metadata) if metadata.is_dir() => found.extend(files(&entry.path())),
            Ok(metadata) if metadata.is_file() => drop(found.insert(metadata.ino(), metadata.len())),
            _ => {}
        }
    }
    found
}

/// The sum of their sizes. One look takes a while, in which a file may go and another take its room: what two looks
/// in a row have in common was there at one time.
fn size_of(folder: &Path) -> u64 {
    let mut before = files(folder);
    loop {
        let now = files(folder);
        if now == before {
            return now.values().sum();
        }
        before = now;
    }
}

/// Sums all the time while `work` runs; the highest sum and the number of sums.
fn watched(folder: &Path, work: impl FnOnce()) -> (u64, u64) {
    let (done, highest, sums) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                highest.fetch_max(size_of(folder), Ordering::SeqCst);
                sums.fetch_add(1, Ordering::SeqCst);
            }
        });
        // The watcher ends also where the work fails.
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        done.store(true, Ordering::SeqCst);
        if let Err(panic) = ended {
            std::panic::resume_unwind(panic);
        }
    });
    (highest.into_inner(), sums.into_inner())
}

/// 24 images of 7 MB and a 25th of 50 MB, from 4 clients.
fn images_from_four_clients(image: Image, large: Image) {
    let (told, told_large) = (image.clone(), large.clone());
    let origin = Origin::new(move |request| match request.target.as_str() {
        "/large" => told_large.answer(request),
        _ => told.answer(request),
    });
    let daemon = Daemon::with(&origin, &["--max-size", "30MB"]);
    let (highest, sums) = watched(&daemon.dir, || {
        thread::scope(|scope| {
            for client in 0..4 {
                let (daemon, image, large) = (&daemon, &image, &large);
                scope.spawn(move || {
                    for i in 0..6 {
                        daemon.get(&format!("/{client}-{i}")).is(&image.bytes);
                        if client == 0 && i == 3 {
                            daemon.get("/large").is(&large.bytes);
                        }
                    }
                });
            }
        });
        daemon.idle();
    });
    assert!(sums > 100, "looked {sums} times only");
    assert!(highest <= LIMIT, "{highest} bytes under the directory");
    assert!(highest > 20_000_000, "hardly anything was cached: {highest}");
    let names: Vec<_> = daemon.ls("").iter().map(|row| row["image_id"].to_string()).collect();
    // An image whose size nobody tells may have pushed out others before it turned out too large.
    assert!((1..=4).contains(&names.len()), "{names:?}");
    assert!(!daemon.is_cached("large"));
}

#[test]
fn field_17_images_of_known_size() {
    images_from_four_clients(Image::new(1, 7_000_000), Image::new(2, 50_000_000));
}

#[test]
fn images_whose_size_nobody_tells() {
    let unsized_image = |image: Image| Image { sized: false, ..image };
    images_from_four_clients(unsized_image(Image::new(1, 7_000_000)), unsized_image(Image::new(2, 50_000_000)));
}

#[test]
fn an_image_too_large_removes_nothing_and_says_why() {
    let (small, large) = (Image::new(1, 1_000_000), Image::new(2, 31_000_000));
    let (told, told_large) = (small.clone(), large.clone());
    let origin = Origin::new(move |request| match request.target.as_str() {
        "/large" => told_large.answer(request),
        _ => told.answer(request),
    });
    let daemon = Daemon::with(&origin, &["--max-size", "30MB"]);
    daemon.get("/small").is(&small.bytes);
    daemon.idle();
    for round in 1..=2 {
        let answer = daemon.get("/large");
        answer.is(&large.bytes);
        assert_eq!(answer.cache_status(), "icewell; fwd=uri-miss; fwd-status=200; detail=no-room");
        assert_eq!(origin.requests(), 1 + round);
    }
    Ask::get("/large").with("Range", "bytes=30000000-").of(daemon.address).is_part(&large.bytes[30_000_000..]);
    daemon.idle();
    assert!(daemon.is_cached("small"));
    assert_eq!((daemon.ls("").len(), daemon.ls("--incomplete").len(), daemon.ls("--invalid").len()), (1, 0, 0));
}

#[test]
fn an_unsized_image_that_outgrows_the_limit_still_reaches_its_clients() {
    // Without validators nobody could ask for the rest: what is on its way has to be passed on.
    let mut large = Image { sized: false, ..Image::new(3, 40_000_000) };
    large.etag = None;
    let origin = Origin::of(&large);
    let daemon = Daemon::with(&origin, &["--max-size", "30MB"]);
    daemon.get("/large").is(&large.bytes);
    daemon.idle();
    assert_eq!(origin.requests(), 1);
    assert_eq!(size_of(&daemon.dir), 0, "what cannot be finished takes no room");
}

/// What nobody tells the size of can empty the cache before it turns out too large; but once, not at each request.
#[test]
fn an_unsized_image_that_was_too_large_is_not_tried_again_and_again() {
    let (small, large) = (Image::new(1, 1_000_000), Image { sized: false, ..Image::new(3, 40_000_000) });
    let (told, told_large) = (small.clone(), large.clone());
    let origin = Origin::new(move |request| match request.target.as_str() {
        "/large" => told_large.answer(request),
        _ => told.answer(request),
    });
    let daemon = Daemon::with(&origin, &["--max-size", "30MB"]);
    daemon.get("/large").is(&large.bytes);
    daemon.get("/small").is(&small.bytes);
    daemon.idle();
    let again = daemon.get("/large");
    again.is(&large.bytes);
    assert_eq!(again.cache_status(), "icewell; fwd=uri-miss; fwd-status=200; detail=no-room");
    assert!(daemon.is_cached("small"));
}

#[test]
fn the_least_recently_used_goes_first_unless_it_is_being_read() {
    let image = Image::new(4, 9_000_000);
    let origin = Origin::of(&image);
    let daemon = Daemon::with(&origin, &["--max-size", "30MB"]);
    for name in ["/a", "/b", "/c"] {
        daemon.get(name).is(&image.bytes);
        daemon.idle();
    }
    let mut reading = Ask::get("/b").begin(daemon.address);
    reading.read_to(1000);
    daemon.get("/a").is(&image.bytes);
    daemon.settles_at("a", 1);
    daemon.get("/d").is(&image.bytes);
    daemon.get("/e").is(&image.bytes);
    daemon.idle();
    let cached: Vec<_> = daemon.ls("").iter().map(|row| row["image_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(cached, ["b", "d", "e"], "b was the first in line, but would have freed nothing");
    let dir = daemon.dir.to_str().unwrap();
    assert_eq!(icewell(["rm", "--dir", dir, "b"]).status, Some(0));
    reading.finish().is(&image.bytes);
}

#[test]
fn more_connections_than_allowed_wait_for_their_turn() {
    let image = Image::new(9, 5_000_000);
    let gate = Gate::at(1000);
    let (told, gated) = (image.clone(), gate.clone());
    let origin = Origin::new(move |request| told.answer(request).gated(&gated));
    let daemon = Daemon::with(&origin, &["--max-connections", "2"]);
    let mut served = [Ask::get("/a").begin(daemon.address), Ask::get("/a").begin(daemon.address)];
    for download in &mut served {
        download.read_to(1000);
    }
    // A third is taken by the kernel, and by nobody else until one of the two has ended. The admins' listener is apart.
    let waiting = Ask::get("/b").sent(daemon.address);
    assert_eq!(Ask::get("/readyz").of(daemon.admin).status, 200);
    let [first, second] = served;
    drop(first);
    until("the one that has gone is noticed", || daemon.metric("icewell_requests_total") >= 1);
    until("the third is served", || origin.seen().iter().any(|request| request.target == "/b"));
    let order: Vec<_> = origin.seen().into_iter().map(|request| request.target).collect();
    assert_eq!(order, ["/a", "/b"]);
    gate.open();
    waiting.head().finish().is(&image.bytes);
    second.finish().is(&image.bytes);
}

/// The connections to this port that the kernel has taken and nobody else (`proc_net_tcp(5)`): they belong to no file.
fn waiting(port: u16) -> usize {
    let (local, table) = (format!(":{port:04X}"), fs::read_to_string("/proc/net/tcp").unwrap());
    let lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines.filter(|fields| fields[1].ends_with(&local) && fields[3] == "01" && fields[9] == "0").count()
}

#[test]
fn more_connections_of_admins_than_are_served_wait_for_their_turn() {
    let daemon = Daemon::of(&Origin::of(&Image::new(12, 10)));
    let mut silent: Vec<_> = (0..256).map(|_| TcpStream::connect(daemon.admin).unwrap()).collect();
    until("all are served", || waiting(daemon.admin.port()) == 0);
    let asked = Ask::get("/readyz").sent(daemon.admin);
    until("it waits", || waiting(daemon.admin.port()) == 1);
    silent.pop();
    assert_eq!(asked.head().finish().status, 200);
}

/// Whoever writes keeps within the limit: the daemon for many clients, `add` and `fetch` beside it, while `prune`, `rm` and
/// readers who are slow come in between.
#[test]
fn several_processes_and_many_clients() {
    let (image, odd) = (Image::new(10, 3_000_000), Image { sized: false, ..Image::new(11, 4_500_000) });
    let (told, told_odd) = (image.clone(), odd.clone());
    let origin = Origin::new(move |request| match request.target.starts_with("/odd") {
        true => told_odd.answer(request),
        false => told.answer(request),
    });
    let daemon = Daemon::with(&origin, &["--max-size", "30MB"]);
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("file");
    fs::write(&file, image.bytes.as_slice()).unwrap();
    let (dir, file, url) = (daemon.dir.to_str().unwrap(), file.to_str().unwrap(), origin.url());
    let (highest, sums) = watched(&daemon.dir, || {
        thread::scope(|scope| {
            for client in 0..8 {
                let (daemon, image, odd) = (&daemon, &image, &odd);
                scope.spawn(move || {
                    // Half of them want the same images as another one.
                    for n in 0..8 {
                        daemon.get(&format!("/{}-{n}", client / 2)).is(&image.bytes);
                        daemon.get(&format!("/odd-{client}-{n}")).is(&odd.bytes);
                    }
                });
            }
            for process in 0..2 {
                scope.spawn(move || {
                    for n in 0..8 {
                        let ran = icewell(["add", "--dir", dir, &format!("added-{process}-{n}"), file]);
                        // For a moment fills and readers may have all the room there is.
                        assert!(
                            ran.status == Some(0) || ran.stderr.contains("it cannot fit the limit"),
                            "{}",
                            ran.stderr
                        );
                    }
                });
            }
            scope.spawn(|| {
                for n in 0..8 {
                    let ran = icewell(["fetch", "--quiet", "--dir", dir, "--origin", &url, &format!("fetched-{n}")]);
                    assert!(ran.status == Some(0) || ran.stderr.contains("no-room"), "{}", ran.stderr);
                }
            });
            scope.spawn(|| {
                for n in 0..8 {
                    assert_eq!(icewell(["prune", "--dir", dir, "--max-size", "15MB"]).status, Some(0));
                    icewell(["rm", "--force", "--dir", dir, &format!("odd-{n}-{n}")]);
                }
            });
            let mut slow = Ask::get("/slow").begin(daemon.address);
            slow.read_to(1000);
            icewell(["rm", "--force", "--dir", dir, "slow"]);
            slow.finish().is(&image.bytes);
        });
        daemon.idle();
    });
    assert!(sums > 20, "looked {sums} times only");
    assert!(highest <= LIMIT, "{highest} bytes under the directory");
    assert!(highest > 15_000_000, "hardly anything was cached: {highest}");
    assert_eq!(daemon.ls("--invalid").len(), 0);
    // Nothing is left of it that takes room, and the cache goes on.
    daemon.get("/at-the-end").is(&image.bytes);
    daemon.idle();
    assert!(daemon.is_cached("at-the-end"));
}
