//! Verify finds what changed on disk, takes it out of service, and calls nothing good that nobody vouched for.

use std::fs;
use std::os::unix::fs::FileExt;

use icewell::{ErrorKind, Verdict};

use crate::support::{Own, bytes, failed, id, listed, noise, own, put, vouched};

const BYTES_MD5: &str = "md5:4b3a6218bb3e3a7303e8a171a60fcf92";

fn check(own: &Own, name: &str) -> Verdict {
    own.verify(&id(name), &mut |_| {}).unwrap()
}

/// Flips a bit past the cache, as a bad disk would.
fn flip(own: &Own, name: &str, at: u64) {
    let file = fs::File::options().read(true).write(true).open(own.dir.join(name)).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

fn put_vouched(own: &Own, name: &str) {
    let mut writer = own.write(&id(name)).unwrap();
    writer.start(vouched(5, BYTES_MD5)).unwrap();
    writer.write(b"bytes").unwrap();
    writer.commit().unwrap();
}

#[test]
fn vouched_bytes_are_good() {
    let own = own();
    put_vouched(&own, "x");
    assert_eq!(check(&own, "x"), Verdict::Good(BYTES_MD5.parse().unwrap()));
    assert_eq!(own.hits(&id("x")).unwrap(), 0);
}

#[test]
fn field_08_bytes_that_nobody_vouched_for_are_unverifiable() {
    let own = own();
    put(&own, "ours", b"bytes");
    assert_eq!(check(&own, "ours"), Verdict::Unverifiable { unchanged: true });
    fs::write(own.dir.join("glances"), b"bytes").unwrap();
    assert_eq!(check(&own, "glances"), Verdict::Unverifiable { unchanged: false });
    assert_eq!(listed(&own), ["glances", "ours"]);
}

#[test]
fn one_flipped_bit_takes_the_image_out_of_service() {
    let own = own();
    put_vouched(&own, "vouched");
    put(&own, "large", &noise(1, 3 << 20));
    for (name, at) in [("vouched", 4), ("large", 2 << 20)] {
        let reader = own.read(&id(name)).unwrap();
        flip(&own, name, at);
        let Verdict::Corrupt(why) = check(&own, name) else { panic!("{name} passed") };
        assert_eq!(failed(&own)[name], why);
        assert_eq!(bytes(&own, name), None);
        assert!(own.is_cacheable(&id(name)).unwrap());
        assert!(reader.file().metadata().is_ok());
    }
    assert!(listed(&own).is_empty());
}

#[test]
fn field_glance_06_a_truncated_or_grown_image_is_corrupt() {
    let own = own();
    for size in [0, 4, 6] {
        put_vouched(&own, "x");
        fs::File::options().write(true).open(own.dir.join("x")).unwrap().set_len(size).unwrap();
        assert!(matches!(check(&own, "x"), Verdict::Corrupt(_)), "{size}");
    }
}

#[test]
fn progress_adds_up_and_what_is_missing_is_told() {
    let own = own();
    put(&own, "x", &noise(1, 3_000_001));
    let mut told = 0;
    own.verify(&id("x"), &mut |bytes| told += bytes).unwrap();
    assert_eq!(told, 3_000_001);
    assert_eq!(own.verify(&id("y"), &mut |_| {}).unwrap_err().kind(), ErrorKind::NotCached);
}
