//! The scrub: each image read again from time to time, without a trace in the page cache, and on where it was after a
//! restart.

use std::fs::{self, File};
use std::io::{IoSliceMut, Read};
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use icewell::{Cache, ImageId, Verdict};
use rustix::fs::{Advice, fadvise};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use crate::support::{TestClock, at, failed, id, listed, mount, noise, own, put, set_modified, tag};

const EVERY: Duration = Duration::from_secs(1000);
const MB: usize = 1 << 20;

fn scrub(cache: &Cache, name: &str) -> Verdict {
    cache.scrub(&id(name), &mut |_| ControlFlow::Continue(())).unwrap().unwrap()
}

fn due(cache: &Cache) -> Vec<String> {
    cache.scrub_due(EVERY).unwrap().iter().map(ImageId::to_string).collect()
}

#[test]
fn an_image_is_due_when_it_was_compared_long_ago_and_a_restart_goes_on() {
    let own = own();
    for (name, modified) in [("b", 10), ("a", 20), ("c", 30)] {
        put(&own, name, b"bytes");
        set_modified(&own.dir.join(name), at(0) + Duration::from_secs(modified));
    }
    fs::write(own.dir.join("without-a-digest"), "bytes").unwrap();
    set_modified(&own.dir.join("without-a-digest"), at(0));
    own.clock.set(at(0) + Duration::from_secs(1009));
    assert_eq!(due(&own), [""; 0]);
    own.clock.set(at(0) + Duration::from_secs(1030));
    assert_eq!(due(&own), ["b", "a", "c"]);
    assert_eq!(scrub(&own, "b"), Verdict::Unverifiable { unchanged: true });
    let restarted = Cache::open_with_clock(&own.dir, own.clock.clone()).unwrap();
    assert_eq!(due(&restarted), ["a", "c"]);
    restarted.verify(&id("a"), &mut |_| {}).unwrap();
    assert_eq!(due(&own), ["c"], "what anybody verified is not read again so soon");
    assert_eq!(tag(&own.dir.join("b"), "user.icewell.verified").as_deref(), Some("1700001030.000000000"));
    own.clock.advance(EVERY);
    assert_eq!(due(&own), ["c", "a", "b"]);
    // A clock that was set back does not keep an image from being read for years.
    own.clock.set(at(0));
    assert_eq!(due(&own).len(), 3);
}

#[test]
fn what_is_broken_off_is_still_due_and_counts_as_no_use() {
    let own = own();
    put(&own, "a", &noise(1, 3 * MB));
    own.clock.advance(Duration::from_secs(10 * 365 * 86_400));
    let mut steps = 0;
    let verdict = own.scrub(&id("a"), &mut |step| {
        steps += step;
        if steps > MB as u64 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(verdict.unwrap(), None);
    assert_eq!((due(&own), own.hits(&id("a")).unwrap()), (vec!["a".to_owned()], 0));
    assert_eq!(own.image(&id("a")).unwrap().unwrap().last_accessed, at(0));
}

#[test]
fn whose_digest_it_was_is_told() {
    let own = own();
    put(&own, "a", b"bytes");
    fs::write(own.dir.join("a"), "rot").unwrap();
    let Verdict::Corrupt(why) = scrub(&own, "a") else { panic!("rot passed") };
    assert!(why.contains(", as Icewell computed it when it was stored,"), "{why}");
    assert_eq!((failed(&own)["a"].as_str(), listed(&own).len()), (why.as_str(), 0));
}

fn is_in_memory(file: &File, offset: usize) -> bool {
    match preadv2(file, &mut [IoSliceMut::new(&mut [0])], offset as u64, ReadWriteFlags::NOWAIT) {
        Ok(length) => length == 1,
        Err(Errno::AGAIN) => false,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn the_page_cache_is_as_it_was() {
    for kind in ["ext4", "xfs"] {
        let Some(mount) = mount(kind, 300, "") else { return };
        let cache = Cache::open_with_clock(mount.path.join("cache"), TestClock::at(at(0))).unwrap();
        put(&cache, "a", &noise(1, 8 * MB));
        let file = File::open(cache.dir().join("a")).unwrap();
        fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        assert!(!is_in_memory(&file, 2 * MB));
        fadvise(&file, 0, None, Advice::Random).unwrap();
        file.read_exact_at(&mut vec![0; MB], 2 * MB as u64).unwrap();
        assert_eq!(scrub(&cache, "a"), Verdict::Unverifiable { unchanged: true });
        for megabyte in 0..8 {
            let there = is_in_memory(&file, megabyte * MB + 100);
            assert_eq!(there, megabyte == 2, "{kind}, megabyte {megabyte}");
        }
    }
}

/// Bytes that the disk has lost (here: changed under a mounted btrfs, whose checksums tell) are a read error, and found.
#[test]
fn a_read_error_of_the_disk_is_found() {
    let Some(mount) = mount("btrfs", 200, "") else { return };
    let cache = Cache::open(mount.path.join("cache")).unwrap();
    let image = noise(7, 4 * MB);
    put(&cache, "a", &image);
    fadvise(File::open(cache.dir().join("a")).unwrap(), 0, None, Advice::DontNeed).unwrap();
    mount.rot(&image, 3 * MB);
    let mut bytes = Vec::new();
    let error = cache.read(&id("a")).unwrap().read_to_end(&mut bytes).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EIO));
    let Verdict::Corrupt(why) = scrub(&cache, "a") else { panic!("rot passed") };
    assert!(why.starts_with("verify: cannot be read: "), "{why}");
    assert_eq!(failed(&cache)["a"], why);
}
