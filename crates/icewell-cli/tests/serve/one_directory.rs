//! Several processes on one directory: one copy from the origin, and each client gets it as it comes.

use std::fs;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use crate::fixture::{Ask, Cut, Daemon, Gate, Image, Origin, Reply, base64, digest_of, icewell_command, until};

fn fetch(daemon: &Daemon, id: &str) -> Child {
    let mut command = icewell_command();
    command.args(["fetch", "--quiet", "--origin", &daemon.origin, id, "--dir"]).arg(&daemon.dir);
    command.stdout(Stdio::null()).spawn().unwrap()
}

/// Lets a little more through, again and again, until something holds.
fn dripping(gate: &Gate, from: u64, what: &str, mut holds: impl FnMut() -> bool) {
    let mut open_to = from;
    until(what, || {
        open_to += 1000;
        gate.open_to(open_to);
        holds()
    });
}

#[test]
fn four_fetches_at_once_are_one_download() {
    let image = Image::new(1, 20_000_000);
    let gate = Gate::at(1_000_000);
    let (told, gated) = (image.clone(), gate.clone());
    let origin = Origin::new(move |request| told.answer(request).gated(&gated));
    // Started only for its directory and its questions about it.
    let daemon = Daemon::of(&origin);
    let mut fetches: Vec<_> = (0..4).map(|_| fetch(&daemon, "a")).collect();
    until("the origin is asked", || origin.requests() > 0);
    gate.open();
    for fetch in &mut fetches {
        assert!(fetch.wait().unwrap().success());
    }
    assert_eq!((origin.requests(), origin.sent()), (1, image.size()));
    assert_eq!(daemon.hits("a"), Some(0));
    daemon.get("/a").is(&image.bytes);
    assert_eq!(origin.requests(), 1);
}

#[test]
fn field_more_a_second_daemon_follows_the_fill_of_the_first() {
    let image = Image::new(2, 20_000_000);
    let gate = Gate::at(1_000_000);
    let (told, gated) = (image.clone(), gate.clone());
    let origin = Origin::new(move |request| told.answer(request).gated(&gated));
    let first = Daemon::of(&origin);
    let second = Daemon::start(&first.dir, &first.origin, &[]);
    let one = Ask::get("/a").begin(first.address);
    let mut other = Ask::get("/a").begin(second.address);
    assert_eq!(other.response.cache_status(), "icewell; fwd=uri-miss; collapsed");
    // Its client has bytes while the origin still holds back the rest.
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| other.read_to(500_000));
        dripping(&gate, 1_000_000, "bytes come", || reading.is_finished());
        assert_eq!(reading.join().unwrap(), 500_000);
    });
    assert!(origin.sent() < image.size());
    gate.open();
    one.finish().is(&image.bytes);
    other.finish().is(&image.bytes);
    first.idle();
    second.idle();
    assert_eq!((origin.requests(), origin.sent()), (1, image.size()));
    first.settles_at("a", 1);
    drop(second);
}

#[test]
fn a_fill_of_another_process_that_dies_breaks_no_client() {
    let image = Image::new(3, 20_000_000);
    let gate = Gate::at(1_000_000);
    let (told, gated) = (image.clone(), gate.clone());
    let origin = Origin::new(move |request| {
        let reply = told.answer(request);
        if request.nth == 0 { reply.gated(&gated) } else { reply }
    });
    let daemon = Daemon::of(&origin);
    let mut other = fetch(&daemon, "a");
    until("the other process fills", || daemon.ls("--incomplete").first().is_some_and(|row| row["active"] == true));
    let mut download = Ask::get("/a").begin(daemon.address);
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| download.read_to(500_000));
        dripping(&gate, 1_000_000, "bytes come", || reading.is_finished());
    });
    other.kill().unwrap();
    other.wait().unwrap();
    download.finish().is(&image.bytes);
    daemon.idle();
    daemon.get("/a").is(&image.bytes);
    daemon.idle();
    assert!(daemon.is_cached("a"));
}

#[test]
fn what_an_earlier_fill_left_is_not_taken_for_what_the_next_one_writes() {
    let (old, new) = (Image::new(4, 20_000_000), Image::new(5, 20_000_000));
    let told = old.clone();
    let origin = Origin::new(move |_| told.whole().cut(9_000_000, Cut::Close));
    let daemon = Daemon::of(&origin);
    daemon.get("/a").is_broken_off(&old.bytes);
    daemon.idle();
    // Another process takes up what is left, and the origin thinks about it: the image has changed meanwhile.
    let gate = Gate::at(0);
    let (told, gated) = (new.clone(), gate.clone());
    origin.now(move |request| Reply { wait: Some(gated.clone()), ..told.answer(request) });
    let before = origin.requests();
    let mut other = fetch(&daemon, "a");
    until("the other process asks", || origin.requests() > before);
    let asked = Ask::get("/a").sent(daemon.address);
    until("the daemon has seen the request", || daemon.metric("icewell_fills") == 1);
    gate.open();
    let answer = asked.head().finish();
    assert!(other.wait().unwrap().success());
    // The client may have begun with the old one; then it has to see that this is not the image any more.
    match answer.whole {
        true => answer.is(&new.bytes),
        false => assert!([&old, &new].iter().any(|image| image.bytes.starts_with(&answer.body)), "a mixture of both"),
    }
    daemon.get("/a").is(&new.bytes);
}

#[test]
fn wrong_bytes_that_another_process_fetches_are_whole_for_nobody() {
    let image = Image::new(6, 3_000_000);
    let digest = format!("sha-256=:{}:", base64(&digest_of("sha256", b"another image")));
    let gate = Gate::at(1_000_000);
    let (told, gated) = (image.clone().with("Repr-Digest", &digest), gate.clone());
    let origin = Origin::new(move |request| told.answer(request).gated(&gated));
    let first = Daemon::of(&origin);
    let second = Daemon::start(&first.dir, &first.origin, &[]);
    let one = Ask::get("/a").begin(first.address);
    let other = Ask::get("/a").begin(second.address);
    assert_eq!(other.response.cache_status(), "icewell; fwd=uri-miss; collapsed");
    gate.open();
    one.finish().is_broken_off(&image.bytes);
    other.finish().is_broken_off(&image.bytes);
}

#[test]
fn what_somebody_adds_meanwhile_is_not_sent_for_the_origins() {
    let image = Image::new(7, 100_000);
    let told = image.clone();
    let origin = Origin::new(move |request| told.answer(request));
    let daemon = Daemon::of(&origin);
    let mut command = icewell_command();
    command.args(["add", "a", "-", "--dir"]).arg(&daemon.dir).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut adding = command.spawn().unwrap();
    let mut by_hand = adding.stdin.take().unwrap();
    by_hand.write_all(&[b'x'; 3_000_000]).unwrap();
    until("it is being added", || daemon.ls("--incomplete").first().is_some_and(|row| row["active"] == true));
    let asked = Ask::get("/a").sent(daemon.address);
    until("the daemon has seen the request", || daemon.metric("icewell_fills") == 1);
    drop(by_hand);
    assert!(adding.wait().unwrap().success());
    asked.head().finish().is(&image.bytes);
    daemon.idle();
    daemon.get("/a").is(&image.bytes);
}

#[test]
fn who_stands_still_in_the_middle_of_an_image_is_not_waited_for() {
    let image = Image::new(8, 100_000);
    let told = image.clone();
    let origin = Origin::new(move |request| told.answer(request));
    let daemon = Daemon::of(&origin);
    // As a Glance does: a file without a mark, open for writing.
    let mut theirs = fs::File::create(daemon.dir.join("incomplete/a")).unwrap();
    theirs.write_all(&image.bytes[..1000]).unwrap();
    let asked = Ask::get("/a").sent(daemon.address);
    until("the daemon has seen the request", || daemon.metric("icewell_fills") == 1);
    theirs.write_all(&image.bytes[1000..2000]).unwrap();
    assert_eq!(origin.requests(), 0, "it gets on");
    theirs.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
    let other = Daemon::start(&daemon.dir, &daemon.origin, &[]);
    let answer = other.get("/a");
    assert_eq!(answer.cache_status(), "icewell; fwd=uri-miss; fwd-status=200; detail=stalled-elsewhere");
    answer.is(&image.bytes);
    fs::rename(daemon.dir.join("incomplete/a"), daemon.dir.join("incomplete/b")).unwrap();
    asked.head().finish().is(&image.bytes);
}

#[test]
fn who_stands_still_in_the_middle_of_a_download_is_not_followed() {
    let image = Image::new(9, 3_000_000);
    let gate = Gate::at(1_000_000);
    let (told, gated) = (image.clone(), gate.clone());
    let origin = Origin::new(move |request| {
        let reply = told.answer(request);
        if request.nth == 0 { reply.gated(&gated) } else { reply }
    });
    let dir = Daemon::of(&origin);
    let daemon = Daemon::start(&dir.dir, &dir.origin, &["--origin-timeout", "1s"]);
    let mut stopped = fetch(&daemon, "a");
    until("the other process fills", || daemon.ls("--incomplete").first().is_some_and(|row| row["active"] == true));
    let process = stopped.id().to_string();
    let signal = |name: &str| {
        assert!(Command::new("kill").args([name, &process]).status().unwrap().success());
    };
    signal("-STOP");
    daemon.get("/a").is(&image.bytes);
    signal("-CONT");
    gate.open();
    assert!(stopped.wait().unwrap().success());
}
