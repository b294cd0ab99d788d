//! Traces by OTLP: what they tell, to whom, and that nobody waits for them.

use std::thread;

use rustix::process::Signal;

use crate::fixture::{Ask, Collector, Cut, Daemon, Gate, Image, Line, Origin, Reply, Told, icewell_command, until};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CLIENT: &str = "b7ad6b7169203331";

fn traced(origin: &Origin, collector: &Collector) -> Daemon {
    Daemon::with(origin, &["--otlp-endpoint", &collector.url()])
}

/// A request of a client that is traced.
fn ask(target: &str) -> Ask {
    Ask::get(target).with("traceparent", &format!("00-{TRACE}-{CLIENT}-01"))
}

fn is(kind: u64, what: &'static str, value: &'static str) -> impl Fn(&Told) -> bool {
    move |span| span.kind() == kind && span.get(what) == value
}

#[test]
fn a_request_its_fill_and_the_question_to_the_origin_are_one_trace() {
    let (image, gate) = (Image::new(1, 3_000_000), Gate::at(1_000_000));
    let gated = gate.clone();
    let origin = Origin::new(move |request| image.answer(request).gated(&gated));
    let collector = Collector::new();
    let daemon = traced(&origin, &collector);
    let miss = ask("/a").with("tracestate", "vendor=1").with("User-Agent", "curl/8").begin(daemon.address);
    let other = Ask::get("/a").begin(daemon.address);
    gate.open();
    assert!(miss.finish().whole && other.finish().whole);

    let request = collector.span("the miss", is(2, "icewell.cache", "miss"));
    assert_eq!((request.trace(), request.parent(), request.name()), (TRACE, CLIENT, "GET"));
    assert_eq!(request.0["traceState"], "vendor=1");
    for (name, value) in [
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("http.response.body.size", "3000000"),
        ("url.scheme", "http"),
        ("url.path", "/a"),
        ("server.address", "icewell.test"),
        ("server.port", "80"),
        ("client.address", "127.0.0.1"),
        ("network.protocol.version", "1.1"),
        ("user_agent.original", "curl/8"),
        ("icewell.image.id", "a"),
        ("icewell.from", "fill"),
        ("icewell.whole", "true"),
        ("error.type", ""),
    ] {
        assert_eq!(request.get(name), value, "{name}: {request:?}");
    }
    assert_eq!(request.events(), ["first byte"]);
    let fill = collector.span("the fill", |span| span.name() == "fill");
    assert_eq!((fill.trace(), fill.parent(), fill.kind()), (TRACE, request.id(), 1));
    assert_eq!((fill.get("icewell.fill.outcome"), fill.get("icewell.image.size")), ("stored".into(), "3000000".into()));
    assert_eq!(fill.events(), ["filling", "verified"]);
    let question = collector.span("the question", |span| span.kind() == 3);
    assert_eq!((question.trace(), question.parent()), (TRACE, fill.id()));
    assert_eq!(question.get("url.full"), format!("{}/a", origin.url()));
    assert_eq!(question.get("http.response.body.size"), "3000000");
    let asked = &origin.seen()[0];
    let told = format!("00-{TRACE}-{}-01", question.id());
    assert_eq!((asked.header("traceparent"), asked.header("tracestate")), (Some(told.as_str()), Some("vendor=1")));

    let joined = collector.span("who joined it", is(2, "icewell.cache", "collapsed"));
    assert_ne!(joined.trace(), TRACE, "a trace of its own");
    assert_eq!((joined.parent(), joined.links()), ("", vec![fill.id().to_owned()]));
    let nanos = |span: &Told, name: &str| span.0[name].as_str().unwrap().parse::<u128>().unwrap();
    let (began, ended) = (|span: &Told| nanos(span, "startTimeUnixNano"), |span: &Told| nanos(span, "endTimeUnixNano"));
    assert!(began(&request) <= began(&fill) && began(&fill) <= began(&question));
    assert!(began(&question) < ended(&question) && ended(&question) <= ended(&fill));

    daemon.idle();
    assert!(ask("/a").with("Range", "bytes=5-9").of(daemon.address).cache_status().starts_with("icewell; hit"));
    let hit = collector.span("the hit", is(2, "icewell.cache", "hit"));
    assert_eq!((hit.get("http.response.status_code"), hit.get("icewell.from")), ("206".into(), "cache".into()));
    assert_eq!((hit.get("icewell.range"), hit.get("http.response.body.size")), ("bytes=5-9".into(), "5".into()));
    assert_eq!(collector.spans().len(), 5, "and nothing else");

    let export = &collector.requests()[0];
    assert!(export.head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{}", export.head);
    assert!(export.head.contains("content-type: application/json\r\n"), "{}", export.head);
    let resource = export.body["resourceSpans"][0]["resource"]["attributes"].as_array().unwrap();
    assert!(resource.iter().any(|one| one["key"] == "service.name" && one["value"]["stringValue"] == "icewell"));
}

#[test]
fn who_configures_no_traces_has_none_and_the_origin_hears_of_none() {
    let origin = Origin::of(&Image::new(2, 10_000));
    let daemon = Daemon::of(&origin);
    assert!(ask("/a").of(daemon.address).whole);
    assert!(origin.seen().iter().all(|request| request.header("traceparent").is_none()));
    assert_eq!(daemon.metric("icewell_spans_total"), 0);
}

#[test]
fn a_client_says_whether_its_trace_is_kept_and_the_share_whether_others_are() {
    let origin = Origin::of(&Image::new(3, 10_000));
    let collector = Collector::new();
    let daemon = Daemon::with(&origin, &["--otlp-endpoint", &collector.url(), "--otlp-sample", "0"]);
    let unkept = Ask::get("/unkept").with("traceparent", &format!("00-{TRACE}-{CLIENT}-00"));
    assert!(unkept.of(daemon.address).whole && daemon.get("/nobodys").whole && ask("/kept").of(daemon.address).whole);
    collector.span("the kept one", is(2, "url.path", "/kept"));
    assert!(collector.spans().iter().all(|span| span.trace() == TRACE && span.get("url.full") != "/unkept"));
    let parent = |target: &str| {
        let asked = origin.seen().into_iter().find(|request| request.target == target).unwrap();
        asked.header("traceparent").unwrap().to_owned()
    };
    assert!(parent("/unkept").starts_with(&format!("00-{TRACE}-")) && parent("/unkept").ends_with("-00"));
    assert!(parent("/nobodys").ends_with("-00"), "who comes after us need not keep it either");
    assert!(parent("/kept").ends_with("-01"));
    assert!(collector.spans().iter().all(|span| span.get("url.path") != "/unkept"));
}

#[test]
fn what_fails_says_so() {
    let text = "x".repeat(3_000_000);
    let origin = Origin::new(move |request| match request.target.as_str() {
        // Without a validator, so that there is no rest to ask for.
        "/cut" => Reply::text(200, &text).cut(1_500_000, Cut::Reset),
        "/busy" => Reply::status(503),
        _ => Reply::text(200, "mine").with("Cache-Control", "private"),
    });
    let collector = Collector::new();
    let daemon = traced(&origin, &collector);
    assert_eq!(daemon.get("/busy").status, 503);
    let request = collector.span("the request", is(2, "url.path", "/busy"));
    assert_eq!((request.get("error.type"), &request.0["status"]["code"]), ("503".into(), &2.into()));
    let fill = collector.span("the fill", |span| span.name() == "fill" && span.parent() == request.id());
    assert_eq!(
        (fill.get("error.type"), fill.get("icewell.fill.outcome")),
        ("origin_error".into(), "origin_error".into())
    );
    let question = collector.span("the question", |span| span.parent() == fill.id());
    assert_eq!((question.get("error.type"), &question.0["status"]["code"]), ("503".into(), &2.into()));

    assert!(!daemon.get("/cut").whole);
    let request = collector.span("the request", is(2, "url.path", "/cut"));
    assert_eq!((request.get("error.type"), request.get("icewell.whole")), ("broken_off".into(), "false".into()));
    let fill = collector.span("the fill", |span| span.name() == "fill" && span.parent() == request.id());
    assert_eq!(fill.get("error.type"), "broken");
    assert!(fill.events().contains(&"retry".into()), "{fill:?}");

    // What cannot be kept goes through in the name of the request itself.
    let part = Ask::get("/mine").with("Range", "bytes=0-1").of(daemon.address);
    assert!(part.cache_status().contains("fwd="));
    let request = collector.span("the request", is(2, "url.path", "/mine"));
    assert_eq!((request.get("icewell.cache"), request.get("icewell.from")), ("passed".into(), "origin".into()));
    collector.span("the question", |span| span.kind() == 3 && span.parent() == request.id());
}

#[test]
fn a_receiver_that_does_not_answer_holds_nobody_up_and_what_is_too_much_is_dropped() {
    let origin = Origin::of(&Image::new(5, 1000));
    let collector = Collector::new();
    collector.now(None);
    let daemon = traced(&origin, &collector);
    assert!(daemon.get("/a").whole);
    daemon.idle();
    // More than may wait, over one connection.
    let mut client = Line::to(daemon.address);
    let mut asking = client.twin();
    let asks = thread::spawn(move || {
        asking.say(&"HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n".repeat(4000));
        asking.say("GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    });
    for _ in 0..4000 {
        assert_eq!(client.head()[0], "HTTP/1.1 200 OK");
    }
    asks.join().unwrap();
    assert!(client.rest().len() > 1000);
    until("the rest is dropped", || daemon.metric(r#"icewell_spans_total{outcome="dropped"}"#) > 1000);
    assert_eq!(daemon.metric(r#"icewell_spans_total{outcome="exported"}"#), 0);
}

#[test]
fn what_a_receiver_cannot_take_now_comes_again_and_what_it_refuses_does_not() {
    let origin = Origin::of(&Image::new(6, 1000));
    let collector = Collector::new();
    let daemon = traced(&origin, &collector);
    let count = |outcome: &str| daemon.metric(&format!("icewell_spans_total{{outcome=\"{outcome}\"}}"));
    collector.now(Some((503, "Retry-After: 0\r\n", "")));
    assert_eq!(daemon.head("/a").status, 200);
    until("it was refused for now", || !collector.requests().is_empty());
    collector.now(Some((200, "", "{}")));
    until("it came again", || count("exported") == 2);
    assert_eq!(collector.requests()[0].body, collector.requests().last().unwrap().body);

    collector.now(Some((200, "", r#"{"partialSuccess":{"rejectedSpans":"1","errorMessage":"too odd"}}"#)));
    assert_eq!(daemon.head("/a").status, 200);
    until("a part was refused", || (count("exported"), count("refused")) == (3, 1));
    assert_eq!(daemon.logged("too odd").len(), 1);

    collector.now(Some((400, "", "{}")));
    assert_eq!(daemon.head("/a").status, 200);
    until("all was refused", || count("refused") == 3);
    let tries = collector.requests().len();
    collector.now(Some((200, "", "{}")));
    assert_eq!(daemon.head("/a").status, 200);
    until("the next is taken", || count("exported") == 5);
    assert_eq!(collector.requests().len(), tries + 1, "what was refused did not come again");
    assert_eq!((daemon.logged("traces cannot be exported").len(), daemon.logged("exported again").len()), (1, 1));
}

#[test]
fn the_last_traces_leave_before_the_daemon_does() {
    let origin = Origin::of(&Image::new(7, 1000));
    let collector = Collector::new();
    let mut daemon = traced(&origin, &collector);
    assert!(ask("/a").of(daemon.address).whole);
    daemon.signal(Signal::TERM);
    assert!(daemon.ended().success());
    assert!(collector.spans().iter().any(|span| span.kind() == 2 && span.trace() == TRACE));
}

#[test]
fn opentelemetrys_own_variables_count_and_what_is_secret_stays_so() {
    let origin = Origin::of(&Image::new(8, 1000));
    let collector = Collector::new();
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("cache");
    let mut command = icewell_command();
    command.arg("serve").arg("--dir").arg(&dir).args(["--origin", &origin.url()]).env("ICEWELL_MIN_FREE", "0");
    command.env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", format!("{}/else/where", collector.url()));
    command.env("OTEL_EXPORTER_OTLP_HEADERS", "x-key=hush%2Fhush").env("OTEL_SERVICE_NAME", "edge-7");
    let daemon = Daemon::run(command, &dir, &origin.url());
    assert!(ask("/a?size=big&X-Amz-Signature=hushhush").with("Authorization", "hushhush").of(daemon.address).whole);
    collector.span("the request", |span| span.kind() == 2);
    collector.span("the question", |span| span.kind() == 3);
    let export = &collector.requests()[0];
    assert!(
        export.head.starts_with("POST /else/where ") && export.head.contains("x-key: hush/hush"),
        "{}",
        export.head
    );
    assert!(export.body.to_string().contains("edge-7"));
    for export in collector.requests() {
        assert!(!export.body.to_string().contains("hush"), "{}", export.body);
    }
    assert!(daemon.logged("hush").is_empty() || daemon.logged("hush").iter().all(|line| line.contains("image_id")));
    let told = "path=\"/a?size=big&X-Amz-Signature=REDACTED\"";
    until("the request is logged", || daemon.logged(told).len() == 1);
}

#[test]
fn an_endpoint_that_is_none_is_wrong_usage() {
    for (endpoint, why) in [("localhost:4317", "no http(s) URL"), ("http://a:b@localhost", "user or password")] {
        let mut command = icewell_command();
        let temp = tempfile::tempdir().unwrap();
        command.current_dir(temp.path()).args(["serve", "--dir", "cache", "--otlp-endpoint", endpoint]);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains(why), "{output:?}");
    }
}
