//! Any legal file name is an image ID, on a real disk too; what is none is never taken for an image.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use icewell::{Error, ErrorKind, ImageId};

use crate::support::{bytes, failed, hit, id, listed, names, own, put, queued};

#[test]
fn every_legal_name_makes_the_round() {
    let own = own();
    let longest = "é".repeat(127) + "x";
    let odd = ["a\nb", ".hidden", "...", "-rf", "a b", "%2F", "Queue", "checkme", "\u{202e}", "\u{1b}[2J", &longest];
    for name in odd {
        assert!(own.queue(&id(name)).unwrap(), "{name:?}");
        assert_eq!(queued(&own), [name]);
        put(&own, name, name.as_bytes());
        hit(&own, name);
        assert_eq!(bytes(&own, name).unwrap(), name.as_bytes());
        assert_eq!(own.hits(&id(name)).unwrap(), 1, "{name:?}");
        assert_eq!(listed(&own), [name]);
        assert_eq!(fs::read(own.dir.join(name)).unwrap(), name.as_bytes());
        assert!(own.remove(&id(name)).unwrap());
        let mut writer = own.write(&id(name)).unwrap();
        writer.write(b"part").unwrap();
        writer.roll_back("why");
        assert_eq!(failed(&own)[name], "why");
        own.reap_invalid(std::time::Duration::ZERO).unwrap();
    }
    assert_eq!(names(&own.dir), ["incomplete", "invalid", "queue"]);
    assert_eq!(names(&own.dir.join("incomplete")), [".icewell"]);
}

#[test]
fn other_text_makes_no_path() {
    let longest = "x".repeat(256);
    for text in
        ["", ".", "..", "../x", "/etc/passwd", "a/b", "a\0b", "incomplete", "invalid", "queue", ".icewell", &longest]
    {
        let error = Error::from(ImageId::new(text).unwrap_err());
        assert_eq!(error.kind(), ErrorKind::InvalidImageId);
        assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
    }
}

#[test]
fn names_that_are_no_ids_are_none_in_any_folder() {
    let own = own();
    put(&own, "x", b"bytes");
    let foreign = OsStr::from_bytes(b"foreign\xff");
    for folder in ["", "incomplete", "incomplete/.icewell", "invalid", "queue"] {
        fs::write(own.dir.join(folder).join(foreign), b"foreign").unwrap();
    }
    assert_eq!(listed(&own), ["x"]);
    assert_eq!(own.usage().unwrap().size, 5);
    assert!(queued(&own).is_empty() && failed(&own).is_empty());
    assert!(own.incomplete().unwrap().is_empty());
    assert_eq!(own.remove_all(true).unwrap(), 1);
    assert_eq!(own.clean(std::time::Duration::ZERO).unwrap(), Default::default());
    for folder in ["", "incomplete", "incomplete/.icewell", "invalid", "queue"] {
        assert_eq!(fs::read(own.dir.join(folder).join(foreign)).unwrap(), b"foreign", "{folder}");
    }
}
