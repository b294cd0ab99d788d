//! Whatever an origin does: an answer is right or to be seen as broken, and nothing wrong is cached.

use std::sync::Arc;
use std::thread;

use crate::fixture::{Ask, Body, Cut, Daemon, Gate, Image, Origin, Reply, base64, digest_of, until};

fn nothing_is_cached(daemon: &Daemon) {
    daemon.idle();
    assert_eq!(daemon.ls("").len(), 0);
}

/// A client of the last century cannot tell chunks from the end of the connection, so it is asked as well.
fn each_client_sees_the_break(daemon: &Daemon, origin: &Origin, image: &Image) {
    for (client, ask) in [Ask::get("/a"), Ask::get("/b").http_1_0()].into_iter().enumerate() {
        let answer = ask.of(daemon.address);
        let told = answer.status == 502;
        assert!(told || !answer.whole, "client {client}: a whole {} of {} bytes", answer.status, answer.body.len());
        assert!(told || image.bytes.starts_with(&answer.body), "client {client}");
    }
    nothing_is_cached(daemon);
    assert!(origin.requests() < 20);
}

#[test]
fn field_10_that_break_off_for_good() {
    for how in [Cut::Close, Cut::Reset] {
        for sized in [true, false] {
            for cut in [0, 1, 500_000, 999_999] {
                let image = Image { sized, ranges: false, ..Image::new(1, 1_000_000) };
                let told = image.clone();
                let origin = Origin::new(move |request| told.answer(request).cut(cut, how));
                each_client_sees_the_break(&Daemon::of(&origin), &origin, &image);
            }
        }
    }
}

#[test]
fn that_reset_instead_of_answering() {
    let origin = Origin::new(|_| Reply { refused: true, ..Reply::status(200) });
    let daemon = Daemon::of(&origin);
    let answer = daemon.get("/a");
    assert_eq!((answer.status, answer.whole), (502, true));
    assert!(answer.cache_status().starts_with("icewell; fwd=uri-miss"));
}

#[test]
fn that_announce_another_length() {
    let image = Image::new(2, 100_000);
    for length in ["99999", "100001"] {
        let told = image.clone();
        let origin = Origin::new(move |_| told.whole().with("Content-Length", length));
        let daemon = Daemon::of(&origin);
        let answer = daemon.get("/a");
        match length {
            // HTTP ends the body there, and nobody can know better.
            "99999" => answer.is(&image.bytes[..99_999]),
            _ => answer.is_broken_off(&image.bytes),
        }
    }
}

#[test]
fn field_08_whose_bytes_end_with_the_connection_are_not_believed_to_be_whole() {
    let image = Image::new(3, 100_000);
    let until_close = |image: &Image| {
        let reply = image.whole();
        let body = Body { until_close: true, ..reply.body.clone() };
        reply.with_body(body)
    };
    let told = image.clone();
    let origin = Origin::new(move |_| until_close(&told));
    let daemon = Daemon::of(&origin);
    daemon.get("/a").is(&image.bytes);
    nothing_is_cached(&daemon);
    // With a digest the end can be told from a break.
    let digest = format!("sha-256=:{}:", base64(&digest_of("sha256", &image.bytes)));
    let told = image.clone().with("Repr-Digest", &digest);
    origin.now(move |_| until_close(&told));
    daemon.get("/b").is(&image.bytes);
    until("it is cached", || daemon.is_cached("b"));
    let told = image.clone().with("Repr-Digest", &digest);
    origin.now(move |_| until_close(&told).cut(50_000, Cut::Close));
    daemon.get("/c").is_broken_off(&image.bytes);
    daemon.idle();
    assert!(!daemon.is_cached("c"));
}

#[test]
fn whose_part_ends_with_the_connection_is_whole_only_if_its_range_says_so() {
    let image = Image { cache_control: Some("no-store".into()), ..Image::new(13, 100_000) };
    for (cut, whole) in [(100_000, true), (30_000, false)] {
        let told = image.clone();
        let origin = Origin::new(move |request| {
            let Some((start, end)) = request.range(told.size()) else { return told.whole() };
            let reply = told.part(start, end);
            let body = Body { until_close: true, ..reply.body.clone() };
            reply.with_body(body).cut(cut, Cut::Close)
        });
        let daemon = Daemon::of(&origin);
        let answer = Ask::get("/a").with("Range", "bytes=10000-59999").of(daemon.address);
        assert_eq!((answer.status, answer.whole), (206, whole), "cut at {cut}");
        assert!(image.bytes[10_000..60_000].starts_with(&answer.body));
    }
}

#[test]
fn that_break_once_are_asked_for_the_rest() {
    for how in [Cut::Close, Cut::Reset] {
        let image = Image::new(4, 3_000_000);
        let told = image.clone();
        let origin = Origin::new(move |request| {
            let reply = told.answer(request);
            if request.nth < 2 { reply.cut(1_000_000 * (1 + request.nth as u64), how) } else { reply }
        });
        let daemon = Daemon::of(&origin);
        daemon.get("/a").is(&image.bytes);
        until("it is cached", || daemon.is_cached("a"));
        let seen = origin.seen();
        assert_eq!(seen.len(), 3);
        assert_eq!(seen[2].header("if-range"), image.etag.as_deref());
        assert!(origin.sent() <= image.size(), "{how:?}: {} bytes sent", origin.sent());
    }
}

#[test]
fn whose_image_changes_between_two_parts_are_not_patched_together() {
    // One that knows If-Range, one that does not, and one that tells another size.
    for (knows, size) in [(true, 3_000_000), (false, 3_000_000), (false, 3_000_001)] {
        let (old, new) = (Image::new(5, 3_000_000), Image::new(6, size));
        let (told_old, told_new) = (old.clone(), new.clone());
        let origin = Origin::new(move |request| match request.range(size as u64) {
            Some((start, end)) if !knows => told_new.part(start, end),
            _ if request.nth == 0 => told_old.whole().cut(1_000_000, Cut::Close),
            _ => told_new.answer(request),
        });
        let daemon = Daemon::of(&origin);
        daemon.get("/a").is_broken_off(&old.bytes);
        daemon.idle();
        assert!(!daemon.is_cached("a"));
        // Nor by the next fill, which goes on from what is there.
        let answer = daemon.get("/a");
        if answer.whole && answer.status == 200 {
            answer.is(&new.bytes);
        }
        daemon.idle();
        let again = daemon.get("/a");
        if again.whole && again.status == 200 {
            again.is(&new.bytes);
        }
    }
}

#[test]
fn that_answer_another_range_than_was_asked_for() {
    for (start, end) in [(0, 3_000_000), (999_999, 3_000_000), (1_000_001, 3_000_000), (1_000_000, 2_000_000)] {
        let image = Image::new(7, 3_000_000);
        let told = image.clone();
        let origin = Origin::new(move |request| match request.header("range") {
            Some(_) => told.part(start, end),
            None if request.nth == 0 => told.whole().cut(1_000_000, Cut::Close),
            None => told.whole(),
        });
        let daemon = Daemon::of(&origin);
        daemon.get("/a").is_broken_off(&image.bytes);
        daemon.idle();
        // What is left cannot be gone on from, so it is fetched from the first byte.
        daemon.get("/a").is(&image.bytes);
        until("it is cached after all", || daemon.is_cached("a"));
    }
}

#[test]
fn field_09_whose_digest_is_another() {
    let image = Image::new(8, 2_000_000);
    let (right, wrong) = (digest_of("md5", &image.bytes), digest_of("md5", b"x"));
    let sha = |bytes: &[u8]| format!("sha-256=:{}:", base64(&digest_of("sha256", bytes)));
    for (field, value, good) in [
        ("Content-MD5", base64(&right), true),
        ("Content-MD5", base64(&wrong), false),
        ("Repr-Digest", sha(&image.bytes), true),
        ("Repr-Digest", sha(b"x"), false),
    ] {
        let told = image.clone().with(field, &value);
        let gate = Gate::at(1_000_000);
        let gated = gate.clone();
        let origin = Origin::new(move |request| told.answer(request).gated(&gated));
        let daemon = Daemon::of(&origin);
        let whole = Ask::get("/a").begin(daemon.address);
        let follower = Ask::get("/a").begin(daemon.address);
        let tail = Ask::get("/a").with("Range", "bytes=10-").begin(daemon.address);
        gate.open();
        if good {
            whole.finish().is(&image.bytes);
            follower.finish().is(&image.bytes);
            tail.finish().is_part(&image.bytes[10..]);
            until("it is cached", || daemon.is_cached("a"));
            continue;
        }
        whole.finish().is_broken_off(&image.bytes);
        follower.finish().is_broken_off(&image.bytes);
        tail.finish().is_broken_off(&image.bytes[10..]);
        nothing_is_cached(&daemon);
        let invalid = daemon.ls("--invalid");
        assert_eq!(invalid.len(), 1);
        let why = invalid[0]["error"].as_str().unwrap();
        assert!(why.contains("announced"), "{why}");
    }
}

#[test]
fn that_never_end() {
    let image = Image { sized: false, ranges: false, ..Image::new(9, 1_000_000) };
    let told = image.clone();
    let origin = Origin::new(move |_| {
        let reply = told.whole();
        let body = Body { endless: true, ..reply.body.clone() };
        reply.with_body(body)
    });
    let daemon = Daemon::with(&origin, &["--max-size", "5MB"]);
    let mut download = Ask::get("/a").begin(daemon.address);
    assert_eq!(download.read_to(20_000_000), 20_000_000);
    assert!(download.response.body.chunks(1_000_000).all(|part| part == &image.bytes[..]));
    drop(download);
    nothing_is_cached(&daemon);
}

#[test]
fn that_fail_are_not_overrun() {
    let long = "x".repeat(100_000);
    for text in ["try later", long.as_str()] {
        let page = Arc::new(text.as_bytes().to_vec());
        let gate = Gate::at(0);
        let gated = gate.clone();
        let origin = Origin::new(move |_| {
            let reply = Reply::status(503).with("Retry-After", "7").with_body(Body::of(page.clone()));
            Reply { wait: Some(gated.clone()), ..reply }
        });
        let daemon = Daemon::of(&origin);
        let sent: Vec<_> = (0..100).map(|_| Ask::get("/a").sent(daemon.address)).collect();
        gate.open();
        for one in sent {
            let answer = one.head().finish();
            assert_eq!((answer.status, answer.header("retry-after"), answer.whole), (503, "7", true));
        }
        // Those who come right after them get the same answer, without a question.
        for _ in 0..100 {
            assert_eq!(daemon.get("/a").status, 503);
        }
        assert!(origin.requests() < 20, "{} requests for 200 clients", origin.requests());
        // Not for long: when the origin is back, so is the image.
        let image = Image::new(10, 1000);
        let told = image.clone();
        origin.now(move |request| told.answer(request));
        until("the failure is forgotten", || daemon.get("/a").status == 200);
        daemon.get("/a").is(&image.bytes);
    }
}

#[test]
fn that_answer_nonsense() {
    let image = Image::new(11, 10_000);
    for status in [304, 416] {
        let told = image.clone();
        let origin = Origin::new(move |_| Reply { status, ..told.whole() });
        let daemon = Daemon::of(&origin);
        let answer = daemon.get("/a");
        assert!(answer.status >= 400, "{status} became {}", answer.status);
        nothing_is_cached(&daemon);
    }
    // A part that nobody asked for is not the whole.
    let told = image.clone();
    let origin = Origin::new(move |_| told.part(0, 5000));
    let daemon = Daemon::of(&origin);
    assert_ne!(daemon.get("/a").status, 200);
    nothing_is_cached(&daemon);
}

#[test]
fn that_redirect_are_followed() {
    let image = Image::new(12, 10_000);
    let told = image.clone();
    let origin = Origin::new(move |request| match request.target.as_str() {
        "/a" => Reply::status(302).with("Location", "/b/c"),
        "/loop" => Reply::status(302).with("Location", "/loop"),
        _ => told.answer(request),
    });
    let daemon = Daemon::of(&origin);
    daemon.get("/a").is(&image.bytes);
    until("it is cached under the name it was asked by", || daemon.is_cached("a"));
    assert_eq!(daemon.get("/loop").status, 502);
}

#[test]
fn nobody_answers_or_too_late() {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let temp = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(&temp.path().join("cache"), &format!("http://{address}"), &[]);
    for answer in [daemon.get("/a"), daemon.head("/b")] {
        assert_eq!(answer.status, 502);
        assert!(answer.cache_status().starts_with("icewell; fwd=uri-miss"), "{}", answer.cache_status());
    }

    let gate = Gate::at(0);
    let gated = gate.clone();
    let image = Image { ranges: false, ..Image::new(13, 100_000) };
    let told = image.clone();
    let origin = Origin::new(move |request| match request.target.as_str() {
        "/late" => Reply { wait: Some(gated.clone()), ..told.answer(request) },
        _ => told.answer(request).gated(&gated),
    });
    let daemon = Daemon::with(&origin, &["--origin-timeout", "300ms"]);
    thread::scope(|scope| {
        scope.spawn(|| assert_eq!(daemon.get("/late").status, 504));
        scope.spawn(|| assert_eq!(daemon.head("/late").status, 504));
        scope.spawn(|| daemon.get("/stalls").is_broken_off(&image.bytes));
    });
    nothing_is_cached(&daemon);
    gate.open();
}
