//! What is known of an image is kept with it, what does not fit is left out, and unknown tags are left alone.

use icewell::{Announced, Cache, Metadata, Validators};

use crate::support::{at, bytes, id, image, mount, own, put, set_tag, tag as tag_of};

fn metadata() -> Metadata {
    Metadata {
        name: Some("Debian 13 ünï".into()),
        validators: Validators {
            etag: Some("\"abc\"".into()),
            last_modified: Some("Mon, 01 Jan 2024 00:00:00 GMT".into()),
        },
        content_type: Some("application/octet-stream".into()),
        freshness: Some("anything at all".into()),
    }
}

#[test]
fn what_is_known_is_kept() {
    let own = own();
    own.clock.set(at(7));
    let digest = "md5:4b3a6218bb3e3a7303e8a171a60fcf92";
    let announced = Announced {
        size: Some(5),
        digests: vec![
            digest.parse().unwrap(),
            "sha256:277089d91c0bdf4f2e6862ba7e4a07605119431f5d13f726dd352b06f1b206a9".parse().unwrap(),
        ],
        metadata: metadata(),
    };
    let mut writer = own.write(&id("x")).unwrap();
    writer.start(announced).unwrap();
    writer.write(b"bytes").unwrap();
    writer.commit().unwrap();
    let image = image(&own, "x");
    assert_eq!((image.size, image.hits, image.pinned), (5, 0, false));
    assert_eq!(image.last_accessed, at(7), "a commit is a use");
    assert!(image.digest.unwrap().to_string().starts_with("sha256:2770"), "the strongest one counts");
    assert_eq!(image.computed_digest, None);
    assert_eq!(image.metadata, metadata());
    assert_eq!(own.images().unwrap()[0].metadata, metadata());
}

#[test]
fn without_a_vouched_digest_icewells_own_is_kept_apart() {
    let own = own();
    put(&own, "x", b"bytes");
    let image = image(&own, "x");
    assert_eq!(image.digest, None);
    assert!(image.computed_digest.unwrap().to_string().starts_with("sha256:2770"));
}

#[test]
fn metadata_can_be_replaced_and_removed() {
    let own = own();
    put(&own, "x", b"bytes");
    assert!(own.set_metadata(&id("x"), &metadata()).unwrap());
    assert_eq!(image(&own, "x").metadata, metadata());
    let only = Metadata { name: Some("only this".into()), ..Metadata::default() };
    assert!(own.set_metadata(&id("x"), &only).unwrap());
    assert_eq!(image(&own, "x").metadata, only);
    assert!(!own.set_metadata(&id("y"), &only).unwrap());
}

#[test]
fn pins_are_kept_with_the_image() {
    let own = own();
    put(&own, "x", b"bytes");
    assert!(own.set_pinned(&id("x"), true).unwrap());
    assert!(Cache::open(&own.dir).unwrap().image(&id("x")).unwrap().unwrap().pinned);
    assert!(own.set_pinned(&id("x"), false).unwrap());
    assert!(!image(&own, "x").pinned);
    assert!(!own.set_pinned(&id("y"), true).unwrap());
}

#[test]
fn unknown_tags_are_left_alone() {
    let own = own();
    put(&own, "x", b"bytes");
    set_tag(&own.dir.join("x"), "user.mine", b"\xff\0binary");
    set_tag(&own.dir, "user.icewell.of_the_future", b"1");
    crate::support::hit(&own, "x");
    own.set_metadata(&id("x"), &Metadata::default()).unwrap();
    own.set_pinned(&id("x"), true).unwrap();
    drop(Cache::open(&own.dir).unwrap());
    assert!(tag_of(&own.dir.join("x"), "user.mine").is_some());
    assert_eq!(tag_of(&own.dir, "user.icewell.of_the_future").unwrap(), "1");
}

/// ext4 keeps about 4 KiB of tags per file.
#[test]
fn tags_that_do_not_fit_cost_no_image() {
    let Some(mount) = mount("ext4", 16, "") else { return };
    let cache = Cache::open(mount.path.join("cache")).unwrap();
    let long = |byte: &str, length: usize| Some(byte.repeat(length));
    for (n, length) in [(0, 900), (1, 1500), (2, 5000), (3, 70_000)] {
        let name = format!("x{n}");
        let metadata = Metadata {
            name: long("n", length),
            validators: Validators { etag: long("e", length), last_modified: long("m", length) },
            content_type: long("t", length),
            freshness: long("f", length),
        };
        let mut writer = cache.write(&id(&name)).unwrap();
        writer.start(Announced { metadata, ..Announced::default() }).unwrap();
        writer.write(b"bytes").unwrap();
        writer.commit().unwrap();
        assert_eq!(bytes(&cache, &name).unwrap(), b"bytes");
        crate::support::hit(&cache, &name);
        assert_eq!(cache.hits(&id(&name)).unwrap(), 1);
        let mut writer = cache.write(&id("failed")).unwrap();
        writer.write(b"bytes").unwrap();
        writer.roll_back(&"ünï ".repeat(length));
        assert!(cache.invalid().unwrap()[0].error.as_ref().unwrap().starts_with("ünï "));
    }
}
