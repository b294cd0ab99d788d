//! What is passed on to a Glance, word by word; the Glance is played by the test.

use std::thread;

use crate::fixture::{Daemon, Line, Origin, Reply, Wire};

/// A daemon in front of the wire, and the folder that it needs.
fn front(wire: &Wire, args: &[&str]) -> (Daemon, tempfile::TempDir) {
    let temp = tempfile::tempdir().unwrap();
    let origin = format!("glance+http://{}", wire.address());
    (Daemon::start(&temp.path().join("cache"), &origin, args), temp)
}

/// The lines without those in which the proxy tells of itself, each of which there has to be.
#[track_caller]
fn without_own(mut lines: Vec<String>, own: &[&str]) -> Vec<String> {
    for start in own {
        let at = lines.iter().position(|line| line.starts_with(start));
        lines.remove(at.unwrap_or_else(|| panic!("no {start} in {lines:?}")));
    }
    lines.sort();
    lines
}

const TOLD: [&str; 4] =
    ["via: 1.1 icewell-", "x-forwarded-for: 127.0.0.1", "x-forwarded-host: glance.test", "x-forwarded-proto: http"];

#[test]
fn a_request_reaches_glance_as_it_was_made() {
    let wire = Wire::new();
    let (daemon, _temp) = front(&wire, &[]);
    for fields in [
        vec![],
        vec!["accept: text/plain", "accept-encoding: br", "user-agent: someone/1", "x-auth-token: secret"],
        vec!["cookie: a=b", "cookie: c=d", "x-odd: ", "range: bytes=0-1", "pragma: no-cache"],
    ] {
        let mut client = Line::to(daemon.address);
        let lines: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        client.say(&format!("GET /v2/images?a=%2F&b HTTP/1.1\r\nHost: glance.test\r\n{lines}\r\n"));
        let mut glance = wire.accept();
        let mut wanted: Vec<_> = fields.iter().map(|field| field.trim_end().to_owned()).collect();
        wanted.extend(["GET /v2/images?a=%2F&b HTTP/1.1".into(), "host: glance.test".into()]);
        wanted.sort();
        assert_eq!(without_own(glance.head(), &TOLD), wanted);
        glance.say("HTTP/1.1 300 Many\r\nX-Odd: 1\r\nX-Odd: 2\r\nLocation: /v3\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody");
        let told = client.head();
        assert_eq!(told[0], "HTTP/1.1 300 Multiple Choices");
        let told = without_own(told[1..].to_vec(), &["via: 1.1 icewell-", "date: "]);
        assert_eq!(told, ["content-length: 4", "location: /v3", "x-odd: 1", "x-odd: 2"]);
        assert_eq!(client.read(4), b"body");
    }
}

#[test]
fn fields_of_one_connection_stay_on_it() {
    let wire = Wire::new();
    let (daemon, _temp) = front(&wire, &[]);
    let mut client = Line::to(daemon.address);
    client.say(
        "OPTIONS * HTTP/1.1\r\nHost: glance.test\r\nConnection: x-mine, keep-alive\r\nX-Mine: 1\r\nKeep-Alive: 5\r\n\
         TE: trailers\r\nVia: 1.0 before\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n\r\n",
    );
    let lines = wire.accept().head();
    let own = [&TOLD[..3], &["x-forwarded-proto: https", "x-forwarded-for: 192.0.2.1", "via: 1.0 before"]].concat();
    assert_eq!(without_own(lines, &own), ["OPTIONS * HTTP/1.1", "host: glance.test"]);
}

#[test]
fn bodies_are_framed_as_the_client_framed_them() {
    let wire = Wire::new();
    let (daemon, _temp) = front(&wire, &[]);
    for (fields, sent, framing, body) in [
        ("Content-Length: 5\r\n", "hello", "content-length: 5", "hello"),
        ("Content-Length: 0\r\n", "", "content-length: 0", ""),
        (
            "Transfer-Encoding: chunked\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "transfer-encoding: chunked",
            "5\r\nhello\r\n0\r\n\r\n",
        ),
        // The chunks count (RFC 9112 §6.3), and nobody after us should have to choose.
        (
            "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "transfer-encoding: chunked",
            "5\r\nhello\r\n0\r\n\r\n",
        ),
    ] {
        let mut client = Line::to(daemon.address);
        client.say(&format!("PUT /v2/x HTTP/1.1\r\nHost: glance.test\r\n{fields}\r\n{sent}"));
        let mut glance = wire.accept();
        let own = [&TOLD[..], &["PUT /v2/x HTTP/1.1", framing, "host: glance.test"]].concat();
        assert_eq!(without_own(glance.head(), &own), [""; 0]);
        assert_eq!(glance.read(body.len()), body.as_bytes());
        glance.say("HTTP/1.1 204 Done\r\nConnection: close\r\n\r\n");
        assert!(client.head()[0].contains("204"));
    }
    let mut client = Line::to(daemon.address);
    client.say("PUT /v2/x HTTP/1.1\r\nHost: glance.test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n");
    assert!(client.head()[0].contains("501"));
}

#[test]
fn a_broken_upload_is_broken_off() {
    let wire = Wire::new();
    let (daemon, _temp) = front(&wire, &[]);
    for (fields, part) in [("Content-Length: 9", "hello"), ("Transfer-Encoding: chunked", "5\r\nhello\r\n")] {
        let mut client = Line::to(daemon.address);
        client.say(&format!("PUT /v2/x HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n{part}"));
        let mut glance = wire.accept();
        glance.head();
        assert_eq!(glance.read(part.len()), part.as_bytes());
        drop(client);
        assert_eq!(glance.rest(), b"", "neither the end of the chunks nor anything else");
    }
}

#[test]
fn both_bodies_flow_before_either_has_ended() {
    let wire = Wire::new();
    let (daemon, _temp) = front(&wire, &[]);
    let mut client = Line::to(daemon.address);
    client.say("PUT /v2/x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n1");
    let mut glance = wire.accept();
    glance.head();
    assert_eq!(glance.read(1), b"1");
    glance.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na");
    client.head();
    assert_eq!(client.read(1), b"a");
    client.say("2");
    assert_eq!(glance.read(1), b"2");
    glance.say("b");
    assert_eq!(client.read(1), b"b");
}

#[test]
fn a_refusal_comes_before_the_end_of_the_upload() {
    let wire = Wire::new();
    let (daemon, _temp) = front(&wire, &[]);
    // Each takes as long as a client who does not stop sending is borne with.
    for _ in 0..6 {
        let mut client = Line::to(daemon.address);
        client.say("PUT /v2/x HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n");
        let mut uploader = client.twin();
        let upload = thread::spawn(move || while uploader.try_say(&[b'x'; 65536]).is_ok() {});
        let mut glance = wire.accept();
        glance.head();
        glance.read(100_000);
        // And hangs up with what it has not read: the connection is reset.
        glance.say("HTTP/1.1 409 Conflict\r\nContent-Length: 5\r\n\r\nwords");
        drop(glance);
        assert_eq!(client.head()[0], "HTTP/1.1 409 Conflict");
        assert_eq!(client.read(5), b"words");
        drop(client.rest());
        upload.join().unwrap();
    }
}

#[test]
fn a_client_is_told_to_go_on_when_glance_says_so() {
    let wire = Wire::new();
    // Shorter than the silence after which it would be told anyway.
    let (daemon, _temp) = front(&wire, &["--origin-timeout", "900ms"]);
    let mut client = Line::to(daemon.address);
    client.say("PUT /v2/x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    let mut glance = wire.accept();
    assert!(glance.head().contains(&"expect: 100-continue".into()));
    glance.say("HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(client.head(), ["HTTP/1.1 100 Continue"]);
    client.say("hello");
    assert_eq!(glance.read(5), b"hello");
    glance.say("HTTP/1.1 204 Done\r\n\r\n");
    assert_eq!(client.head()[0], "HTTP/1.1 204 No Content");
}

#[test]
fn a_client_is_not_told_to_go_on_with_what_glance_refuses() {
    let wire = Wire::new();
    let (daemon, _temp) = front(&wire, &[]);
    let mut client = Line::to(daemon.address);
    client.say("PUT /v2/x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    let mut glance = wire.accept();
    glance.head();
    glance.say("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno");
    assert_eq!(client.head()[0], "HTTP/1.1 401 Unauthorized", "and no 100 before it");
    assert_eq!(client.read(2), b"no");
    assert_eq!(glance.rest(), b"", "a connection on which the body is still due is closed");
}

#[test]
fn where_glance_says_nothing_the_client_is_told_to_go_on_after_a_while() {
    let wire = Wire::new();
    let (daemon, _temp) = front(&wire, &[]);
    let mut client = Line::to(daemon.address);
    client.say("PUT /v2/x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    let mut glance = wire.accept();
    glance.head();
    assert_eq!(client.head(), ["HTTP/1.1 100 Continue"]);
    client.say("hello");
    assert_eq!(glance.read(5), b"hello");
    glance.say("HTTP/1.1 204 Done\r\n\r\n");
    assert_eq!(client.head()[0], "HTTP/1.1 204 No Content");
}

#[test]
fn a_glance_that_says_nothing_is_a_504_and_a_slow_client_is_none() {
    let wire = Wire::new();
    let (daemon, _temp) = front(&wire, &["--origin-timeout", "200ms"]);
    let mut slow = Line::to(daemon.address);
    slow.say("PUT /v2/x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n1");
    let mut uploaded = wire.accept();
    uploaded.head();
    assert_eq!(uploaded.read(1), b"1");
    // Three times as long as Glance may take: the answers are the clock.
    for request in [
        "GET /v2/y HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /v2/y HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n1",
        "POST /v2/y HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n1",
    ] {
        let mut client = Line::to(daemon.address);
        client.say(request);
        let silent = wire.accept();
        assert_eq!(client.head()[0], "HTTP/1.1 504 Gateway Timeout");
        drop(silent);
    }
    slow.say("2");
    assert_eq!(uploaded.read(1), b"2");
    uploaded.say("HTTP/1.1 204 Done\r\nConnection: close\r\n\r\n");
    assert_eq!(slow.head()[0], "HTTP/1.1 204 No Content");
    // And one that reads no more, whatever of it is in between.
    let mut client = Line::to(daemon.address);
    client.say("PUT /v2/z HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n");
    let mut uploader = client.twin();
    let upload = thread::spawn(move || while uploader.try_say(&[b'x'; 65536]).is_ok() {});
    let stuck = wire.accept();
    assert_eq!(client.head()[0], "HTTP/1.1 504 Gateway Timeout");
    drop((client.rest(), stuck));
    upload.join().unwrap();
}

/// Asks for `/v2/x` on a connection that Glance closes as soon as it has the request, after it has served one well.
fn on_a_stale_connection(method: &str, again: bool) {
    let wire = Wire::new();
    let (daemon, _temp) = front(&wire, &[]);
    let request = format!("{method} /v2/x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let mut client = Line::to(daemon.address);
    client.say(&request);
    let mut glance = wire.accept();
    glance.head();
    glance.say(answer);
    assert_eq!(client.head()[0], "HTTP/1.1 200 OK");
    client.say(&request);
    assert!(glance.head()[0].starts_with(method), "on the connection that is there");
    drop(glance);
    if again {
        let mut glance = wire.accept();
        assert!(glance.head()[0].starts_with(method));
        glance.say(answer);
        assert_eq!(client.head()[0], "HTTP/1.1 200 OK");
    } else {
        assert_eq!(client.head()[0], "HTTP/1.1 502 Bad Gateway");
        assert!(!wire.is_called(), "once is all that may be");
    }
}

#[test]
fn a_request_that_changes_something_is_never_sent_twice() {
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        on_a_stale_connection(method, false);
    }
}

#[test]
fn a_request_that_changes_nothing_may_be_sent_again() {
    on_a_stale_connection("GET", true);
}

#[test]
fn a_connection_that_glance_has_closed_is_not_used() {
    let wire = Wire::new();
    let (daemon, _temp) = front(&wire, &[]);
    for _ in 0..10 {
        let mut client = Line::to(daemon.address);
        client.say("POST /v2/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
        let mut glance = wire.accept();
        glance.head();
        assert_eq!(glance.read(5), b"hello");
        glance.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        // It says keep-alive, and does not: what the client gets after that is known to have come later.
        drop(glance);
        assert_eq!(client.head()[0], "HTTP/1.1 200 OK");
    }
}

#[test]
fn redirects_are_the_clients_to_follow() {
    let origin = Origin::new(|_| Reply::status(302).with("Location", "http://127.0.0.1:1/x"));
    let temp = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(&temp.path().join("cache"), &format!("glance+{}", origin.url()), &[]);
    let answer = daemon.get("/v2/images");
    assert_eq!((answer.status, answer.header("location")), (302, "http://127.0.0.1:1/x"));
}

#[test]
fn who_asks_is_not_told_to_whom_glance_redirects() {
    let elsewhere = Origin::new(|_| Reply::text(404, "nothing"));
    let to = elsewhere.url();
    let glance = Origin::new(move |request| match request.target.as_str() {
        "/v2/images/1" => Reply::status(307).with("Location", "/here"),
        _ => Reply::status(307).with("Location", &format!("{to}/there#x")),
    });
    let temp = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(&temp.path().join("cache"), &format!("glance+{}", glance.url()), &[]);
    let token = crate::fixture::Ask::get("/v2/images/1/file").with("X-Auth-Token", "secret").with("Cookie", "a=b");
    token.of(daemon.address);
    let told: Vec<_> = glance.seen();
    assert!(told.iter().any(|request| request.target == "/here"));
    assert!(told.iter().all(|request| request.header("x-auth-token") == Some("secret")));
    let seen = elsewhere.seen();
    assert!(!seen.is_empty() && seen.iter().all(|request| request.target == "/there"));
    for request in seen {
        assert_eq!((request.header("x-auth-token"), request.header("cookie")), (None, None));
    }
}

#[test]
fn a_fill_follows_ten_redirects() {
    let origin = Origin::new(|request| match request.target.strip_prefix('/').and_then(|n| n.parse::<u32>().ok()) {
        Some(0) => Reply::text(200, "bytes"),
        Some(n) => Reply::status(302).with("Location", &format!("{}", n - 1)),
        None => Reply::status(404),
    });
    let daemon = Daemon::of(&origin);
    daemon.get("/10").is(b"bytes");
    let answer = daemon.get("/11");
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("redirects"), "{}", answer.text());
}
