//! A cache opens like `mkdir -p`, or says why it cannot and leaves nothing behind.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

use icewell::layout::{FORMAT_VERSION, tag};
use icewell::{Cache, ErrorKind};

use crate::process::start_as;
use crate::support::{hit, mount, names, own, put, set_tag, tag as tag_of};

const NOBODY: u32 = 65534;

#[test]
fn missing_folders_are_made_and_present_ones_kept() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("a/b/c");
    let cache = Cache::open(&dir).unwrap();
    assert_eq!(cache.dir(), dir);
    assert_eq!(names(&dir), ["incomplete", "invalid", "queue"]);
    assert_eq!(names(&dir.join("incomplete")), [".icewell"]);
    put(&cache, "x", b"bytes");
    drop(cache);
    assert_eq!(crate::support::bytes(&Cache::open(&dir).unwrap(), "x").unwrap(), b"bytes");
    assert_eq!(tag_of(&dir, tag::VERSION).unwrap(), FORMAT_VERSION.to_string());
}

#[test]
fn many_may_open_it_at_once() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("a/b/c");
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| Cache::open(&dir).unwrap());
        }
    });
}

#[test]
fn what_is_made_has_the_owner_and_the_mode_of_dir() {
    let own = own();
    let dir = own.dir.parent().unwrap().join("other");
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o750)).unwrap();
    let root = chown(&dir, Some(NOBODY), Some(NOBODY)).is_ok();
    let cache = Cache::open(&dir).unwrap();
    put(&cache, "x", b"bytes");
    let look = |name: &str| {
        use std::os::unix::fs::MetadataExt;
        let metadata = fs::metadata(dir.join(name)).unwrap();
        assert!(!root || (metadata.uid(), metadata.gid()) == (NOBODY, NOBODY), "{name}");
        metadata.permissions().mode() & 0o7777
    };
    assert_eq!(look("x"), 0o640);
    for folder in ["incomplete", "incomplete/.icewell", "invalid", "queue"] {
        assert_eq!(look(folder), 0o750, "{folder}");
    }
}

#[test]
fn a_file_system_without_tags_is_named_and_left_as_it_was() {
    let Some(mount) = mount("ramfs", 1, "") else { return };
    for dir in [mount.path.clone(), mount.path.join("new"), mount.path.join("new/below/it")] {
        let error = Cache::open(&dir).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoXattrSupport);
        assert_eq!(error.path(), dir);
        let text = error.to_string();
        assert!(text.contains("ramfs") && text.contains("user_xattr"), "{text}");
    }
    assert!(names(&mount.path).is_empty(), "{:?}", names(&mount.path));
}

#[test]
fn a_read_only_file_system_is_told_as_such() {
    let Some(mount) = mount("ext4", 16, "") else { return };
    let dir = mount.path.join("cache");
    put(&Cache::open(&dir).unwrap(), "x", b"bytes");
    mount.remount("ro");
    assert_eq!(Cache::open(mount.path.join("new")).unwrap_err().kind(), ErrorKind::ReadOnly);
    // One that is there already can be read.
    let cache = Cache::open(&dir).unwrap();
    assert_eq!(crate::support::bytes(&cache, "x").unwrap(), b"bytes");
    assert_eq!(cache.write(&crate::support::id("y")).unwrap_err().kind(), ErrorKind::ReadOnly);
    assert_eq!(cache.read(&crate::support::id("x")).unwrap().count_hit().unwrap_err().kind(), ErrorKind::ReadOnly);
}

#[test]
fn no_permission_is_told_as_such() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let own = own();
    let parent = own.dir.parent().unwrap();
    fs::set_permissions(parent, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(start_as(&parent.join("new"), "open", Some(NOBODY)).says(), "PermissionDenied");
    fs::set_permissions(&own.dir, fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(start_as(&own.dir, "open", Some(NOBODY)).says(), "PermissionDenied");
    assert_eq!(names(parent), ["cache"]);
    chown(&own.dir, Some(NOBODY), Some(NOBODY)).unwrap();
    let theirs = parent.join("theirs");
    fs::create_dir(&theirs).unwrap();
    chown(&theirs, Some(NOBODY), Some(NOBODY)).unwrap();
    assert_eq!(start_as(&theirs, "open", Some(NOBODY)).says(), "opened");
}

#[test]
fn a_file_in_the_way_is_an_error_and_stays() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("cache");
    fs::write(&dir, b"mine").unwrap();
    assert_eq!(Cache::open(&dir).unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(Cache::open(dir.join("below")).unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(fs::read(&dir).unwrap(), b"mine");
    assert_eq!(Cache::open("").unwrap_err().kind(), ErrorKind::Io);
}

#[test]
fn a_folder_of_the_cache_may_be_no_link() {
    let own = own();
    let elsewhere = own.dir.parent().unwrap().join("elsewhere");
    fs::rename(own.dir.join("queue"), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, own.dir.join("queue")).unwrap();
    let error = Cache::open(&own.dir).unwrap_err();
    assert_eq!(error.path(), own.dir.join("queue"));
}

#[test]
fn a_format_of_the_future_is_refused_and_an_older_one_read() {
    let own = own();
    hit_something(&own);
    for (version, readable) in [("1", true), ("0", true), (" 1\n", true), ("2", false), ("x", false), ("", false)] {
        set_tag(&own.dir, tag::VERSION, version.as_bytes());
        match Cache::open(&own.dir) {
            Ok(_) => assert!(readable, "{version:?}"),
            Err(error) => {
                assert!(!readable, "{version:?}: {error}");
                assert_eq!(error.kind(), ErrorKind::UnknownFormat);
            }
        }
        assert_eq!(tag_of(&own.dir, tag::VERSION).unwrap(), version, "the tag is not ours to change");
    }
}

fn hit_something(cache: &Cache) {
    put(cache, "x", b"bytes");
    hit(cache, "x");
}
