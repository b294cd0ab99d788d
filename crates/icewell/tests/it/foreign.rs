//! Only regular files count. What else lies in DIR is never followed, served, sized, listed or deleted.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use icewell::layout::tag;
use icewell::{Cache, ErrorKind, Limit, Mode};
use rustix::fs::{CWD, FileType, Mode as Bits, mknodat};

use crate::support::{bytes, failed, id, listed, own, put, queued, set_tag, tag as tag_of};

const STRANGERS: [&str; 6] = ["folder", "link", "dangling", "loop", "fifo", "socket"];

fn plant(dir: &Path, outside: &Path) {
    fs::create_dir(dir.join("folder")).unwrap();
    fs::write(dir.join("folder/inside"), b"inside").unwrap();
    symlink(outside, dir.join("link")).unwrap();
    symlink("nowhere", dir.join("dangling")).unwrap();
    symlink("loop", dir.join("loop")).unwrap();
    mknodat(CWD, dir.join("fifo"), FileType::Fifo, Bits::from_raw_mode(0o600), 0).unwrap();
    drop(UnixListener::bind(dir.join("socket")).unwrap());
}

fn assert_untouched(dir: &Path, outside: &Path) {
    for name in STRANGERS {
        assert!(dir.join(name).symlink_metadata().is_ok(), "{name} is gone from {dir:?}");
    }
    assert_eq!(fs::read(dir.join("folder/inside")).unwrap(), b"inside");
    assert_eq!(fs::read(outside).unwrap(), b"secret");
}

#[test]
fn strangers_among_the_images_are_left_alone() {
    let own = own();
    let outside = own.dir.parent().unwrap().join("outside");
    fs::write(&outside, b"secret").unwrap();
    plant(&own.dir, &outside);
    put(&own, "x", b"bytes");
    assert_eq!(listed(&own), ["x"]);
    assert_eq!(own.usage().unwrap().size, 5);
    assert_eq!(own.space().unwrap().images.size, 5);
    assert_eq!(own.least_recently_used().unwrap().unwrap().id, id("x"));
    for name in STRANGERS {
        assert!(!own.is_cached(&id(name)).unwrap(), "{name}");
        assert_eq!(bytes(&own, name), None, "{name}");
        assert_eq!(own.hits(&id(name)).unwrap(), 0);
        assert!(!own.remove(&id(name)).unwrap(), "{name}");
        assert!(!own.set_pinned(&id(name), true).unwrap(), "{name}");
    }
    assert_eq!(own.prune(Limit { max_size: 0, ..Limit::default() }, Mode::Act).unwrap().files(), 1);
    assert_eq!(own.remove_all(true).unwrap(), 0);
    assert_untouched(&own.dir, &outside);
}

#[test]
fn strangers_in_the_folders_are_left_alone() {
    let own = own();
    let outside = own.dir.parent().unwrap().join("outside");
    fs::write(&outside, b"secret").unwrap();
    let folders = ["incomplete", "incomplete/.icewell", "invalid", "queue"].map(|folder| own.dir.join(folder));
    for folder in &folders {
        plant(folder, &outside);
    }
    assert!(queued(&own).is_empty() && failed(&own).is_empty() && own.incomplete().unwrap().is_empty());
    assert_eq!(own.space().unwrap().counted(icewell::Count::Size), 0);
    for name in STRANGERS {
        assert!(!own.is_queued(&id(name)).unwrap() && !own.unqueue(&id(name)).unwrap(), "{name}");
        assert!(!own.is_being_cached(&id(name)).unwrap(), "{name}");
        // A claim cannot be had where something is in the way: an error, no harm and no waiting.
        assert!(own.write(&id(name)).is_err(), "{name}");
    }
    own.set_limit(Limit { max_size: 0, ..Limit::default() }).unwrap();
    assert!(own.enforce_limit().unwrap());
    assert_eq!(own.clean(Duration::ZERO).unwrap(), Default::default());
    assert_eq!(own.unqueue_all().unwrap(), 0);
    for folder in &folders {
        assert_untouched(folder, &outside);
    }
}

#[test]
fn a_moved_image_is_not_served_as_another() {
    let own = own();
    put(&own, "a", b"bytes of a");
    fs::rename(own.dir.join("a"), own.dir.join("b")).unwrap();
    assert!(!own.is_cached(&id("a")).unwrap() && !own.is_cached(&id("b")).unwrap());
    assert_eq!(bytes(&own, "b"), None);
    assert!(listed(&own).is_empty());
    assert_eq!(own.usage().unwrap().files, 0);
    assert!(own.is_cacheable(&id("b")).unwrap());
    assert_eq!(own.prune(Limit { max_size: 0, ..Limit::default() }, Mode::Act).unwrap().files(), 0);
    // It is in the way of the real one, so it goes, but not without a trace.
    put(&own, "b", b"bytes of b");
    assert_eq!(bytes(&own, "b").unwrap(), b"bytes of b");
    assert_eq!(failed(&own)["b"], "its tag names another image");
    fs::rename(own.dir.join("invalid/b"), own.dir.join("a")).unwrap();
    assert_eq!(bytes(&own, "a").unwrap(), b"bytes of a", "back under its own name it is itself");
}

#[test]
fn a_moved_image_counts_and_makes_room() {
    let own = own();
    put(&own, "a", &[1; 100]);
    fs::rename(own.dir.join("a"), own.dir.join("b")).unwrap();
    assert_eq!(own.space().unwrap().images.size, 100);
    own.set_limit(Limit { max_size: 100, ..Limit::default() }).unwrap();
    put(&own, "c", &[1; 100]);
    assert!(!own.dir.join("b").exists());
}

#[test]
fn garbage_tags_read_as_missing_ones() {
    let own = own();
    put(&own, "x", b"bytes");
    let path = own.dir.join("x");
    let good = crate::support::image(&own, "x");
    for garbage in [&b"x"[..], b"-1", b"", b"1.5", b"99999999999999999999", b"\xff\xfe", &[b'7'; 500]] {
        for key in [tag::HITS, tag::DIGEST, tag::COMPUTED_DIGEST, tag::ACCESSED] {
            set_tag(&path, key, garbage);
        }
        let image = crate::support::image(&own, "x");
        assert_eq!((image.hits, image.digest, image.computed_digest), (0, None, None), "{garbage:?}");
        assert_eq!(image.last_accessed, good.last_accessed);
        assert_eq!(own.hits(&id("x")).unwrap(), 0);
        crate::support::hit(&own, "x");
        assert_eq!(tag_of(&path, tag::HITS).unwrap(), "1", "counting starts anew");
    }
    set_tag(&own.dir, tag::MAX_SIZE, b"lots");
    set_tag(&own.dir, tag::COUNT, b"\xff");
    assert_eq!(own.limit().unwrap(), Limit::default());
    set_tag(&own.dir.join("queue"), tag::LAST_QUEUED, b"yesterday");
    assert!(own.queue(&id("y")).unwrap());
    assert!(Cache::open(&own.dir).is_ok());
}

/// tmpfs keeps tags of up to 64 KiB.
#[test]
fn a_tag_longer_than_any_of_ours_is_garbage() {
    let Some(mount) = crate::support::mount("tmpfs", 16, "") else { return };
    let cache = Cache::open(mount.path.join("cache")).unwrap();
    put(&cache, "x", b"bytes");
    put(&cache, "y", b"bytes");
    set_tag(&cache.dir().join("x"), tag::IMAGE_ID, &[b'x'; 5000]);
    set_tag(&cache.dir().join("y"), tag::HITS, &[b'7'; 5000]);
    assert_eq!(listed(&cache), ["y"]);
    assert_eq!(cache.hits(&id("y")).unwrap(), 0);
    put(&cache, "x", b"again");
    assert_eq!(listed(&cache), ["x", "y"]);
}

#[test]
fn a_file_that_may_not_be_read_hides_no_other() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    use std::os::unix::fs::{PermissionsExt, chown};
    let own = own();
    put(&own, "x", b"bytes");
    put(&own, "secret", b"bytes");
    let may = |name: &str, mode| {
        fs::set_permissions(own.dir.join(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    may("..", 0o755);
    may("", 0o755);
    may("x", 0o644);
    may("secret", 0o600);
    for folder in ["incomplete", "incomplete/.icewell", "invalid", "queue"] {
        chown(own.dir.join(folder), Some(65534), Some(65534)).unwrap();
    }
    assert_eq!(crate::process::start_as(&own.dir, "list", Some(65534)).finish(), ["x"]);
}

#[test]
fn a_folder_under_the_name_of_an_image_is_no_image() {
    let own = own();
    fs::create_dir(own.dir.join("x")).unwrap();
    let error = own.write(&id("x")).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "told before a byte is fetched");
    assert!(error.to_string().contains("not a regular file"), "{error}");
}
