//! What is open takes room until it is closed: it is not removed to make room, and what somebody removed still counts
//! (cvmfs/cvmfs#2948).

use std::fs;
use std::sync::{Arc, Mutex};

use icewell::{ErrorKind, Limit};

use crate::support::{announced, begin, bytes, id, listed, own, put};

fn limit(max_size: u64) -> Limit {
    Limit { max_size, ..Limit::default() }
}

#[test]
fn what_is_being_read_stays_and_the_next_one_goes() {
    let own = own();
    own.set_limit(limit(30)).unwrap();
    for name in ["a", "b", "c"] {
        put(&own, name, &[1; 10]);
    }
    let reader = own.read(&id("a")).unwrap();
    put(&own, "d", &[1; 10]);
    assert_eq!(listed(&own), ["a", "c", "d"]);
    let mut writer = own.write(&id("large")).unwrap();
    assert_eq!(writer.start(announced(21)).unwrap_err().kind(), ErrorKind::NoRoom);
    assert_eq!(listed(&own), ["a", "c", "d"]);
    drop(reader);
    writer.start(announced(21)).unwrap();
    assert_eq!(listed(&own), [""; 0]);
}

#[test]
fn a_removed_image_counts_until_its_last_reader_is_gone() {
    let own = own();
    own.set_limit(limit(30)).unwrap();
    put(&own, "a", &[1; 10]);
    let (reader, another) = (own.read(&id("a")).unwrap(), own.clone().read(&id("a")).unwrap());
    own.remove(&id("a")).unwrap();
    assert_eq!((own.space().unwrap().deleted.files, own.space().unwrap().deleted.size), (1, 10));
    assert_eq!(own.space().unwrap().counted(own.limit().unwrap().count), 10);
    let mut writer = own.write(&id("b")).unwrap();
    assert_eq!(writer.start(announced(21)).unwrap_err().kind(), ErrorKind::NoRoom);
    drop(reader);
    assert_eq!(writer.start(announced(21)).unwrap_err().kind(), ErrorKind::NoRoom);
    drop(another);
    writer.start(announced(21)).unwrap();
    assert_eq!(own.space().unwrap().deleted.files, 0);
}

#[test]
fn so_does_a_fill_that_was_given_up_while_somebody_follows_it() {
    let own = own();
    own.set_limit(limit(30)).unwrap();
    let writer = begin(&own, "a", &[1; 10], 10);
    let follower = writer.reader().unwrap();
    writer.release().unwrap();
    assert_eq!(own.space().unwrap().deleted.size, 10);
    let mut next = own.write(&id("b")).unwrap();
    assert_eq!(next.start(announced(21)).unwrap_err().kind(), ErrorKind::NoRoom);
    drop(follower);
    next.start(announced(21)).unwrap();
}

#[test]
fn who_only_keeps_images_at_hand_is_asked_to_let_go() {
    let own = own();
    own.set_limit(limit(30)).unwrap();
    for name in ["a", "b", "c"] {
        put(&own, name, &[1; 10]);
    }
    let at_hand = Arc::new(Mutex::new(vec![own.read(&id("a")).unwrap(), own.read(&id("b")).unwrap()]));
    let kept = at_hand.clone();
    own.before_removal(move || kept.lock().unwrap().clear());
    put(&own, "d", &[1; 10]);
    assert_eq!(listed(&own), ["b", "c", "d"], "the order is that of use, as if none had been open");
    assert_eq!(at_hand.lock().unwrap().len(), 0);
}

#[test]
fn what_many_have_opened_and_closed_is_forgotten() {
    let own = own();
    put(&own, "a", &[1; 10]);
    for _ in 0..10_000 {
        own.read(&id("a")).unwrap();
    }
    fs::remove_file(own.dir.join("a")).unwrap();
    assert_eq!(own.space().unwrap().deleted.files, 0);
    put(&own, "a", &[2; 10]);
    assert_eq!(bytes(&own, "a").unwrap(), [2; 10]);
}
