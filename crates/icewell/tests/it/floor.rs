//! The floor under what is free on the file system: room is made until both the limit and the floor hold, whoever fills,
//! and whoever else uses the disk.

use std::fs;
use std::path::Path;

use icewell::{Cache, ErrorKind, Limit, MinFree, Mode, Severity, examine};

use crate::support::{Mount, TestClock, announced, at, begin, id, listed, mount, noise, put};

const MB: u64 = 1 << 20;

/// A cache on a small file system of its own, in which `above` bytes may be taken before the floor is reached.
fn above_the_floor(kind: &str, size_mb: u32, above: u64) -> Option<(Mount, Cache)> {
    let mount = mount(kind, size_mb, "")?;
    let cache = Cache::open_with_clock(mount.path.join("cache"), TestClock::at(at(0))).unwrap();
    let floor = cache.file_system().unwrap().available - above;
    cache.set_limit(Limit { min_free: Some(MinFree::Bytes(floor)), ..Limit::default() }).unwrap();
    Some((mount, cache))
}

fn free_above_the_floor(cache: &Cache) -> i64 {
    let file_system = cache.file_system().unwrap();
    file_system.available as i64 - cache.limit().unwrap().floor(file_system.total) as i64
}

fn fill_up(path: &Path, bytes: u64) {
    fs::write(path, noise(9, bytes as usize)).unwrap();
}

/// As many images stay as fit, although XFS and btrfs give blocks back only after a while.
#[test]
fn the_least_recently_used_go_until_the_floor_holds_and_no_more() {
    for (kind, size_mb) in [("tmpfs", 64), ("ext4", 64), ("xfs", 300), ("btrfs", 200)] {
        let Some((_mount, cache)) = above_the_floor(kind, size_mb, 30 * MB) else { return };
        for n in 0..7_u8 {
            put(&cache, &n.to_string(), &noise(n.into(), 8 * MB as usize));
            // btrfs takes room for its trees besides, some time later.
            let (above, slack) = (free_above_the_floor(&cache), if kind == "btrfs" { MB as i64 } else { 0 });
            assert!(above >= -slack, "{kind}, image {n}: {above}");
        }
        assert_eq!(listed(&cache), ["4", "5", "6"], "{kind}");
    }
}

#[test]
fn what_does_not_fit_above_the_floor_is_refused_and_removes_nothing() {
    let Some((_mount, cache)) = above_the_floor("ext4", 64, 20 * MB) else { return };
    put(&cache, "x", &noise(1, 8 * MB as usize));
    let mut writer = cache.write(&id("large")).unwrap();
    let error = writer.start(announced(21 * MB)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoRoom);
    assert!(error.to_string().contains("to stay free"), "{error}");
    drop(writer);
    assert_eq!(listed(&cache), ["x"]);
}

/// What fills under way have promised is not free any more, though nothing of it is written.
#[test]
fn two_fills_are_not_promised_the_same_room() {
    let Some((_mount, cache)) = above_the_floor("ext4", 64, 20 * MB) else { return };
    let first = begin(&cache, "first", &noise(1, MB as usize), 12 * MB);
    let mut second = cache.write(&id("second")).unwrap();
    assert_eq!(second.start(announced(9 * MB)).unwrap_err().kind(), ErrorKind::NoRoom);
    assert_eq!(cache.space().unwrap().promised, 11 * MB);
    drop(first);
    second.start(announced(9 * MB)).unwrap();
}

/// cvmfs/cvmfs#3832: a neighbour takes the disk, and the cache gives way, but not what is pinned.
#[test]
fn a_neighbour_gets_the_room_back() {
    let Some((mount, cache)) = above_the_floor("ext4", 64, 30 * MB) else { return };
    for name in ["a", "b", "c"] {
        put(&cache, name, &noise(1, 8 * MB as usize));
    }
    assert!(cache.enforce_limit().unwrap());
    let neighbour = mount.path.join("neighbour");
    fill_up(&neighbour, 15 * MB);
    assert!(free_above_the_floor(&cache) < 0);
    assert!(cache.enforce_limit().unwrap());
    assert!(free_above_the_floor(&cache) >= 0);
    assert_eq!(listed(&cache), ["c"]);
    cache.set_pinned(&id("c"), true).unwrap();
    fill_up(&neighbour, 25 * MB);
    assert!(!cache.enforce_limit().unwrap(), "what is pinned stays, and that is told");
    let mut writer = cache.write(&id("x")).unwrap();
    assert_eq!(writer.start(announced(1)).unwrap_err().kind(), ErrorKind::NoRoom);
    let findings = examine(cache.dir()).unwrap();
    assert!(
        findings.iter().any(|f| f.severity == Severity::Warning && f.message.contains("are to stay free (min_free)")),
        "{findings:#?}"
    );
    fs::remove_file(neighbour).unwrap();
    writer.start(announced(1)).unwrap();
    assert_eq!(listed(&cache), ["c"]);
}

#[test]
fn a_prune_makes_both_hold() {
    let Some((mount, cache)) = above_the_floor("ext4", 64, 30 * MB) else { return };
    for name in ["a", "b", "c"] {
        put(&cache, name, &noise(1, 8 * MB as usize));
    }
    let in_force = cache.limit().unwrap();
    assert_eq!(cache.prune(in_force, Mode::DryRun).unwrap().files(), 0);
    fill_up(&mount.path.join("neighbour"), 8 * MB);
    assert_eq!(cache.prune(in_force, Mode::DryRun).unwrap().files(), 1);
    assert_eq!(cache.prune(Limit { min_free: None, ..in_force }, Mode::DryRun).unwrap().files(), 0);
    assert_eq!(cache.prune(Limit { max_size: 8 * MB, ..in_force }, Mode::DryRun).unwrap().files(), 2);
    assert_eq!(cache.prune(in_force, Mode::Act).unwrap().images[0].id, id("a"));
    assert!(free_above_the_floor(&cache) >= 0);
}

/// FIELD row 6: a limit that the file system has no room for is told, with the figure that would fit.
#[test]
fn the_largest_limit_that_the_file_system_has_room_for() {
    let Some((_mount, cache)) = above_the_floor("ext4", 64, 30 * MB) else { return };
    // The tag of the floor has taken a block.
    assert!((30 * MB - 4096..=30 * MB).contains(&cache.largest_limit().unwrap()));
    put(&cache, "x", &noise(1, 8 * MB as usize));
    let fill = begin(&cache, "y", &noise(1, MB as usize), 10 * MB);
    let could = cache.largest_limit().unwrap();
    assert!((29 * MB..=30 * MB).contains(&could), "{could}");
    drop(fill);
    let findings = examine(cache.dir()).unwrap();
    let told = findings.iter().find(|finding| finding.message.contains("the file system has room for")).unwrap();
    let figure: u64 = told.message.rsplit(' ').next().unwrap().parse().unwrap();
    assert!((29 * MB..=30 * MB).contains(&figure), "{told:?}");
}
