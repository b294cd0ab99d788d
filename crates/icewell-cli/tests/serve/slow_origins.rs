//! An origin that stalls or drips is given up, and holds up nobody but who wants that very image.

use std::thread;

use crate::fixture::{Ask, Body, Cut, Daemon, Gate, Image, Origin, Reply, Wire, icewell, until};

/// A floor that no drip reaches, over a time that a test can wait for.
const IMPATIENT: [&str; 4] = ["--origin-timeout", "300ms", "--origin-min-rate", "100KB"];

#[test]
fn a_body_that_drips_is_broken_off() {
    for (sized, cached) in [(true, true), (false, true), (true, false)] {
        let image = Image { sized, ranges: false, ..Image::new(1, 1_000_000) };
        let image = if cached { image } else { image.with("Cache-Control", "no-store") };
        let told = image.clone();
        let origin = Origin::new(move |request| told.answer(request).dripping(500_000));
        let daemon = Daemon::with(&origin, &IMPATIENT);
        daemon.get("/a").is_broken_off(&image.bytes);
        let answer = Ask::get("/b").http_1_0().of(daemon.address);
        assert!(answer.status == 502 || !answer.whole, "a whole {} of {} bytes", answer.status, answer.body.len());
        daemon.idle();
        assert_eq!(daemon.ls("").len(), 0);
        assert!(daemon.logged("comes too slowly").len() >= usize::from(cached));
    }
}

#[test]
fn a_fetch_breaks_off_what_drips_too() {
    let image = Image { ranges: false, ..Image::new(8, 1_000_000) };
    let told = image.clone();
    let origin = Origin::new(move |request| told.answer(request).dripping(500_000));
    let temp = tempfile::tempdir().unwrap();
    let (dir, url) = (temp.path().join("cache"), origin.url());
    let [timeout, short, rate, high] = IMPATIENT;
    let ran = icewell(["fetch", "a", "--dir", dir.to_str().unwrap(), "--origin", &url, timeout, short, rate, high]);
    assert!(ran.status == Some(1) && ran.stderr.contains("too slowly"), "{ran:?}");
}

#[test]
fn a_drip_in_the_middle_is_healed_like_a_break() {
    let image = Image::new(2, 3_000_000);
    let told = image.clone();
    let origin = Origin::new(move |request| {
        let reply = told.answer(request);
        if request.nth == 0 { reply.dripping(1_500_000) } else { reply }
    });
    let daemon = Daemon::with(&origin, &IMPATIENT);
    daemon.get("/a").is(&image.bytes);
    until("it is cached", || daemon.is_cached("a"));
    assert_eq!(origin.requests(), 2);
}

#[test]
fn without_a_floor_a_drip_is_waited_for() {
    let image = Image { ranges: false, ..Image::new(3, 1_000_100) };
    let told = image.clone();
    let origin = Origin::new(move |request| told.answer(request).dripping(1_000_000));
    let daemon = Daemon::with(&origin, &["--origin-timeout", "100ms", "--origin-min-rate", "0"]);
    daemon.get("/a").is(&image.bytes);
}

#[test]
fn a_refusal_that_drips_is_not_waited_for_either() {
    let page = std::sync::Arc::new(vec![b'x'; 60_000]);
    let origin = Origin::new(move |_| Reply::status(404).with_body(Body::of(page.clone())).dripping(10));
    let daemon = Daemon::with(&origin, &IMPATIENT);
    let answer = daemon.get("/a");
    assert_eq!((answer.status, answer.whole), (502, true));
    assert!(answer.text().contains("too slowly"), "{}", answer.text());
}

#[test]
fn a_head_that_drips_is_a_504() {
    let wire = Wire::new();
    let temp = tempfile::tempdir().unwrap();
    let origin = format!("http://{}", wire.address());
    let daemon = Daemon::start(&temp.path().join("cache"), &origin, &["--origin-timeout", "300ms"]);
    thread::scope(|scope| {
        let asking = scope.spawn(|| daemon.get("/a"));
        let mut line = wire.accept();
        line.head();
        line.say("HTTP/1.1 200 OK\r\nX-Long: ");
        while line.try_say(b"x").is_ok() {
            thread::yield_now();
            if asking.is_finished() {
                break;
            }
        }
        let answer = asking.join().unwrap();
        assert!(matches!(answer.status, 502 | 504) && answer.whole, "{}", answer.status);
    });
}

#[test]
fn one_images_trouble_does_not_take_the_others_connections() {
    let image = Image::new(4, 300_000);
    let gate = Gate::at(1000);
    let (told, gated) = (image.clone(), gate.clone());
    // Some stall, some drip, some never answer, some break off.
    let origin = Origin::new(move |request| match request.target.as_bytes()[1] {
        b's' => told.answer(request).gated(&gated),
        b'd' => told.answer(request).dripping(1000),
        b'n' => Reply { wait: Some(gated.clone()), ..told.answer(request) },
        b'b' => told.answer(request).cut(1000, Cut::Reset),
        _ => told.answer(request),
    });
    let daemon = Daemon::of(&origin);
    let bad = (0..40).flat_map(|n| ["s", "d", "n", "b"].map(|kind| format!("/{kind}{n}")));
    let waiting: Vec<_> = bad.map(|name| Ask::get(&name).sent(daemon.address)).collect();
    until("all of them wait at the origin", || origin.requests() >= 160);
    for n in 0..40 {
        daemon.get(&format!("/good{n}")).is(&image.bytes);
    }
    drop(waiting);
    gate.open();
}

#[test]
fn the_queue_goes_on_past_images_that_stall() {
    let image = Image::new(5, 300_000);
    let gate = Gate::at(1000);
    let (told, gated) = (image.clone(), gate.clone());
    let origin = Origin::new(move |request| match request.target.as_str() {
        "/good" => told.answer(request),
        _ => told.answer(request).gated(&gated),
    });
    let daemon = Daemon::with(&origin, &IMPATIENT);
    let ran = icewell(["queue", "--dir", daemon.dir.to_str().unwrap(), "bad1", "bad2", "bad3", "good"]);
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    until("the last of the queue is fetched", || daemon.is_cached("good"));
    gate.open();
}
