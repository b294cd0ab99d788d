//! The metrics: what they count, that Prometheus likes them, and that the documents tell all of them.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::fixture::{Ask, Cut, Daemon, Gate, Image, Origin, Reply, until};

fn docs(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)
}

fn page(daemon: &Daemon) -> String {
    let answer = Ask::get("/metrics").of(daemon.admin);
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    answer.text()
}

/// The value of one series.
#[track_caller]
fn series(page: &str, series: &str) -> f64 {
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in {page}")).parse().unwrap()
}

/// A daemon that has seen a hit, a miss that others joined, a part, something that is not kept, and failures.
fn busy() -> (Origin, Daemon) {
    let image = Image::new(7, 3_000_000);
    let gate = Gate::at(1_000_000);
    let gated = gate.clone();
    let origin = Origin::new(move |request| match request.target.as_str() {
        "/a" => image.answer(request).gated(&gated),
        "/private" => Reply::text(200, "mine").with("Cache-Control", "private"),
        "/cut" => image.answer(request).cut(1_500_000, Cut::Reset),
        "/busy" => Reply::status(503),
        _ => Reply::status(404),
    });
    let daemon = Daemon::of(&origin);
    let mut first = Ask::get("/a").begin(daemon.address);
    first.read_to(500_000);
    let second = Ask::get("/a").begin(daemon.address);
    let during = page(&daemon);
    assert_eq!((series(&during, "icewell_fills"), series(&during, "icewell_fill_clients")), (1.0, 2.0));
    gate.open();
    assert!(first.finish().whole && second.finish().whole);
    daemon.idle();
    assert!(daemon.get("/a").cache_status().starts_with("icewell; hit"));
    assert_eq!(Ask::get("/a").with("Range", "bytes=10-19").of(daemon.address).status, 206);
    assert_eq!(daemon.get("/private").text(), "mine");
    assert_eq!(daemon.get("/busy").status, 503);
    assert_eq!(daemon.get("/nowhere").status, 404);
    assert!(!daemon.get("/cut").whole);
    daemon.idle();
    until("all are counted", || daemon.metric("icewell_requests_total") == 8);
    (origin, daemon)
}

#[test]
fn what_is_counted() {
    let (_origin, daemon) = busy();
    let page = page(&daemon);
    for (name, value) in [
        (r#"icewell_requests_total{cache="hit"}"#, 2.0),
        (r#"icewell_requests_total{cache="miss"}"#, 2.0),
        (r#"icewell_requests_total{cache="collapsed"}"#, 1.0),
        (r#"icewell_requests_total{cache="passed"}"#, 3.0),
        (r#"icewell_requests_total{cache="none"}"#, 0.0),
        (r#"icewell_responses_total{code="2xx"}"#, 6.0),
        (r#"icewell_responses_total{code="4xx"}"#, 1.0),
        (r#"icewell_responses_total{code="5xx"}"#, 1.0),
        ("icewell_range_responses_total", 1.0),
        ("icewell_hits_total", 2.0),
        (r#"icewell_sent_bytes_total{from="cache"}"#, 3_000_010.0),
        (r#"icewell_first_byte_seconds_count{from="cache"}"#, 2.0),
        (r#"icewell_first_byte_seconds_count{from="fill"}"#, 3.0),
        (r#"icewell_fills_total{outcome="stored"}"#, 1.0),
        (r#"icewell_fills_total{outcome="refused"}"#, 2.0),
        (r#"icewell_fills_total{outcome="origin_error"}"#, 1.0),
        (r#"icewell_fills_total{outcome="broken"}"#, 1.0),
        (r#"icewell_fill_failures_total{reason="origin_error"}"#, 1.0),
        (r#"icewell_fill_failures_total{reason="broken_off"}"#, 1.0),
        (r#"icewell_fill_failures_total{reason="no_answer"}"#, 0.0),
        ("icewell_fill_duration_seconds_count", 5.0),
        ("icewell_fill_mismatches_total", 0.0),
        ("icewell_images", 1.0),
        ("icewell_images_size_bytes", 3_000_000.0),
        ("icewell_queue_length", 0.0),
        (r#"icewell_removed_files_total{reason="limit",what="image"}"#, 0.0),
        (r#"icewell_authorization_checks_total{outcome="allowed"}"#, 0.0),
    ] {
        assert_eq!(series(&page, name), value, "{name}\n{page}");
    }
    assert!(series(&page, r#"icewell_sent_bytes_total{from="fill"}"#) >= 6_000_000.0);
    assert!(series(&page, "icewell_filled_bytes_total") >= 3_000_000.0);
    assert!(series(&page, "icewell_fill_retries_total") >= 1.0);
    assert!(series(&page, "icewell_lru_tail_age_seconds") < 3600.0);
    assert!(series(&page, "icewell_file_system_free_bytes") <= series(&page, "icewell_file_system_size_bytes"));
    let used = series(&page, "icewell_used_bytes");
    assert_eq!(used, 3_000_000.0 + series(&page, "icewell_incomplete_size_bytes"));
}

#[test]
fn wrong_bytes_and_a_resumed_fill_are_counted() {
    let image = Image::new(8, 2_000_000);
    let origin = Origin::new(move |request| {
        let reply = image.answer(request);
        match request.target.as_str() {
            "/wrong" => reply.with("Content-MD5", "AAAAAAAAAAAAAAAAAAAAAA=="),
            // Breaks off until it is asked for the rest of the rest.
            _ if request.nth < 6 => reply.cut(1_000_000, Cut::Reset),
            _ => reply,
        }
    });
    let daemon = Daemon::of(&origin);
    assert!(!daemon.get("/wrong").whole);
    daemon.idle();
    until("the image comes", || {
        let whole = daemon.get("/a").whole;
        daemon.idle();
        whole
    });
    let page = page(&daemon);
    assert_eq!(series(&page, "icewell_fill_mismatches_total"), 1.0);
    assert_eq!(series(&page, r#"icewell_fill_failures_total{reason="wrong_bytes"}"#), 1.0);
    assert_eq!(series(&page, "icewell_fills_resumed_total"), 1.0);
}

fn promtool(args: &[&str], input: &str) -> (bool, String) {
    use std::io::Write as _;
    let mut command = Command::new("promtool");
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("promtool runs; scripts/setup.sh installs it");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn promtool_has_nothing_to_say() {
    let (_origin, daemon) = busy();
    assert_eq!(promtool(&["check", "metrics"], &page(&daemon)), (true, String::new()));
}

#[test]
fn the_alerts_are_right() {
    let (alerts, tests) = (docs("monitoring/alerts.yml"), docs("monitoring/alerts-test.yml"));
    for args in [["check", "rules", alerts.to_str().unwrap()], ["test", "rules", tests.to_str().unwrap()]] {
        let (success, said) = promtool(&args, "");
        assert!(success, "{said}");
    }
    let config = docs("monitoring/prometheus.yml");
    let (success, said) = promtool(&["check", "config", config.to_str().unwrap()], "");
    assert!(success, "{said}");
}

/// The names that begin so, in any text.
fn names(text: &str) -> Vec<&str> {
    let of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !of_name(c)).filter(|word| word.starts_with("icewell_") || word.starts_with("process_")).collect()
}

/// Name and type of each family of a page.
fn families(page: &str) -> BTreeMap<String, String> {
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}

#[test]
fn the_document_tells_all_of_them_and_no_others() {
    let (_origin, daemon) = busy();
    let text = std::fs::read_to_string(docs("metrics.md")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let rows = rows.filter(|(name, _)| names(name) == [*name]);
    let told: BTreeMap<String, String> =
        rows.map(|(name, rest)| (name.to_owned(), rest.split(' ').next().unwrap().to_owned())).collect();
    assert_eq!(told, families(&page(&daemon)));
}

#[test]
fn alerts_and_dashboard_ask_for_metrics_that_there_are() {
    let (_origin, daemon) = busy();
    let families = families(&page(&daemon));
    for file in ["monitoring/alerts.yml", "monitoring/dashboard.json"] {
        let text = std::fs::read_to_string(docs(file)).unwrap();
        assert!(names(&text).len() > 8, "{file}");
        for name in names(&text) {
            let family = name.strip_suffix("_bucket").unwrap_or(name);
            assert!(families.contains_key(family), "{file} asks for {name}, which is no metric");
        }
    }
    let dashboard = std::fs::read_to_string(docs("monitoring/dashboard.json")).unwrap();
    assert!(serde_json::from_str::<Value>(&dashboard).unwrap()["panels"].as_array().unwrap().len() > 10);
}

/// A Prometheus that scrapes this daemon, until it is dropped.
struct Prometheus {
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    fn of(daemon: &Daemon) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // A port that was free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = std::fs::read_to_string(docs("monitoring/prometheus.yml")).unwrap();
        let alerts = docs("monitoring/alerts.yml");
        let config = config
            .replace("127.0.0.1:9293", &daemon.admin.to_string())
            .replace("scrape_interval: 15s", "scrape_interval: 1s")
            .replace("alerts.yml", alerts.canonicalize().unwrap().to_str().unwrap());
        std::fs::write(folder.path().join("prometheus.yml"), config).unwrap();
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", folder.path().join("prometheus.yml").display()));
        command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
        command.arg(format!("--web.listen-address={address}"));
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("prometheus runs");
        until("prometheus listens", || TcpStream::connect(address).is_ok());
        Prometheus { child, address, _folder: folder }
    }

    fn ask(&self, target: &str) -> Value {
        let answer = Ask::get(target).of(self.address).text();
        serde_json::from_str(&answer).unwrap_or(Value::Null)
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// All texts under this name, however deep.
fn all(value: &Value, name: &str) -> Vec<String> {
    let inside = |values: &mut dyn Iterator<Item = &Value>| values.flat_map(|value| all(value, name)).collect();
    match value {
        Value::Object(object) => {
            let mut found: Vec<String> = inside(&mut object.values());
            found.extend(object.get(name).and_then(Value::as_str).map(str::to_owned));
            found
        }
        Value::Array(array) => inside(&mut array.iter()),
        _ => Vec::new(),
    }
}

/// As it stands in a query.
fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[test]
fn each_expression_of_the_dashboard_and_the_document_has_an_answer() {
    let (_origin, daemon) = busy();
    let prometheus = Prometheus::of(&daemon);
    let ask = |expression: &str| prometheus.ask(&format!("/api/v1/query?query={}", escaped(expression)));
    let samples = |told: &Value| told["data"]["result"].as_array().map_or(0, Vec::len);
    until("there are two scrapes to compare", || samples(&ask("rate(icewell_requests_total[1m])")) > 0);
    let dashboard = std::fs::read_to_string(docs("monitoring/dashboard.json")).unwrap();
    let mut expressions = all(&serde_json::from_str(&dashboard).unwrap(), "expr");
    assert!(expressions.len() > 20, "{expressions:?}");
    let document = std::fs::read_to_string(docs("metrics.md")).unwrap();
    let section = document.split("Expressions worth knowing").nth(1).unwrap();
    let cells = section.lines().filter_map(|line| line.strip_prefix("| ")?.split_once("| `")?.1.strip_suffix("` |"));
    let written: Vec<String> = cells.map(|cell| cell.replace("\\|", "|")).collect();
    assert!(written.len() >= 4, "{written:?}");
    expressions.extend(written);
    for expression in expressions {
        let told = ask(&expression.replace("$instance", ".*"));
        assert_eq!(told["status"], "success", "{expression}: {told}");
        // What does not grow is never full, and so has no answer.
        assert!(samples(&told) > 0 || expression.contains("deriv"), "{expression} finds nothing");
    }
}

/// What the directory holds is told as it is, and what was taken out of it with the reason.
#[test]
fn sizes_the_queue_and_what_was_removed_are_told() {
    let image = Image::new(9, 400_000);
    let origin = Origin::new(move |request| match request.target.as_str() {
        "/later" => Reply::status(503),
        _ => image.answer(request),
    });
    let daemon = Daemon::with(&origin, &["--max-size", "1MB"]);
    for target in ["/a", "/b", "/c"] {
        assert!(daemon.get(target).whole);
        daemon.idle();
    }
    std::fs::write(daemon.dir.join("invalid/d"), [7; 5000]).unwrap();
    std::fs::write(daemon.dir.join("queue/later"), "").unwrap();
    until("it is counted", || daemon.metric("icewell_invalid_size_bytes") == 5000);
    let page = page(&daemon);
    for (name, value) in [
        ("icewell_images", 2.0),
        ("icewell_images_size_bytes", 800_000.0),
        ("icewell_limit_bytes", 1_000_000.0),
        ("icewell_used_bytes", 805_000.0),
        ("icewell_queue_length", 1.0),
        (r#"icewell_removed_files_total{reason="limit",what="image"}"#, 1.0),
        (r#"icewell_removed_bytes_total{reason="limit",what="image"}"#, 400_000.0),
        (r#"icewell_removed_files_total{reason="disk_full",what="image"}"#, 0.0),
        ("icewell_scrub_due_images", 0.0),
    ] {
        assert_eq!(series(&page, name), value, "{name}\n{page}");
    }
    assert!(series(&page, "icewell_images_allocated_bytes") >= 800_000.0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    for moment in ["icewell_counted_timestamp_seconds", "process_start_time_seconds"] {
        assert!((now - 3600.0..=now).contains(&series(&page, moment)), "{moment}");
    }
    assert_eq!(series(&page, &format!("icewell_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"))), 1.0);
}

#[test]
fn prometheus_scrapes_it() {
    let (_origin, daemon) = busy();
    let prometheus = Prometheus::of(&daemon);
    let value =
        |query: &str| prometheus.ask(&format!("/api/v1/query?query={query}"))["data"]["result"][0]["value"][1].clone();
    until("a scrape is stored", || value("icewell_requests_total%7Bcache=%22hit%22%7D") == "2");
    assert_eq!(value("up%7Bjob=%22icewell%22%7D"), "1");
    assert_eq!(value("sum(icewell_requests_total)"), "8");
    assert_eq!(value("icewell_first_byte_seconds_count%7Bfrom=%22cache%22%7D"), "2");
    let metadata = prometheus.ask("/api/v1/targets/metadata?metric=icewell_requests_total");
    assert_eq!(metadata["data"][0]["type"], "counter", "{metadata}");
}
