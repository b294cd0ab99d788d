//! A fill that was broken off goes on from what is on disk, and the digest still covers the whole image.

use std::fs;

use icewell::layout::tag;
use icewell::{Announced, ErrorKind, Limit, Metadata, Validators};

use crate::process::start;
use crate::support::{
    announced, begin, bytes, failed, id, listed, names, noise, own, put, set_tag, tag as tag_of, vouched,
};

const ABCDEF_MD5: &str = "md5:e80b5017098950fc58aad83c8c14978e";

#[test]
fn a_suspended_fill_is_resumed() {
    let own = own();
    let mut writer = own.write(&id("x")).unwrap();
    let validators = Validators { etag: Some("\"1\"".into()), last_modified: None };
    let metadata = Metadata { validators, ..Metadata::default() };
    writer.start(Announced { metadata: metadata.clone(), ..announced(6) }).unwrap();
    writer.write(b"abc").unwrap();
    writer.suspend().unwrap();
    let fill = &own.incomplete().unwrap()[0];
    assert_eq!((fill.active, fill.written, fill.size), (false, 3, Some(6)));
    assert!(own.is_cacheable(&id("x")).unwrap() && failed(&own).is_empty());
    assert_eq!(names(&own.dir.join("incomplete")), [".icewell"], "no sign: a Glance may fill it");

    let mut writer = own.write(&id("x")).unwrap();
    let left = writer.resumable().unwrap();
    assert_eq!((left.length, left.size, &left.metadata), (3, Some(6), &metadata));
    writer.resume(vouched(6, ABCDEF_MD5)).unwrap();
    assert_eq!(writer.written(), 3);
    writer.write(b"def").unwrap();
    writer.commit().unwrap();
    assert_eq!(bytes(&own, "x").unwrap(), b"abcdef");
}

#[test]
fn the_digest_covers_what_was_there() {
    let own = own();
    begin(&own, "x", b"abZ", 6).suspend().unwrap();
    let mut writer = own.write(&id("x")).unwrap();
    writer.resume(vouched(6, ABCDEF_MD5)).unwrap();
    writer.write(b"def").unwrap();
    assert_eq!(writer.commit().unwrap_err().kind(), ErrorKind::DigestMismatch);
    assert_eq!(bytes(&own, "x"), None);
}

/// A 206 comes without a digest of the whole image.
#[test]
fn what_was_vouched_for_at_first_holds_for_the_rest() {
    let own = own();
    for (rest, good) in [(b"def", true), (b"deZ", false)] {
        let mut writer = own.write(&id("x")).unwrap();
        writer.start(vouched(6, ABCDEF_MD5)).unwrap();
        writer.write(b"abc").unwrap();
        writer.suspend().unwrap();
        let mut writer = own.write(&id("x")).unwrap();
        assert_eq!(writer.resumable().unwrap().digest, Some(ABCDEF_MD5.parse().unwrap()));
        writer.resume(announced(6)).unwrap();
        writer.write(rest).unwrap();
        let committed = writer.commit();
        assert_eq!(committed.is_ok(), good, "{committed:?}");
        assert_eq!(own.remove(&id("x")).unwrap(), good);
    }
}

#[test]
fn a_killed_fill_is_resumed_from_its_last_mark() {
    let own = own();
    let mut other = start(&own.dir, "hold x");
    other.says();
    other.kill();
    // 1,000 bytes came, but no mark says so yet: nothing of them is trusted.
    assert_eq!(own.incomplete().unwrap()[0].written, 0);
    assert_eq!(own.write(&id("x")).unwrap().resumable(), None);

    let whole = noise(4, 9 << 20);
    std::mem::forget(begin(&own, "y", &whole, 10 << 20));
    assert_eq!(own.write(&id("y")).unwrap_err().kind(), ErrorKind::InProgress);
    assert_eq!(own.incomplete().unwrap().iter().find(|fill| fill.id == id("y")).unwrap().written, 9 << 20);
}

/// The written length counts only within the boot in which it was written, else the synced one.
#[test]
fn after_a_reboot_only_what_was_synced_is_trusted() {
    let own = own();
    begin(&own, "x", b"abcdef", 9).suspend().unwrap();
    let path = own.dir.join("incomplete/.icewell/x");
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let boot = boot.trim();
    let cases = [
        (format!("written=6 synced=6 size=9 boot={boot}"), Some(6)),
        (format!("written=6 synced=2 size=9 boot={boot}"), Some(6)),
        ("written=6 synced=2 size=9 boot=another".into(), Some(2)),
        ("written=2 synced=6 size=9 boot=another".into(), Some(2)),
        ("written=6 synced=0 size=9 boot=another".into(), None),
        (format!("written=900 synced=900 size=9 boot={boot}"), Some(6)),
        ("garbage".into(), None),
    ];
    for (mark, length) in cases {
        set_tag(&path, tag::FILL, mark.as_bytes());
        let writer = own.write(&id("x")).unwrap();
        assert_eq!(writer.resumable().map(|left| left.length), length, "{mark}");
        drop(writer);
        if length.is_some() {
            assert!(tag_of(&path, tag::FILL).unwrap() == mark, "a claim given back changes nothing");
        } else {
            assert!(!path.exists(), "what is good for nothing is not kept: {mark}");
            begin(&own, "x", b"abcdef", 9).suspend().unwrap();
        }
    }
    set_tag(&path, tag::FILL, b"written=6 synced=2 size=9 boot=another");
    let mut writer = own.write(&id("x")).unwrap();
    writer.resume(announced(9)).unwrap();
    writer.write(b"c\0\0\0\0\0\0").unwrap();
    writer.commit().unwrap();
    assert_eq!(bytes(&own, "x").unwrap(), b"abc\0\0\0\0\0\0", "no byte of the old tail shines through");
}

#[test]
fn a_fill_may_be_suspended_again_and_again() {
    let own = own();
    let whole = noise(5, 100_000);
    begin(&own, "x", &whole[..10], 100_000).suspend().unwrap();
    for piece in whole[10..].chunks(9_999) {
        let mut writer = own.write(&id("x")).unwrap();
        writer.resume(announced(100_000)).unwrap();
        writer.write(piece).unwrap();
        writer.suspend().unwrap();
    }
    let mut writer = own.write(&id("x")).unwrap();
    writer.resume(announced(100_000)).unwrap();
    writer.commit().unwrap();
    assert!(bytes(&own, "x").unwrap() == whole);
}

#[test]
fn starting_anew_forgets_what_was_there() {
    let own = own();
    begin(&own, "x", b"abcdef", 9).suspend().unwrap();
    put(&own, "x", b"other");
    assert_eq!(bytes(&own, "x").unwrap(), b"other");
    // Nothing to go on from: `resume` begins at the first byte.
    let mut writer = own.write(&id("y")).unwrap();
    writer.resume(announced(2)).unwrap();
    assert_eq!(writer.written(), 0);
    writer.write(b"ok").unwrap();
    writer.commit().unwrap();
}

#[test]
fn nothing_written_is_nothing_to_keep() {
    let own = own();
    begin(&own, "x", b"", 9).suspend().unwrap();
    assert!(own.incomplete().unwrap().is_empty() && listed(&own).is_empty());
}

#[test]
fn a_resume_that_finds_no_room_leaves_what_is_there() {
    let own = own();
    begin(&own, "x", b"abcdef", 9).suspend().unwrap();
    own.set_limit(Limit { max_size: 8, ..Limit::default() }).unwrap();
    let mut writer = own.write(&id("x")).unwrap();
    assert_eq!(writer.resume(announced(9)).unwrap_err().kind(), ErrorKind::NoRoom);
    drop(writer);
    assert!(failed(&own).is_empty());
    own.set_limit(Limit { max_size: 9, ..Limit::default() }).unwrap();
    assert_eq!(own.write(&id("x")).unwrap().resumable().unwrap().length, 6);
}
