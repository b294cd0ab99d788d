//! When the origin is asked again, and what is never kept.

use std::fs;

use crate::fixture::{Ask, Daemon, Image, Origin, Reply, bytes_of, until};

#[test]
fn field_more_a_fresh_image_is_sent_without_a_question() {
    let image = Image::new(1, 10_000);
    let origin = Origin::of(&image);
    let daemon = Daemon::of(&origin);
    daemon.get("/a").is(&image.bytes);
    daemon.idle();
    origin.now(|_| panic!("nobody was to ask"));
    let hit = daemon.get("/a");
    hit.is(&image.bytes);
    let ttl = hit.cache_status().strip_prefix("icewell; hit; ttl=").and_then(|ttl| ttl.parse::<u32>().ok());
    assert!(ttl.is_some_and(|ttl| (3500..=3600).contains(&ttl)), "{}", hit.cache_status());
    // Neither over a restart.
    let daemon = daemon.restarted(rustix::process::Signal::TERM);
    daemon.get("/a").is(&image.bytes);
    assert_eq!(origin.requests(), 1);
}

#[test]
fn one_that_may_not_be_trusted_is_asked_about() {
    let dated =
        |image: Image| Image { etag: None, last_modified: Some("Sun, 06 Nov 1994 08:49:37 GMT".into()), ..image };
    for image in [
        Image::new(2, 10_000).always_stale(),
        Image { cache_control: None, ..Image::new(2, 10_000) },
        Image { cache_control: Some("max-age=0".into()), ..Image::new(2, 10_000) },
        Image { etag: Some("W/\"weak\"".into()), ..Image::new(2, 10_000).always_stale() },
        dated(Image::new(2, 10_000).always_stale()),
        Image::new(2, 10_000).with("Age", "3600"),
    ] {
        let origin = Origin::of(&image);
        let daemon = Daemon::of(&origin);
        daemon.get("/a").is(&image.bytes);
        daemon.idle();
        for round in 1..=2 {
            let answer = daemon.get("/a");
            answer.is(&image.bytes);
            assert_eq!(answer.cache_status(), "icewell; fwd=stale; fwd-status=304; detail=hit-validated");
            assert_eq!((origin.requests(), origin.sent()), (1 + round, image.size()), "{:?}", image.cache_control);
            daemon.idle();
        }
        // A HEAD is answered from the same knowledge.
        assert_eq!(daemon.head("/a").status, 200);
        assert_eq!(origin.sent(), image.size());
    }
}

#[test]
fn a_304_that_makes_it_fresh_is_kept() {
    let image = Image::new(3, 10_000);
    let told = image.clone().always_stale();
    let origin = Origin::new(move |request| match request.header("if-none-match") {
        Some(_) => image.answer(request),
        None => told.answer(request),
    });
    let daemon = Daemon::of(&origin);
    for _ in 0..5 {
        assert_eq!(daemon.get("/a").status, 200);
        daemon.idle();
    }
    assert_eq!(origin.requests(), 2);
    assert!(daemon.get("/a").cache_status().starts_with("icewell; hit; ttl="));
}

#[test]
fn a_client_may_want_the_origin_asked() {
    let image = Image::new(4, 10_000);
    let origin = Origin::of(&image);
    let daemon = Daemon::of(&origin);
    daemon.get("/a").is(&image.bytes);
    daemon.idle();
    for field in [("Cache-Control", "no-cache"), ("Cache-Control", "max-age=0"), ("Pragma", "no-cache")] {
        let before = origin.requests();
        Ask::get("/a").with(field.0, field.1).of(daemon.address).is(&image.bytes);
        assert_eq!(origin.requests(), before + 1, "{field:?}");
        daemon.idle();
    }
}

#[test]
fn a_client_may_want_the_cache_only() {
    let image = Image::new(4, 10_000);
    let origin = Origin::of(&image);
    let daemon = Daemon::of(&origin);
    let only = || Ask::get("/a").with("Cache-Control", "max-stale, Only-If-Cached").of(daemon.address);
    assert_eq!(only().status, 504);
    assert_eq!(origin.requests(), 0);
    daemon.get("/a").is(&image.bytes);
    daemon.idle();
    only().is(&image.bytes);
    assert_eq!(origin.requests(), 1);
    let origin = Origin::of(&image.clone().always_stale());
    let daemon = Daemon::of(&origin);
    daemon.get("/a").is(&image.bytes);
    daemon.idle();
    assert_eq!(Ask::get("/a").with("Cache-Control", "only-if-cached").of(daemon.address).status, 504);
    assert_eq!(origin.requests(), 1);
}

#[test]
fn what_has_changed_is_fetched_anew_and_the_old_bytes_never_come_again() {
    let old = Image::new(5, 2_000_000).always_stale();
    let origin = Origin::of(&old);
    let daemon = Daemon::of(&origin);
    daemon.get("/a").is(&old.bytes);
    daemon.idle();
    // Who reads the old one reads it to its end.
    let mut reading = Ask::get("/a").begin(daemon.address);
    reading.read_to(10);
    daemon.idle();
    let new = Image::new(6, 1_999_999).always_stale();
    let told = new.clone();
    origin.now(move |request| told.answer(request));
    let refetched = daemon.get("/a");
    refetched.is(&new.bytes);
    assert_eq!(refetched.cache_status(), "icewell; fwd=stale; fwd-status=200; stored");
    daemon.idle();
    daemon.get("/a").is(&new.bytes);
    Ask::get("/a").with("Range", "bytes=1000-").of(daemon.address).is_part(&new.bytes[1000..]);
    reading.finish().is(&old.bytes);
    // And where the new one cannot be had, the old one is no way out.
    origin.now(|_| crate::fixture::Reply::text(404, "gone"));
    assert_eq!(daemon.get("/a").status, 404);
    until("it is dropped", || !daemon.is_cached("a"));
}

#[test]
fn a_folder_is_looked_at_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a");
    let (old, new) = (bytes_of(1, 100_000), bytes_of(2, 100_000));
    fs::write(&file, &*old).unwrap();
    let daemon = Daemon::of_folder(folder.path());
    daemon.get("/a").is(&old);
    daemon.idle();
    daemon.get("/a").is(&old);
    // By a rename, as tools do; and in place.
    fs::write(folder.path().join("b"), &*new).unwrap();
    fs::rename(folder.path().join("b"), &file).unwrap();
    daemon.get("/a").is(&new);
    daemon.idle();
    fs::write(&file, &*old).unwrap();
    daemon.get("/a").is(&old);
    daemon.idle();
    fs::remove_file(&file).unwrap();
    assert_eq!(daemon.get("/a").status, 404);
    assert_eq!(daemon.head("/a").status, 404);
    until("it is dropped", || !daemon.is_cached("a"));
    fs::write(&file, "back").unwrap();
    daemon.get("/a").is(b"back");
}

#[test]
fn what_is_not_for_everybody_passes_through() {
    for (field, value, detail) in [
        ("Cache-Control", "no-store", "no-store"),
        ("Cache-Control", "private, max-age=60", "private"),
        ("Vary", "Cookie", "vary"),
        ("Vary", "*", "vary"),
        ("Content-Encoding", "gzip", "content-encoding"),
    ] {
        let image = Image { cache_control: None, ..Image::new(7, 10_000).with(field, value) };
        let origin = Origin::of(&image);
        let daemon = Daemon::of(&origin);
        for round in 1..=2 {
            let answer = daemon.get("/a");
            answer.is(&image.bytes);
            assert_eq!(answer.cache_status(), format!("icewell; fwd=uri-miss; fwd-status=200; detail={detail}"));
            assert_eq!(origin.requests(), round, "{field}: {value}");
        }
        Ask::get("/a").with("Range", "bytes=5-9").of(daemon.address).is_part(&image.bytes[5..10]);
        daemon.idle();
        assert_eq!((daemon.ls("").len(), daemon.ls("--incomplete").len()), (0, 0));
    }
    let image = Image::new(8, 10_000).with("Vary", "Accept-Encoding");
    let origin = Origin::of(&image);
    let daemon = Daemon::of(&origin);
    daemon.get("/a").is(&image.bytes);
    until("it is cached", || daemon.is_cached("a"));
}

#[test]
fn field_18_credentials_stay_here() {
    let image = Image::new(9, 10_000).with("Set-Cookie", "session=1");
    let origin = Origin::of(&image);
    let daemon = Daemon::of(&origin);
    let ask = |name: &str| {
        let ask = Ask::get(name).with("Authorization", "Bearer secret").with("Cookie", "session=2");
        ask.with("X-Auth-Token", "secret").with("Accept-Encoding", "gzip").of(daemon.address)
    };
    ask("/a").is(&image.bytes);
    daemon.idle();
    assert_eq!(ask("/a").find("set-cookie"), None);
    origin.now(|_| crate::fixture::Reply::text(403, "no").with("Set-Cookie", "session=3"));
    // An answer that several clients may get tells nobody another's session.
    assert_eq!(ask("/b").find("set-cookie"), None);
    for seen in origin.seen() {
        for name in ["authorization", "cookie", "x-auth-token"] {
            assert_eq!(seen.header(name), None);
        }
        assert_eq!(seen.header("accept-encoding"), Some("identity"));
    }
    assert!(daemon.logged("secret").is_empty());
}

/// What a stale image's next reader gets while the origin answers so.
fn stale_while(args: &[&str], failure: fn() -> Reply) -> crate::fixture::Response {
    let image = Image::new(20, 10_000).always_stale();
    let origin = Origin::of(&image);
    let daemon = Daemon::with(&origin, args);
    daemon.get("/a").is(&image.bytes);
    daemon.idle();
    origin.now(move |_| failure());
    let answer = daemon.get("/a");
    daemon.idle();
    assert!(daemon.is_cached("a"), "it stays, whatever was answered");
    answer
}

#[test]
fn stale_images_are_sent_while_the_origin_fails_if_that_is_switched_on() {
    let silent: fn() -> Reply = || Reply { refused: true, ..Reply::status(200) };
    for failure in [silent, || Reply::text(500, "broken"), || Reply::text(503, "busy")] {
        let answer = stale_while(&["--serve-stale"], failure);
        answer.is(&bytes_of(20, 10_000));
        let status = answer.cache_status();
        assert!(status.starts_with("icewell; hit; ttl=") && status.ends_with("detail=stale-origin-failed"), "{status}");
        assert_ne!(stale_while(&[], failure).status, 200);
    }
    // A refusal is an answer, and no failure.
    assert_eq!(stale_while(&["--serve-stale"], || Reply::text(403, "no")).status, 403);
}

#[test]
fn an_image_that_is_not_there_has_no_stale_copy() {
    let origin = Origin::new(|_| Reply::text(500, "broken"));
    assert_eq!(Daemon::with(&origin, &["--serve-stale"]).get("/a").status, 500);
}
