//! Thousands of connections cost kilobytes each, and there are descriptors for them.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::fixture::{Ask, Daemon, Gate, Image, Origin, icewell_command, until};

/// As many as the promise says.
const CROWD: usize = 4000;

/// Lets this process have so many connections.
fn make_room() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    assert!(maximum.is_none_or(|maximum| maximum > CROWD as u64 + 1000), "the hard limit of open files is too low");
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}

/// A daemon that starts with these limits of open files.
fn limited(limits: &str, origin: &Origin, args: &[&str]) -> (Daemon, tempfile::TempDir) {
    let temp = tempfile::tempdir().unwrap();
    let plain = icewell_command();
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{limits}; exec \"$0\" \"$@\"")).arg(plain.get_program());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let dir = temp.path().join("cache");
    command.arg("serve").arg("--dir").arg(&dir).args(["--origin", &origin.url()]).args(args);
    (Daemon::run(command, &dir, &origin.url()), temp)
}

fn open_files(daemon: &Daemon) -> usize {
    fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap().count()
}

#[test]
fn four_thousand_that_say_nothing() {
    make_room();
    let image = Image::new(1, 100_000);
    let origin = Origin::of(&image);
    // The usual limit is for 1024.
    let (daemon, _temp) = limited("ulimit -S -n 1024", &origin, &[]);
    daemon.get("/a").is(&image.bytes);
    daemon.idle();
    let (memory, files) = (daemon.resident(), open_files(&daemon));
    let crowd: Vec<_> = (0..CROWD)
        .map(|n| {
            let mut stream = TcpStream::connect(daemon.address).unwrap();
            // Some have begun a head, and some have had an answer.
            match n % 4 {
                0 => stream.write_all(b"GET /a HTTP/1.1\r\nHost: x\r\nX-More").unwrap(),
                1 => stream.write_all(b"HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n").unwrap(),
                _ => {}
            }
            stream
        })
        .collect();
    // A connection to the origin that was kept for a second may have been among those of before.
    until("all are accepted", || open_files(&daemon) + 5 >= files + CROWD);
    daemon.get("/a").is(&image.bytes);
    let each = daemon.resident().saturating_sub(memory) / CROWD as u64;
    assert!(each < 20_000, "{each} bytes for each");
    drop(crowd);
    until("their descriptors are given back", || open_files(&daemon) < files + 100);
}

#[test]
fn a_thousand_that_wait_in_the_middle_of_an_image() {
    make_room();
    let image = Image::new(2, 5_000_000);
    let gate = Gate::at(1_000_000);
    let (told, gated) = (image.clone(), gate.clone());
    let origin = Origin::new(move |request| told.answer(request).gated(&gated));
    let daemon = Daemon::of(&origin);
    let mut first = Ask::get("/a").begin(daemon.address);
    first.read_to(500_000);
    let memory = daemon.resident();
    let crowd: Vec<_> = (0..1000).map(|_| Ask::get("/a").begin(daemon.address)).collect();
    let each = daemon.resident().saturating_sub(memory) / 1000;
    assert!(each < 50_000, "{each} bytes for each");
    gate.open();
    // Nobody has to read for the fill to end.
    until("it is cached", || daemon.is_cached("a"));
    let mut crowd = crowd;
    for one in crowd.drain(..20) {
        one.finish().is(&image.bytes);
    }
    assert!(daemon.resident().saturating_sub(memory) / 1000 < 50_000);
    assert_eq!(origin.requests(), 1);
}

#[test]
fn a_limit_that_is_too_low_is_told_and_kept_to() {
    let image = Image::new(3, 1000);
    let origin = Origin::of(&image);
    let (daemon, _temp) = limited("ulimit -n 200", &origin, &[]);
    assert_eq!(daemon.logged("the limit of open files").len(), 1);
    // More than there are descriptors: they wait, and the daemon still can open files.
    let idle: Vec<_> = (0..150).map(|_| TcpStream::connect(daemon.address).unwrap()).collect();
    until("as many as fit are accepted", || open_files(&daemon) > 100);
    let waiting = Ask::get("/a").sent(daemon.address);
    drop(idle);
    waiting.head().finish().is(&image.bytes);
    assert_eq!(daemon.logged("cannot accept").len(), 0);
    let (roomy, _temp) = limited("ulimit -S -n 200", &origin, &[]);
    assert_eq!(roomy.logged("the limit of open files").len(), 0);
}
