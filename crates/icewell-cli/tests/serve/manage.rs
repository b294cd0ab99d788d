//! The management API on the admin listener, for a folder and a web server.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fixture::{Ask, Daemon, Gate, Image, Origin, Reply, Response, icewell, icewell_command, until};

/// A request to the admin listener as a program on this machine sends it.
fn local(method: &str, target: &str) -> Ask {
    Ask::new(method, target).with("Host", "localhost")
}

fn manage(daemon: &Daemon, method: &str, target: &str) -> Response {
    local(method, target).of(daemon.admin)
}

#[track_caller]
fn body(response: &Response) -> Value {
    assert_eq!((response.status, response.header("content-type")), (200, "application/json"), "{}", response.text());
    assert_eq!(response.header("content-length"), response.body.len().to_string());
    serde_json::from_slice(&response.body).unwrap()
}

/// A folder with images of these names, and a daemon in front of it.
fn folder(names: &[&str], args: &[&str]) -> (Arc<TempDir>, Daemon) {
    let temp = Arc::new(tempfile::tempdir().unwrap());
    let images = temp.path().join("images");
    for name in names {
        let path = images.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("bytes of {name}")).unwrap();
    }
    let daemon = Daemon::start(&temp.path().join("cache"), images.to_str().unwrap(), args);
    (temp, daemon)
}

fn token_file(temp: &TempDir) -> String {
    let file = temp.path().join("token");
    fs::write(&file, "secret\n").unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn field_20_a_life_in_the_cache() {
    let (_temp, daemon) = folder(&["a.img", "b/c d.img"], &[]);
    assert_eq!(body(&manage(&daemon, "GET", "/v2/cache")), json!({ "cached_images": [], "queued_images": [] }));
    // The name in the cache is `b%2Fc%2520d.img`; in the path it is written once more.
    for path in ["/v2/cache/a.img", "/v2/cache/b%252Fc%252520d.img"] {
        let put = manage(&daemon, "PUT", path);
        assert_eq!((put.status, put.header("content-length")), (202, "0"), "{path}");
    }
    until("both are fetched", || daemon.is_cached("a.img") && daemon.is_cached("b%2Fc%2520d.img"));
    daemon.get("/a.img").is(b"bytes of a.img");
    daemon.settles_at("a.img", 1);
    until("the queue is empty", || {
        body(&manage(&daemon, "GET", "/v2/queued_images")) == json!({ "queued_images": [] })
    });
    let listed = body(&manage(&daemon, "GET", "/v2/cache"));
    let image = &listed["cached_images"][0];
    assert_eq!((&image["image_id"], &image["size"], &image["hits"]), (&json!("a.img"), &json!(14), &json!(1)));
    assert!(image["last_accessed"].as_i64().unwrap() >= image["last_modified"].as_i64().unwrap());
    assert_eq!(image.as_object().unwrap().len(), 5);
    assert_eq!(listed["cached_images"][1]["image_id"], "b%2Fc%2520d.img");
    assert_eq!(body(&manage(&daemon, "GET", "/v1/cached_images"))["cached_images"], listed["cached_images"]);

    let dropped = manage(&daemon, "DELETE", "/v2/cache/b%252Fc%252520d.img");
    assert_eq!((dropped.status, dropped.body.len()), (204, 0));
    assert!(!daemon.is_cached("b%2Fc%2520d.img"));
    assert_eq!(manage(&daemon, "DELETE", "/v2/cache/b%252Fc%252520d.img").status, 404);
    let dropped = manage(&daemon, "DELETE", "/v2/cached_images/a.img");
    assert_eq!(body(&dropped), Value::Null);
    assert!(!daemon.is_cached("a.img"));
}

#[test]
fn what_has_no_name_in_the_cache() {
    let (_temp, daemon) = folder(&["a.img"], &[]);
    for id in ["queue", "incomplete", "..", "a%20b", "%2Ehidden", &"x".repeat(256)] {
        assert_eq!(manage(&daemon, "PUT", &format!("/v2/cache/{id}")).status, 404, "{id}");
        assert_eq!(manage(&daemon, "DELETE", &format!("/v2/cache/{id}")).status, 404, "{id}");
    }
    for path in ["/v2/cache/a%2Fb", "/v2/cache/", "/v2/cache/a.img/", "/v2/cache/%FF"] {
        assert_ne!(manage(&daemon, "PUT", path).status, 202, "{path}");
    }
    let answer = manage(&daemon, "PUT", "/v2/cache/%3Cb%3E");
    assert!(answer.text().contains("Image <b> not found."), "{}", answer.text());
    assert_eq!(answer.header("content-type"), "text/plain; charset=UTF-8");
    let answer = local("PUT", "/v2/cache/%3Cb%3E").with("Accept", "*/*").of(daemon.admin);
    assert!(answer.text().contains("Image &lt;b&gt; not found."), "{}", answer.text());
}

#[test]
fn clear_clean_and_prune() {
    let (temp, daemon) = folder(&["a", "b", "c"], &["--stall-time", "0"]);
    for name in ["a", "b", "c"] {
        daemon.get(&format!("/{name}"));
        daemon.settles_at(name, 0);
    }
    let dir = daemon.dir.to_str().unwrap();
    assert_eq!(icewell(["pin", "--dir", dir, "b"]).status, Some(0));
    fs::write(daemon.dir.join("invalid/x"), "x").unwrap();
    let cleaned = manage(&daemon, "POST", "/v2/cache/clean");
    assert_eq!((cleaned.status, cleaned.header("content-length")), (200, "0"));
    assert!(!daemon.dir.join("invalid/x").exists());
    let nothing = json!({ "total_files_pruned": 0, "total_bytes_pruned": 0 });
    assert_eq!(body(&manage(&daemon, "POST", "/v2/cache/prune")), nothing);

    let clear = |target: &str| local("DELETE", "/v2/cache").with("X-Image-Cache-Clear-Target", target).of(daemon.admin);
    assert_eq!(clear("both").status, 400);
    assert_eq!(clear("Queue").status, 204);
    assert!(daemon.is_cached("a") && daemon.is_cached("c"));
    assert_eq!(clear("cache").status, 204);
    assert!(!daemon.is_cached("a") && !daemon.is_cached("c"));
    assert!(daemon.is_cached("b"), "pinned");
    assert_eq!(body(&manage(&daemon, "DELETE", "/v2/cached_images")), json!({ "num_deleted": 0 }));
    assert_eq!(manage(&daemon, "DELETE", "/v2/cache/b").status, 204);
    assert!(!daemon.is_cached("b"), "pinned, but called by its name");
    drop(temp);
}

#[test]
fn verbs_and_bodies() {
    let (_temp, daemon) = folder(&["a"], &[]);
    for (method, path, allow) in [
        ("POST", "/v2/cache", "GET, DELETE"),
        ("GET", "/v2/cache/a", "DELETE, PUT"),
        ("GET", "/v2/cache/clean", "POST"),
        ("POST", "/v2/cache/nodes/a", "GET"),
    ] {
        let answer = manage(&daemon, method, path);
        assert_eq!((answer.status, answer.header("allow")), (405, allow), "{method} {path}");
    }
    assert_eq!(manage(&daemon, "GET", "/v2/cache/nodes/a").status, 409);
    assert_eq!(local("GET", "/v2/cache").with("Content-Length", "0").of(daemon.admin).status, 200);
    // Not one of these bytes ever comes, and nobody waits for them.
    assert_eq!(local("GET", "/v2/cache").with("Content-Length", "9999999").of(daemon.admin).status, 400);
    assert_eq!(local("PUT", "/v2/cache/a").with("Content-Length", "9999999").of(daemon.admin).status, 202);
}

/// What comes after a body on the same connection is never read out of the body.
#[test]
fn a_body_is_no_request() {
    let (_temp, daemon) = folder(&["a"], &[]);
    daemon.get("/a");
    daemon.settles_at("a", 0);
    let smuggled = "DELETE /v2/cache HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut stream = TcpStream::connect(daemon.admin).unwrap();
    let post = format!("POST /v2/cache HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", smuggled.len());
    let get = "GET /v2/cache HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    // All at once: the daemon may close the connection over a body that it does not want.
    stream.write_all(format!("{post}{smuggled}{get}").as_bytes()).unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).ok();
    assert!(answers.starts_with("HTTP/1.1 405 "), "{answers}");
    assert!(daemon.is_cached("a"));
}

#[test]
fn on_the_main_listener_these_are_paths_as_any_other() {
    let (_temp, daemon) = folder(&["v2/cache"], &[]);
    daemon.get("/v2/cache").is(b"bytes of v2/cache");
    assert_eq!(Ask::new("DELETE", "/v2/cache").of(daemon.address).status, 405);
    assert_eq!(daemon.get("/v2/cached_images").status, 404);
}

#[test]
fn no_web_page_manages_the_cache() {
    let (_temp, daemon) = folder(&["a"], &[]);
    daemon.get("/a");
    daemon.settles_at("a", 0);
    let rebound = Ask::new("DELETE", "/v2/cache").with("Host", "evil.example:9293");
    let foreign = local("DELETE", "/v2/cache").with("Origin", "http://evil.example");
    let opaque = local("POST", "/v2/cache/prune").with("Origin", "null");
    let reading = Ask::new("GET", "/v2/cache").with("Host", "evil.example");
    for ask in [rebound, foreign, opaque, reading] {
        let answer = ask.of(daemon.admin);
        assert_eq!(answer.status, 403, "{ask:?}");
        assert!(answer.text().contains("Without an admin token"), "{}", answer.text());
    }
    assert!(daemon.is_cached("a"));
    assert_eq!(local("DELETE", "/v2/cache").with("Origin", "http://localhost").of(daemon.admin).status, 204);
}

#[test]
fn where_a_token_is_set_it_is_needed() {
    let temp = tempfile::tempdir().unwrap();
    let file = token_file(&temp);
    let (_folder, daemon) = folder(&["a"], &["--admin-token-file", &file]);
    until("that everyone may read it is told", || !daemon.logged("may read the admin token").is_empty());
    let answer = manage(&daemon, "GET", "/v2/cache");
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("needs the admin token"), "{}", answer.text());
    for wrong in ["", "secret2", "secre", "SECRET"] {
        assert_eq!(local("GET", "/v2/cache").with("X-Auth-Token", wrong).of(daemon.admin).status, 403, "{wrong:?}");
    }
    // Who has it may come by any name.
    let named = Ask::get("/v2/cache").with("X-Auth-Token", "secret");
    let bearing = Ask::get("/v2/cache").with("Authorization", "Bearer secret").with("Origin", "http://evil.example");
    for ask in [named, bearing] {
        assert_eq!(ask.of(daemon.admin).status, 200, "{ask:?}");
    }
    assert_eq!(Ask::get("/metrics").of(daemon.admin).status, 200, "needs no token");
    until("the requests are logged", || daemon.logged("path=\"/v2/cache\" status=200").len() == 2);
    assert!(daemon.logged("secret").is_empty());
}

#[test]
fn field_19_where_others_reach_it_a_token_is_needed() {
    let (_temp, daemon) = folder(&["a"], &["--admin", "0.0.0.0:0"]);
    let reached = std::net::SocketAddr::from(([127, 0, 0, 1], daemon.admin.port()));
    let answer = local("GET", "/v2/cache").of(reached);
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("set --admin-token-file"), "{}", answer.text());
    assert_eq!(Ask::get("/healthz").of(reached).status, 200);

    let temp = tempfile::tempdir().unwrap();
    let (_folder, daemon) = folder(&["a"], &["--admin", "0.0.0.0:0", "--admin-token-file", &token_file(&temp)]);
    let reached = std::net::SocketAddr::from(([127, 0, 0, 1], daemon.admin.port()));
    assert_eq!(local("GET", "/v2/cache").of(reached).status, 403);
    assert_eq!(Ask::get("/v2/cache").with("X-Auth-Token", "secret").of(reached).status, 200);
}

#[test]
fn a_token_that_is_none_is_wrong_usage() {
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("token");
    fs::write(&file, "\n").unwrap();
    for (file, why) in [(file.as_path(), "its first line is empty"), (Path::new("/nowhere"), "cannot be read")] {
        let mut command = icewell_command();
        command.args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
            "--origin",
            "images",
            "--dir",
            "cache",
        ]);
        command.arg("--admin-token-file").arg(file).current_dir(temp.path());
        fs::create_dir_all(temp.path().join("images")).unwrap();
        let ran = command.output().unwrap();
        let told = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(2), "{told}");
        assert!(told.contains(why) && told.contains(file.to_str().unwrap()), "{told}");
    }
}

/// A large image on its way as far as the gate lets it.
fn on_its_way(args: &[&str]) -> (Image, Gate, Origin, Daemon) {
    let image = Image::new(7, 5_000_000);
    let gate = Gate::at(2_000_000);
    let (told, gated) = (image.clone(), gate.clone());
    let origin = Origin::new(move |request| told.answer(request).gated(&gated));
    let daemon = Daemon::with(&origin, args);
    (image, gate, origin, daemon)
}

#[test]
fn a_fill_that_is_dropped_keeps_nothing_and_disturbs_nobody() {
    let (image, gate, origin, daemon) = on_its_way(&[]);
    let mut downloads = [Ask::get("/a").begin(daemon.address), Ask::get("/a").begin(daemon.address)];
    for download in &mut downloads {
        download.read_to(1_000_000);
    }
    assert_eq!(manage(&daemon, "DELETE", "/v2/cache/a").status, 204, "what is on its way is here");
    daemon.idle();
    gate.open();
    for download in downloads {
        download.finish().is(&image.bytes);
    }
    assert!(!daemon.is_cached("a"));
    assert!(daemon.ls("--incomplete").is_empty());
    assert!(origin.requests() <= 2, "one goes on with what came, the other asks for the rest");
    daemon.get("/a").is(&image.bytes);
    daemon.idle();
    assert!(daemon.is_cached("a"), "the next request may keep it");
}

#[test]
fn field_glance_02_what_fails_stays_queued_and_what_the_origin_has_not_does_not() {
    let image = Image::new(8, 100_000);
    let told = image.clone();
    let origin =
        Origin::new(move |request| if request.target == "/a" { Reply::status(500) } else { Reply::status(404) });
    let daemon = Daemon::of(&origin);
    for path in ["/v2/cache/a", "/v2/cache/b"] {
        assert_eq!(manage(&daemon, "PUT", path).status, 202);
    }
    let queued = || body(&manage(&daemon, "GET", "/v2/queued_images"))["queued_images"].clone();
    until("the origin has refused both", || origin.requests() >= 2 && queued() == json!(["a"]));
    origin.now(move |request| told.answer(request));
    until("it is fetched at last", || daemon.is_cached("a"));
    until("and off the queue", || queued() == json!([]));
}
