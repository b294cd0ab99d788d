//! A fill can be watched by others as it grows, and what they read is never written over.

use std::os::unix::fs::FileExt;
use std::time::Duration;

use icewell::{Announced, Cache, Metadata, Observed, Validators};

use crate::support::{announced, begin, bytes, id, noise, own};

fn text(observer: &icewell::Observer, length: usize) -> Vec<u8> {
    let mut buffer = vec![0; length];
    observer.file().read_exact_at(&mut buffer, 0).unwrap();
    buffer
}

#[test]
fn from_the_first_byte_to_the_commit() {
    let own = own();
    let image = noise(1, 9 << 20);
    let other = Cache::open(&own.dir).unwrap();
    assert!(other.observe(&id("x")).unwrap().is_none());
    let mut writer = own.write(&id("x")).unwrap();
    assert!(other.observe(&id("x")).unwrap().is_none(), "claimed, and not begun");
    let validators = Validators { etag: Some("\"1\"".into()), last_modified: None };
    let metadata = Metadata { validators, ..Metadata::default() };
    writer.start(Announced { metadata: metadata.clone(), ..announced(image.len() as u64) }).unwrap();
    let observer = other.observe(&id("x")).unwrap().unwrap();
    assert_eq!((observer.size(), observer.metadata()), (Some(image.len() as u64), &metadata));
    assert_eq!(observer.look().unwrap(), Observed::Filling { written: 0 });
    writer.write(&image[..5 << 20]).unwrap();
    assert_eq!(observer.look().unwrap(), Observed::Filling { written: 5 << 20 });
    assert!(text(&observer, 5 << 20) == image[..5 << 20]);
    writer.write(&image[5 << 20..]).unwrap();
    writer.commit().unwrap();
    assert_eq!(observer.look().unwrap(), Observed::Committed);
    assert!(text(&observer, image.len()) == image);
}

#[test]
fn a_fill_that_fails_or_stops_ends() {
    let own = own();
    let writer = begin(&own, "x", b"abc", 6);
    let observer = own.observe(&id("x")).unwrap().unwrap();
    writer.roll_back("no");
    assert_eq!(observer.look().unwrap(), Observed::Ended);
    assert_eq!(observer.failure().as_deref(), Some("no"));
    own.reap_invalid(Duration::ZERO).unwrap();
    assert_eq!(observer.failure().as_deref(), Some("no"), "nor does it matter what becomes of the failed fill");
    let writer = begin(&own, "x", b"abc", 6);
    let observer = own.observe(&id("x")).unwrap().unwrap();
    writer.suspend().unwrap();
    assert_eq!(observer.look().unwrap(), Observed::Ended);
    assert_eq!(observer.failure(), None);
    assert!(own.observe(&id("x")).unwrap().is_none());
}

#[test]
fn what_an_earlier_fill_left_is_not_shown_as_the_new_ones() {
    let own = own();
    begin(&own, "x", b"old", 6).suspend().unwrap();
    let mut writer = own.write(&id("x")).unwrap();
    assert!(own.observe(&id("x")).unwrap().is_none(), "nobody knows yet whether it goes on");
    writer.resume(announced(6)).unwrap();
    assert_eq!(own.observe(&id("x")).unwrap().unwrap().look().unwrap(), Observed::Filling { written: 3 });
    writer.suspend().unwrap();
    own.write(&id("x")).unwrap().release().unwrap();
    assert_eq!(own.write(&id("x")).unwrap().resumable().unwrap().length, 3, "a claim given back changes nothing");
}

#[test]
fn who_reads_an_old_part_never_reads_a_new_one_in_it() {
    let own = own();
    let writer = begin(&own, "x", b"old", 6);
    let observer = own.observe(&id("x")).unwrap().unwrap();
    writer.suspend().unwrap();
    let mut writer = own.write(&id("x")).unwrap();
    writer.start(announced(3)).unwrap();
    writer.write(b"new").unwrap();
    assert_eq!(text(&observer, 3), b"old");
    writer.commit().unwrap();
    assert_eq!(observer.look().unwrap(), Observed::Ended, "another file has the name");
    assert_eq!(bytes(&own, "x").unwrap(), b"new");
}
