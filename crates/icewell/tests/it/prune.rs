//! Prune goes down to the limit, the least recently used image first.

use icewell::{Count, Limit, Mode, Pruned};

use crate::process::start;
use crate::support::{Own, at, begin, failed, hit, id, listed, noise, own, put};

fn limit(max_size: u64) -> Limit {
    Limit { max_size, ..Limit::default() }
}

/// Five images of 10 bytes, "a" used first and "e" last.
fn five() -> Own {
    let own = own();
    for (n, name) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
        own.clock.set(at(n as u64));
        put(&own, name, &[b'x'; 10]);
    }
    own
}

fn ids(pruned: &Pruned) -> Vec<&str> {
    pruned.images.iter().map(|image| image.id.as_str()).collect()
}

#[test]
fn nothing_while_within_the_limit() {
    let own = five();
    for max_size in [u64::MAX, 51, 50] {
        assert_eq!(own.prune(limit(max_size), Mode::Act).unwrap(), Pruned::default());
    }
    assert_eq!(own.usage().unwrap().files, 5);
    assert_eq!(crate::support::own().prune(limit(0), Mode::Act).unwrap(), Pruned::default());
}

#[test]
fn field_15_the_least_recently_used_go_first_and_no_more_than_needed() {
    let own = five();
    own.clock.set(at(100));
    hit(&own, "a");
    let told = own.prune(limit(25), Mode::DryRun).unwrap();
    assert_eq!(own.usage().unwrap().files, 5, "a dry run removes nothing");
    let pruned = own.prune(limit(25), Mode::Act).unwrap();
    assert_eq!(told, pruned);
    assert_eq!(ids(&pruned), ["b", "c", "d"]);
    assert_eq!((pruned.files(), pruned.bytes()), (3, 30));
    assert_eq!(pruned.images[0].last_accessed, at(1));
    assert_eq!(listed(&own), ["a", "e"]);
}

#[test]
fn a_limit_of_nothing_empties_the_cache() {
    let own = five();
    put(&own, "empty", b"");
    assert_eq!(own.prune(limit(0), Mode::Act).unwrap().files(), 6);
    assert!(listed(&own).is_empty());
}

#[test]
fn field_glance_01_pinned_images_stay() {
    let own = five();
    own.set_pinned(&id("a"), true).unwrap();
    own.set_pinned(&id("c"), true).unwrap();
    assert_eq!(ids(&own.prune(limit(30), Mode::Act).unwrap()), ["b", "d"]);
    assert_eq!(ids(&own.prune(limit(0), Mode::Act).unwrap()), ["e"]);
    assert_eq!(listed(&own), ["a", "c"]);
    assert_eq!(own.remove_all(false).unwrap(), 0);
    assert_eq!(own.remove_all(true).unwrap(), 2);
}

#[test]
fn only_images_are_pruned() {
    let own = five();
    begin(&own, "failed", b"by", 5).roll_back("why");
    begin(&own, "suspended", b"by", 5).suspend().unwrap();
    own.queue(&id("queued")).unwrap();
    own.prune(limit(0), Mode::Act).unwrap();
    assert_eq!(own.incomplete().unwrap().len(), 1);
    assert!(failed(&own).contains_key("failed") && own.is_queued(&id("queued")).unwrap());
}

#[test]
fn allocated_bytes_are_counted_where_asked_for() {
    let own = own();
    for (n, name) in ["sparse", "dense"].into_iter().enumerate() {
        own.clock.set(at(n as u64));
        let bytes = if n == 0 { vec![0; 1 << 20] } else { noise(1, 1 << 20) };
        put(&own, name, &bytes);
    }
    let allocated = Limit { max_size: (1 << 20) + 65_536, count: Count::Allocated, min_free: None };
    assert_eq!(own.prune(allocated, Mode::Act).unwrap(), Pruned::default());
    let half = Limit { max_size: 65_536, count: Count::Allocated, min_free: None };
    assert_eq!(ids(&own.prune(half, Mode::DryRun).unwrap()), ["sparse", "dense"]);
    assert_eq!(ids(&own.prune(limit(1 << 20), Mode::Act).unwrap()), ["sparse"]);
}

#[test]
fn two_prunes_remove_no_more_than_one() {
    for _ in 0..5 {
        let own = five();
        let mut other = start(&own.dir, "prune 25");
        other.go_on();
        let mut removed: u64 = std::thread::scope(|scope| {
            let prune = || own.cache.prune(limit(25), Mode::Act).unwrap().files();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(prune)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        removed += other.finish()[0].parse::<u64>().unwrap();
        assert_eq!(removed, 3);
        assert_eq!(listed(&own), ["d", "e"]);
    }
}

#[test]
fn who_reads_a_pruned_image_reads_on() {
    let own = five();
    let reader = own.read(&id("a")).unwrap();
    own.prune(limit(0), Mode::Act).unwrap();
    assert_eq!(std::io::read_to_string(reader.file()).unwrap(), "x".repeat(10));
    reader.count_hit().unwrap();
}
