//! A body that breaks off in the middle is gone on with from there, and no client sees anything of it.

use crate::fixture::{Ask, Cut, Daemon, Gate, Image, Origin, Reply, until};

#[test]
fn as_often_as_the_image_gets_on() {
    for how in [Cut::Close, Cut::Reset] {
        let image = Image::new(1, 14_000_000);
        let told = image.clone();
        // No answer gives more than two megabytes.
        let origin = Origin::new(move |request| {
            let start = request.range(told.size()).map_or(0, |(start, _)| start);
            let reply = told.answer(request);
            if start + 2_000_000 < told.size() { reply.cut(start + 2_000_000, how) } else { reply }
        });
        let daemon = Daemon::of(&origin);
        daemon.get("/a").is(&image.bytes);
        until("it is cached", || daemon.is_cached("a"));
        assert_eq!((origin.requests(), origin.sent()), (7, image.size()), "{how:?}");
    }
}

#[test]
fn not_for_ever_where_it_does_not() {
    let image = Image::new(2, 5_000_000);
    let told = image.clone();
    // Each answer brings a few bytes, and would so for days.
    let origin = Origin::new(move |request| {
        let start = request.range(told.size()).map_or(0, |(start, _)| start);
        told.answer(request).cut(start + 10_000, Cut::Close)
    });
    let daemon = Daemon::of(&origin);
    let old = Ask::get("/a").http_1_0().begin(daemon.address);
    daemon.get("/a").is_broken_off(&image.bytes);
    old.finish().is_broken_off(&image.bytes);
    assert_eq!(origin.requests(), 5);
    daemon.idle();
    // What has come is kept, and the next fill goes on from there.
    let left = daemon.ls("--incomplete");
    assert_eq!(left.len(), 1, "{left:?}");
    let told = image.clone();
    origin.now(move |request| told.answer(request));
    daemon.get("/a").is(&image.bytes);
    assert_eq!(
        origin.seen().last().and_then(|request| request.header("range").map(str::to_owned)),
        Some("bytes=50000-".into())
    );
    assert!(origin.sent() <= image.size());
}

#[test]
fn though_the_origin_has_to_be_asked_again() {
    let image = Image::new(3, 3_000_000);
    let told = image.clone();
    let origin = Origin::new(move |request| match request.nth {
        0 => told.answer(request).cut(1_500_000, Cut::Reset),
        // A balancer, while what is behind it starts anew.
        1 => Reply::text(503, "wait").with("Retry-After", "0"),
        2 => Reply::text(429, "wait"),
        _ => told.answer(request),
    });
    let daemon = Daemon::of(&origin);
    let follower = Ask::get("/a").begin(daemon.address);
    daemon.get("/a").is(&image.bytes);
    follower.finish().is(&image.bytes);
    assert_eq!((origin.requests(), origin.sent() - 8), (4, image.size()));
}

#[test]
fn though_the_origin_is_away_for_a_moment() {
    let image = Image::new(4, 3_000_000);
    let told = image.clone();
    let origin = Origin::new(move |request| match request.nth {
        0 => told.answer(request).cut(1_500_000, Cut::Close),
        // A request that is safe is sent once more by itself.
        1 | 2 => Reply { refused: true, ..Reply::status(200) },
        _ => told.answer(request),
    });
    let daemon = Daemon::of(&origin);
    daemon.get("/a").is(&image.bytes);
    assert_eq!(origin.sent(), image.size());
}

#[test]
fn but_not_against_the_origins_will() {
    let image = Image::new(5, 3_000_000);
    let told = image.clone();
    let origin = Origin::new(move |request| match request.nth {
        0 => told.answer(request).cut(1_500_000, Cut::Close),
        _ => Reply::text(503, "").with("Retry-After", "3600"),
    });
    let daemon = Daemon::of(&origin);
    // Nobody waits an hour in the middle of an image.
    daemon.get("/a").is_broken_off(&image.bytes);
    assert_eq!(origin.requests(), 2);
}

#[test]
fn but_never_by_another_image() {
    type Told = fn(&Image) -> Reply;
    let others: [(&str, Told); 7] = [
        ("another tag", |image| Image { etag: Some("\"other\"".into()), ..image.clone() }.part(1_000_000, 3_000_000)),
        ("no tag", |image| Image { etag: None, ..image.clone() }.part(1_000_000, 3_000_000)),
        ("a weak tag", |image| {
            Image { etag: Some("W/\"6-3000000\"".into()), ..image.clone() }.part(1_000_000, 3_000_000)
        }),
        ("another size", |image| {
            let reply = image.part(1_000_000, 3_000_000);
            let headers = reply.headers.into_iter().map(|(name, value)| (name, value.replace("/3000000", "/3000001")));
            Reply { headers: headers.collect(), ..reply }
        }),
        ("no range", |image| {
            let reply = image.part(1_000_000, 3_000_000);
            Reply { headers: reply.headers.into_iter().filter(|(name, _)| name != "Content-Range").collect(), ..reply }
        }),
        ("another status", |image| Reply { status: 200, ..image.part(1_000_000, 3_000_000) }),
        ("gone", |_| Reply::text(404, "gone")),
    ];
    for (what, reply) in others {
        let image = Image::new(6, 3_000_000);
        let told = image.clone();
        let origin = Origin::new(move |request| match request.header("range") {
            Some(_) => reply(&told),
            None => told.whole().cut(1_000_000, Cut::Close),
        });
        let daemon = Daemon::of(&origin);
        let answer = daemon.get("/a");
        assert!(!answer.whole && image.bytes[..1_000_000] == answer.body[..], "{what}: {} bytes", answer.body.len());
        daemon.idle();
        assert!(!daemon.is_cached("a"), "{what}");
        assert_eq!(origin.requests(), 2, "{what}: nothing is gained by asking again");
    }
}

#[test]
fn a_rest_that_is_longer_or_shorter_than_it_says() {
    for length in ["1999999", "2000001"] {
        let image = Image::new(7, 3_000_000);
        let told = image.clone();
        let origin = Origin::new(move |request| match request.header("range") {
            Some("bytes=1000000-") => told.answer(request).with("Content-Length", length),
            Some(_) => told.answer(request),
            None => told.whole().cut(1_000_000, Cut::Close),
        });
        let daemon = Daemon::of(&origin);
        let answer = daemon.get("/a");
        // One byte too few is asked for once more; for one too many the connection ends too early, with all there is.
        answer.is(&image.bytes);
        until("it is cached", || daemon.is_cached("a"));
    }
}

#[test]
fn a_range_far_ahead_goes_on_with_the_fill() {
    let image = Image::new(8, 8_000_000);
    let gate = Gate::at(100_000);
    let (told, gated) = (image.clone(), gate.clone());
    let origin = Origin::new(move |request| match request.header("range") {
        Some(_) => told.answer(request).cut(6_000_000, Cut::Reset),
        None => told.answer(request).gated(&gated),
    });
    let daemon = Daemon::of(&origin);
    let whole = Ask::get("/a").begin(daemon.address);
    let mut part = Ask::get("/a").with("Range", "bytes=5000000-6999999").begin(daemon.address);
    // Its own answer of the origin breaks off; the fill has the rest, when it has come there.
    assert_eq!(part.read_to(1_000_000), 1_000_000);
    gate.open();
    part.finish().is_part(&image.bytes[5_000_000..7_000_000]);
    whole.finish().is(&image.bytes);
    assert_eq!(origin.requests(), 2);
}
