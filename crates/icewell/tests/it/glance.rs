//! A Glance with its `xattr` driver beside us, on the same directory: its moves, made here with plain file calls.
//!
//! Its fill is `open(incomplete/ID, 'wb')`, bytes, `user.hits` = 0, `rename` to DIR/ID, and it knows no lock of ours.

use std::fs::{self, File};
use std::io::Write;
use std::time::{Duration, SystemTime};

use icewell::layout::tag;
use icewell::{Commit, ErrorKind, Filler};

use crate::process::start;
use crate::support::{begin, bytes, failed, hit, id, image, listed, own, put, set_modified, set_tag, tag as tag_of};

#[test]
fn its_images_are_ours() {
    let own = own();
    fs::write(own.dir.join("x"), b"bytes").unwrap();
    set_tag(&own.dir.join("x"), tag::HITS, b"7");
    fs::write(own.dir.join("untagged"), b"bytes").unwrap();
    assert_eq!(listed(&own), ["untagged", "x"]);
    assert_eq!(own.hits(&id("x")).unwrap(), 7);
    assert_eq!(own.hits(&id("untagged")).unwrap(), 0);
    assert_eq!(bytes(&own, "x").unwrap(), b"bytes");
    hit(&own, "x");
    assert_eq!(tag_of(&own.dir.join("x"), tag::HITS).unwrap(), "8");
    assert_eq!(own.write(&id("x")).unwrap_err().kind(), ErrorKind::AlreadyCached);
}

#[test]
fn ours_are_its() {
    let own = own();
    put(&own, "x", b"bytes");
    assert_eq!(fs::read(own.dir.join("x")).unwrap(), b"bytes");
    assert_eq!(tag_of(&own.dir.join("x"), tag::HITS).unwrap(), "0");
    own.queue(&id("y")).unwrap();
    assert_eq!(fs::metadata(own.dir.join("queue/y")).unwrap().len(), 0);
}

#[test]
fn its_fill_is_in_progress_while_it_lives() {
    let own = own();
    let mut its = File::create(own.dir.join("incomplete/x")).unwrap();
    its.write_all(b"by").unwrap();
    assert_eq!(own.write(&id("x")).unwrap_err().kind(), ErrorKind::InProgress);
    assert!(own.is_being_cached(&id("x")).unwrap() && !own.queue(&id("x")).unwrap());
    let fill = &own.incomplete().unwrap()[0];
    assert_eq!((fill.filler, fill.active, fill.written), (Filler::Other, true, 2));
    its.write_all(b"tes").unwrap();
    assert!(own.dir.join("incomplete/x").exists(), "its file is left alone");
    drop(its);
    fs::rename(own.dir.join("incomplete/x"), own.dir.join("x")).unwrap();
    assert_eq!(bytes(&own, "x").unwrap(), b"bytes");
}

#[test]
fn its_leftover_is_in_progress_as_the_folder_says_and_taken_over_by_a_claim() {
    let own = own();
    let mut its = start(&own.dir, "glance x");
    its.says();
    assert_eq!(own.write(&id("x")).unwrap_err().kind(), ErrorKind::InProgress);
    its.kill();
    assert!(own.is_being_cached(&id("x")).unwrap() && !own.is_cacheable(&id("x")).unwrap());
    assert!(!own.incomplete().unwrap()[0].active);
    put(&own, "x", b"bytes");
    assert_eq!(bytes(&own, "x").unwrap(), b"bytes");
    assert_eq!(failed(&own)["x"], "incomplete fetch");
    assert_eq!(fs::read(own.dir.join("invalid/x")).unwrap(), b"from Glance");
}

/// Between closing its file and renaming it, a Glance has nothing open: what it renames then must be what it wrote.
#[test]
fn what_it_is_about_to_commit_is_never_swapped_for_our_sign() {
    let own = own();
    let commit = || fs::rename(own.dir.join("incomplete/x"), own.dir.join("x")).unwrap();
    fs::write(own.dir.join("incomplete/x"), b"its").unwrap();
    let ours = begin(&own, "x", b"by", 5);
    commit();
    assert_eq!(fs::read(own.dir.join("x")).unwrap(), b"its");
    drop(ours);
    fs::remove_file(own.dir.join("x")).unwrap();

    // It came upon our sign, and has written into it.
    let ours = begin(&own, "y", b"by", 5);
    fs::OpenOptions::new().write(true).open(own.dir.join("incomplete/y")).unwrap().write_all(b"its").unwrap();
    drop(ours);
    let mut again = begin(&own, "y", b"by", 5);
    assert_eq!(fs::read(own.dir.join("incomplete/y")).unwrap(), b"its");
    again.write(b"tes").unwrap();
    again.commit().unwrap();
    assert_eq!(bytes(&own, "y").unwrap(), b"bytes");
    assert!(!own.dir.join("incomplete/y").exists() && !own.is_being_cached(&id("y")).unwrap());
}

#[test]
fn a_file_under_its_final_name_that_is_still_written_is_not_served() {
    let own = own();
    // Two Glances fill one inode; the first renames it while the second has just emptied it.
    let first = File::create(own.dir.join("incomplete/x")).unwrap();
    let mut second = File::create(own.dir.join("incomplete/x")).unwrap();
    drop(first);
    fs::rename(own.dir.join("incomplete/x"), own.dir.join("x")).unwrap();
    second.write_all(b"by").unwrap();
    assert_eq!(bytes(&own, "x"), None);
    assert_eq!(own.write(&id("x")).unwrap_err().kind(), ErrorKind::InProgress);
    second.write_all(b"tes").unwrap();
    drop(second);
    assert_eq!(bytes(&own, "x").unwrap(), b"bytes");
}

/// A Glance that looked before our sign was there opens it with 'wb' and fills it, as if it were its own.
#[test]
fn our_sign_filled_and_committed_by_it_is_never_served() {
    let own = own();
    let mut ours = begin(&own, "x", b"by", 5);
    let mut its = File::create(own.dir.join("incomplete/x")).unwrap();
    its.write_all(b"half").unwrap();
    assert_eq!(tag_of(&own.dir.join("incomplete/x"), tag::CLAIM).unwrap(), "1");
    assert_eq!(own.write(&id("x")).unwrap_err().kind(), ErrorKind::InProgress);
    fs::rename(own.dir.join("incomplete/x"), own.dir.join("x")).unwrap();
    drop(its);
    assert_eq!(bytes(&own, "x"), None);
    assert!(!own.is_cached(&id("x")).unwrap() && listed(&own).is_empty());
    ours.write(b"tes").unwrap();
    assert_eq!(ours.commit().unwrap(), Commit::Stored);
    assert_eq!(bytes(&own, "x").unwrap(), b"bytes");
    assert_eq!(failed(&own)["x"], "it is a claim and was committed by another");
}

#[test]
fn our_sign_truncated_and_given_up_by_it_costs_nothing() {
    let own = own();
    let mut ours = begin(&own, "x", b"by", 5);
    drop(File::create(own.dir.join("incomplete/x")).unwrap());
    fs::rename(own.dir.join("incomplete/x"), own.dir.join("invalid/x")).unwrap();
    ours.write(b"tes").unwrap();
    assert_eq!(ours.commit().unwrap(), Commit::Stored);
    assert_eq!(bytes(&own, "x").unwrap(), b"bytes");
}

#[test]
fn its_own_fill_begun_after_ours_is_not_removed_by_our_end() {
    let own = own();
    for end in ["commit", "drop"] {
        let writer = begin(&own, end, b"bytes", 5);
        let sign = own.dir.join("incomplete").join(end);
        // Kept elsewhere, so that the new file cannot get the inode of the old one.
        fs::rename(&sign, own.dir.join("invalid/kept")).unwrap();
        fs::write(&sign, b"its own").unwrap();
        match end {
            "commit" => drop(writer.commit().unwrap()),
            _ => drop(writer),
        }
        assert_eq!(fs::read(&sign).unwrap(), b"its own", "{end}");
    }
}

#[test]
fn clean_spares_what_it_still_writes_whatever_its_age() {
    let own = own();
    own.clock.set(SystemTime::now());
    let old = SystemTime::now() - Duration::from_secs(1_000_000);
    let alive = File::create(own.dir.join("incomplete/alive")).unwrap();
    fs::write(own.dir.join("incomplete/dead"), b"dead").unwrap();
    fs::write(own.dir.join("incomplete/young"), b"young").unwrap();
    for name in ["alive", "dead"] {
        set_modified(&own.dir.join("incomplete").join(name), old);
    }
    assert_eq!(own.reap_stalled(Duration::from_secs(86_400)).unwrap(), 1);
    assert!(!own.dir.join("incomplete/dead").exists());
    assert_eq!(own.reap_stalled(Duration::ZERO).unwrap(), 1);
    assert!(own.dir.join("incomplete/alive").exists() && !own.dir.join("incomplete/young").exists());
    drop(alive);
}

#[test]
fn its_cleaner_sees_our_fill_as_a_young_one() {
    let own = own();
    own.clock.set(crate::support::at(5));
    let mut writer = own.write(&id("x")).unwrap();
    writer.start(icewell::Announced::default()).unwrap();
    for hour in 1..4 {
        let now = crate::support::at(hour * 3_600_000_000_000);
        own.clock.set(now);
        writer.write(&crate::support::noise(hour, 4 << 20)).unwrap();
        assert_eq!(fs::metadata(own.dir.join("incomplete/x")).unwrap().modified().unwrap(), now);
    }
}

#[test]
fn an_image_of_its_own_gets_our_tags_only_by_use() {
    let own = own();
    fs::write(own.dir.join("x"), b"bytes").unwrap();
    assert!(crate::support::tags(&own.dir.join("x")).is_empty());
    assert_eq!(image(&own, "x").digest, None);
    own.set_pinned(&id("x"), true).unwrap();
    assert!(image(&own, "x").pinned);
}
