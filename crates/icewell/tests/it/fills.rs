//! A fill becomes the image whole and verified, or goes to `invalid/` with the reason.

use std::fs;
use std::io::Write;

use icewell::layout::tag;
use icewell::{Announced, Commit, ErrorKind, Limit};

use crate::support::{
    announced, begin, bytes, failed, id, image, names, noise, own, put, queued, tag as tag_of, vouched,
};

const BYTES_MD5: &str = "md5:4b3a6218bb3e3a7303e8a171a60fcf92";

#[test]
fn a_commit_takes_the_claim_and_the_queue_entry_away() {
    let own = own();
    own.queue(&id("x")).unwrap();
    own.queue(&id("y")).unwrap();
    put(&own, "x", b"bytes");
    assert_eq!(queued(&own), ["y"]);
    assert_eq!(tag_of(&own.dir.join("x"), tag::HITS).unwrap(), "0");
    assert_eq!(tag_of(&own.dir.join("x"), tag::FILL), None);
    assert_eq!(names(&own.dir.join("incomplete")), [".icewell"]);
    assert!(names(&own.dir.join("incomplete/.icewell")).is_empty());
}

#[test]
fn an_image_of_any_size_is_itself() {
    let own = own();
    for size in [0, 1, 4095, 4096, 4097, 1 << 20, (5 << 20) + 3] {
        let bytes_in = noise(size as u64, size);
        for known in [Some(size as u64), None] {
            let mut writer = own.write(&id("x")).unwrap();
            writer.start(Announced { size: known, ..Announced::default() }).unwrap();
            for piece in bytes_in.chunks(100_001) {
                writer.write_all(piece).unwrap();
            }
            writer.commit().unwrap();
            assert!(bytes(&own, "x").unwrap() == bytes_in, "{size} {known:?}");
            own.remove(&id("x")).unwrap();
        }
    }
    own.write(&id("never started")).unwrap().commit().unwrap();
    assert_eq!(bytes(&own, "never started").unwrap(), b"");
}

#[test]
fn what_is_written_can_be_read_along() {
    let own = own();
    let mut writer = begin(&own, "x", b"by", 5);
    let reader = writer.reader().unwrap();
    let mut buffer = [0; 2];
    std::os::unix::fs::FileExt::read_exact_at(&*reader, &mut buffer, 0).unwrap();
    assert_eq!(&buffer, b"by");
    writer.write(b"tes").unwrap();
    writer.commit().unwrap();
    own.remove(&id("x")).unwrap();
    assert_eq!(std::io::read_to_string(reader).unwrap(), "bytes", "also after the commit and the removal");
}

#[test]
fn a_wrong_size_is_never_committed() {
    let own = own();
    let error = begin(&own, "x", b"byt", 5).commit().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SizeMismatch);
    assert!(failed(&own)["x"].contains("5 bytes were announced and 3 came"), "{:?}", failed(&own));
    assert_eq!(bytes(&own, "x"), None);
    assert_eq!(own.invalid().unwrap()[0].size, 3, "what came is kept, not what was reserved");
    let mut writer = begin(&own, "y", b"bytes", 5);
    assert_eq!(writer.write(b"!").unwrap_err().kind(), ErrorKind::SizeMismatch);
    drop(writer);
    assert_eq!(failed(&own)["y"], "incomplete fetch");
}

#[test]
fn a_wrong_digest_is_never_committed() {
    let own = own();
    let mut writer = own.write(&id("x")).unwrap();
    writer.start(vouched(5, BYTES_MD5)).unwrap();
    writer.write(b"bytez").unwrap();
    assert_eq!(writer.commit().unwrap_err().kind(), ErrorKind::DigestMismatch);
    assert!(failed(&own)["x"].contains(BYTES_MD5), "{:?}", failed(&own));
    assert_eq!(bytes(&own, "x"), None);
    let mut writer = own.write(&id("x")).unwrap();
    writer.start(vouched(5, BYTES_MD5)).unwrap();
    writer.write(b"bytes").unwrap();
    writer.verify().unwrap();
    assert_eq!(bytes(&own, "x"), None, "verified, but without its name");
    assert_eq!(writer.commit().unwrap(), Commit::Stored);
    assert_eq!(image(&own, "x").digest.unwrap().to_string(), BYTES_MD5);
}

#[test]
fn what_was_found_wrong_stays_wrong() {
    let own = own();
    let mut writer = own.write(&id("x")).unwrap();
    writer.start(vouched(5, BYTES_MD5)).unwrap();
    writer.write(b"bytez").unwrap();
    assert_eq!(writer.verify().unwrap_err().kind(), ErrorKind::DigestMismatch);
    assert!(writer.verify().is_err(), "a second look does not help");
    assert!(writer.commit().is_err());
    assert_eq!(bytes(&own, "x"), None);
    // Nor does a write that was refused, though what is there has the announced size.
    let mut writer = begin(&own, "y", b"bytes", 5);
    writer.write(b"!").unwrap_err();
    assert!(writer.write(b"").is_err() && writer.commit().is_err());
    assert_eq!(bytes(&own, "y"), None);
}

#[test]
fn nothing_is_added_after_the_verification() {
    let own = own();
    let mut writer = own.write(&id("x")).unwrap();
    writer.start(icewell::Announced { size: None, ..vouched(5, BYTES_MD5) }).unwrap();
    writer.write(b"bytes").unwrap();
    writer.verify().unwrap();
    assert!(writer.write(b"!").is_err());
    writer.verify().unwrap();
    writer.commit().unwrap();
    assert_eq!(bytes(&own, "x").unwrap(), b"bytes");
}

#[test]
fn a_dropped_fill_is_invalid() {
    let own = own();
    drop(begin(&own, "x", b"by", 5));
    begin(&own, "y", b"by", 5).roll_back("the caller said so");
    assert_eq!(failed(&own)["x"], "incomplete fetch");
    assert_eq!(failed(&own)["y"], "the caller said so");
    assert_eq!(tag_of(&own.dir.join("invalid/y"), tag::ERROR).unwrap(), "the caller said so");
    assert_eq!(fs::read(own.dir.join("invalid/x")).unwrap(), b"by");
    assert!(own.is_cacheable(&id("x")).unwrap());
    // The next failure of the same image takes the place of this one.
    begin(&own, "x", b"byt", 5).roll_back("again");
    assert_eq!(failed(&own)["x"], "again");
    assert_eq!(own.invalid().unwrap().len(), 2);
}

#[test]
fn a_panic_is_a_drop() {
    let own = own();
    let filler = std::thread::scope(|scope| {
        let filler = scope.spawn(|| {
            let _writer = begin(&own, "x", b"by", 5);
            panic!("on purpose");
        });
        filler.join()
    });
    assert!(filler.is_err());
    assert_eq!(failed(&own)["x"], "incomplete fetch");
}

#[test]
fn a_commit_never_replaces_what_another_cached_meanwhile() {
    let own = own();
    let writer = begin(&own, "x", b"ours!", 5);
    fs::write(own.dir.join("x"), b"theirs").unwrap();
    assert_eq!(writer.commit().unwrap(), Commit::AlreadyThere);
    assert_eq!(bytes(&own, "x").unwrap(), b"theirs");
    assert!(names(&own.dir.join("incomplete/.icewell")).is_empty() && failed(&own).is_empty());
}

#[test]
fn a_commit_takes_no_folder_for_an_image() {
    let own = own();
    for name in ["folder", "link"] {
        let writer = begin(&own, name, b"bytes", 5);
        match name {
            "folder" => fs::create_dir(own.dir.join(name)).unwrap(),
            _ => std::os::unix::fs::symlink("/dev/null", own.dir.join(name)).unwrap(),
        }
        let error = writer.commit().unwrap_err();
        assert!(error.to_string().contains("not a regular file"), "{name}: {error}");
        assert!(own.dir.join(name).symlink_metadata().is_ok(), "{name}");
        assert!(failed(&own).contains_key(name), "{name}");
    }
}

#[test]
fn no_room_removes_nothing() {
    let own = own();
    put(&own, "x", &[1; 50]);
    own.set_limit(Limit { max_size: 100, ..Limit::default() }).unwrap();
    let mut writer = own.write(&id("y")).unwrap();
    assert_eq!(writer.start(announced(101)).unwrap_err().kind(), ErrorKind::NoRoom);
    drop(writer);
    own.set_pinned(&id("x"), true).unwrap();
    let mut writer = own.write(&id("y")).unwrap();
    assert_eq!(writer.start(announced(51)).unwrap_err().kind(), ErrorKind::NoRoom);
    drop(writer);
    assert_eq!(bytes(&own, "x").unwrap(), [1; 50]);
    assert!(failed(&own).is_empty() && own.incomplete().unwrap().is_empty());
}
