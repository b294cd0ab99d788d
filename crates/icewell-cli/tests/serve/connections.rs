//! Connections that stay: requests one after the other, who may go on and who is hung up on.

use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::Signal;

use crate::fixture::{Daemon, Gate, Image, Line, Origin, until};

fn cached(image: &Image) -> (Daemon, Origin) {
    let origin = Origin::of(image);
    let daemon = Daemon::of(&origin);
    daemon.get("/a").is(&image.bytes);
    daemon.settles_at("a", 0);
    (daemon, origin)
}

/// The next answer: its status line, and so many bytes of a body as it announces.
fn answer(line: &mut Line, bodiless: bool) -> (String, Vec<u8>) {
    let head = line.head();
    let length = head.iter().find_map(|field| field.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    (head[0].clone(), line.read(if bodiless { 0 } else { length }))
}

#[test]
fn requests_at_once_are_answered_in_order() {
    let image = Image::new(1, 200_000);
    let (daemon, _origin) = cached(&image);
    let mut line = Line::to(daemon.address);
    let whole = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
    let part = "GET /a HTTP/1.1\r\nHost: x\r\nRange: bytes=5-9\r\n\r\n";
    let head = "HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n";
    let posted = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
    line.say(&[whole, part, head, part, whole, posted, part, whole].concat());
    let whole = ("HTTP/1.1 200 OK".to_owned(), image.bytes.to_vec());
    let part = ("HTTP/1.1 206 Partial Content".to_owned(), image.bytes[5..10].to_vec());
    assert!(answer(&mut line, false) == whole);
    assert_eq!(answer(&mut line, false), part);
    assert_eq!(answer(&mut line, true).0, whole.0);
    assert_eq!(answer(&mut line, false), part);
    assert!(answer(&mut line, false) == whole);
    assert_eq!(answer(&mut line, false).0, "HTTP/1.1 405 Method Not Allowed");
    assert_eq!(answer(&mut line, false), part);
    assert!(answer(&mut line, false) == whole);
    daemon.settles_at("a", 3);
}

#[test]
fn a_head_may_come_byte_by_byte() {
    let image = Image::new(2, 1_000);
    let (daemon, _origin) = cached(&image);
    let mut line = Line::to(daemon.address);
    for byte in "GET /a HTTP/1.1\r\nHost: x\r\n\r\n".bytes() {
        line.try_say(&[byte]).unwrap();
    }
    assert!(answer(&mut line, false).1 == *image.bytes);
}

#[test]
fn who_wants_the_end_gets_it_after_the_answer() {
    let image = Image::new(3, 10_000);
    let (daemon, _origin) = cached(&image);
    for (fields, version, stays) in [
        ("", "1.1", true),
        ("Connection: close\r\n", "1.1", false),
        ("", "1.0", false),
        ("Connection: keep-alive\r\n", "1.0", true),
    ] {
        let mut line = Line::to(daemon.address);
        let request = format!("GET /a HTTP/{version}\r\nHost: x\r\n{fields}\r\n");
        line.say(&request);
        assert!(answer(&mut line, false).1 == *image.bytes);
        if stays {
            line.say(&request);
            assert!(answer(&mut line, false).1 == *image.bytes);
        } else {
            // What comes too late does not cost the answer, but gets none.
            line.try_say(request.as_bytes()).ok();
            assert_eq!(line.rest(), b"");
        }
    }
}

#[test]
fn who_does_not_read_is_waited_for_without_the_image_in_memory() {
    let image = Image::new(4, 30_000_000);
    let (daemon, _origin) = cached(&image);
    let lines: Vec<Line> = (0..8)
        .map(|_| {
            let mut line = Line::to(daemon.address);
            line.say("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
            line
        })
        .collect();
    // Others are served meanwhile, and those get all of it in the end.
    daemon.get("/a").is(&image.bytes);
    for mut line in lines {
        assert!(answer(&mut line, false).1 == *image.bytes);
    }
    daemon.settles_at("a", 9);
}

#[test]
fn who_says_nothing_or_takes_nothing_is_hung_up_on() {
    let image = Image::new(5, 40_000_000);
    let origin = Origin::of(&image);
    let daemon = Daemon::with(&origin, &["--idle-timeout", "500ms", "--send-timeout", "500ms"]);
    daemon.get("/a").is(&image.bytes);
    daemon.settles_at("a", 0);
    let mut silent = TcpStream::connect(daemon.address).unwrap();
    let mut slow_head = Line::to(daemon.address);
    slow_head.say("GET /a HTTP/1.1\r\nHost:");
    let mut full = Line::to(daemon.address);
    full.say("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    silent.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    assert_eq!(silent.read(&mut [0]).unwrap(), 0);
    assert_eq!(slow_head.rest(), b"");
    until("nobody is connected", || daemon.connections() == 0);
    // What was sent before is less than the whole, and no hit.
    assert!(full.rest().len() < image.bytes.len());
    assert_eq!(daemon.hits("a"), Some(0));
}

#[test]
fn a_stop_closes_what_rests_and_lets_an_answer_come_to_its_end() {
    let image = Image::new(6, 3_000_000);
    let gate = Gate::at(1_000_000);
    let (told, gated) = (image.clone(), gate.clone());
    let origin = Origin::new(move |request| told.answer(request).gated(&gated));
    let mut daemon = Daemon::with(&origin, &["--drain-timeout", "1h", "--idle-timeout", "1h"]);
    let resting = Line::to(daemon.address);
    let mut running = Line::to(daemon.address);
    running.say("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    let head = running.head();
    assert_eq!(head[0], "HTTP/1.1 200 OK");
    daemon.signal(Signal::TERM);
    assert_eq!(resting.rest(), b"");
    gate.open();
    assert!(running.read(image.bytes.len()) == *image.bytes);
    assert_eq!(running.rest(), b"");
    assert!(daemon.ended().success());
}

#[test]
fn who_leaves_before_the_answer_is_noticed() {
    let image = Image::new(7, 3_000_000);
    let gate = Gate::at(0);
    let (told, gated) = (image.clone(), gate.clone());
    let origin = Origin::new(move |request| told.answer(request).gated(&gated));
    let daemon = Daemon::with(&origin, &["--idle-timeout", "1h"]);
    let mut line = Line::to(daemon.address);
    line.say("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    until("it is asked for", || origin.requests() == 1);
    assert_eq!(daemon.connections(), 1);
    drop(line);
    until("nobody is connected", || daemon.connections() == 0);
    gate.open();
    // The fill goes on without him.
    until("it is cached", || daemon.is_cached("a"));
}
