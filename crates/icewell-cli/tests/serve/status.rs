//! The status of the daemon and the list of what is cached, as the page and `icewell top` read them.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::fixture::{Ask, Cut, Daemon, Gate, Image, Origin, Reply, icewell, until};

/// What the admin listener tells a program on this machine.
fn told(daemon: &Daemon, target: &str) -> Value {
    let answer = Ask::get(target).with("Host", "localhost").of(daemon.admin);
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"), "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

fn folder(path: &Path, images: &[(&str, usize)]) {
    fs::create_dir(path).unwrap();
    for (name, size) in images {
        fs::write(path.join(name), vec![b'x'; *size]).unwrap();
    }
}

#[test]
fn a_fill_under_way_with_its_clients() {
    let image = Image::new(1, 5_000_000);
    let (told_image, gate) = (image.clone(), Gate::at(2_000_000));
    let gated = gate.clone();
    let origin = Origin::new(move |request| told_image.answer(request).gated(&gated));
    let daemon = Daemon::of(&origin);
    let before = told(&daemon, "/v1/status");
    assert_eq!((&before["fills"], &before["origin"]), (&Value::Array(vec![]), &Value::from(origin.url())));
    assert_eq!(before["images"]["tail_age"], Value::Null);
    let mut downloads: Vec<_> = (0..3).map(|_| Ask::get("/a").begin(daemon.address)).collect();
    for download in &mut downloads {
        download.read_to(1_000_000);
    }
    let mut status = Value::Null;
    until("the fill and its clients are told", || {
        status = told(&daemon, "/v1/status");
        status["fills"][0]["clients"] == 3 && status["fills"][0]["written"].as_u64() >= Some(1_900_000)
    });
    let fill = &status["fills"][0];
    assert_eq!((&fill["image_id"], &fill["state"]), (&"a".into(), &"filling".into()));
    assert_eq!(fill["size"], 5_000_000);
    assert!(fill["rate"].is_f64() && fill["since"].as_f64() >= status["started"].as_f64());
    gate.open();
    downloads.into_iter().for_each(|download| download.finish().is(&image.bytes));
    daemon.idle();
    let status = told(&daemon, "/v1/status");
    assert_eq!((&status["fills"], &status["images"]["count"]), (&Value::Array(vec![]), &1.into()));
    assert_eq!((&status["images"]["size"], &status["limit"]["used"]), (&5_000_000.into(), &5_000_000.into()));
    assert_eq!(status["next"][0]["image_id"], "a");
    assert!(status["images"]["tail_age"].as_f64().unwrap() >= 0.0);
    assert_eq!(status["failures"], Value::Array(vec![]));
}

#[test]
fn a_fetch_from_the_queue_has_no_clients() {
    let image = Image::new(2, 5_000_000);
    let gate = Gate::at(2_000_000);
    let gated = gate.clone();
    let origin = Origin::new(move |request| image.answer(request).gated(&gated));
    let daemon = Daemon::of(&origin);
    assert_eq!(icewell(["queue", "--dir", daemon.dir.to_str().unwrap(), "a"]).status, Some(0));
    let mut status = Value::Null;
    until("the fill is told", || {
        status = told(&daemon, "/v1/status");
        status["fills"][0]["state"] == "filling"
    });
    assert_eq!(status["fills"][0]["clients"], 0);
    assert_eq!((&status["queue_length"], &status["queue"][0]["image_id"]), (&1.into(), &"a".into()));
    gate.open();
    daemon.idle();
    assert_eq!(told(&daemon, "/v1/status")["queue_length"], 0);
}

#[test]
fn failures_with_their_reasons() {
    let image = Image::new(3, 1_000_000);
    let origin = Origin::new(move |request| match request.target.as_str() {
        "/cut" if request.method == "GET" => image.answer(request).cut(500_000, Cut::Reset),
        "/busy" => Reply::status(503),
        _ => Reply::status(404),
    });
    let daemon = Daemon::of(&origin);
    assert!(!daemon.get("/cut").whole);
    assert_eq!(daemon.get("/busy").status, 503);
    assert_eq!(daemon.get("/nowhere").status, 404);
    daemon.idle();
    let status = told(&daemon, "/v1/status");
    let failures = status["failures"].as_array().unwrap();
    let told: Vec<_> = failures.iter().map(|failure| (&failure["image_id"], &failure["kind"])).collect();
    assert_eq!(told, [(&"busy".into(), &"origin_error".into()), (&"cut".into(), &"broken".into())]);
    assert_eq!((&failures[0]["status"], &failures[1]["status"]), (&503.into(), &502.into()));
    assert!(!failures[1]["reason"].as_str().unwrap().is_empty());
}

#[test]
fn images_by_page() {
    let temp = tempfile::tempdir().unwrap();
    folder(&temp.path().join("images"), &[("a", 30), ("b", 10), ("c&<d>", 20), ("big", 40)]);
    let daemon = Daemon::of_folder(&temp.path().join("images"));
    for target in ["/a", "/b", "/b", "/c%26%3Cd%3E", "/big"] {
        daemon.get(target);
        daemon.idle();
    }
    daemon.settles_at("b", 1);
    assert_eq!(icewell(["pin", "--dir", daemon.dir.to_str().unwrap(), "a"]).status, Some(0));
    let list = |query: &str| {
        let list = told(&daemon, &format!("/v1/images?{query}"));
        let ids = list["images"].as_array().unwrap().iter().map(|row| row["image_id"].as_str().unwrap().to_owned());
        (ids.collect::<Vec<_>>(), list["found"].as_u64().unwrap(), list["total"].as_u64().unwrap())
    };
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(list("sort=size"), (names(&["big", "a", "c%2526%253Cd%253E", "b"]), 4, 4));
    assert_eq!(list("sort=hits&limit=1"), (names(&["b"]), 4, 4));
    assert_eq!(list("search=B&sort=image_id&order=asc"), (names(&["b", "big"]), 2, 4));
    assert_eq!(list("sort=last_accessed&order=asc&offset=1&limit=2").1, 4);
    let row = &told(&daemon, "/v1/images?search=a&sort=size")["images"][0];
    assert_eq!((&row["pinned"], &row["size"], &row["hits"]), (&true.into(), &30.into(), &0.into()));
    let next = told(&daemon, "/v1/status")["next"].as_array().unwrap().len();
    assert_eq!(next, 3, "all but the pinned one");
    assert_eq!(Ask::get("/v1/images?sort=x").with("Host", "localhost").of(daemon.admin).status, 400);
}

#[test]
fn only_who_may_manage_sees_what_is_cached() {
    let temp = tempfile::tempdir().unwrap();
    folder(&temp.path().join("images"), &[("a", 30)]);
    let token = temp.path().join("token");
    fs::write(&token, "secret\n").unwrap();
    let origin = temp.path().join("images");
    let args = ["--admin-token-file", token.to_str().unwrap()];
    let daemon = Daemon::start(&temp.path().join("cache"), origin.to_str().unwrap(), &args);
    for target in ["/v1/status", "/v1/images"] {
        let ask = || Ask::get(target).with("Host", "localhost");
        assert_eq!(ask().of(daemon.admin).status, 403);
        assert_eq!(ask().with("X-Auth-Token", "wrong").of(daemon.admin).status, 403);
        assert_eq!(ask().with("X-Auth-Token", "secret").of(daemon.admin).status, 200);
    }
    let open = Daemon::start(&temp.path().join("other"), origin.to_str().unwrap(), &[]);
    let rebound = Ask::get("/v1/status").with("Host", "evil.example").of(open.admin);
    assert_eq!(rebound.status, 403, "{}", rebound.text());
}
