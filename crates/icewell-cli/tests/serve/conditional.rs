//! Conditional requests, and a HEAD that tells what a GET would.

use crate::fixture::{Ask, Daemon, Image, Origin};

const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

fn image() -> Image {
    let image = Image::new(1, 50_000).with("Content-Type", "application/x-qcow2").with("Set-Cookie", "a=b");
    Image { last_modified: Some(MODIFIED.into()), ..image }
}

#[test]
fn of_cold_and_of_cached_images() {
    let image = image();
    let etag = image.etag.clone().unwrap();
    let origin = Origin::of(&image);
    let daemon = Daemon::of(&origin);
    for (round, (field, value, status)) in [
        ("If-None-Match", etag.as_str(), 304),
        ("If-None-Match", "\"x\"", 200),
        ("If-None-Match", "*", 304),
        ("If-Modified-Since", MODIFIED, 304),
        ("If-Modified-Since", BEFORE, 200),
        ("If-Match", etag.as_str(), 200),
        ("If-Match", "\"x\"", 412),
        ("If-Unmodified-Since", MODIFIED, 200),
        ("If-Unmodified-Since", BEFORE, 412),
    ]
    .into_iter()
    .enumerate()
    {
        for state in ["cold", "cached"] {
            let name = format!("/{round}");
            let answer = Ask::get(&name).with(field, value).of(daemon.address);
            assert_eq!(answer.status, status, "{field}: {value}, {state}");
            match status {
                200 => answer.is(&image.bytes),
                304 => {
                    assert_eq!(answer.header("etag"), etag);
                    assert_eq!(answer.header("cache-control"), "max-age=3600");
                    assert_eq!(answer.find("content-length"), None);
                    assert!(answer.body.is_empty());
                }
                _ => assert!(answer.whole && answer.body.is_empty()),
            }
            assert!(answer.cache_status().starts_with("icewell; "), "{state}");
            daemon.idle();
            assert!(daemon.is_cached(&format!("{round}")), "a condition does not keep an image from being cached");
        }
    }
    assert_eq!(origin.requests(), 9);
}

#[test]
fn head_tells_what_get_does() {
    let image = image();
    let origin = Origin::of(&image);
    let daemon = Daemon::of(&origin);
    let cold = daemon.head("/a");
    assert_eq!((cold.status, cold.header("content-length")), (200, "50000"));
    assert_eq!(cold.cache_status(), "icewell; fwd=uri-miss; fwd-status=200");
    assert!(!daemon.is_cached("a"), "a HEAD fetches nothing");
    assert_eq!(origin.seen()[0].method, "HEAD");

    daemon.get("/a").is(&image.bytes);
    daemon.idle();
    let get = daemon.get("/a");
    let head = daemon.head("/a");
    assert!(head.body.is_empty());
    // The age and the time to live move on from one second to the next.
    let told = |response: &crate::fixture::Response| {
        let moving = |name: &str| matches!(name, "age" | "cache-status");
        response.headers.iter().filter(|(name, _)| !moving(name)).cloned().collect::<Vec<_>>()
    };
    assert_eq!(told(&get), told(&head));
    for (name, value) in [
        ("content-length", "50000"),
        ("content-type", "application/x-qcow2"),
        ("last-modified", MODIFIED),
        ("accept-ranges", "bytes"),
        ("cache-control", "max-age=3600"),
    ] {
        assert_eq!(get.header(name), value);
    }
    for name in ["date", "age", "via"] {
        assert!(get.find(name).is_some(), "{name}");
    }
    assert_eq!(get.find("set-cookie"), None);
    assert_eq!(origin.requests(), 2);
}
