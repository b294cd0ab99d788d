//! The least recently used image is found on any mount, to the nanosecond, and after a restart.

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
fn under_every_access_time_option() {
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
    }
    set_tag(&own.dir.join("a"), tag::ACCESSED, b"1700000000.000000009");
    assert_eq!(order(&own), ["b", "c", "a"]);
    set_tag(&own.dir.join("b"), tag::ACCESSED, b"1600000000.000000000");
    assert_eq!(order(&own), ["b", "c", "a"], "an earlier one counts for nothing");
    set_accessed(&own.dir.join("c"), at(100));
    assert_eq!(order(&own), ["b", "a", "c"]);
}
