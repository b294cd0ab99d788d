//! What counts as a hit: a 200 sent whole, or a whole 206 that begins at byte 0; also by a follower of a fill.

use std::thread;

use crate::fixture::{Ask, Daemon, Gate, Image, Origin, until};

#[test]
fn only_whole_answers_from_the_first_byte_count() {
    let image = Image::new(1, 2_000_000);
    let origin = Origin::of(&image);
    let daemon = Daemon::of(&origin);
    daemon.get("/a").is(&image.bytes);
    daemon.settles_at("a", 0);

    let range = |range: &str| Ask::get("/a").with("Range", range).of(daemon.address);
    for (range_of, expected) in
        [("bytes=0-", 2_000_000), ("bytes=0-9", 10), ("bytes=-2000000", 2_000_000), ("bytes=0-99999999", 2_000_000)]
    {
        range(range_of).is_part(&image.bytes[..expected]);
    }
    daemon.settles_at("a", 4);

    range("bytes=1-").is_part(&image.bytes[1..]);
    range("bytes=-5").is_part(&image.bytes[1_999_995..]);
    assert_eq!(range("bytes=0-0,5-6").status, 206);
    assert_eq!(range("bytes=9000000-").status, 416);
    assert_eq!(daemon.head("/a").status, 200);
    let etag = daemon.head("/a").header("etag").to_owned();
    assert_eq!(Ask::get("/a").with("If-None-Match", &etag).of(daemon.address).status, 304);
    assert_eq!(Ask::get("/a").with("If-Match", "\"x\"").of(daemon.address).status, 412);
    // The last one counts, so that all before it would be seen.
    daemon.get("/a").is(&image.bytes);
    daemon.settles_at("a", 5);
}

#[test]
fn an_aborted_answer_does_not_count_but_is_a_use() {
    let image = Image::new(2, 20_000_000);
    let origin = Origin::of(&image);
    let daemon = Daemon::of(&origin);
    daemon.get("/a").is(&image.bytes);
    daemon.settles_at("a", 0);
    let used = |daemon: &Daemon| daemon.ls("")[0]["last_accessed"].as_f64().unwrap();
    let before = used(&daemon);
    let mut download = Ask::get("/a").begin(daemon.address);
    download.read_to(100_000);
    drop(download);
    until("the daemon notices", || !daemon.logged("bytes=").is_empty() && used(&daemon) > before);
    daemon.settles_at("a", 0);
}

#[test]
fn exact_under_fifty_clients_at_a_time() {
    let image = Image::new(3, 50_000);
    let origin = Origin::of(&image);
    let daemon = Daemon::of(&origin);
    daemon.get("/a").is(&image.bytes);
    daemon.idle();
    thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| (0..4).for_each(|_| daemon.get("/a").is(&image.bytes)));
        }
    });
    daemon.settles_at("a", 200);
    assert_eq!(daemon.metric("icewell_hits_total"), 200);
}

#[test]
fn followers_of_a_fill_count_and_who_began_it_does_not() {
    let image = Image::new(4, 3_000_000);
    let gate = Gate::at(1_000_000);
    let (told, gated) = (image.clone(), gate.clone());
    let origin = Origin::new(move |request| told.answer(request).gated(&gated));
    let daemon = Daemon::of(&origin);
    let first = Ask::get("/a").begin(daemon.address);
    assert_eq!(first.response.cache_status(), "icewell; fwd=uri-miss; fwd-status=200; stored");
    let followers: Vec<_> = (0..10).map(|_| Ask::get("/a").begin(daemon.address)).collect();
    let part = Ask::get("/a").with("Range", "bytes=0-1999999").begin(daemon.address);
    let tail = Ask::get("/a").with("Range", "bytes=5-").begin(daemon.address);
    gate.open();
    first.finish().is(&image.bytes);
    for follower in followers {
        assert_eq!(follower.response.cache_status(), "icewell; fwd=uri-miss; collapsed");
        follower.finish().is(&image.bytes);
    }
    part.finish().is_part(&image.bytes[..2_000_000]);
    tail.finish().is_part(&image.bytes[5..]);
    daemon.settles_at("a", 11);
    assert_eq!(origin.requests(), 1);
}

#[test]
fn hits_survive_a_stop_right_after_them() {
    let image = Image::new(5, 1000);
    let origin = Origin::of(&image);
    let mut daemon = Daemon::of(&origin);
    daemon.get("/a").is(&image.bytes);
    daemon.settles_at("a", 0);
    for round in 1..=5 {
        thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| daemon.get("/a").is(&image.bytes));
            }
        });
        daemon = daemon.restarted(rustix::process::Signal::TERM);
        assert_eq!(daemon.hits("a"), Some(20 * round));
    }
}
