//! Who asks in the last moment before the daemon's end is answered, whatever he speaks.
//!
//! The daemon stands still while he asks and while the end is called for, so that it meets both at once.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use rustix::fs::{FlockOperation, flock};
use rustix::process::Signal;

use crate::fixture::{Authority, Daemon, Image, Line, Origin, until};

/// More than a plain request, so that it is left to hyper.
const WITH_A_BODY: &str = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";

#[test]
fn with_a_body() {
    let mut daemon = Daemon::of(&Origin::of(&Image::new(1, 1000)));
    daemon.signal(Signal::STOP);
    let mut lines: Vec<Line> = (0..8).map(|_| Line::to(daemon.address)).collect();
    lines.iter_mut().for_each(|line| line.say(WITH_A_BODY));
    daemon.signal(Signal::TERM);
    daemon.signal(Signal::CONT);
    for mut line in lines {
        let head = line.head();
        assert_eq!(head[0], "HTTP/1.1 405 Method Not Allowed");
    }
    assert!(daemon.ended().success());
}

#[test]
fn by_tls_before_the_handshake() {
    let authority = Authority::new("ca");
    let image = Image::new(2, 1_000_000);
    let origin = Origin::of(&image);
    for version in ["--http1.1", "--http2"] {
        let mut daemon = Daemon::with(&origin, &authority.issue("server").options());
        let temp = tempfile::tempdir().unwrap();
        let copy = temp.path().join("copy");
        daemon.signal(Signal::STOP);
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--noproxy", "*", "-m", "60", version, "--cacert"]).arg(&authority.cert);
        let mut asking = curl.arg("-o").arg(&copy).arg(daemon.https("/a")).spawn().unwrap();
        until("it is connected", || daemon.connections() == 1);
        daemon.signal(Signal::TERM);
        daemon.signal(Signal::CONT);
        assert!(asking.wait().unwrap().success(), "{version}");
        assert!(fs::read(copy).unwrap() == *image.bytes, "{version}");
        assert!(daemon.ended().success());
    }
}

/// It waits for the lock of the queue, which somebody has until the daemon has nothing else left to do.
#[test]
fn as_an_admin_whose_request_is_under_way() {
    let mut daemon = Daemon::of(&Origin::of(&Image::new(1, 1000)));
    let locked = fs::File::open(daemon.dir.join("queue")).unwrap();
    flock(&locked, FlockOperation::LockExclusive).unwrap();
    let inode = format!(":{} ", locked.metadata().unwrap().ino());
    let resting = Line::to(daemon.admin);
    let mut asking = Line::to(daemon.admin);
    asking.say(&format!("PUT /v2/cache/a HTTP/1.1\r\nHost: {}\r\n\r\n", daemon.admin));
    until("it waits for the lock", || {
        let locks = fs::read_to_string("/proc/locks").unwrap();
        locks.lines().any(|line| line.contains("-> FLOCK") && line.contains(&inode))
    });
    daemon.signal(Signal::TERM);
    assert_eq!(resting.rest(), b"");
    flock(&locked, FlockOperation::Unlock).unwrap();
    assert_eq!(asking.head()[0], "HTTP/1.1 202 Accepted");
    assert!(daemon.ended().success());
}
