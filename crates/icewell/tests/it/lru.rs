//! The least recently used image is found on any mount, to the nanosecond, and after a restart.

use std::os::unix::fs::PermissionsExt;

use icewell::layout::tag;
use icewell::{Cache, Limit, Mode};

use crate::support::{TestClock, at, bytes, hit, id, image, mount, own, put, set_accessed, set_tag};

fn order(cache: &Cache) -> Vec<String> {
    let pruned = cache.prune(Limit { max_size: 0, ..Limit::default() }, Mode::DryRun).unwrap();
    pruned.images.into_iter().map(|image| image.id.to_string()).collect()
}

fn check(dir: &std::path::Path) {
    let clock = TestClock::at(at(0));
    let cache = Cache::open_with_clock(dir, clock.clone()).unwrap();
    for (n, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
        clock.set(at(n as u64));
        put(&cache, name, &[b'x'; 5000]);
    }
    assert_eq!(order(&cache), ["a", "b", "c", "d"], "a commit is a use");
    clock.set(at(10));
    hit(&cache, "b");
    clock.set(at(11));
    hit(&cache, "a");
    assert_eq!(order(&cache), ["c", "d", "b", "a"]);
    // Whatever is no use moves nothing, though it reads the bytes.
    for name in ["c", "d"] {
        bytes(&cache, name).unwrap();
        cache.verify(&id(name), &mut |_| {}).unwrap();
    }
    cache.images().unwrap();
    assert_eq!(order(&cache), ["c", "d", "b", "a"]);
    assert_eq!(image(&cache, "b").last_accessed, at(10));
    let again = Cache::open(dir).unwrap();
    assert_eq!(order(&again), ["c", "d", "b", "a"], "recency survives a restart");
    assert_eq!(again.least_recently_used().unwrap().unwrap().id, id("c"));
}

#[test]
fn field_more_under_every_access_time_option() {
    for (kind, size_mb) in [("ext4", 32), ("xfs", 300), ("btrfs", 128), ("tmpfs", 32)] {
        for options in ["noatime", "relatime", "strictatime"] {
            let Some(mount) = mount(kind, size_mb, options) else { return };
            check(&mount.path.join(options));
        }
    }
}

#[test]
fn in_the_temporary_directory() {
    check(&own().dir);
}

#[test]
fn an_empty_cache_has_none() {
    assert_eq!(own().least_recently_used().unwrap(), None);
}

#[test]
fn at_the_same_nanosecond_the_name_decides() {
    let own = own();
    for name in ["c", "a", "b"] {
        put(&own, name, b"bytes");
    }
    assert_eq!(order(&own), ["a", "b", "c"]);
}

#[test]
fn the_tag_stands_in_where_it_is_later() {
    let own = own();
    for (n, name) in ["a", "b", "c"].into_iter().enumerate() {
        own.clock.set(at(n as u64));
        put(&own, name, b"bytes");
        // Whoever may not set its access time can leave the tag only where he may write.
        std::fs::set_permissions(own.dir.join(name), std::fs::Permissions::from_mode(0o666)).unwrap();
    }
    set_tag(&own.dir.join("a"), tag::ACCESSED, b"1700000000.000000009");
    assert_eq!(order(&own), ["b", "c", "a"]);
    set_tag(&own.dir.join("b"), tag::ACCESSED, b"1600000000.000000000");
    assert_eq!(order(&own), ["b", "c", "a"], "an earlier one counts for nothing");
    set_accessed(&own.dir.join("c"), at(100));
    assert_eq!(order(&own), ["b", "a", "c"]);
}

#[test]
fn asked_again_and_again_the_order_follows_what_happens() {
    let clock = TestClock::at(at(0));
    let own = own();
    let cache = Cache::open_with_clock(own.dir(), clock.clone()).unwrap();
    for (n, name) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
        clock.set(at(n as u64));
        put(&cache, name, &[b'x'; 5000]);
    }
    let mut lru = cache.lru();
    let mut least = || lru.least().unwrap().map(|least| (least.id.to_string(), least.size));
    let is = |name: &str| Some((name.to_owned(), 5000));
    assert_eq!(least(), is("a"));
    assert_eq!(least(), is("a"), "asking changes nothing");
    clock.set(at(10));
    hit(&cache, "a");
    assert_eq!(least(), is("b"), "what was used is not the least recently used");
    cache.set_pinned(&id("b"), true).unwrap();
    assert_eq!(least(), is("c"), "what is pinned stays");
    cache.remove(&id("c")).unwrap();
    // Another image under the same name, at another time.
    cache.remove(&id("d")).unwrap();
    clock.set(at(11));
    put(&cache, "d", &[b'y'; 5000]);
    assert_eq!(least(), is("e"));
    cache.remove(&id("e")).unwrap();
    assert_eq!(least(), is("a"), "scanned again when nothing is left of the old scan");
    for name in ["a", "d"] {
        cache.remove(&id(name)).unwrap();
    }
    assert_eq!(least(), None, "only the pinned one is left");
}

#[test]
fn summaries_tell_the_same_as_the_full_list() {
    let own = own();
    for name in ["b", "a"] {
        put(&own, name, &[b'x'; 5000]);
        hit(&own, name);
    }
    let full: Vec<_> = own.images().unwrap();
    let brief = own.summaries().unwrap();
    assert_eq!(brief.len(), 2);
    for (full, brief) in full.iter().zip(&brief) {
        assert_eq!((&full.id, full.size, full.hits), (&brief.id, brief.size, brief.hits));
        assert_eq!((full.last_modified, full.last_accessed), (brief.last_modified, brief.last_accessed));
    }
}
