//! However many clients want what the origin fails to give, the origin is asked a few times, and each client is told.

use crate::fixture::{Ask, Daemon, Gate, Image, Origin, Reply, Wire, icewell, until};

/// Answers of the origin to 200 clients: half of them come while it has not answered yet, half of them after that.
fn ask_in_a_herd(daemon: &Daemon, target: &str, gate: &Gate) -> Vec<(u16, String)> {
    let sent: Vec<_> = (0..100).map(|_| Ask::get(target).sent(daemon.address)).collect();
    gate.open();
    let mut told: Vec<_> = sent.into_iter().map(|one| one.head().finish()).collect();
    told.extend((0..100).map(|_| daemon.get(target)));
    assert!(told.iter().all(|answer| answer.whole));
    told.into_iter().map(|answer| (answer.status, answer.header("retry-after").to_owned())).collect()
}

#[test]
fn too_many_requests_are_not_answered_with_more() {
    let gate = Gate::at(0);
    let gated = gate.clone();
    let origin = Origin::new(move |_| {
        let reply = Reply::text(429, "slower").with("Retry-After", "7");
        Reply { wait: Some(gated.clone()), ..reply }
    });
    let daemon = Daemon::of(&origin);
    assert_eq!(ask_in_a_herd(&daemon, "/a", &gate), vec![(429, "7".to_owned()); 200]);
    assert!(origin.requests() < 20, "{} requests for 200 clients", origin.requests());
}

#[test]
fn a_glance_that_fails_is_not_asked_by_each_client() {
    let gate = Gate::at(0);
    let gated = gate.clone();
    let origin = Origin::new(move |_| {
        let reply = Reply::text(503, "a word for the one who asked").with("Retry-After", "7");
        Reply { wait: Some(gated.clone()), ..reply }
    });
    let temp = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(&temp.path().join("cache"), &format!("glance+{}", origin.url()), &[]);
    let told = ask_in_a_herd(&daemon, "/v2/images/1/file", &gate);
    assert_eq!(told, vec![(503, "7".to_owned()); 200]);
    assert!(origin.requests() < 20, "{} requests for 200 clients", origin.requests());
}

#[test]
fn a_glance_that_is_away_is_not_asked_by_each_client() {
    let origin = Origin::new(|_| Reply { refused: true, ..Reply::status(200) });
    let temp = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(&temp.path().join("cache"), &format!("glance+{}", origin.url()), &[]);
    let told = ask_in_a_herd(&daemon, "/v2/images/1/file", &Gate::at(0));
    assert!(told.iter().all(|(status, _)| *status == 502), "{told:?}");
    assert!(origin.requests() < 20, "{} requests for 200 clients", origin.requests());
}

#[test]
fn what_a_glance_refuses_to_one_is_asked_for_each() {
    let gate = Gate::at(0);
    let gated = gate.clone();
    let origin = Origin::new(move |request| {
        let status = if request.header("x-auth-token") == Some("1") { 404 } else { 403 };
        Reply { wait: Some(gated.clone()), ..Reply::text(status, "") }
    });
    let temp = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(&temp.path().join("cache"), &format!("glance+{}", origin.url()), &[]);
    let ask = |token: usize| Ask::get("/v2/images/1/file").with("X-Auth-Token", &token.to_string());
    let sent: Vec<_> = (0..6).map(|token| ask(token).sent(daemon.address)).collect();
    gate.open();
    for (token, one) in sent.into_iter().enumerate() {
        assert_eq!(one.head().finish().status, if token == 1 { 404 } else { 403 });
    }
}

#[test]
fn a_herd_of_ranges_far_ahead_is_not_a_herd_at_the_origin() {
    for fails in [false, true] {
        let image = Image::new(1, 9_000_000);
        let gate = Gate::at(100_000);
        let (told, gated) = (image.clone(), gate.clone());
        let origin = Origin::new(move |request| match request.header("range") {
            Some(_) if fails => Reply::text(503, "busy"),
            Some(_) => told.answer(request).gated(&gated),
            None => told.answer(request).gated(&gated),
        });
        let daemon = Daemon::of(&origin);
        let first = Ask::get("/a").begin(daemon.address);
        let parts: Vec<_> = (0..200)
            .map(|_| Ask::get("/a").with("Range", "bytes=8000000-8000099").sent(daemon.address).head())
            .collect();
        if !fails {
            until("some ask for themselves", || origin.requests() > 10);
            assert!(origin.requests() <= 17, "{} requests at a time", origin.requests());
        }
        gate.open();
        for part in parts {
            part.finish().is_part(&image.bytes[8_000_000..8_000_100]);
        }
        first.finish().is(&image.bytes);
        assert!(!fails || origin.requests() < 20, "{} requests for 200 clients", origin.requests());
    }
}

#[test]
fn a_bad_image_takes_no_more_than_a_herd_of_one() {
    // The bytes come, and are wrong.
    let image = Image::new(2, 200_000).with("Content-MD5", "AAAAAAAAAAAAAAAAAAAAAA==");
    let gate = Gate::at(100_000);
    let (told, gated) = (image.clone(), gate.clone());
    let origin = Origin::new(move |request| told.answer(request).gated(&gated));
    let daemon = Daemon::of(&origin);
    let sent: Vec<_> = (0..100).map(|_| Ask::get("/a").begin(daemon.address)).collect();
    gate.open();
    for one in sent {
        one.finish().is_broken_off(&image.bytes);
    }
    for _ in 0..100 {
        let answer = daemon.get("/a");
        assert!(answer.status == 502 || !answer.whole);
    }
    assert!(origin.requests() < 20, "{} requests for 200 clients", origin.requests());
}

#[test]
fn the_queue_waits_as_long_as_it_is_told() {
    let image = Image::new(3, 1000);
    let origin = Origin::new(move |request| match request.target.as_str() {
        "/told" => Reply::text(503, "").with("Retry-After", "3600"),
        "/plain" => Reply::text(503, ""),
        _ => Reply::status(404),
    });
    let daemon = Daemon::of(&origin);
    let dir = daemon.dir.to_str().unwrap();
    assert_eq!(icewell(["queue", "--dir", dir, "told", "plain"]).status, Some(0));
    let asked = |target: &str| origin.seen().iter().filter(|request| request.target == target).count();
    until("the other is tried again, and again", || asked("/plain") >= 3);
    assert_eq!(asked("/told"), 1);
    // A client does not wait for that.
    let told = image.clone();
    origin.now(move |request| told.answer(request));
    daemon.get("/told").is(&image.bytes);
}

#[test]
fn too_many_requests_are_no_reason_not_to_serve_what_is_there() {
    let image = Image::new(4, 1000).always_stale();
    let origin = Origin::of(&image);
    let daemon = Daemon::with(&origin, &["--serve-stale"]);
    daemon.get("/a").is(&image.bytes);
    until("it is cached", || daemon.is_cached("a"));
    daemon.idle();
    origin.now(|_| Reply::text(429, "slower"));
    let answer = daemon.get("/a");
    answer.is(&image.bytes);
    assert!(answer.cache_status().contains("stale-origin-failed"), "{}", answer.cache_status());
}

#[test]
fn a_redirect_to_nowhere_is_told() {
    let elsewhere = Origin::new(|_| Reply::text(200, "bytes"));
    let with_password = elsewhere.url().replace("http://", "http://user:secret@");
    let origin = Origin::new(move |request| match request.target.as_str() {
        "/file" => Reply::status(302).with("Location", "file:///etc/passwd"),
        "/ftp" => Reply::status(301).with("Location", "ftp://127.0.0.1/x"),
        "/none" => Reply::status(302),
        "/odd" => Reply::status(302).with("Location", "http://[::1"),
        "/password" => Reply::status(302).with("Location", &format!("{with_password}/there")),
        _ => Reply::status(404),
    });
    let daemon = Daemon::of(&origin);
    for target in ["/file", "/ftp", "/none", "/odd"] {
        let answer = daemon.get(target);
        assert_eq!((answer.status, answer.whole, answer.find("location")), (502, true, None), "{target}");
    }
    daemon.get("/password").is(b"bytes");
    let seen = &elsewhere.seen()[0];
    assert_eq!((seen.target.as_str(), seen.header("authorization")), ("/there", None));
    assert!(seen.headers.iter().all(|(_, value)| !value.contains("secret")), "{seen:?}");
}

#[test]
fn an_answer_that_contradicts_itself_is_none() {
    let image = Image::new(5, 1000);
    let told =
        |headers: &[(&str, &str)]| headers.iter().fold(image.whole(), |reply, (name, value)| reply.with(name, value));
    for (what, reply) in [
        ("two lengths", told(&[("Content-Length", "1000"), ("Content-Length", "10")])),
        ("a length below zero", told(&[("Content-Length", "-1")])),
        ("a length beyond all numbers", told(&[("Content-Length", "99999999999999999999")])),
        ("a head without end", told(&[("X-Long", &"x".repeat(2_000_000))])),
        ("a thousand fields", told(&[("X-Many", "1"); 1000])),
    ] {
        let origin = Origin::new(move |_| reply.clone());
        let daemon = Daemon::of(&origin);
        let answer = daemon.get("/a");
        assert_eq!((answer.status, answer.whole), (502, true), "{what}");
        daemon.idle();
        assert_eq!(daemon.ls("").len(), 0, "{what}");
    }
}

#[test]
fn of_chunks_and_a_length_the_length_is_not_believed() {
    let wire = Wire::new();
    let temp = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(&temp.path().join("cache"), &format!("http://{}", wire.address()), &[]);
    for fields in ["Content-Length: 3\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 3"]
    {
        let asked = Ask::get("/a").sent(daemon.address);
        let mut line = wire.accept();
        line.head();
        line.say(&format!("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\n{fields}\r\n\r\n5\r\nhello\r\n0\r\n\r\n"));
        drop(line);
        let answer = asked.head().finish();
        assert!(
            answer.status == 502 || !answer.whole || answer.body == b"hello",
            "{} {}",
            answer.status,
            answer.text()
        );
    }
}
