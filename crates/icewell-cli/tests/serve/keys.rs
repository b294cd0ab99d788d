//! From a request's target to a file's name.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use crate::fixture::{Ask, Daemon, Image, Origin, until};

#[test]
fn names_that_need_care() {
    let image = Image::new(1, 1000);
    let origin = Origin::of(&image);
    let daemon = Daemon::of(&origin);
    let long = format!("/{}", "x".repeat(300));
    for (target, asked, id) in [
        ("/a/b.img", "/a/b.img", "a%2Fb.img"),
        ("/a%2Fb.img", "/a%2Fb.img", "a%252Fb.img"),
        ("/a%2fb.img", "/a%2Fb.img", "a%252Fb.img"),
        ("/%61?v=%7e1", "/a?v=~1", "a%3Fv%3D~1"),
        ("/a?", "/a?", "a%3F"),
        ("/incomplete", "/incomplete", "%69ncomplete"),
        ("/invalid", "/invalid", "%69nvalid"),
        ("/queue", "/queue", "%71ueue"),
        ("/.icewell", "/.icewell", "%2Eicewell"),
        ("/.hidden", "/.hidden", "%2Ehidden"),
        ("/a//b", "/a//b", "a%2F%2Fb"),
        (
            "/%D0%BE%D0%B1%D1%80%D0%B0%D0%B7",
            "/%D0%BE%D0%B1%D1%80%D0%B0%D0%B7",
            "%25D0%25BE%25D0%25B1%25D1%2580%25D0%25B0%25D0%25B7",
        ),
        ("http://elsewhere.test/absolute", "/absolute", "absolute"),
    ] {
        let before = origin.requests();
        daemon.get(target).is(&image.bytes);
        until("it has its name", || daemon.is_cached(id));
        daemon.idle();
        let seen = origin.seen();
        // Two spellings of one name are one image.
        assert!(seen.len() == before || seen[before].target == asked, "{target} was asked as {}", seen[before].target);
        assert!(daemon.get(target).cache_status().starts_with("icewell; hit"), "{target}");
    }
    daemon.get(&long).is(&image.bytes);
    daemon.idle();
    let ids: Vec<_> = daemon.ls("").iter().map(|row| row["image_id"].as_str().unwrap().to_owned()).collect();
    assert!(ids.iter().any(|id| id.starts_with("sha256:") && id.len() == 71), "{ids:?}");
    assert!(daemon.get(&long).cache_status().starts_with("icewell; hit"));
    assert_eq!(ids.len(), 13);
}

#[test]
fn what_is_no_name_goes_nowhere() {
    let origin = Origin::new(|_| panic!("nobody was to ask"));
    let daemon = Daemon::of(&origin);
    for (target, status) in [
        ("/", 404),
        ("//", 404),
        ("/..", 404),
        ("/a/../b", 404),
        ("/a/./b", 404),
        ("/%2e%2e/etc/passwd", 404),
        ("/a/%2E", 404),
        ("/%", 400),
        ("/%zz", 400),
        ("/a%0", 400),
        ("/a?%g0", 400),
        ("/a%00b", 400),
        ("http://elsewhere.test/", 404),
    ] {
        for ask in [Ask::get(target), Ask::head(target)] {
            let answer = ask.of(daemon.address);
            assert_eq!((answer.status, answer.whole), (status, true), "{target}");
        }
    }
    assert_eq!(daemon.ls("").len(), 0);
}

#[test]
fn images_can_only_be_read() {
    let image = Image::new(2, 1000);
    let origin = Origin::of(&image);
    let daemon = Daemon::of(&origin);
    daemon.get("/a").is(&image.bytes);
    daemon.idle();
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PURGE"] {
        let answer = Ask::new(method, "/a").with("Content-Length", "0").of(daemon.address);
        assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD"), "{method}");
    }
    assert_eq!(origin.requests(), 1);
    assert!(daemon.is_cached("a"));
}

#[test]
fn what_is_no_http_is_refused_and_harms_nobody() {
    let image = Image::new(3, 1000);
    let origin = Origin::of(&image);
    let daemon = Daemon::of(&origin);
    let large = format!("GET /a HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(400_000));
    for (request, status) in [
        ("nonsense\r\n\r\n", "400"),
        ("GET /a HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", "400"),
        (large.as_str(), "431"),
    ] {
        let mut stream = TcpStream::connect(daemon.address).unwrap();
        stream.write_all(request.as_bytes()).ok();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).ok();
        // Who is hung up on in the middle of writing may not see the answer.
        assert!(line.is_empty() || line.contains(status), "{line}");
    }
    daemon.get("/a").is(&image.bytes);
}
