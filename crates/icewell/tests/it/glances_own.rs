//! What a Glance keeps in DIR besides images is no image, and is left alone; an image by the same name is one.

use std::fs;

use icewell::layout::{glance, tag};
use icewell::{Cache, ErrorKind, Limit, Mode};

use crate::support::{at, bytes, id, listed, own, put, set_tag, tag as tag_of};

const DATABASE: &[u8] = b"SQLite format 3\0and so on";

fn names() -> Vec<&'static str> {
    [glance::DATABASE, "cache.db-journal", "cache.db-wal", "cache.db-shm", glance::PROBE]
        .into_iter()
        .chain(glance::LOCKS)
        .collect()
}

fn plant(cache: &Cache) {
    for name in names() {
        let bytes: &[u8] = if name.starts_with(glance::DATABASE) { DATABASE } else { b"" };
        fs::write(cache.dir().join(name), bytes).unwrap();
    }
}

#[test]
fn field_glance_09_they_are_neither_listed_nor_served_nor_removed() {
    let own = own();
    plant(&own);
    put(&own, "x", b"bytes");
    assert_eq!(listed(&own), ["x"]);
    assert_eq!(own.summaries().unwrap().len(), 1);
    assert_eq!((own.usage().unwrap().files, own.usage().unwrap().size), (1, 5));
    for name in names() {
        assert!(!own.is_cached(&id(name)).unwrap(), "{name}");
        assert_eq!(bytes(&own, name), None, "{name}");
        assert_eq!(own.write(&id(name)).unwrap_err().kind(), ErrorKind::Io, "{name}");
        assert!(!own.remove(&id(name)).unwrap(), "{name}");
    }
    own.set_limit(Limit { max_size: 0, ..Limit::default() }).unwrap();
    own.enforce_limit().unwrap();
    assert_eq!(listed(&own), [""; 0], "the image had to go");
    assert_eq!(own.prune(Limit { max_size: 0, ..Limit::default() }, Mode::Act).unwrap().files(), 0);
    assert_eq!(own.remove_all(true).unwrap(), 0);
    for name in names() {
        assert!(own.dir().join(name).exists(), "{name} is gone");
    }
}

#[test]
fn an_image_by_their_name_is_one() {
    let own = own();
    for name in names() {
        put(&own, name, DATABASE);
    }
    assert_eq!(listed(&own).len(), names().len());
    assert_eq!(own.prune(Limit { max_size: 0, ..Limit::default() }, Mode::Act).unwrap().files(), names().len() as u64);
    // As a Glance with the xattr driver leaves it: without tags of ours.
    for (name, bytes) in [("cache.db", "no database"), ("cache.db-wal", "none either"), ("glance-cache", "bytes")] {
        fs::write(own.dir().join(name), bytes).unwrap();
    }
    assert_eq!(listed(&own), ["cache.db", "cache.db-wal", "glance-cache"]);
}

#[test]
fn hits_that_a_glance_noted_elsewhere_are_taken_over_once() {
    let own = own();
    fs::write(own.dir().join("old"), b"bytes").unwrap();
    let take = |hits, time| own.read(&id("old")).unwrap().take_over(hits, time).unwrap();
    assert!(!own.read(&id("old")).unwrap().has_hits_tag());
    assert!(take(7, at(5)));
    let image = own.image(&id("old")).unwrap().unwrap();
    assert_eq!((image.hits, image.last_accessed), (7, at(5)));
    own.read(&id("old")).unwrap().count_hit().unwrap();
    assert!(!take(70, at(6)), "what was counted here counts");
    assert_eq!(own.hits(&id("old")).unwrap(), 8);
    assert_eq!(tag_of(&own.dir().join("old"), tag::HITS).unwrap(), "8");
    set_tag(&own.dir().join("old"), tag::HITS, b"garbage");
    assert!(!take(70, at(6)), "whatever it says");
}
