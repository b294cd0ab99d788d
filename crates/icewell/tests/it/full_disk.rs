//! A full file system: room is made, or the error says so; the cache is usable afterwards.

use std::fs;
use std::process::Command;

use icewell::{Announced, Cache, ErrorKind, Limit};

use crate::support::{at, bytes, failed, id, listed, mount, noise, put};

const MB: usize = 1 << 20;

fn fill(cache: &Cache, name: &str, size: usize) -> icewell::Result<()> {
    let mut writer = cache.write(&id(name))?;
    writer.start(Announced { size: Some(size as u64), ..Announced::default() })?;
    for piece in noise(size as u64, size).chunks(128 << 10) {
        writer.write(piece)?;
    }
    writer.commit().map(drop)
}

#[test]
fn field_04_room_is_made_and_else_the_error_says_so() {
    for (kind, size_mb, image) in [("tmpfs", 8, 2 * MB), ("tmpfs", 64, 17 * MB), ("ext4", 64, 13 * MB)] {
        let Some(mount) = mount(kind, size_mb, "") else { return };
        let clock = crate::support::TestClock::at(at(0));
        let cache = Cache::open_with_clock(mount.path.join("cache"), clock.clone()).unwrap();
        assert!(cache.limit().unwrap().max_size > cache.file_system().unwrap().total);
        // Nothing is under a limit that binds: the file system itself is the limit.
        for n in 0..10 {
            clock.set(at(n));
            let name = format!("x{n}");
            fill(&cache, &name, image).unwrap_or_else(|error| panic!("{kind} of {size_mb} MB, {name}: {error:?}"));
            assert!(bytes(&cache, &name).unwrap() == noise(image as u64, image), "{kind} {name}");
        }
        assert!(listed(&cache).contains(&"x9".to_owned()) && !listed(&cache).contains(&"x0".to_owned()));
        let error = fill(&cache, "huge", (size_mb as usize + 1) * MB).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull, "{error:?}");
        assert!(failed(&cache).contains_key("huge"));
        fill(&cache, "afterwards", image).unwrap();
        assert!(!failed(&cache).contains_key("huge"), "what failed made room");
    }
}

#[test]
fn what_is_pinned_is_not_sacrificed() {
    let Some(mount) = mount("tmpfs", 8, "") else { return };
    let cache = Cache::open(mount.path.join("cache")).unwrap();
    put(&cache, "pinned", &noise(1, 5 * MB));
    cache.set_pinned(&id("pinned"), true).unwrap();
    assert_eq!(fill(&cache, "x", 4 * MB).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(listed(&cache), ["pinned"]);
    fill(&cache, "small", MB).unwrap();
}

/// On a disk that others filled to the last block the cache says so and does no harm.
#[test]
fn a_disk_that_is_full_of_others() {
    for kind in ["tmpfs", "ext4"] {
        let Some(mount) = mount(kind, 16, "") else { return };
        let cache = Cache::open(mount.path.join("cache")).unwrap();
        put(&cache, "x", &noise(1, MB));
        cache.set_pinned(&id("x"), true).unwrap();
        let balloon = mount.path.join("balloon");
        let mut file = std::fs::File::create(&balloon).unwrap();
        while std::io::Write::write_all(&mut file, &noise(2, 4096)).is_ok() {}
        let error = fill(&cache, "y", MB).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull, "{error:?}");
        assert!(!cache.is_being_cached(&id("y")).unwrap() && cache.is_cacheable(&id("y")).unwrap());
        assert_eq!(bytes(&cache, "x").unwrap(), noise(1, MB));
        drop(file);
        std::fs::remove_file(&balloon).unwrap();
        fill(&cache, "y", MB).unwrap();
        cache.set_limit(Limit::default()).unwrap();
    }
}

/// Without an inode for one more file, too.
#[test]
fn a_file_system_without_another_inode() {
    let Some(mount) = mount("tmpfs", 8, "nr_inodes=16") else { return };
    let cache = Cache::open(mount.path.join("cache")).unwrap();
    for n in 0..30 {
        fill(&cache, &format!("x{n}"), 1000).unwrap();
    }
    let left = listed(&cache);
    assert!(left.contains(&"x29".to_owned()) && left.len() < 16, "{left:?}");
}

/// A quota (`EDQUOT`) is a full file system as far as the cache is concerned, though others can still write.
#[test]
fn a_quota_is_dealt_with_as_a_full_disk() {
    let Some(mount) = mount("btrfs", 300, "") else { return };
    let dir = mount.path.join("subvolume");
    for arguments in [&["quota", "enable"][..], &["subvolume", "create"], &["qgroup", "limit", "20M"]] {
        let on = if arguments[0] == "quota" { &mount.path } else { &dir };
        let done = Command::new("btrfs").args(arguments).arg(on).output().unwrap();
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
    let cache = Cache::open(&dir).unwrap();
    for n in 0..8 {
        let name = format!("x{n}");
        fill(&cache, &name, 4 * MB).unwrap();
        assert!(bytes(&cache, &name).unwrap() == noise(4 * MB as u64, 4 * MB), "{name}");
    }
    let error = fill(&cache, "huge", 30 * MB).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.to_lowercase().contains("quota"), "{source}");
    fs::write(mount.path.join("neighbour"), noise(1, MB)).unwrap();
    fill(&cache, "afterwards", 4 * MB).unwrap();
    assert_eq!(bytes(&cache, "afterwards").unwrap().len(), 4 * MB);
}

/// Where removing images frees nothing, because somebody else holds their bytes, not all of them go in vain.
#[test]
fn a_removal_that_frees_nothing_is_not_repeated_for_ever() {
    let Some(mount) = mount("ext4", 160, "") else { return };
    let cache = Cache::open(mount.path.join("cache")).unwrap();
    let image = noise(1, 17 * MB);
    for n in 0..7 {
        let name = format!("x{n}");
        put(&cache, &name, &image);
        fs::hard_link(cache.dir().join(&name), mount.path.join(&name)).unwrap();
    }
    assert_eq!(fill(&cache, "y", 60 * MB).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(listed(&cache), ["x4", "x5", "x6"]);
}
