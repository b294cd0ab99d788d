//! What the page of the admin listener stands on: its files, and what it can do. How it looks and works in a browser,
//! `tests/page` tells.

use std::fs;

use serde_json::{Value, json};

use crate::fixture::{Ask, Daemon, Response, until};

/// As the page asks.
fn act(daemon: &Daemon, target: &str) -> Response {
    Ask::new("POST", target).with("Host", "localhost").with("X-Icewell-Request", "test").of(daemon.admin)
}

fn told(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap_or_else(|_| panic!("{}: {}", response.status, response.text()))
}

fn status(daemon: &Daemon) -> Value {
    told(&Ask::get("/v1/status").with("Host", "localhost").of(daemon.admin))
}

/// A daemon that has these images of a folder, ten bytes each.
fn with_images(names: &[&str], args: &[&str]) -> (tempfile::TempDir, Daemon) {
    let temp = tempfile::tempdir().unwrap();
    let images = temp.path().join("images");
    fs::create_dir(&images).unwrap();
    let daemon = Daemon::start(&temp.path().join("cache"), images.to_str().unwrap(), args);
    for name in names {
        fs::write(images.join(name), "0123456789").unwrap();
        daemon.get(&format!("/{}", name.replace(' ', "%20"))).is(b"0123456789");
        daemon.idle();
    }
    (temp, daemon)
}

#[test]
fn the_files_of_the_page_are_for_anybody_and_say_what_they_may() {
    let (temp, _daemon) = with_images(&[], &[]);
    let token = temp.path().join("token");
    fs::write(&token, "secret\n").unwrap();
    let (_temp, daemon) = with_images(&[], &["--admin-token-file", token.to_str().unwrap()]);
    for (path, kind) in [("/", "text/html"), ("/main.js", "text/javascript"), ("/page.css", "text/css")] {
        let file = Ask::get(path).with("Host", "cache.example").of(daemon.admin);
        assert_eq!(file.status, 200, "{path}");
        assert!(file.header("content-type").starts_with(kind), "{path}");
        let policy = file.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{policy}");
        assert_eq!((file.header("x-content-type-options"), file.header("x-frame-options")), ("nosniff", "DENY"));
    }
    assert_eq!(Ask::get("/other.js").of(daemon.admin).status, 404);
    let posted = Ask::new("POST", "/").of(daemon.admin);
    assert_eq!((posted.status, posted.header("allow")), (405, "GET, HEAD"));
}

#[test]
fn pin_and_unpin() {
    let (_temp, daemon) = with_images(&["a b", "b"], &[]);
    let pinned = || daemon.ls("").iter().map(|row| row["pinned"] == true).collect::<Vec<_>>();
    // The name in the cache is `a%2520b`; in the path it is written once more.
    assert_eq!(act(&daemon, "/v1/images/a%252520b/pin").status, 200);
    assert_eq!(pinned(), [true, false]);
    assert_eq!(status(&daemon)["next"].as_array().unwrap().len(), 1);
    assert_eq!(act(&daemon, "/v1/images/a%252520b/unpin").status, 200);
    assert_eq!(pinned(), [false, false]);
    assert_eq!(act(&daemon, "/v1/images/c/pin").status, 404);
    assert_eq!(act(&daemon, "/v1/images/b/burn").status, 404);
}

#[test]
fn verify_in_the_background() {
    let (_temp, daemon) = with_images(&["a", "b"], &[]);
    // Same size, same times: only a look at the bytes can tell.
    let times = fs::metadata(daemon.dir.join("b")).unwrap();
    fs::write(daemon.dir.join("b"), "0123456xyz").unwrap();
    let file = fs::File::options().write(true).open(daemon.dir.join("b")).unwrap();
    file.set_modified(times.modified().unwrap()).unwrap();
    for name in ["a", "b"] {
        assert_eq!(act(&daemon, &format!("/v1/images/{name}/verify")).status, 202);
    }
    let mut verdicts = Vec::new();
    until("both are verified", || {
        let status = status(&daemon);
        let all = status["verifications"].as_array().unwrap().clone();
        verdicts =
            all.iter().map(|one| (one["image_id"].clone(), one["verdict"].clone(), one["read"].clone())).collect();
        verdicts.iter().all(|one| !one.1.is_null())
    });
    assert_eq!(verdicts, [(json!("b"), json!("corrupt"), json!(10)), (json!("a"), json!("unverifiable"), json!(10))]);
    assert!(!daemon.is_cached("b") && daemon.dir.join("invalid/b").is_file());
    assert_eq!(act(&daemon, "/v1/images/b/verify").status, 404);
}

#[test]
fn prune_only_tells_unless_it_is_told_to() {
    let (_temp, daemon) = with_images(&["a", "b", "c"], &[]);
    let would = told(&act(&daemon, "/v1/prune?max_size=10"));
    let ids: Vec<_> = would["images"].as_array().unwrap().iter().map(|image| image["image_id"].clone()).collect();
    assert_eq!(
        (ids, &would["total_bytes_pruned"], &would["dry_run"]),
        (vec![json!("a"), json!("b")], &json!(20), &json!(true))
    );
    assert!(daemon.is_cached("a") && daemon.is_cached("b"));
    let done = told(&act(&daemon, "/v1/prune?max_size=10&dry_run=no"));
    assert_eq!(done["images"], would["images"]);
    assert!(!daemon.is_cached("a") && !daemon.is_cached("b") && daemon.is_cached("c"));
    assert_eq!(told(&act(&daemon, "/v1/prune?dry_run=no"))["total_files_pruned"], 0);
    let gone = &status(&daemon)["removed"];
    let gone: Vec<_> =
        gone.as_array().unwrap().iter().map(|gone| (&gone["image_id"], &gone["what"], &gone["why"])).collect();
    assert_eq!(
        gone,
        [(&json!("b"), &json!("image"), &json!("prune")), (&json!("a"), &json!("image"), &json!("prune"))]
    );
    assert_eq!(daemon.metric("icewell_removed_files_total"), 2);
    assert_eq!(daemon.metric("icewell_removed_bytes_total"), 20);
    assert_eq!(status(&daemon)["images"]["count"], 1, "what was changed is seen at once");
}

#[test]
fn only_who_may_and_no_web_page() {
    let (temp, daemon) = with_images(&["a"], &[]);
    let ask =
        |name: &str, value: &str| Ask::new("POST", "/v1/images/a/pin").with("Host", "localhost").with(name, value);
    assert_eq!(ask("Accept", "*/*").of(daemon.admin).status, 403, "a form can send this");
    for (name, value) in [("Origin", "http://evil.example"), ("Sec-Fetch-Site", "cross-site")] {
        assert_eq!(ask(name, value).with("X-Icewell-Request", "1").of(daemon.admin).status, 403, "{name}");
    }
    let rebound = Ask::new("POST", "/v1/images/a/pin").with("Host", "evil.example").with("X-Icewell-Request", "1");
    assert_eq!(rebound.of(daemon.admin).status, 403);
    assert_eq!(daemon.ls("")[0]["pinned"], false);
    let got = Ask::get("/v1/images/a/pin").with("Host", "localhost").of(daemon.admin);
    assert_eq!((got.status, got.header("allow")), (405, "POST"));

    let token = temp.path().join("token");
    fs::write(&token, "secret\n").unwrap();
    let (_temp, daemon) = with_images(&["a"], &["--admin-token-file", token.to_str().unwrap()]);
    assert_eq!(act(&daemon, "/v1/images/a/pin").status, 403);
    assert_eq!(Ask::get("/v1/history").with("Host", "localhost").of(daemon.admin).status, 403);
    let with = Ask::new("POST", "/v1/images/a/pin").with("X-Auth-Token", "secret").with("X-Icewell-Request", "1");
    assert_eq!(with.of(daemon.admin).status, 200);
}

#[test]
fn a_history_and_what_is_wrong() {
    let (_temp, daemon) = with_images(&["a"], &["--max-size", "1000000000000000"]);
    let mut history = Value::Null;
    until("the first sample is taken", || {
        history = told(&Ask::get("/v1/history?span=day").with("Host", "localhost").of(daemon.admin));
        !history["samples"].as_array().unwrap().is_empty()
    });
    assert_eq!((&history["span"], &history["samples"][0]["limit"]), (&json!("day"), &json!(1_000_000_000_000_000_u64)));
    let status = status(&daemon);
    assert_eq!(status["forecast"], json!({ "state": "unknown" }));
    let notes = status["notes"].to_string();
    assert!(notes.contains("The limit is more than the file system has room for"), "{notes}");
    assert_eq!(Ask::get("/v1/history?span=year").with("Host", "localhost").of(daemon.admin).status, 400);
}
