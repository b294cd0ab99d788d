//! The log of requests: one line for each, whole and true, whatever was asked.

use std::io::Write as _;
use std::net::TcpStream;
use std::process::Command;
use std::thread;

use serde_json::Value;

use crate::fixture::{Ask, Authority, Cut, Daemon, Gate, Image, Line, Origin, Reply, until};

fn json(origin: &Origin) -> Daemon {
    Daemon::with(origin, &["--log-format", "json", "-v"])
}

/// The lines about requests so far; every line of the log is an object.
fn requests(daemon: &Daemon) -> Vec<Value> {
    let lines = daemon.logged("");
    let objects = lines.iter().map(|line| match serde_json::from_str::<Value>(line) {
        Ok(Value::Object(object)) => Value::Object(object),
        other => panic!("no object: {line:?}: {other:?}"),
    });
    objects.filter(|line| line["message"] == "request").collect()
}

/// Waits for the line about this path.
#[track_caller]
fn line(daemon: &Daemon, path: &str) -> Value {
    let mut found = None;
    until("the request is logged", || {
        found = requests(daemon).into_iter().find(|line| line["path"] == path);
        found.is_some()
    });
    found.unwrap()
}

#[test]
fn a_line_tells_who_asked_for_what_and_what_the_cache_did() {
    let origin = Origin::of(&Image::new(1, 100_000));
    let daemon = json(&origin);
    assert!(daemon.get("/a").whole);
    daemon.idle();
    let ask = Ask::get("/a?b").with("Range", "bytes=5-14").with("User-Agent", "nova \"x\"/1\u{e9}");
    ask.with("X-Openstack-Request-Id", "req-1").of(daemon.address);
    let miss = line(&daemon, "/a");
    for (name, value) in [
        ("level", "INFO".into()),
        ("method", "GET".into()),
        ("protocol", "HTTP/1.1".into()),
        ("status", 200.into()),
        ("bytes", 100_000.into()),
        ("whole", true.into()),
        ("decision", "miss".into()),
        ("cache", "icewell; fwd=uri-miss; fwd-status=200; stored".into()),
        ("range", Value::Null),
        ("user_agent", Value::Null),
        ("request_id", Value::Null),
        ("trace_id", Value::Null),
    ] {
        assert_eq!(miss[name], value, "{name}: {miss}");
    }
    assert!(miss["client"].as_str().unwrap().starts_with("127.0.0.1:"), "{miss}");
    assert!(miss["timestamp"].as_str().unwrap().ends_with('Z'), "{miss}");
    let (first, all) = (miss["first_byte_ms"].as_f64().unwrap(), miss["ms"].as_f64().unwrap());
    assert!(0.0 < first && first <= all, "{miss}");
    let part = line(&daemon, "/a?b");
    assert_eq!((&part["range"], &part["bytes"], &part["status"]), (&"bytes=5-14".into(), &10.into(), &206.into()));
    assert_eq!((&part["request_id"], &part["user_agent"]), (&"req-1".into(), &"nova \"x\"/1\u{e9}".into()));
}

#[test]
fn a_client_that_goes_is_told_of_and_so_is_what_it_had() {
    let (gate, image) = (Gate::at(0), Image::new(2, 3_000_000));
    let gated = gate.clone();
    let origin = Origin::new(move |request| match request.target.as_str() {
        "/silent" => Reply { wait: Some(gated.clone()), ..image.answer(request) },
        _ => image.answer(request).cut(1_000_000, Cut::Reset),
    });
    let daemon = json(&origin);
    drop(Ask::get("/silent").sent(daemon.address));
    let gone = line(&daemon, "/silent");
    assert_eq!((&gone["status"], &gone["bytes"], &gone["whole"]), (&499.into(), &0.into(), &false.into()));
    assert_eq!((&gone["decision"], &gone["first_byte_ms"]), (&"none".into(), &Value::Null));
    gate.open();
    assert!(!daemon.get("/cut").whole);
    let cut = line(&daemon, "/cut");
    assert_eq!((&cut["status"], &cut["whole"]), (&200.into(), &false.into()));
    assert!(cut["bytes"].as_u64().unwrap() < 3_000_000);
}

/// As above, of clients whose connections hyper serves.
#[test]
fn so_is_one_that_goes_from_a_request_with_a_body_or_over_http_2() {
    let (gate, image) = (Gate::at(0), Image::new(5, 1000));
    let gated = gate.clone();
    let origin = Origin::new(move |request| Reply { wait: Some(gated.clone()), ..image.answer(request) });
    let daemon = json(&origin);
    for (target, body) in [
        ("/chunks", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
        ("/length", "Content-Length: 3\r\n\r\nabc"),
    ] {
        let mut client = Line::to(daemon.address);
        client.say(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n{body}"));
        until("it is asked for", || origin.seen().iter().any(|request| request.target == target));
        drop(client);
        assert_eq!(line(&daemon, target)["status"], 499, "{target}");
    }
    assert_eq!(daemon.metric("icewell_responses_total{code=\"4xx\"}"), 2);
    let authority = Authority::new("ca");
    let issued = authority.issue("server");
    let args = [&["--log-format", "json", "-v"][..], &issued.options()].concat();
    let secure = Daemon::with(&origin, &args);
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--noproxy", "*", "--http2", "-o", "/dev/null", "--cacert"]).arg(&authority.cert);
    let mut client = curl.arg(secure.https("/frames")).spawn().unwrap();
    until("it is asked for", || origin.seen().iter().any(|request| request.target == "/frames"));
    client.kill().unwrap();
    client.wait().unwrap();
    let gone = line(&secure, "/frames");
    assert_eq!((&gone["status"], &gone["protocol"]), (&499.into(), &"HTTP/2.0".into()));
    gate.open();
}

#[test]
fn what_hyper_has_sent_to_its_end_is_whole() {
    let origin = Origin::of(&Image::new(6, 100_000));
    let daemon = json(&origin);
    for (method, target) in [("GET", "/a"), ("HEAD", "/b"), ("POST", "/c"), ("GET", "/")] {
        let answer = Ask::new(method, target).with("Content-Length", "0").of(daemon.address);
        let told = line(&daemon, target);
        assert_eq!((&told["status"], &told["whole"]), (&answer.status.into(), &true.into()), "{method} {target}");
    }
}

#[test]
fn under_a_mixed_load_there_is_one_line_for_each_request_and_every_line_is_an_object() {
    let image = Image::new(3, 200_000);
    let origin = Origin::new(move |request| match request.target.len() % 5 {
        0 => Reply::status(404),
        1 => Reply::text(200, "mine").with("Cache-Control", "private"),
        2 => image.answer(request).cut(150_000, Cut::Reset),
        _ => image.answer(request),
    });
    let daemon = json(&origin);
    let address = daemon.address;
    let targets =
        ["/a", "/%22%5C%0A%1B", "/%E2%80%AE%C3%A9", "/a?q=%22x%22&token=hush", "/{\"level\":1}", "/bb", "/ccc"];
    let clients = (0..8).map(|client| {
        thread::spawn(move || {
            for nth in 0..25 {
                let ask = Ask::get(targets[(client + nth) % targets.len()]).with("User-Agent", "{\"a\": \"\\\u{1f980}");
                let ask = match nth % 4 {
                    0 => ask.with("Range", "bytes=0-9,20-29"),
                    1 => ask.with("Content-Length", "0"),
                    _ => ask,
                };
                // Some take no more than a little.
                if nth % 5 == 0 {
                    ask.begin(address).read_to(10)
                } else {
                    ask.of(address).body.len()
                };
            }
        })
    });
    clients.collect::<Vec<_>>().into_iter().for_each(|client| client.join().unwrap());
    // And some say nothing that anybody could answer.
    TcpStream::connect(address).unwrap().write_all(b"\x00\xff{\"\n\n").ok();
    until("all are logged", || requests(&daemon).len() >= 200);
    for line in requests(&daemon) {
        assert!(line["status"].is_u64() && line["bytes"].is_u64() && line["whole"].is_boolean(), "{line}");
        assert!(line["ms"].is_number() && line["client"].is_string() && line["decision"].is_string(), "{line}");
        assert!(targets.iter().any(|target| line["path"] == target.replace("hush", "REDACTED")), "{line}");
    }
    assert_eq!(requests(&daemon).len(), 200);
}

#[test]
fn a_line_for_people_has_the_same_in_it_and_cannot_be_faked() {
    let origin = Origin::of(&Image::new(4, 1000));
    let daemon = Daemon::of(&origin);
    let mut client = Line::to(daemon.address);
    client.say("GET /a HTTP/1.1\r\nHost: a\r\nUser-Agent: x\u{85}status=500\u{202e}\r\nConnection: close\r\n\r\n");
    client.rest();
    until("it is logged", || !daemon.logged("path=\"/a\"").is_empty());
    let line = daemon.logged("path=\"/a\"").remove(0);
    for part in [" INFO ", "method=\"GET\"", "status=200", "bytes=1000", "whole=true", "decision=\"miss\"", " ms="] {
        assert!(line.contains(part), "{part} in {line}");
    }
    assert!(!line.chars().any(|char| char.is_control() || char == '\u{202e}'), "{line:?}");
}
