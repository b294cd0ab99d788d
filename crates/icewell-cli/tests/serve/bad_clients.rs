//! Whatever a client sends, or does not: it gets a right answer or a clear end, what it sends is never taken for more than
//! it is, and it costs the daemon little.

use crate::fixture::{Ask, Cut, Daemon, Image, Line, Origin, Reply, Wire, until};

/// All that comes back for these bytes until the daemon hangs up.
fn exchange(daemon: &Daemon, sent: &str) -> String {
    let mut line = Line::to(daemon.address);
    // It may hang up in the middle, with an answer.
    line.try_say(sent.as_bytes()).ok();
    String::from_utf8_lossy(&line.rest()).into_owned()
}

/// The status of each answer in what came back.
fn statuses(came: &str) -> Vec<u16> {
    came.split("HTTP/1.").skip(1).map(|answer| answer[2..5].parse().unwrap()).collect()
}

/// One that says what it was asked for, and a daemon before it.
fn echo() -> (Origin, Daemon) {
    let origin = Origin::new(|request| Reply::text(200, &request.target).with("Cache-Control", "no-store"));
    let daemon = Daemon::of(&origin);
    (origin, daemon)
}

/// What a request would be that was smuggled in by another.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";

fn was_smuggled(origin: &Origin) -> bool {
    origin.seen().iter().any(|request| request.target.contains("smuggled"))
}

#[test]
fn what_is_no_request_is_refused_and_the_connection_closed() {
    let (origin, daemon) = echo();
    let long = format!("GET /a HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n", "x".repeat(300_000));
    let long_target = format!("GET /{} HTTP/1.1\r\nHost: x\r\n", "x".repeat(300_000));
    let many = format!("GET /a HTTP/1.1\r\nHost: x\r\n{}", "X-Many: 1\r\n".repeat(1000));
    for (head, wanted) in [
        (&*long, [431, 400]),
        (&*long_target, [431, 414]),
        (&*many, [431, 400]),
        ("GET /a HTTP/1.1\r\nHost : x\r\n", [400; 2]),
        ("GET /a HTTP/1.1\r\nHost: x\r\nX-Folded: a\r\n b\r\n", [400; 2]),
        ("GET /a HTTP/1.1\r\nHost: x\r\n Folded: a\r\n", [400; 2]),
        ("GET /a HTTP/1.1\r\nHost: x\r\nX-Nul: \0\r\n", [400; 2]),
        ("GET /a HTTP/1.1\r\nHost: x\r\nX-Return: a\rb\r\n", [400; 2]),
        ("GET /a HTTP/1.1\r\nHost: x\r\nNo colon\r\n", [400; 2]),
        ("GET /a HTTP/1.1\r\nHost: x\r\n: no name\r\n", [400; 2]),
        ("GET /a HTTP/1.1\r\nHost: x\r\nContent-Length\r\n", [400; 2]),
        ("GET /a b HTTP/1.1\r\nHost: x\r\n", [400; 2]),
        ("GET /a HTTP/3.1\r\nHost: x\r\n", [400, 505]),
        ("GET /a\r\n", [400; 2]),
        ("G\u{e9}T /a HTTP/1.1\r\nHost: x\r\n", [400; 2]),
        ("\0\0\0\r\n", [400; 2]),
        ("GET /a HTTP/1.1\r\n", [400; 2]),
        ("GET /a HTTP/1.1\r\nHost: x\r\nHost: y\r\n", [400; 2]),
        ("GET /a HTTP/1.1\r\nHost: x y\r\n", [400; 2]),
        ("GET /a HTTP/1.1\r\nHost: x/y\r\n", [400; 2]),
        ("GET /a HTTP/1.1\r\nHost: u@x\r\n", [400; 2]),
        ("GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n", [400; 2]),
        ("GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n", [400; 2]),
        ("GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0x5\r\n", [400; 2]),
        ("GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 2\r\n", [400; 2]),
        ("GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n", [400; 2]),
        ("GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n", [400; 2]),
        ("GET /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n", [400, 501]),
        ("GET /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n", [400, 501]),
        ("GET /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \x0bchunked\r\n", [400, 501]),
        ("GET /a HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n", [400; 2]),
    ] {
        let came = exchange(&daemon, &format!("{head}\r\n{SMUGGLED}"));
        let shown = &head[..head.len().min(90)];
        let told = statuses(&came);
        assert!(told.len() == 1 && wanted.contains(&told[0]), "{told:?} for {shown:?}");
        assert!(!was_smuggled(&origin), "{shown:?}");
    }
    assert_eq!(daemon.get("/a").text(), "/a");
}

#[test]
fn lines_that_end_with_a_bare_newline_hide_nothing() {
    let (origin, daemon) = echo();
    for head in
        ["GET /a HTTP/1.1\nHost: x\nConnection: close\n\n", "GET /a HTTP/1.1\r\nHost: x\nConnection: close\r\n\n"]
    {
        let came = exchange(&daemon, head);
        assert!(statuses(&came) == [200] && came.ends_with("/a") || statuses(&came) == [400], "{came}");
    }
    // A value ends where it ends for everyone before us, or the request is none.
    let came = exchange(
        &daemon,
        &format!("GET /a HTTP/1.1\r\nHost: x\r\nX-Odd: a\n\nb\r\nConnection: close\r\n\r\n{SMUGGLED}"),
    );
    assert!(statuses(&came).len() <= 2, "{came}");
    assert!(!was_smuggled(&origin));
}

#[test]
fn a_body_that_nobody_wants_is_not_taken_for_requests() {
    let (origin, daemon) = echo();
    let length = SMUGGLED.len();
    let last = "GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    for method in ["GET", "HEAD", "POST", "OPTIONS", "ODD"] {
        for (fields, body) in [
            (format!("Content-Length: {length}"), SMUGGLED.to_owned()),
            ("Transfer-Encoding: chunked".into(), format!("{length:x}\r\n{SMUGGLED}\r\n0\r\n\r\n")),
            // The chunks count, whichever comes first; and who thinks otherwise has to begin a new connection.
            ("Content-Length: 5\r\nTransfer-Encoding: chunked".into(), format!("0\r\n\r\n{SMUGGLED}")),
            ("Transfer-Encoding: chunked\r\nContent-Length: 5".into(), format!("0\r\n\r\n{SMUGGLED}")),
            (
                "Content-Length: 5\r\nTransfer-Encoding: chunked".into(),
                format!("{length:x}\r\n{SMUGGLED}\r\n0\r\n\r\n"),
            ),
        ] {
            let came = exchange(&daemon, &format!("{method} /a HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n{body}{last}"));
            let told = statuses(&came);
            assert!(matches!(told.len(), 1 | 2), "{method} {fields}: {came}");
            assert!(!was_smuggled(&origin), "{method} {fields}");
        }
    }
}

#[test]
fn nothing_is_smuggled_past_to_a_glance() {
    for (fields, body) in [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", format!("0\r\n\r\n{SMUGGLED}")),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5", format!("0\r\n\r\n{SMUGGLED}")),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", format!("0\r\n\r\n{SMUGGLED}")),
        ("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", format!("0\r\n\r\n{SMUGGLED}")),
        ("Content-Length: 0\r\nContent-Length: 36", SMUGGLED.into()),
        ("Content-Length: 0, 36", SMUGGLED.into()),
        ("Content-Length : 36", SMUGGLED.into()),
        ("Transfer-Encoding : chunked", format!("24\r\n{SMUGGLED}\r\n0\r\n\r\n")),
        ("X-Folded: a\r\n Transfer-Encoding: chunked", format!("24\r\n{SMUGGLED}\r\n0\r\n\r\n")),
        ("Transfer-Encoding: chunked", format!("fffffffffffffffff\r\n{SMUGGLED}")),
        ("Transfer-Encoding: chunked", format!("-1\r\n{SMUGGLED}")),
        ("Transfer-Encoding: chunked", format!("0x24\r\n{SMUGGLED}")),
        ("Transfer-Encoding: chunked", format!("1\r\nxx\r\n{SMUGGLED}")),
    ] {
        let wire = Wire::new();
        let temp = tempfile::tempdir().unwrap();
        let glance = format!("glance+http://{}", wire.address());
        let daemon = Daemon::start(&temp.path().join("cache"), &glance, &["--origin-timeout", "2s"]);
        let mut client = Line::to(daemon.address);
        client.say(&format!("PUT /v2/x HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n{body}"));
        // Either it is refused, or it reaches Glance as one request, and the connection has no second one.
        let mut passed = None;
        let reader = std::thread::spawn(move || client.rest());
        until("it is refused or passed on", || {
            passed = wire.try_accept();
            passed.is_some() || reader.is_finished()
        });
        if let Some(mut line) = passed {
            line.try_say(b"HTTP/1.1 204 Done\r\nConnection: close\r\n\r\n").ok();
            let came = String::from_utf8_lossy(&line.rest()).into_owned();
            assert!(!came.contains("smuggled"), "{fields}: {came}");
        }
        let came = String::from_utf8_lossy(&reader.join().unwrap()).into_owned();
        assert!(statuses(&came).len() <= 1, "{fields}: {came}");
        assert!(wire.try_accept().is_none(), "{fields}: a second request");
    }
}

#[test]
fn targets_in_other_forms() {
    let (origin, daemon) = echo();
    let ask = |line: &str| exchange(&daemon, &format!("{line}\r\nHost: x\r\nConnection: close\r\n\r\n"));
    assert!(ask("GET http://elsewhere.test/a?b HTTP/1.1").ends_with("/a?b"));
    assert_eq!(statuses(&ask("GET http://elsewhere.test HTTP/1.1")), [404]);
    assert_eq!(statuses(&ask("CONNECT elsewhere.test:443 HTTP/1.1")), [405]);
    assert_eq!(statuses(&ask("OPTIONS * HTTP/1.1")), [405]);
    for line in
        ["GET * HTTP/1.1", "GET a HTTP/1.1", "GET elsewhere.test:80 HTTP/1.1", "GET ?a HTTP/1.1", "GET ://a HTTP/1.1"]
    {
        let told = statuses(&ask(line));
        assert!(told.len() == 1 && matches!(told[0], 400 | 404), "{line}: {told:?}");
    }
    assert!(
        origin
            .seen()
            .iter()
            .all(|request| request.target.starts_with('/') && request.header("host") != Some("elsewhere.test"))
    );
}

#[test]
fn a_glance_hears_of_the_host_that_counts() {
    let wire = Wire::new();
    let temp = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(&temp.path().join("cache"), &format!("glance+http://{}", wire.address()), &[]);
    let mut client = Line::to(daemon.address);
    client.say("GET http://glance.test/v2/images HTTP/1.1\r\nHost: other.test\r\n\r\n");
    let mut glance = wire.accept();
    let head = glance.head();
    assert_eq!(head[0], "GET /v2/images HTTP/1.1");
    let hosts: Vec<_> = head.iter().filter(|line| line.starts_with("host:")).collect();
    assert_eq!(hosts, ["host: glance.test"]);
    glance.say("HTTP/1.1 204 Done\r\n\r\n");
    assert!(client.head()[0].contains("204"));
    // A tunnel leads nowhere.
    let mut client = Line::to(daemon.address);
    client.say("CONNECT glance.test:443 HTTP/1.1\r\nHost: glance.test:443\r\n\r\n");
    let head = client.head();
    assert!(head[0].contains("405") && head.iter().any(|line| line.trim_end() == "allow:"), "{head:?}");
    assert!(!wire.is_called());
}

#[test]
fn requests_in_a_row_are_answered_in_order_and_cost_no_memory() {
    let image = Image::new(1, 100_000);
    let origin = Origin::of(&image);
    let daemon = Daemon::of(&origin);
    daemon.get("/a").is(&image.bytes);
    daemon.idle();
    let before = daemon.resident();
    let mut client = Line::to(daemon.address);
    let mut sender = client.twin();
    let sending = std::thread::spawn(move || {
        for n in 0..3000 {
            let close = if n == 2999 { "Connection: close\r\n" } else { "" };
            let asked = format!("GET /a HTTP/1.1\r\nHost: x\r\nRange: bytes={n}-{}\r\n{close}\r\n", n + 50_000);
            sender.try_say(asked.as_bytes()).unwrap();
        }
    });
    for n in 0..3000 {
        let head = client.head();
        assert_eq!(head[0], "HTTP/1.1 206 Partial Content", "{n}");
        assert!(head.contains(&format!("content-range: bytes {n}-{}/100000", n + 50_000)), "{n}: {head:?}");
        assert!(client.read(50_001) == image.bytes[n..=n + 50_000], "{n}");
        assert!(daemon.resident() < before + (32 << 20), "{n}");
    }
    sending.join().unwrap();
    assert_eq!(client.rest(), b"");
}

#[test]
fn a_head_has_its_time_and_no_more() {
    let (_origin, daemon) = {
        let origin = Origin::new(|_| Reply::text(200, "bytes"));
        let daemon = Daemon::with(&origin, &["--idle-timeout", "500ms"]);
        (origin, daemon)
    };
    // One that stops, and one that says nothing at all.
    for begun in ["", "GET /a HT", "GET /a HTTP/1.1\r\nHost: x\r\nX-More"] {
        let mut line = Line::to(daemon.address);
        line.say(begun);
        assert!(statuses(&String::from_utf8_lossy(&line.rest())).iter().all(|status| *status == 408), "{begun:?}");
    }
    // One that drips: each byte is in time, the head is not.
    let mut line = Line::to(daemon.address);
    line.say("GET /a HTTP/1.1\r\nHost: x\r\nX-Drips: ");
    let mut drips = 0;
    until("the daemon hangs up", || {
        drips += 1;
        line.try_say(b"x").is_err()
    });
    assert!(drips > 1);
    // Between two requests the same.
    let mut line = Line::to(daemon.address);
    line.say("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(line.head()[0], "HTTP/1.1 200 OK");
    assert_eq!(line.rest(), b"bytes");
}

#[test]
fn who_takes_nothing_is_cut_off() {
    let image = Image::new(2, 60_000_000);
    let origin = Origin::of(&image);
    let daemon = Daemon::with(&origin, &["--send-timeout", "500ms"]);
    for name in ["/a", "/a"] {
        // A miss, and then a hit; then one that is passed through.
        let mut stuck = Ask::get(name).begin(daemon.address);
        assert_eq!(stuck.read_to(1000), 1000);
        let before = daemon.logged("request client").len();
        until("its response is ended", || daemon.logged("request client").len() > before);
        stuck.finish().is_broken_off(&image.bytes);
        until("it is cached", || daemon.is_cached("a"));
    }
    daemon.get("/a").is(&image.bytes);
}

#[test]
fn a_client_that_is_gone_is_asked_after() {
    let image = Image::new(3, 1000);
    let origin = Origin::of(&image);
    let daemon = Daemon::of(&origin);
    let mut line = Line::to(daemon.address);
    line.say("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    line.head();
    line.read(1000);
    // The kernel keeps a timer for it: 02 in the column after the queues (proc_net_tcp).
    let port = format!(":{:04X}", daemon.address.port());
    until("a keep-alive timer runs", || {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).any(|fields| {
            fields.len() > 5 && fields[1].ends_with(&port) && fields[3] == "01" && fields[5].starts_with("02:")
        })
    });
}

#[test]
fn what_breaks_off_does_not_look_whole_to_an_old_client() {
    for how in [Cut::Close, Cut::Reset] {
        let image = Image { sized: false, ranges: false, ..Image::new(4, 1_000_000) };
        let image = image.with("Cache-Control", "no-store");
        let told = image.clone();
        let origin = Origin::new(move |request| told.answer(request).cut(500_000, how));
        let daemon = Daemon::of(&origin);
        Ask::get("/a").http_1_0().of(daemon.address).is_broken_off(&image.bytes);
        let temp = tempfile::tempdir().unwrap();
        let glance = format!("glance+{}", origin.url());
        let daemon = Daemon::start(&temp.path().join("cache"), &glance, &[]);
        Ask::get("/v2/things").http_1_0().of(daemon.address).is_broken_off(&image.bytes);
    }
}

#[test]
fn an_answer_is_not_overtaken_by_the_end_of_the_connection() {
    let wire = Wire::new();
    let temp = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(&temp.path().join("cache"), &format!("glance+http://{}", wire.address()), &[]);
    let mut client = Line::to(daemon.address);
    client.say("PUT /v2/x HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\nsome");
    let mut glance = wire.accept();
    glance.head();
    glance.say("HTTP/1.1 409 Conflict\r\nContent-Length: 5\r\n\r\nwords");
    drop(glance);
    until("the answer is sent", || !daemon.logged("status=409").is_empty());
    // A client that looks at answers only when it has sent everything gets rid of a good deal before it looks.
    client.try_say(&vec![b'x'; 20_000_000]).expect("what is sent in vain is taken all the same");
    assert_eq!(client.head()[0], "HTTP/1.1 409 Conflict");
    assert_eq!(client.read(5), b"words");
    // Nor where nobody has read any of the body, or the head is no head.
    let (_origin, daemon) = echo();
    let huge = format!("GET /a HTTP/1.1\r\nHost: x\r\nX-Long: {}", "x".repeat(200_000));
    for head in ["POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\nsome", &huge] {
        let mut client = Line::to(daemon.address);
        client.say(head);
        let status = client.head()[0].split(' ').nth(1).map(str::to_owned);
        assert!(matches!(status.as_deref(), Some("405" | "431")), "{status:?}");
        client.try_say(&vec![b'x'; 5_000_000]).expect("what is sent in vain is taken all the same");
    }
}
